"""What other people's tools say of the package: type checkers, what the oldest Python lacks, pytest with several workers.

Run as `python3 -m unittest tests.checks`; it wants build/venv (`make venv`) and the wheel (`make wheel`).
"""

import json
import os
import platform
import re
import subprocess
import sys
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .pythons import FAST, SYSTEM, TESTS, Plan, plan, verdict
from .support import PACKAGE, ROOT, Folder, command_file, library_file
from .wheel import VENV, only

#: The oldest Python that the package is for, and the newest that there is.
OLDEST, NEWEST = "3.9", "3.14"

USE = PACKAGE / "tests" / "typed_use.py"


class Tools(Folder):
    def run_tool(self, *command: object, folder: Path = ROOT, **environment: str) -> str:
        """What a tool of build/venv says that finds nothing wrong."""
        done = subprocess.run(
            [str(VENV / str(command[0])), *map(str, command[1:])],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=300,
            env={**os.environ, **environment},
        )
        self.assertEqual(done.returncode, 0, f"{done.stdout}{done.stderr}")
        return done.stdout

    def installed(self) -> Path:
        """A Python that has the wheel, as its users have it."""
        place = self.folder / "venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True, timeout=60)
        python = place / "bin" / "python"
        self.run_tool("python", "-m", "pip", "--isolated", "--python", python, "install", "--quiet", "--no-index", only("*.whl"))
        return python

    def mypy(self, version: str, *choice: object, folder: Path = ROOT) -> int:
        """How many files it found nothing in."""
        cache = self.folder / f"mypy-{version}"
        told = self.run_tool("mypy", "--python-version", version, "--cache-dir", cache, *choice, folder=folder)
        found = re.search(r"no issues found in (\d+) source files?", told)
        assert found is not None, told
        return int(found[1])

    def pyright(self, version: str, python: Path, folder: Path = ROOT) -> int:
        """How many files it found nothing in."""
        choice = ("--outputjson", "--pythonversion", version, "--pythonpath", python)
        told = json.loads(self.run_tool("pyright", *choice, folder=folder))
        self.assertEqual(told["generalDiagnostics"], [])
        return int(told["summary"]["filesAnalyzed"])

    def test_mypy_and_pyright_find_nothing_in_the_package_and_the_examples(self) -> None:
        files = len([*(PACKAGE / "imgtask").glob("*.py"), *(ROOT / "examples" / "python").glob("*.py")])
        self.assertGreater(files, 20)
        with ThreadPoolExecutor(2) as beside:
            told = [beside.submit(self.pyright, version, VENV / "python") for version in (OLDEST, NEWEST)]
            told += [beside.submit(self.mypy, version) for version in (OLDEST, NEWEST)]
        self.assertEqual([each.result() for each in told], [files] * 4)

    def test_users_of_the_wheel_get_the_types_that_are_promised(self) -> None:
        python = self.installed()
        self.assertGreater(len(re.findall(r"\bassert_type\(", USE.read_text())), 40)
        settings = {"include": ["use.py"], "typeCheckingMode": "strict", "reportUnnecessaryTypeIgnoreComment": True}
        # typing_extensions is known to both tools, and need not be installed.
        settings["reportMissingModuleSource"] = False
        (self.folder / "use.py").write_bytes(USE.read_bytes())
        (self.folder / "pyrightconfig.json").write_text(json.dumps(settings))
        choice = ("--strict", "--python-executable", python, "use.py")
        # It looks into the first `python` of the path, whatever --pythonpath says.
        path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
        with ThreadPoolExecutor(2) as beside:
            told = [beside.submit(self.pyright, version, python, self.folder) for version in (OLDEST, NEWEST)]
            told += [beside.submit(self.mypy, version, *choice, folder=self.folder) for version in (OLDEST, NEWEST)]
            verified = beside.submit(
                self.run_tool, "pyright", "--outputjson", "--verifytypes", "imgtask", folder=self.folder, PATH=path
            )
        self.assertEqual([each.result() for each in told], [1] * 4)
        # Every name that the wheel exports has its whole type.
        found = json.loads(verified.result())["typeCompleteness"]
        self.assertEqual(found["completenessScore"], 1)
        self.assertEqual(found["exportedSymbolCounts"]["withUnknownType"], 0)
        self.assertGreater(found["exportedSymbolCounts"]["withKnownType"], 60)

    def test_the_oldest_python_has_all_that_the_package_and_the_examples_use(self) -> None:
        self.run_tool("vermin", "--quiet", f"--target={OLDEST}-", "--violations", PACKAGE / "imgtask", ROOT / "examples" / "python")

    def test_pytest_runs_the_tests_in_several_processes_at_once(self) -> None:
        told = self.run_tool(
            "pytest",
            *("-q", "-n", "4", "-p", "no:cacheprovider", "--rootdir", PACKAGE),
            *(PACKAGE / "tests" / name for name in ("test_client.py", "test_processes.py", "test_pixels.py")),
            PYTHONPATH=str(PACKAGE),
            IMGTASK_LIBRARY=str(library_file()),
            IMGTASK_COMMAND=str(command_file()),
        )
        passed = re.search(r"(\d+) passed", told)
        assert passed is not None, told
        self.assertGreater(int(passed[1]), 50)


class Pythons(unittest.TestCase):
    def test_tests_that_no_other_python_ran_are_told_and_not_enough_where_all_tools_are_due(self) -> None:
        here, other = platform.python_version(), (Path("python"), TESTS)
        patched: Plan = {"3.11.99": (SYSTEM, FAST)}
        for ran, enough in (({}, False), (patched, False), ({"3.9.1": other, **patched}, True)):
            for all_tools in (False, True):
                told, passed = verdict(ran, all_tools)
                self.assertEqual((f"no other version of Python than {here}" in told, passed), (not enough, enough or not all_tools))
                self.assertEqual([version for version in ran if version not in told], [])

    def test_only_other_versions_run_the_tests_and_another_patch_level_the_fast_ones(self) -> None:
        this = f"{sys.version_info.major}.{sys.version_info.minor}"
        chosen = plan({this: Path(sys.executable)})
        self.assertNotIn(platform.python_version(), chosen)
        self.assertEqual([tests for _, tests in chosen.values()], [FAST] * len(chosen))
        other = plan({this: Path("/nowhere"), "3.0": Path(sys.executable)})
        self.assertEqual(other[platform.python_version()], (Path(sys.executable), TESTS))
