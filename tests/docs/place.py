"""Where blocks run: a folder for each page that looks like the repository, beside a sandbox that plays the services."""

import json
import os
import runpy
import select
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Dict, Optional

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = Path(os.environ.get("IMGTASK_LIB_DIR", ROOT / "build" / "lib")).resolve()
COMMAND = Path(os.environ.get("IMGTASK_COMMAND", ROOT / "build" / "bin" / "imgtask")).resolve()
ALL_TOOLS = "IMGTASK_ALL_TOOLS" in os.environ

# Make is run in the repository itself, where library and command have been built: a build in a folder of links would begin anew.
MAKE = """#!/bin/sh
exec {make} --no-print-directory -C "{root}" -o tool -o dev -o lib -o lib-lean "$@"
"""
# LÖVE wants a screen. Both games end by themselves when they are told to take pictures of themselves.
LOVE = """#!/bin/sh
exec xvfb-run -a {love} "$@" "{shots}"
"""


def python() -> str:
    """An interpreter that has numpy and PIL, where there is one: that of the system often is not the first."""
    for candidate in (sys.executable, "/usr/bin/python3"):
        if Path(candidate).exists() and not subprocess.run([candidate, "-c", "import numpy, PIL"], capture_output=True).returncode:
            return candidate
    return sys.executable


class Place:
    def __init__(self) -> None:
        for file in (COMMAND, LIBRARY / "libimgtask.so"):
            if not file.exists():
                sys.exit(f"{file} is missing: run `make tool lib`")
        # With a space, as a reader's folder may have one.
        self.scratch = Path(tempfile.mkdtemp(prefix="imgtask docs-"))
        tools = self.scratch / "tools"
        tools.mkdir()
        for tool, text in (("make", MAKE), ("love", LOVE)):
            if real := shutil.which(tool):
                file = tools / tool
                file.write_text(text.format(root=ROOT, shots=self.scratch / "shot", **{tool: real}))
                file.chmod(file.stat().st_mode | stat.S_IXUSR)
        (tools / "python3").symlink_to(python())
        self.python = python()
        self.sandbox = subprocess.Popen(
            [COMMAND, "sandbox", "--speed", "100"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.sandbox.stdout is not None
        if not select.select([self.sandbox.stdout], [], [], 20)[0]:
            sys.exit("the sandbox does not come up")
        self.serves = json.loads(self.sandbox.stdout.readline())
        self.environment = self._environment(tools)

    def _environment(self, tools: Path) -> Dict[str, str]:
        # What make hears, how wide and in which colours something is shown, and proxies: nothing here is asked through one.
        heard = runpy.run_path(str(ROOT / "tests" / "packaging" / "place.py"))["HEARD"]
        heard |= {"NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "FORCE_COLOR", "COLUMNS", "LINES"}
        environment = {
            name: value for name, value in os.environ.items()
            if name not in heard and not name.startswith(("MAKE", "IMGTASK_")) and not name.lower().endswith("_proxy")
        }
        for name, provider in self.serves["providers"].items():
            variable = name.upper().replace("-", "_")
            environment[f"{variable}_BASE_URL"] = provider["base_url"]
            environment[f"{variable}_API_KEY"] = provider["key"]
        environment.update(
            PATH=f"{tools}:{COMMAND.parent}:{os.environ['PATH']}",
            PYTHONPATH=str(ROOT / "bindings" / "python"),
            PYTHONDONTWRITEBYTECODE="1",
            IMGTASK_LIBRARY=str(LIBRARY / "libimgtask.so"),
            LUA_PATH=f"{ROOT}/bindings/lua/?.lua;;",
            XDG_CONFIG_HOME=str(self.scratch / "config"),
            SDL_VIDEODRIVER="dummy",
            SDL_AUDIODRIVER="dummy",
        )
        return environment

    def folder(self, page: str) -> Path:
        """A folder of its own for a page, with all that a clone has in it. What a page makes stays there, also in build/: it neither
        finds what a reader, or the run before, has made, nor writes over it."""
        folder = self.scratch / "pages" / page.replace("/", "-")
        (folder / "build").mkdir(parents=True)
        tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
        names = {name.split("/")[0] for name in tracked.stdout.split("\0") if name}
        # A tarball has no index.
        for name in names or {entry.name for entry in ROOT.iterdir()} - {".git", "build", "target", "imgtask-demo"}:
            (folder / name).symlink_to(ROOT / name)
        # That of the examples may be made by a page.
        for name in {"examples", *(entry.name for entry in ROOT.glob("build/*") if entry.is_dir())}:
            (folder / "build" / name).symlink_to(ROOT / "build" / name)
        return folder

    def close(self) -> None:
        self.sandbox.kill()
        self.sandbox.wait()
        shutil.rmtree(self.scratch, ignore_errors=True)


def port() -> int:
    """A port that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def has(tool: str) -> Optional[str]:
    return shutil.which(tool)
