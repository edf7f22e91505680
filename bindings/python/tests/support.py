"""What the tests stand on: the built library, the sandbox, the C compiler. A missing one fails, it never skips."""

import functools
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional

PACKAGE = Path(__file__).resolve().parent.parent
ROOT = PACKAGE.parent.parent
INCLUDE = ROOT / "include"

#: A key that must be found in no output.
CANARY = "sk-canary-7f3a9c51e0d24b68"


def built(variable: str, places: Iterable[Path]) -> Path:
    """A file of the build: named by the variable, or at one of its usual places."""
    named = os.environ.get(variable)
    for place in [Path(named)] if named else places:
        if place.is_file():
            return place.resolve()
    raise AssertionError(f"build it first (make lib, make cli) or set {variable}: no {named or places}")


def target_folders() -> List[Path]:
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return [ROOT / "build" / "bin", target / "release", target / "debug"]


@functools.lru_cache(maxsize=None)
def library_file() -> Path:
    """The native library under test."""
    places = [ROOT / "build" / "lib" / "libimgtask.so", *(folder / "libimgtask.so" for folder in target_folders())]
    return built("IMGTASK_LIBRARY", places)


@functools.lru_cache(maxsize=None)
def command_file() -> Path:
    """The command line, which holds the sandbox."""
    return built("IMGTASK_COMMAND", [folder / "imgtask" for folder in target_folders()])


def compiler() -> str:
    """The C compiler."""
    found = os.environ.get("CC") or shutil.which("cc")
    if not found:
        raise AssertionError("a C compiler is needed: install one or set CC")
    return found


class Folder(unittest.TestCase):
    """A test with a folder of its own."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="imgtask-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
