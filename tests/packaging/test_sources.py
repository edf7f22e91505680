"""The sources with all that they need, where there is no network: as a part of a CMake project, and by cargo-c.

One build pays for all: what cargo built for the first is there for the others.
"""

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path
from typing import List

from place import C_PROGRAM, CONSUMER, EXAMPLES, ROOT, VERSION, Case, environment, needs, run, tool


def sources(root: Path) -> List[str]:
    """Every file of a folder but what builds have put there: a tarball has no index."""
    names = [file.relative_to(root) for file in root.rglob("*")]
    return [str(name) for name in names if not {"target", "build"} & set(name.parts)]


class Tarball(Case):
    def test_its_sources_are_found_also_below_a_folder_that_is_named_as_one_for_builds(self) -> None:
        root = self.folder / "build/target"
        for name in ("Cargo.toml", "src/lib.rs", "target/debug/made", "build/bin/made"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch()
        self.assertEqual({name for name in sources(root) if (root / name).is_file()}, {"Cargo.toml", "src/lib.rs"})


@needs("cmake", "cc", "c++")
class Vendored(Case):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        # Kept between runs, where cargo keeps what it builds; the sources are made anew.
        scratch = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"), "packaging")
        cls.source = scratch / "imgtask with spaces"
        cls.target = scratch / "built"
        cls.home = tempfile.TemporaryDirectory(prefix="imgtask-cargo-home-")
        cls.addClassCleanup(cls.home.cleanup)
        shutil.rmtree(cls.source, ignore_errors=True)
        cls.addClassCleanup(shutil.rmtree, cls.source)
        listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True)
        names = [name for name in listed.stdout.decode().split("\0") if name] if listed.returncode == 0 else []
        names = names or sources(ROOT)
        if "Cargo.toml" not in names:
            raise AssertionError(f"no sources are found in {ROOT}")
        for name in names:
            if (ROOT / name).is_file():
                (cls.source / name).parent.mkdir(parents=True, exist_ok=True)
                # With its times: cargo builds anew what is newer.
                shutil.copy2(ROOT / name, cls.source / name)
        run([os.environ.get("CARGO", "cargo"), "vendor", "--locked", "--quiet", "vendor"], cwd=cls.source, limit=300,
            env=environment(CARGO_TARGET_DIR=cls.target))
        (cls.source / ".cargo").mkdir()
        (cls.source / ".cargo/config.toml").write_text(
            '[source.crates-io]\nreplace-with = "vendored-sources"\n[source.vendored-sources]\ndirectory = "vendor"\n'
            # Soon there: what is asked here is whether it can be built.
            '[profile.dev]\ndebug = false\n[profile.dev.package.redb]\nopt-level = 0\n')

    def offline(self, **changes: object) -> dict:
        """No registry, no cache of one, and no way to ask."""
        return environment(CARGO_HOME=self.home.name, CARGO_NET_OFFLINE="true", CARGO_TARGET_DIR=self.target, **changes)

    def configured(self, source: Path, name: str, *options: str) -> Path:
        build = self.folder / name
        run(["cmake", "-S", source, "-B", build, "-DIMGTASK_CARGO_FLAGS=--frozen", "-DIMGTASK_CARGO_PROFILE=dev", *options],
            env=self.offline())
        return build

    def test_1_a_cmake_project_builds_it_and_comes_to_an_image(self) -> None:
        build = self.configured(CONSUMER, "consumer", f"-DIMGTASK_SOURCE={self.source}", f"-DEXAMPLES={EXAMPLES}")
        run(["cmake", "--build", build, "--parallel"], env=self.offline(), limit=900)
        programs = [build / name for name in ("c-shared", "c-static", "cpp-shared", "cpp-static")]
        for program in programs:
            self.assert_needs_the_library(program, program.name.endswith("shared"))
        self.come_to_an_image(*programs)
        times = [program.stat().st_mtime_ns for program in programs]
        run(["cmake", "--build", build], env=self.offline())
        self.assertEqual(times, [program.stat().st_mtime_ns for program in programs], "a second build linked anew")

    def test_2_a_project_that_links_the_archive_builds_no_shared_library(self) -> None:
        build = self.configured(CONSUMER, "archive", f"-DIMGTASK_SOURCE={self.source}", f"-DEXAMPLES={EXAMPLES}")
        run(["cmake", "--build", build, "--target", "c-static"], env=self.offline(), limit=900)
        made = next(build.rglob("libimgtask.a")).parent
        self.assertEqual([file.name for file in made.iterdir()], ["libimgtask.a"])

    def test_3_cmake_installs_what_make_does(self) -> None:
        build = self.configured(self.source, "alone", f"-DCMAKE_INSTALL_PREFIX={self.folder}/prefix")
        run(["cmake", "--build", build], env=self.offline(), limit=900)
        run(["cmake", "--install", build])
        run(["make", "-C", ROOT, "CARGO=/bin/false", "install", f"DESTDIR={self.folder}", "PREFIX=/made"], env=environment())
        for name in ("lib/pkgconfig/imgtask.pc", "lib/pkgconfig/imgtask-static.pc", "lib/cmake/imgtask/imgtaskConfig.cmake",
                     "lib/cmake/imgtask/imgtaskConfigVersion.cmake", "include/imgtask.h", "include/imgtask.hpp", "share/doc/imgtask/THIRD-PARTY.md"):
            self.assertEqual((self.folder / "prefix" / name).read_text().replace("${prefix}", "${exec_prefix}"),
                             (self.folder / "made" / name).read_text().replace("${prefix}", "${exec_prefix}"), name)
        for name in ("libimgtask.so", "libimgtask.so.0"):
            self.assertEqual(os.readlink(self.folder / "prefix/lib" / name), os.readlink(self.folder / "made/lib" / name))

    @needs("cargo-cinstall", "pkg-config")
    def test_4_cargo_c_installs_a_library_that_is_found_in_the_same_words(self) -> None:
        prefix = self.folder / "prefix"
        # As the CMake build sets it: what that built is then good for this, too.
        flags = "\x1f".join((f"--remap-path-prefix={self.home.name}=cargo", f"--remap-path-prefix={self.source}=imgtask"))
        path = f"{Path(tool('cargo-cinstall')).parent}:{os.environ['PATH']}"
        run([os.environ.get("CARGO", "cargo"), "cinstall", "--frozen", "--profile", "dev", "--prefix", prefix, "--libdir", "lib"],
            cwd=self.source, limit=900, env=self.offline(PATH=path, CARGO_ENCODED_RUSTFLAGS=flags))
        run(["make", "-C", ROOT, "CARGO=/bin/false", "install", f"DESTDIR={self.folder}", "PREFIX=/made"], env=environment())

        def says(folder: Path, *words: str) -> list:
            said = run(["pkg-config", *words, "imgtask"], env=environment(PKG_CONFIG_PATH=folder / "lib/pkgconfig"))
            # The compiler adds these two itself, the right one for shared and for static programs.
            return [os.path.normpath(word.replace(str(folder), "PREFIX")) for word in said.split() if word not in ("-lgcc_s", "-lc")]

        for words in (["--modversion"], ["--cflags"], ["--libs"], ["--static", "--libs"]):
            self.assertEqual(says(prefix, *words), says(self.folder / "made", *words), words)
        for header in (ROOT / "include").iterdir():
            self.assertEqual((prefix / "include" / header.name).read_text(), header.read_text())
        self.assertEqual(sorted(file.name for file in (prefix / "lib").iterdir() if file.is_file()),
                         ["libimgtask.a", "libimgtask.so", "libimgtask.so.0", f"libimgtask.so.{VERSION}"])
        facts = run(["readelf", "-d", prefix / "lib/libimgtask.so"])
        self.assertEqual(facts.count("(SONAME)"), 1)
        self.assertIn("[libimgtask.so.0]", facts)
        self.assertIn("NODELETE", facts)
        program = self.folder / "by-cargo-c"
        said = run(["pkg-config", "--cflags", "--libs", "imgtask"], env=environment(PKG_CONFIG_PATH=prefix / "lib/pkgconfig"))
        run(["cc", "-std=c11", C_PROGRAM, "-o", program, *said.split()])
        self.come_to_an_image(program, libraries=prefix / "lib")


class Settings(Case):
    """What a project sets before it takes the sources in. A cargo that builds nothing tells what it was asked for."""

    @needs("cmake", "cc")
    def test_a_plain_variable_counts_from_the_first_configuring_on(self) -> None:
        cargo, told = self.folder / "cargo", self.folder / "told"
        cargo.write_text(f'#!/bin/sh\nprintf "%s " "$CARGO_TARGET_DIR" "$CARGO_BUILD_TARGET" "$@" >"{told}"\nexit 1\n')
        cargo.chmod(0o755)
        target = run(["rustc", "--print", "host-tuple"]).strip()
        (self.folder / "CMakeLists.txt").write_text(f"""cmake_minimum_required(VERSION 3.16)
project(app C)
set(IMGTASK_CARGO "{cargo}")
set(IMGTASK_CARGO_FLAGS --locked --offline)
set(IMGTASK_CARGO_PROFILE quick)
set(IMGTASK_CARGO_TARGET {target})
set(IMGTASK_CARGO_TARGET_DIR /elsewhere)
set(IMGTASK_LEAN ON)
add_subdirectory("{ROOT}" imgtask)
""")
        build = self.folder / "build"
        for number in ("first", "second"):
            told.unlink(missing_ok=True)
            run(["cmake", "-S", self.folder, "-B", build])
            run(["cmake", "--build", build, "--target", "imgtask_cargo_static"], fails=True)
            self.assertEqual(told.read_text().strip(), f"/elsewhere {target} rustc --locked --offline --profile quick --lib "
                             f"--crate-type staticlib --target {target}", number)


if __name__ == "__main__":
    unittest.main()
