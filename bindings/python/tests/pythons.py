"""The tests on other Pythons than this one: the oldest and the newest that are here. `python3 -m tests.pythons`

Not all of them: those whose subject is the package, and not the library, the examples or large numbers. The system's own
Python, where it is none of these, runs those that a patch of Python can break.

It says what they ran on. Where no other Python was found it fails with `IMGTASK_ALL_TOOLS=1`.
"""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Tuple

#: The Pythons that the package is for, each found by its own command or where pyenv keeps it.
VERSIONS = ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14")

TESTS: Tuple[str, ...] = ("aio", "aio_loops", "aio_signals", "aio_watch", "arguments", "client", "declarations", "interrupt", "jobs")
TESTS += ("library", "pickling", "pixels", "processes", "showing", "watch")

#: The tests of what Python itself makes of the package's enumerations, dataclasses and errors: seconds.
FAST: Tuple[str, ...] = ("declarations", "pickling")

#: The system's own Python: often another patch level of a version that is here already.
SYSTEM = Path("/usr/bin/python3")

#: Which Python runs which tests, by their full versions.
Plan = Dict[str, Tuple[Path, Tuple[str, ...]]]

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


def full_version(python: Path) -> str:
    """Its version with the patch level; "" where there is none, or not what the tests need."""
    code = "import platform, venv; print(platform.python_version())"
    try:
        done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, timeout=30)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def plan(found: Dict[str, Path]) -> Plan:
    """What is to run, where these Pythons were found."""
    found = dict(found)
    found.pop(f"{sys.version_info.major}.{sys.version_info.minor}", None)
    ends = [*found.values()]
    chosen = {full_version(python): (python, TESTS) for python in ends[:1] + ends[-1:]}
    system = full_version(SYSTEM)
    if system not in ("", platform.python_version(), *chosen):
        chosen[system] = (SYSTEM, FAST)
    return chosen


def verdict(ran: Plan, all_tools: bool) -> Tuple[str, bool]:
    """What is said of which Pythons ran, and whether those are enough."""
    said = [version if tests is TESTS else f"{version} (the fast ones)" for version, (_, tests) in ran.items()]
    others = [version for version, (_, tests) in ran.items() if tests is TESTS]
    told = f"the tests ran on Python {', '.join(said)} beside {platform.python_version()}" if ran else ""
    if not others:
        alone = f"no other version of Python than {platform.python_version()} was found"
        told = f"{told}; {alone}" if told else f"the tests ran on no other Python: {alone}"
    return told, bool(others) or not all_tools


def main() -> int:
    """Runs them side by side: they wait more than they work. Gives how many Pythons failed, one where there is none to run."""
    chosen = plan(interpreters())
    running: List[Tuple[str, "subprocess.Popen[str]"]] = []
    for version, (python, tests) in chosen.items():
        command = [str(python), "-m", "unittest", *(f"tests.test_{name}" for name in tests)]
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
    told, enough = verdict(chosen, bool(os.environ.get("IMGTASK_ALL_TOOLS")))
    print(told)
    return failed + (not enough)


if __name__ == "__main__":
    sys.exit(main())
