"""The wheel and its sources, as `make wheel sdist` leaves them in build/wheels: what is in them, and that they install.

Run as `python3 -m unittest tests.wheel`; it wants build/venv (`make venv`).
"""

import email
import email.message
import os
import platform
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Dict, List, Optional, Set

import imgtask

from .pythons import interpreters
from .support import PACKAGE, ROOT, Folder, WithSandbox, library_file

WHEELS = ROOT / "build" / "wheels"
VENV = ROOT / "build" / "venv" / "bin"

#: What may be done with it, and on whose terms.
LICENSES = ("LICENSE-APACHE", "LICENSE-MIT", "THIRD-PARTY.md")


def only(pattern: str) -> Path:
    """The one file of that name in build/wheels."""
    found = list(WHEELS.glob(pattern))
    if len(found) != 1:
        raise AssertionError(f"build it first (make wheel sdist): {len(found)} files {pattern} in {WHEELS}")
    return found[0]


def traces(place: Path, folder: Optional[Path] = None) -> Set[str]:
    """What a file holds that names something in a folder of this machine: its path. One of a single part, as /src, stands in
    the paths of others too (`library/std/src/io`): then it is the paths of the folders in it. `folder` stands for it in a test."""
    place = Path(os.path.abspath(place))
    if len(place.parts) > 2 or place == Path("/root"):
        return {f"{place}/"}
    if place == Path("/"):
        return set()
    return {f"{place / each.name}/" for each in (folder or place).glob("*") if each.is_dir()}


class Traces(Folder):
    def test_a_folder_whose_name_others_have_is_told_by_the_folders_in_it(self) -> None:
        for name in ("src", ".cargo"):
            (self.folder / name).mkdir()
        self.assertEqual(traces(Path("/src"), self.folder), {"/src/src/", "/src/.cargo/"})
        self.assertEqual((traces(Path("/root")), traces(Path("/ci/clone/"))), ({"/root/"}, {"/ci/clone/"}))
        # A user without a home of his own is not told by what every system has.
        self.assertEqual(traces(Path("/"), self.folder), set())


class Contents(Folder):
    wheel: zipfile.ZipFile
    name: str

    @classmethod
    def setUpClass(cls) -> None:
        file = only("*.whl")
        cls.name = file.name
        cls.wheel = zipfile.ZipFile(file)
        cls.addClassCleanup(cls.wheel.close)

    def info(self, name: str) -> email.message.Message:
        return email.message_from_string(self.wheel.read(f"imgtask-{imgtask.__version__}.dist-info/{name}").decode())

    def test_the_wheel_is_for_every_python_and_for_the_systems_that_the_library_runs_on(self) -> None:
        version, machine = imgtask.__version__, platform.machine()
        named = re.fullmatch(rf"imgtask-{version}-py3-none-manylinux_2_(\d+)_{machine}\.whl", self.name)
        assert named is not None, self.name
        limit = (ROOT / "abi" / "glibc.txt").read_text().strip()
        self.assertLessEqual(int(named[1]), int(limit.split(".")[1]))
        self.assertEqual(self.info("WHEEL").get_all("Tag"), [f"py3-none-manylinux_2_{named[1]}_{machine}"])

    def test_the_wheel_is_smaller_than_4_mb(self) -> None:
        self.assertLess(only("*.whl").stat().st_size, 4_000_000)

    def test_the_wheel_holds_the_package_the_library_the_licences_and_nothing_else(self) -> None:
        info = f"imgtask-{imgtask.__version__}.dist-info"
        expected = {f"imgtask/{file.name}" for file in (PACKAGE / "imgtask").iterdir() if file.suffix in (".py", ".typed")}
        expected |= {"imgtask/libimgtask.so", f"{info}/METADATA", f"{info}/WHEEL", f"{info}/RECORD"}
        expected |= {f"{info}/licenses/{name}" for name in LICENSES}
        self.assertEqual({name for name in self.wheel.namelist() if not name.endswith("/")}, expected)
        for name in expected:
            if name.endswith(".py"):
                self.assertEqual(self.wheel.read(name), (PACKAGE / name).read_bytes(), name)
        for name in LICENSES:
            self.assertEqual(self.wheel.read(f"{info}/licenses/{name}"), (ROOT / name).read_bytes(), name)

    def test_its_library_is_the_shipped_one(self) -> None:
        shipped = (ROOT / "build" / "lib" / "libimgtask.so").read_bytes()
        self.assertEqual(self.wheel.read("imgtask/libimgtask.so") == shipped, True)
        # Stripped: not even the name of the table of symbols is left.
        self.assertNotIn(b"\0.symtab\0", shipped)

    def test_no_path_of_the_builder_is_in_it(self) -> None:
        home = Path.home()
        places = {ROOT, home, Path(os.environ.get("CARGO_HOME") or home / ".cargo")}
        places.add(ROOT / os.environ.get("CARGO_TARGET_DIR", "target"))
        secrets = {trace for place in places for trace in traces(place)}
        self.assertTrue(secrets)
        for name in self.wheel.namelist():
            content = self.wheel.read(name)
            for secret in secrets:
                self.assertNotIn(os.fsencode(secret), content, name)

    def test_it_says_what_it_is(self) -> None:
        about = self.info("METADATA")
        self.assertEqual((about["Name"], about["Version"]), ("imgtask", imgtask.__version__))
        self.assertEqual((about["Requires-Python"], about["License-Expression"]), (">=3.9", "MIT OR Apache-2.0"))
        self.assertEqual(about.get_all("Requires-Dist"), None)
        self.assertEqual(sorted(about.get_all("License-File") or ()), sorted(LICENSES))
        # Links that lead somewhere from wherever the page is shown.
        self.assertEqual(re.findall(r"\]\((?!https?://|#)[^)]*\)", str(about.get_payload())), [])


class Sources(Folder):
    def setUp(self) -> None:
        super().setUp()
        with tarfile.open(only("*.tar.gz")) as archive:
            archive.extractall(self.folder)
        self.root = self.folder / f"imgtask-{imgtask.__version__}"

    def run_there(self, *command: str) -> str:
        done = subprocess.run(command, cwd=self.root, capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_the_sources_build_without_the_checkout(self) -> None:
        # The same command that builds the wheel's library, but for the code: cargo has the same crates at hand.
        self.run_there(
            os.environ.get("CARGO", "cargo"), "check", "--quiet", "--locked", "--offline", "--lib", "--features", "cli,header"
        )
        for folder, package in ((self.root, "CMakeLists.txt"), (self.root / "bindings" / "python" / "imgtask", "py.typed")):
            self.assertTrue((folder / package).is_file(), package)
        cmake = str(VENV / "cmake")
        told = self.run_there(cmake, "-S", ".", "-B", str(self.folder / "configured"), "-DSKBUILD=ON")
        self.assertIn("Generating done", told)

    def test_the_sources_hold_what_they_are_checked_and_licensed_by_and_nothing_built(self) -> None:
        names = {str(file.relative_to(self.root)) for file in self.root.rglob("*") if file.is_file()}
        for name in ("PKG-INFO", "Cargo.lock", "pyproject.toml", "tests/run.sh", "include/imgtask.h", *LICENSES):
            self.assertIn(name, names)
        self.assertEqual([name for name in names if name.endswith((".so", ".a", ".pyc", ".o"))], [])
        self.assertEqual([name for name in names if name.startswith((".ci/", "build/", "target/", "fuzz/"))], [])


class Installed(WithSandbox):
    """The wheel in environments that have nothing else."""

    def environment(self) -> Dict[str, str]:
        leave_out = ("IMGTASK_", "PYTHON", "PIP_", "LD_LIBRARY_PATH")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(leave_out)}
        return {**clean, **self.sandbox.environment()}

    def run_it(self, *command: object, code: Optional[int] = 0) -> str:
        done = subprocess.run(
            [str(word) for word in command], cwd=self.folder, capture_output=True, text=True, timeout=120, env=self.environment()
        )
        self.assertEqual(done.returncode, code, f"{done.stdout}{done.stderr}")
        return done.stdout

    def what_is_in(self, place: Path) -> List[str]:
        return sorted(str(file.relative_to(place)) for file in place.rglob("*") if "__pycache__" not in file.parts)

    def test_pip_installs_it_offline_and_takes_all_of_it_away(self) -> None:
        place = self.folder / "venv"
        self.run_it(sys.executable, "-m", "venv", place)
        python = place / "bin" / "python"
        before = self.what_is_in(place)
        # Without a way to the network where the system can be asked for that.
        offline = ["unshare", "--map-root-user", "--net"]
        alone = subprocess.run([*offline, "true"], capture_output=True, timeout=10).returncode == 0
        pip = [python, "-m", "pip", "--isolated", "--disable-pip-version-check"]
        self.run_it(*(offline if alone else []), *pip, "install", "--no-index", "--no-cache-dir", only("*.whl"))
        self.run_it(*pip, "check")
        self.assertIn("imgtask", self.run_it(*pip, "list"))
        told = self.run_it(python, "-c", "import imgtask; print(imgtask.load().origin)")
        self.assertTrue(Path(told.strip()).is_relative_to(place), told)
        self.assertEqual(Path(told.strip()).read_bytes() == library_file().read_bytes(), True)
        self.run_it(*pip, "uninstall", "--yes", "imgtask")
        self.assertEqual(self.what_is_in(place), before)
        self.assertEqual([file for file in place.rglob("*imgtask*")], [])

    def test_the_quickstart_runs_from_it_on_every_python_that_is_here(self) -> None:
        found = interpreters()
        self.assertTrue(found)
        for version, interpreter in found.items():
            with self.subTest(version):
                place = self.folder / version
                self.run_it(interpreter, "-m", "venv", "--without-pip", place)
                python = place / "bin" / "python"
                pip = [VENV / "python", "-m", "pip", "--isolated", "--disable-pip-version-check", "--python", python]
                self.run_it(*pip, "install", "--quiet", "--no-index", only("*.whl"))
                image = self.folder / f"{version}.png"
                told = self.run_it(python, "-W", "error", ROOT / "examples" / "python" / "quickstart.py", image)
                self.assertEqual(told.strip(), str(image))
                self.assertEqual(image.read_bytes()[:4], b"\x89PNG")
                told = self.run_it(python, "-c", "import imgtask, sys; print(sys.version_info[:2], imgtask.load().origin)")
                major, minor = version.split(".")
                self.assertTrue(told.startswith(f"({major}, {minor}) {place}/"), told)
        print(f"the wheel runs on Python {', '.join(found)}")
