"""`make install`: what lies in a prefix, and programs that are built and run out of it."""

import os
import pwd
import re
import shlex
import shutil
import tempfile
import unittest
import unittest.mock
from pathlib import Path
from typing import List, Optional, Set

from place import C_PROGRAM, CONSUMER, CPP_PROGRAM, EXAMPLES, ROOT, TOOLCHAIN, VERSION, Case, environment, needs, run, tool

FILES = {
    "bin/imgtask",
    "include/imgtask.h",
    "lib/libimgtask.a",
    "lib/libimgtask.so",
    "lib/libimgtask.so.0",
    f"lib/libimgtask.so.{VERSION}",
    "lib/cmake/imgtask/imgtaskConfig.cmake",
    "lib/cmake/imgtask/imgtaskConfigVersion.cmake",
    "lib/pkgconfig/imgtask.pc",
    "lib/pkgconfig/imgtask-static.pc",
    "share/bash-completion/completions/imgtask",
    "share/doc/imgtask/LICENSE-APACHE",
    "share/doc/imgtask/LICENSE-MIT",
    "share/doc/imgtask/THIRD-PARTY.md",
    "share/doc/imgtask/imgtask.spdx.json",
    "share/fish/vendor_completions.d/imgtask.fish",
    "share/man/man1/imgtask.1",
    "share/zsh/site-functions/_imgtask",
}


def make(*words: object, **changes: object) -> str:
    """Make, where there is no cargo that could build anything: what is to be installed was built before."""
    return run(["make", "-C", ROOT, "CARGO=/bin/false", *words], env=environment(**changes))


def files(folder: Path) -> List[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_symlink() or not file.is_dir())


def traces(place: Path, *inside: str, folder: Optional[Path] = None) -> Set[bytes]:
    """What a file holds that names a folder: its path. One of a single part, such as /src, stands in the paths of others, too: then
    it is the paths of what lies in it and matches a pattern. `folder` stands for the place in a test."""
    place = Path(os.path.abspath(place))
    if len(place.parts) > 2 or place == Path("/root"):
        return {os.fsencode(place)}
    found = [file.relative_to(folder or place) for pattern in inside for file in (folder or place).glob(pattern)]
    return {os.fsencode(place / file) for file in found}


class Installed(Case):
    """Out of a prefix that was moved after it was installed."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        folder = tempfile.TemporaryDirectory(prefix="imgtask-installed-")
        cls.addClassCleanup(folder.cleanup)
        stage = Path(folder.name, "stage")
        make("install", f"DESTDIR={stage}", "PREFIX=/opt/imgtask")
        cls.prefix = Path(folder.name, "moved here")
        shutil.move(stage / "opt/imgtask", cls.prefix)
        cls.left_in_stage = files(stage)

    def pkg_config(self, *words: str) -> List[str]:
        said = run(["pkg-config", *words], env=environment(PKG_CONFIG_PATH=self.prefix / "lib/pkgconfig"))
        return shlex.split(said)

    def build(self, name: str, source: Path, flags: List[str]) -> Path:
        compiler = ["cc", "-std=c11"] if source.suffix == ".c" else ["c++", "-std=c++17"]
        program = self.folder / name
        run([*compiler, "-Wall", "-Wextra", "-Werror", source, "-o", program, *flags])
        return program

    def test_all_is_where_it_is_looked_for(self) -> None:
        found = set(files(self.prefix))
        pages = {name for name in found if name.startswith("share/man/man1/imgtask-")}
        self.assertGreater(len(pages), 5)
        headers = {name for name in found if name.startswith("include/")}
        self.assertEqual(headers, {f"include/{file.name}" for file in (ROOT / "include").iterdir()})
        self.assertEqual(found - pages - headers, FILES - headers)
        self.assertEqual(self.left_in_stage, [])
        self.assertEqual(os.readlink(self.prefix / "lib/libimgtask.so"), "libimgtask.so.0")
        self.assertEqual(os.readlink(self.prefix / "lib/libimgtask.so.0"), f"libimgtask.so.{VERSION}")
        for name in found:
            mode = (self.prefix / name).stat().st_mode & 0o777
            runs = name == "bin/imgtask" or ".so" in name
            self.assertEqual(mode, 0o755 if runs else 0o644, name)

    def test_nothing_names_the_folders_of_the_build(self) -> None:
        home = Path.home()
        target = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
        secrets = traces(ROOT, "*.toml", "src/**/*.rs", "include/*") | traces(self.prefix) | traces(target, "*/build", "*/deps")
        secrets |= traces(home, ".*/*") | traces(Path(os.environ.get("CARGO_HOME") or home / ".cargo"), "registry", "git")
        for name in files(self.prefix):
            content = (self.prefix / name).read_bytes()
            self.assertEqual([secret for secret in secrets if secret in content], [], name)

    def test_the_tests_hear_nothing_that_was_set_for_this_project(self) -> None:
        heard = re.findall(r"^(\w+) *\?=|\$\((?:or|if) \$\((\w+)\)|\(origin (\w+)\)", (ROOT / "Makefile").read_text(), re.MULTILINE)
        names = {name for found in heard for name in found if name} - TOOLCHAIN
        self.assertLess({"PREFIX", "DESTDIR", "LEAN", "CARGO_BUILD_TARGET", "mandir"}, names | {"DESTDIR"})
        names |= {"DESTDIR", "MAKEFLAGS", "IMGTASK_CONFIG", "DIMILINKS_API_KEY", "DIMILINKS_BASE_URL"}
        with unittest.mock.patch.dict(os.environ, {name: "/wrong" for name in names}):
            self.assertEqual(names & set(environment()), set())
            self.assertEqual(environment(PREFIX="/mine")["PREFIX"], "/mine")

    def test_a_name_as_short_as_others_paths_have_is_told_by_what_lies_in_it(self) -> None:
        for name in ("Cargo.toml", "src/jobs/mod.rs"):
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).touch()
        inside = ("*.toml", "src/**/*.rs")
        self.assertEqual(traces(self.folder, *inside), {os.fsencode(self.folder)})
        self.assertEqual(traces(Path("/src"), *inside, folder=self.folder), {b"/src/Cargo.toml", b"/src/src/jobs/mod.rs"})
        self.assertEqual(traces(Path("/"), "src/**/*.rs", folder=self.folder), {b"/src/jobs/mod.rs"})
        self.assertEqual(traces(Path("/root"), ".*/*"), {b"/root"})

    def test_a_second_install_builds_nothing_and_changes_nothing(self) -> None:
        def taken() -> dict:
            return {name: (self.folder / name).read_bytes() for name in files(self.folder)}

        make("install", f"DESTDIR={self.folder}")
        first = taken()
        make("install", f"DESTDIR={self.folder}")
        self.assertEqual(sorted(first), sorted(taken()))
        self.assertEqual(first, taken())

    def test_uninstall_takes_everything_away_and_nothing_else(self) -> None:
        prefix = self.folder / "usr/local"
        (prefix / "lib").mkdir(parents=True)
        (prefix / "lib/libother.so").write_text("not ours")
        make("install", f"DESTDIR={self.folder}")
        self.assertGreater(len(files(self.folder)), len(FILES))
        make("uninstall", f"DESTDIR={self.folder}")
        self.assertEqual(files(self.folder), ["usr/local/lib/libother.so"])
        self.assertEqual([path for path in self.folder.rglob("*imgtask*")], [])

    @needs("pkg-config", "cc", "c++")
    def test_programs_find_the_shared_library_by_pkg_config(self) -> None:
        flags = self.pkg_config("--cflags", "--libs", "imgtask")
        programs = [self.build(f"{source.suffix[1:]}-shared", source, flags) for source in (C_PROGRAM, CPP_PROGRAM)]
        for program in programs:
            self.assert_needs_the_library(program, True)
        self.come_to_an_image(*programs, command=self.prefix / "bin/imgtask", libraries=self.prefix / "lib")

    @needs("pkg-config", "cc", "c++")
    def test_programs_take_the_archive_in_by_pkg_config(self) -> None:
        flags = self.pkg_config("--cflags", "--libs", "imgtask-static")
        programs = [self.build(f"{source.suffix[1:]}-archive", source, flags) for source in (C_PROGRAM, CPP_PROGRAM)]
        for program in programs:
            self.assert_needs_the_library(program, False)
        self.come_to_an_image(*programs)

    @needs("pkg-config", "cc")
    def test_a_program_without_any_shared_library_links_by_pkg_config_static(self) -> None:
        flags = self.pkg_config("--static", "--cflags", "--libs", "imgtask")
        # The linker warns that names are looked up by shared libraries even then; none is needed here.
        program = self.build("alone", C_PROGRAM, ["-static", *flags])
        self.assertNotIn("(NEEDED)", run(["readelf", "-d", program]))
        self.come_to_an_image(program)

    @needs("cmake", "cc", "c++")
    def test_programs_find_both_libraries_by_cmake(self) -> None:
        build = self.folder / "build"
        run(["cmake", "-S", CONSUMER, "-B", build, f"-DCMAKE_PREFIX_PATH={self.prefix}", f"-DEXAMPLES={EXAMPLES}"])
        run(["cmake", "--build", build])
        programs = [build / name for name in ("c-shared", "c-static", "cpp-shared", "cpp-static")]
        for program in programs:
            self.assert_needs_the_library(program, program.name.endswith("shared"))
        self.come_to_an_image(*programs)

    @needs("cmake")
    def test_cmake_is_told_what_is_not_there(self) -> None:
        def configured(wanted: str, fails: bool) -> str:
            source = self.folder / "source"
            source.mkdir(exist_ok=True)
            (source / "CMakeLists.txt").write_text(
                f"cmake_minimum_required(VERSION 3.16)\nproject(p C)\nfind_package(imgtask {wanted})\n"
                'message(STATUS "found ${imgtask_FOUND} ${imgtask_VERSION}")\n'
            )
            shutil.rmtree(self.folder / "build", ignore_errors=True)
            return run(["cmake", "-S", source, "-B", self.folder / "build", f"-DCMAKE_PREFIX_PATH={self.prefix}"], fails=fails)

        self.assertIn(f"found 1 {VERSION}", configured("0.1 REQUIRED", False))
        self.assertIn(f"found 1 {VERSION}", configured("0.0.9...0.2 REQUIRED", False))
        self.assertIn("found 1", configured("COMPONENTS static", False))
        self.assertIn(f"version: {VERSION}", configured("0.2 REQUIRED", True))
        self.assertIn(f"version: {VERSION}", configured("1.0 REQUIRED", True))
        self.assertIn("imgtask::fast is not installed", configured("REQUIRED COMPONENTS fast", True))
        self.assertIn("found 0", configured("QUIET COMPONENTS fast", False))

    def test_every_subcommand_has_a_manual_page(self) -> None:
        page = (self.prefix / "share/man/man1/imgtask.1").read_text()
        self.assertIn(".TH", page)
        for name in ("submit", "wait", "download", "sandbox"):
            self.assertIn(name, page)
            self.assertTrue((self.prefix / f"share/man/man1/imgtask-{name}.1").is_file(), name)


class Places(Case):
    """The folders that a packager names."""

    def paths_of(self, name: str) -> dict:
        text = next(self.folder.rglob(f"{name}.pc")).read_text()
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line.split(" ")[0])

    @needs("pkg-config", "cc")
    def test_a_system_s_own_prefix_is_told_by_name_and_works_in_a_sysroot(self) -> None:
        make("install", f"DESTDIR={self.folder}", "prefix=/usr", "libdir=/usr/lib/x86_64-linux-gnu")
        library = self.folder / "usr/lib/x86_64-linux-gnu"
        self.assertTrue((library / "libimgtask.so.0").exists())
        self.assertEqual(self.paths_of("imgtask")["prefix"], "/usr")
        said = run(["pkg-config", "--cflags", "--libs", "imgtask"], env=environment(
            PKG_CONFIG_LIBDIR=library / "pkgconfig", PKG_CONFIG_SYSROOT_DIR=self.folder))
        program = self.folder / "program"
        run(["cc", C_PROGRAM, f"-I{self.folder}/usr/include", "-o", program, f"-L{library}", *said.split()])
        self.come_to_an_image(program, libraries=library)

    @needs("cmake", "cc", "c++")
    def test_each_folder_can_be_elsewhere(self) -> None:
        places = {name: self.folder / name for name in ("prefix", "libdir", "includedir", "bindir", "mandir", "datadir", "docdir")}
        make("install", *(f"{name}={place}" for name, place in places.items()))
        for place, name in ((places["libdir"], "libimgtask.a"), (places["includedir"], "imgtask.h"), (places["bindir"], "imgtask"),
                            (places["mandir"], "man1/imgtask.1"), (places["datadir"], "zsh/site-functions/_imgtask"),
                            (places["docdir"], "LICENSE-MIT")):
            self.assertTrue((place / name).exists(), name)
        self.assertFalse(places["prefix"].exists())
        build = self.folder / "build"
        run(["cmake", "-S", CONSUMER, "-B", build, f"-Dimgtask_DIR={places['libdir']}/cmake/imgtask", f"-DEXAMPLES={EXAMPLES}"])
        run(["cmake", "--build", build, "--target", "c-shared"])
        self.come_to_an_image(build / "c-shared")
        make("uninstall", *(f"{name}={place}" for name, place in places.items()))
        self.assertEqual([name for place in places.values() for name in files(place)], [])

    @needs("pkg-config", "cmake", "cc")
    def test_pkg_config_tells_of_folders_with_spaces(self) -> None:
        prefix, library = self.folder / "my prefix", self.folder / "my libraries"
        make("install", f"prefix={prefix}", f"libdir={library}")
        for name in ("imgtask", "imgtask-static"):
            said = run(["pkg-config", "--cflags", "--libs", name], env=environment(PKG_CONFIG_PATH=library / "pkgconfig"))
            run(["cc", C_PROGRAM, "-o", self.folder / name, *shlex.split(said)])
        self.come_to_an_image(self.folder / "imgtask", self.folder / "imgtask-static", libraries=library)
        build = self.folder / "build"
        run(["cmake", "-S", ROOT, "-B", build, f"-DCMAKE_INSTALL_PREFIX={prefix}", f"-DCMAKE_INSTALL_LIBDIR={library}"])
        for name in ("imgtask.pc", "imgtask-static.pc"):
            self.assertEqual((build / name).read_text(), (library / "pkgconfig" / name).read_text())

    @needs("pkg-config")
    def test_capital_letters_and_a_lib64_do_too(self) -> None:
        make("install", f"PREFIX={self.folder}", f"LIBDIR={self.folder}/lib64")
        self.assertEqual(self.paths_of("imgtask")["prefix"], "${pcfiledir}/../..")
        said = run(["pkg-config", "--variable=includedir", "imgtask"], env=environment(PKG_CONFIG_PATH=self.folder / "lib64/pkgconfig"))
        self.assertEqual(Path(said.strip()).resolve(), self.folder.resolve() / "include")

    def test_what_is_built_for_another_machine_lies_in_that_machine_s_folder(self) -> None:
        # A cargo that builds nothing, and tells where it was to build.
        cargo = self.folder / "cargo"
        cargo.write_text('''#!/bin/sh
case "$*" in *cdylib*) f=release/libimgtask.so ;; *staticlib*) f=release-static/libimgtask.a ;; *) f=tool/imgtask ;; esac
mkdir -p "$(dirname "$CARGO_TARGET_DIR/$CARGO_BUILD_TARGET/$f")"
echo "for $CARGO_BUILD_TARGET" >"$CARGO_TARGET_DIR/$CARGO_BUILD_TARGET/$f"
''')
        cargo.chmod(0o755)
        triple = "x86_64-unknown-linux-gnu"
        for how in ([f"CARGO_BUILD_TARGET={triple}"], []):
            build = self.folder / f"build{len(how)}"
            changes = {} if how else {"CARGO_BUILD_TARGET": triple}
            run(["make", "-C", ROOT, f"CARGO={cargo}", f"BUILD={build}", "STRIP=true", *how, "lib", "tool"],
                env=environment(CARGO_TARGET_DIR=self.folder / "target", **changes))
            for name in (f"lib/libimgtask.so.{VERSION}", "lib/libimgtask.a", "bin/imgtask"):
                self.assertEqual((build / name).read_text(), f"for {triple}\n")

    def test_what_was_built_for_another_machine_is_installed_by_who_does_not_name_it(self) -> None:
        build = self.folder / "build"
        shutil.copytree(ROOT / "build/bin", build / "bin")
        shutil.copytree(ROOT / "build/lib", build / "lib", symlinks=True)
        (build / "target").write_text("x86_64-unknown-linux-gnu\n")
        os.utime(build / "target", (0, 0))
        without = environment(DESTDIR=self.folder / "stage")
        without.pop("CARGO_BUILD_TARGET", None)
        install = ["make", "-C", ROOT, "CARGO=/bin/false", f"BUILD={build}", "install"]
        run(install, env=without)
        self.assertTrue((self.folder / "stage/usr/local/lib/libimgtask.a").is_file())
        run(install, env={**without, "CARGO_BUILD_TARGET": "riscv64gc-unknown-linux-gnu"}, fails=True)

    def test_when_one_build_fails_the_other_ends(self) -> None:
        cargo = self.folder / "cargo"
        cargo.write_text(f'''#!/bin/sh
case "$*" in
*staticlib*) sleep 600 & touch "{self.folder}/began"; wait ;;
*) while [ ! -e "{self.folder}/began" ]; do sleep 0.05; done; exit 3 ;;
esac
''')
        cargo.chmod(0o755)
        # Reads until the last process has closed the output.
        said = run(["make", "-C", ROOT, f"CARGO={cargo}", f"BUILD={self.folder}/build", "lib"], limit=30, fails=True, env=environment())
        self.assertIn("Error 3", said)

    def test_a_compiler_that_does_not_say_what_an_archive_needs_ends_the_build(self) -> None:
        (self.folder / "release").mkdir()
        (self.folder / "release/libimgtask.so").touch()
        said = run(["make", "-C", ROOT, "CARGO=true", "RUSTC=true", f"BUILD={self.folder}/build", f"TARGET={self.folder}", "lib"],
                   fails=True, env=environment())
        self.assertIn("native-static-libs", said)

    def test_functions_are_folded_where_the_linker_of_the_given_flags_can(self) -> None:
        # A compiler whose linker can, unless it is told to take another; and a cargo that tells what it is asked.
        rustc, cargo, built = self.folder / "rustc", self.folder / "cargo", "$CARGO_TARGET_DIR/release"
        rustc.write_text('''#!/bin/sh
for word; do [ "$word" = link-arg=-fuse-ld=bfd ] && exit 1; done
echo "note: native-static-libs: -lm" >&2
''')
        cargo.write_text(f'''#!/bin/sh
case "$*" in *staticlib*) exit 0 ;; esac
echo "$*" >"$TOLD"
mkdir -p "{built}" "{built}-static"
touch "{built}/libimgtask.so" "{built}-static/libimgtask.a"
''')
        for program in (rustc, cargo):
            program.chmod(0o755)
        both = environment(CARGO_TARGET_DIR=self.folder / "target", TOLD=self.folder / "told", RUSTFLAGS="", CARGO_ENCODED_RUSTFLAGS="")
        by_make = ["make", "-C", ROOT, f"CARGO={cargo}", f"RUSTC={rustc}", f"BUILD={self.folder}/build", "STRIP=true", "lib-lean"]
        by_cmake = ["cmake", f"-Dcargo={cargo}", f"-Dfolds={rustc}", f"-Dtarget_dir={self.folder}/target", "-Dbuilt=release/libimgtask.so",
                    f"-Dout={self.folder}/out", "-Dfile=libimgtask.so", "-P", ROOT / "packaging/cmake/build.cmake"]
        for command in [by_make] + [by_cmake] * (tool("cmake") is not None):
            for flags, folded in (({}, True), ({"RUSTFLAGS": "-C opt-level=2 -C link-arg=-fuse-ld=bfd"}, False),
                                  ({"CARGO_ENCODED_RUSTFLAGS": "-C\x1flink-arg=-fuse-ld=bfd"}, False)):
                run(command, env={**both, **flags})
                told = (self.folder / "told").read_text()
                self.assertEqual("-- -C link-arg=-Wl,--icf=all" in told, folded, (command[0], flags, told))

    @needs("cmake")
    def test_cmake_builds_for_the_machine_that_it_was_configured_for(self) -> None:
        cargo = self.folder / "cargo"
        cargo.write_text('''#!/bin/sh
mkdir -p "$CARGO_TARGET_DIR/$CARGO_BUILD_TARGET/release"
echo "for ${CARGO_BUILD_TARGET:-this machine}" >"$CARGO_TARGET_DIR/$CARGO_BUILD_TARGET/release/libimgtask.so"
''')
        cargo.chmod(0o755)
        other = "riscv64gc-unknown-linux-gnu"
        for target, built, asked in (("", "release", other), (other, f"{other}/release", "")):
            out = self.folder / f"out-{target}"
            run(["cmake", f"-Dcargo={cargo}", f"-Dtarget_dir={self.folder}/target", f"-Dbuilt={built}/libimgtask.so", f"-Dtarget={target}",
                 f"-Dout={out}", "-Dfile=libimgtask.so", "-P", ROOT / "packaging/cmake/build.cmake"],
                env=environment(CARGO_BUILD_TARGET=asked))
            self.assertEqual((out / "libimgtask.so").read_text(), f"for {target or 'this machine'}\n")

    @needs("cmake")
    def test_a_range_of_versions_may_reach_over_a_major_one(self) -> None:
        template = (ROOT / "packaging/imgtaskConfigVersion.cmake.in").read_text()
        for name, value in (("version", "1.2.0"), ("major", "1"), ("pointer_bytes", "8")):
            template = template.replace(f"@{name}@", value)
        (self.folder / "imgtaskConfigVersion.cmake").write_text(template)
        (self.folder / "imgtaskConfig.cmake").touch()
        wanted = {"0.9.0...1.5": 1, "0.9.0...1.2": 1, "0.9.0...<1.2": 0, "1.3...2": 0, "1.0": 1, "0.9.0": 0, "2.0": 0}
        (self.folder / "CMakeLists.txt").write_text("cmake_minimum_required(VERSION 3.19)\nproject(p NONE)\n" + "".join(
            f'unset(imgtask_DIR CACHE)\nfind_package(imgtask {words} QUIET)\nmessage(STATUS "{words}: ${{imgtask_FOUND}}")\n'
            for words in wanted))
        said = run(["cmake", "-S", self.folder, "-B", self.folder / "build", f"-DCMAKE_PREFIX_PATH={self.folder}"])
        for words, found in wanted.items():
            self.assertIn(f"-- {words}: {found}\n", said)

    def test_a_command_that_fails_leaves_nothing_half_installed(self) -> None:
        command = self.folder / "imgtask"
        command.write_text('#!/bin/sh\n[ "$1" != man ]\n')
        command.chmod(0o755)
        run(["make", "-C", ROOT, "CARGO=/bin/false", "install", f"DESTDIR={self.folder}/stage"], fails=True,
            env=environment(HOST_IMGTASK=command))
        self.assertFalse((self.folder / "stage").exists())

    def test_a_build_in_a_folder_with_spaces_names_no_folder(self) -> None:
        folder = self.folder / "my games"
        folder.mkdir()
        for entry in ROOT.iterdir():
            if entry.name not in ("build", "target"):
                (folder / entry.name).symlink_to(entry)
        cargo = self.folder / "cargo"
        cargo.write_text('#!/bin/sh\nprintf "%s" "$CARGO_ENCODED_RUSTFLAGS" >"$TOLD"\nexit 1\n')
        cargo.chmod(0o755)
        run(["make", "-C", folder, f"CARGO={cargo}", "tool"], fails=True,
            env=environment(TOLD=self.folder / "told", RUSTFLAGS="-C opt-level=1", CARGO_ENCODED_RUSTFLAGS="", CARGO_HOME="/home of/cargo"))
        self.assertEqual((self.folder / "told").read_text().split("\x1f"), [
            "-C", "opt-level=1", "--remap-path-prefix=/home of/cargo=cargo", f"--remap-path-prefix={folder.resolve()}=imgtask"])
        # What is given parted counts, as with cargo.
        run(["make", "-C", folder, f"CARGO={cargo}", "tool"], fails=True, env=environment(
            TOLD=self.folder / "told", RUSTFLAGS="-C opt-level=1", CARGO_HOME="/c", CARGO_ENCODED_RUSTFLAGS="--cfg\x1fa b=$c"))
        self.assertEqual((self.folder / "told").read_text().split("\x1f"), [
            "--cfg", "a b=$c", "--remap-path-prefix=/c=cargo", f"--remap-path-prefix={folder.resolve()}=imgtask"])

    def test_a_user_without_a_home_in_the_environment_has_that_of_the_system(self) -> None:
        cargo, home = self.folder / "cargo", pwd.getpwuid(os.getuid()).pw_dir
        cargo.write_text('#!/bin/sh\nprintf "%s" "$CARGO_ENCODED_RUSTFLAGS" >"$TOLD"\nexit 1\n')
        cargo.chmod(0o755)
        without = environment(TOLD=self.folder / "told", CARGO_HOME="", RUSTFLAGS="", CARGO_ENCODED_RUSTFLAGS="")
        without.pop("HOME", None)
        by_cmake = ["cmake", f"-Dcargo={cargo}", f"-Dout={self.folder}", "-P", ROOT / "packaging/cmake/build.cmake"]
        for command in [["make", "-C", ROOT, f"CARGO={cargo}", "tool"]] + [by_cmake] * (tool("cmake") is not None):
            run(command, fails=True, env=without)
            self.assertEqual((self.folder / "told").read_text().split("\x1f")[0], f"--remap-path-prefix={home}/.cargo=cargo")


if __name__ == "__main__":
    unittest.main()
