"""Finding the native library: in which order, and what is said when it is missing or does not fit."""

import os
import platform
import shutil
import subprocess
import sys
import unittest.mock
from pathlib import Path
from typing import Dict, Iterable, Optional

import imgtask
from imgtask import _abi
from imgtask._library import VARIABLE, LibraryNotFound, find

from .support import PACKAGE, Folder, compiler, library_file

SHOW = "import imgtask; print(imgtask.load().origin)"

# A system without imgtask, whatever is installed on this one: the loader finds nothing by its bare name.
WITHOUT_SYSTEM = """
import ctypes, os
load = ctypes.CDLL
def by_path(name, *rest):
    if not os.path.dirname(name):
        raise OSError(name + ": cannot open shared object file: No such file or directory")
    return load(name, *rest)
ctypes.CDLL = by_path
"""


class Finding(Folder):
    def setUp(self) -> None:
        super().setUp()
        library_file()  # found before the tests change the variable

    def variable(self, value: Optional[str]) -> None:
        """Sets the variable, or takes it away, for this test."""
        patch = unittest.mock.patch.dict(os.environ)
        patch.start()
        self.addCleanup(patch.stop)
        os.environ.pop(VARIABLE, None)
        if value is not None:
            os.environ[VARIABLE] = value

    def compiled(self, name: str, code: str, *flags: object) -> Path:
        """A library out of C."""
        source, file = self.folder / f"{name}.c", self.folder / name
        source.write_text(code)
        command = [compiler(), "-shared", "-fPIC", source, *flags, "-o", file]
        subprocess.run([str(word) for word in command], check=True, timeout=60)
        return file

    def impostor(self, name: str, abi: int, version: str, functions: Iterable[str] = ()) -> Path:
        """A library that says a version, and has the functions but for what they do."""
        code = (
            f'const char *imgtask_version(void) {{ return "{version}"; }}\n'
            f"unsigned imgtask_abi_version(void) {{ return {abi}; }}\n"
        )
        told = ("imgtask_version", "imgtask_abi_version")
        return self.compiled(name, code + "".join(f"void {each}(void) {{}}\n" for each in functions if each not in told))

    def refusal(self, file: Path) -> str:
        """What is said of a file that is named."""
        with self.assertRaises(LibraryNotFound) as caught:
            find(file)
        self.assertIn(str(file), str(caught.exception))
        self.assertEqual(caught.exception.path, str(file))
        return str(caught.exception)

    def copy_of_the_package(self) -> Path:
        """The package somewhere else, without a library."""
        package = self.folder / "imgtask"
        shutil.copytree(PACKAGE / "imgtask", package, ignore=shutil.ignore_patterns("*.so*", "__pycache__"))
        # The sources may be for reading only.
        package.chmod(0o755)
        return package

    def run_python(self, code: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Runs Python with the copied package."""
        clean: Dict[str, str] = {k: v for k, v in os.environ.items() if k not in (VARIABLE, "LD_LIBRARY_PATH")}
        clean.update(environment, PYTHONPATH=str(self.folder))
        return subprocess.run(
            [sys.executable, "-c", code], cwd=self.folder, capture_output=True, text=True, timeout=30, env=clean
        )

    def test_a_path_given_comes_before_the_variable(self) -> None:
        self.variable(str(self.folder / "nowhere.so"))
        self.assertEqual(find(library_file()).origin, str(library_file()))

    def test_the_variable_comes_before_the_package(self) -> None:
        beside = self.folder / "libimgtask.so"
        shutil.copy(library_file(), beside)
        self.variable(str(library_file()))
        self.assertEqual(find(package=self.folder).origin, str(library_file()))

    def test_beside_the_package_comes_before_the_system(self) -> None:
        package = self.copy_of_the_package()
        shutil.copy(library_file(), package / "libimgtask.so")
        system = self.folder / "system"
        system.mkdir()
        shutil.copy(library_file(), system / f"libimgtask.so.{_abi.ABI_VERSION}")
        done = self.run_python(SHOW, LD_LIBRARY_PATH=str(system))
        self.assertEqual(done.stdout.strip(), str(package / "libimgtask.so"), done.stderr)

    def test_a_folder_lib_inside_the_package_will_do(self) -> None:
        package = self.copy_of_the_package()
        (package / "lib").mkdir()
        shutil.copy(library_file(), package / "lib" / "libimgtask.so")
        self.variable(None)
        self.assertEqual(find(package=package).origin, str(package / "lib" / "libimgtask.so"))

    def test_every_folder_of_the_package_is_looked_into(self) -> None:
        # `pip install --editable` leaves the sources where they are, and puts what was built into a second one.
        self.copy_of_the_package()
        second = self.folder / "second"
        second.mkdir()
        shutil.copy(library_file(), second / "libimgtask.so")
        done = self.run_python(f"import imgtask; imgtask.__path__.append({str(second)!r}); print(imgtask.load().origin)")
        self.assertEqual(done.stdout.strip(), str(second / "libimgtask.so"), done.stderr)

    def test_the_system_is_asked_by_the_versioned_name(self) -> None:
        self.copy_of_the_package()
        system = self.folder / "system"
        system.mkdir()
        name = f"libimgtask.so.{_abi.ABI_VERSION}"
        shutil.copy(library_file(), system / name)
        done = self.run_python(SHOW, LD_LIBRARY_PATH=str(system))
        self.assertEqual(done.stdout.strip(), name, done.stderr)
        # No other program is asked where it is.
        unasked = "import ctypes.util; ctypes.util.find_library = None; "
        done = self.run_python(unasked + SHOW, LD_LIBRARY_PATH=str(system))
        self.assertEqual(done.stdout.strip(), name, done.stderr)

    def test_a_missing_library_names_every_place(self) -> None:
        package = self.copy_of_the_package()
        done = self.run_python(
            f"{WITHOUT_SYSTEM}import imgtask\ntry: imgtask.Client('dimilinks')\nexcept ImportError as error: print(error)"
        )
        for place in (
            VARIABLE,
            str(package / "libimgtask.so"),
            str(package / "lib" / "libimgtask.so"),
            f"the system's libimgtask.so.{_abi.ABI_VERSION}",
            "imgtask.load(path)",
        ):
            self.assertIn(place, done.stdout, done.stderr)

    def test_the_package_imports_without_the_library(self) -> None:
        self.copy_of_the_package()
        done = self.run_python("import imgtask; print(imgtask.__version__)")
        self.assertEqual(done.stdout.strip(), imgtask.__version__, done.stderr)

    def test_a_named_place_is_the_only_one_tried(self) -> None:
        missing = self.folder / "nowhere.so"
        shutil.copy(library_file(), self.folder / "libimgtask.so")
        self.variable(str(missing))
        with self.assertRaises(LibraryNotFound) as caught:
            find(package=self.folder)
        self.assertIn(str(missing), str(caught.exception))
        self.assertIn(VARIABLE, str(caught.exception))
        self.assertIn("no such file; build it (make lib)", str(caught.exception))

    def test_a_file_that_is_no_library_is_named(self) -> None:
        file = self.folder / "libimgtask.so"
        for content in (b"not a library", b"MZ" + bytes(100), b""):
            file.write_bytes(content)
            self.assertIn("cannot be loaded: it is no library of this system; build it here", self.refusal(file))

    def test_a_library_cut_short_is_refused(self) -> None:
        file = self.folder / "libimgtask.so"
        file.write_bytes(library_file().read_bytes()[:100])
        self.assertIn("cannot be loaded: ", self.refusal(file))

    def test_a_library_of_another_processor_is_told_by_its_name(self) -> None:
        # The loader itself says of such a one that it does not exist.
        file = self.impostor("libimgtask.so", _abi.ABI_VERSION, "99.0.0", _abi.FUNCTIONS)
        code = bytearray(file.read_bytes())
        code[18:20] = (183 if platform.machine() != "aarch64" else 62).to_bytes(2, "little")
        file.write_bytes(code)
        other = "AArch64" if platform.machine() != "aarch64" else "x86-64"
        self.assertRegex(self.refusal(file), rf"it is for {other} \(64 bit\), and this Python for .+ \(64 bit\); build it here")

    def test_a_library_of_32_bits_is_told_by_them(self) -> None:
        file = self.folder / "libimgtask.so"
        # The head of one: a compiler for it is not everywhere.
        file.write_bytes(b"\x7fELF\x01\x01\x01" + bytes(9) + b"\x03\x00\x03\x00" + bytes(32))
        self.assertRegex(self.refusal(file), r"it is for x86 \(32 bit\), and this Python for .+ \(64 bit\); build it here")

    def test_a_library_of_a_newer_system_is_told_by_what_it_needs(self) -> None:
        versions = self.folder / "versions"
        versions.write_text("GLIBC_2.99 { newer; };")
        flags = ("-nostdlib", "-Wl,-soname,libc.so.6", f"-Wl,--version-script={versions}")
        libc = self.compiled("libc.so.6", "int newer(void) { return 0; }", *flags)
        file = self.compiled("libimgtask.so", "int newer(void); int use(void) { return newer(); }", "-nostdlib", libc)
        self.assertIn("it needs glibc 2.99 or newer, and this system has an older one; build it here", self.refusal(file))

    def test_a_newer_abi_is_refused_by_its_number(self) -> None:
        told = self.refusal(self.impostor("libother.so", _abi.ABI_VERSION + 7, "9.0.0", _abi.FUNCTIONS))
        self.assertIn(f"9.0.0 is too new: it has ABI {_abi.ABI_VERSION + 7}, this package needs", told)
        self.assertIn("update this package (pip install --upgrade imgtask)", told)

    def test_an_older_abi_is_refused_by_its_number(self) -> None:
        file = self.impostor("libother.so", _abi.ABI_VERSION, "9.0.0", _abi.FUNCTIONS)
        with unittest.mock.patch.object(_abi, "ABI_VERSION", _abi.ABI_VERSION + 1):
            told = self.refusal(file)
        self.assertIn(f"9.0.0 is too old: it has ABI {_abi.ABI_VERSION}, this package needs", told)
        self.assertIn("install the library that belongs to this package", told)

    def test_an_older_version_is_refused_by_its_number(self) -> None:
        told = self.refusal(self.impostor("libold.so", _abi.ABI_VERSION, "0.0.9", _abi.FUNCTIONS))
        self.assertIn(f"0.0.9 is too old: this package needs {imgtask.__version__} or newer; install the library", told)

    def test_a_newer_version_of_the_same_abi_will_do(self) -> None:
        for version in ("99.0.0", "1.0.0-rc.1"):
            file = self.impostor(f"libnew-{version}.so", _abi.ABI_VERSION, version, _abi.FUNCTIONS)
            self.assertEqual(find(file).version, version)

    def test_a_library_without_a_function_is_refused_by_its_name(self) -> None:
        for missing in ("imgtask_client_fetch", "imgtask_abi_version"):
            functions = [each for each in _abi.FUNCTIONS if each != missing]
            if missing == "imgtask_abi_version":
                file = self.compiled("libforeign.so", "void imgtask(void) {}")
            else:
                file = self.impostor("libempty.so", _abi.ABI_VERSION, "99.0.0", functions)
            self.assertIn(f"it has no {missing}: it is too old for this package, or not imgtask", self.refusal(file))

    def test_a_library_beside_the_package_that_does_not_fit_is_told_with_the_rest(self) -> None:
        package = self.copy_of_the_package()
        shutil.copy(self.impostor("libold.so", _abi.ABI_VERSION, "0.0.9"), package / "libimgtask.so")
        done = self.run_python(f"{WITHOUT_SYSTEM}import imgtask\ntry: imgtask.load()\nexcept ImportError as error: print(error)")
        self.assertIn(f"{package / 'libimgtask.so'}: version 0.0.9 is too old", done.stdout, done.stderr)

    def test_a_second_library_is_refused_once_one_is_loaded(self) -> None:
        imgtask.load(library_file())
        other = self.folder / "libimgtask.so"
        shutil.copy(library_file(), other)
        with self.assertRaises(LibraryNotFound) as caught:
            imgtask.load(other)
        self.assertIn("loaded already", str(caught.exception))

    def test_the_package_and_the_crate_have_one_version(self) -> None:
        manifest = (PACKAGE.parent.parent / "Cargo.toml").read_text()
        self.assertIn(f'\nversion = "{imgtask.__version__}"\n', manifest)
        self.assertEqual(imgtask.library_version(), imgtask.__version__)
