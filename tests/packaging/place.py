"""What the tests of this folder share: where things are, processes with a time limit, programs that are to come to an image."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Dict, List, Optional

ROOT = Path(__file__).resolve().parent.parent.parent
CONSUMER = ROOT / "tests/packaging/consumer"
EXAMPLES = ROOT / "examples"
C_PROGRAM = EXAMPLES / "c/wait_and_save.c"
CPP_PROGRAM = EXAMPLES / "cpp/wait_and_save.cpp"
COMMAND = ROOT / os.environ.get("IMGTASK_COMMAND", "build/bin/imgtask")
VERSION = "0.1.0"
REQUEST = '{"prompt": "a lighthouse at dusk", "format": "png"}'
# Where tests/packaging/tools.sh puts what no system brings.
TOOLS = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "imgtask-tools")


def tool(name: str) -> Optional[str]:
    """Where a tool is. With IMGTASK_ALL_TOOLS set, as in the project's own checks, a missing one is a failure."""
    found = shutil.which(name) or shutil.which(name, path=str(TOOLS / "bin"))
    if found is None and "IMGTASK_ALL_TOOLS" in os.environ:
        raise AssertionError(f"{name} is not installed")
    return found


def needs(*names: str):
    """Leaves a test out where a tool is not installed."""
    missing = [name for name in names if tool(name) is None]
    return unittest.skipIf(missing, "not installed: " + ", ".join(missing))


def run(command: List[object], *, limit: float = 120, fails: bool = False, **options) -> str:
    """Runs a process to its end, kills it when the time is over, and gives what it wrote."""
    ran = subprocess.run(
        [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        encoding="utf-8", errors="replace", timeout=limit, **options,
    )
    if (ran.returncode != 0) != fails:
        raise AssertionError(f"{command} ended with {ran.returncode}:\n{ran.stdout[-6000:]}")
    return ran.stdout


# What the Makefile and the make above it hear from the environment, without what says how programs are built on this machine.
HEARD = {
    "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEFILES", "MAKEOVERRIDES", "GNUMAKEFLAGS", "CARGO_BUILD_TARGET", "LEAN", "SECONDS", "DESTDIR", "HOST_IMGTASK",
    "prefix", "exec_prefix", "bindir", "libdir", "includedir", "datarootdir", "datadir", "mandir", "docdir",
    "PREFIX", "BINDIR", "LIBDIR", "INCLUDEDIR", "DATADIR", "MANDIR", "DOCDIR",
}
TOOLCHAIN = {"CARGO", "CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS", "RUSTC", "CC", "CXX", "PYTHON", "STRIP", "HOME"}


def environment(**changes: object) -> Dict[str, str]:
    """This process's environment, without what a test runner, a make or a user may have set for this very project."""

    def of_this_project(name: str) -> bool:
        return name in HEARD or name.startswith("IMGTASK_") or name.endswith(("_API_KEY", "_BASE_URL"))

    ours = {name: value for name, value in os.environ.items() if not of_this_project(name)}
    # Settings of a user's own are in none.
    ours["XDG_CONFIG_HOME"] = "/nonexistent"
    ours.update({name: str(value) for name, value in changes.items()})
    return ours


class Case(unittest.TestCase):
    """A test with a folder of its own."""

    maxDiff = None

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="imgtask-packaging-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def come_to_an_image(self, *programs: Path, command: Path = COMMAND, libraries: Optional[Path] = None) -> None:
        """Each program submits, waits and saves at a sandbox. Most of it is waiting, so they do it at the same time."""
        changes = {"LD_LIBRARY_PATH": libraries} if libraries else {}

        def image(program: Path) -> bytes:
            file = self.folder / f"{program.name}.png"
            run([command, "sandbox", "--speed", "20", "--", program, "dimilinks", REQUEST, file], env=environment(**changes))
            return file.read_bytes()

        with ThreadPoolExecutor() as side_by_side:
            for program, content in zip(programs, side_by_side.map(image, programs)):
                self.assertEqual(content[:8], b"\x89PNG\r\n\x1a\n", f"{program.name} saved no PNG")

    def assert_needs_the_library(self, program: Path, needed: bool) -> None:
        """The program names the library by its SONAME, or not at all."""
        names = [line.split("[")[1].rstrip("]") for line in run(["readelf", "-d", program]).splitlines() if "(NEEDED)" in line]
        self.assertEqual([name for name in names if "imgtask" in name], ["libimgtask.so.0"] if needed else [])


def python() -> str:
    return os.environ.get("PYTHON", sys.executable)
