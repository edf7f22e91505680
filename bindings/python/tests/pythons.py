"""The tests on other Pythons than this one: the oldest and the newest that are here. `python3 -m tests.pythons`

Not all of them: those whose subject is the package, and not the library, the examples or large numbers.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Tuple

#: The Pythons that the package is for, each found by its own command or where pyenv keeps it.
VERSIONS = ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14")

TESTS = ("aio", "aio_loops", "aio_signals", "aio_watch", "arguments", "client", "declarations", "interrupt", "jobs")
TESTS += ("library", "pickling", "pixels", "processes", "showing", "watch")

#: How long one Python may take, seconds.
LIMIT = 300


def interpreters() -> Dict[str, Path]:
    """The Pythons of this machine by their versions, from the oldest on."""
    found: Dict[str, Path] = {}
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for version in VERSIONS:
        command = shutil.which(f"python{version}")
        places = sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}"))
        for place in [*places, *([Path(command)] if command else [])]:
            # pyenv has a command also for versions that are not chosen.
            if subprocess.run([str(place), "-c", "import venv"], capture_output=True, timeout=30).returncode == 0:
                found[version] = place
                break
    return found


def main() -> int:
    """Runs them side by side: they wait more than they work. Gives how many Pythons failed."""
    found = interpreters()
    found.pop(f"{sys.version_info.major}.{sys.version_info.minor}", None)
    chosen = dict([*found.items()][:1] + [*found.items()][-1:])
    running: List[Tuple[str, "subprocess.Popen[str]"]] = []
    for version, python in chosen.items():
        command = [str(python), "-m", "unittest", *(f"tests.test_{name}" for name in TESTS)]
        folder = Path(__file__).resolve().parent.parent
        running.append((version, subprocess.Popen(command, cwd=folder, stdout=-1, stderr=subprocess.STDOUT, text=True)))
    failed = 0
    for version, process in running:
        try:
            told, _ = process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            told = process.communicate()[0] + f"\nERROR: killed after {LIMIT} s"
        print(f"Python {version}:\n{told}", flush=True)
        failed += process.returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
