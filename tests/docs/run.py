"""Checks every page: each block of code is compiled or run, each link leads somewhere, each status has its section.

    python3 tests/docs/run.py [PAGE ...]

Marks before a block, as comments of Markdown:

    <!-- file: NAME -->         the block is saved under this name, for the console blocks behind it
    <!-- with: CODE -->         code in the block's own language that stands before it, unseen
    <!-- numbers vary -->       what a console block shows differs in numbers, fingerprints and spaces
    <!-- port: 8765 -->         a port that the block's commands name, and which may be taken here
    <!-- needs: numpy, love --> modules or tools that a machine may not have
    <!-- not run: REASON -->    only its syntax is checked; there may be few of these

and behind one:

    <!-- check: COMMAND -->     a command that must succeed now

A page is a story: its blocks run in order, in a folder that looks like a clone with `build/` ready, with `imgtask` in the PATH
and a sandbox in the environment. Programs with a `main` are run; fragments of C, C++ and Rust are compiled in a function that knows
the names of the pages (`client`, `task`, `job`, `status` ...), those of Python and Lua are run with them. A command ends with 0
unless the next one is `echo $?`; what is shown behind it is compared, and a line `...` stands for any lines.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable, Dict, List, Optional, Tuple

import links
import pages
import programs
import statuses
from console import Console, Failure, commands
from pages import Block, Page
from place import ALL_TOOLS, ROOT, Place, port, python

NOT_RUN_AT_MOST = 8
LANGUAGES = ("c", "cpp", "python", "lua", "rust", "console", "sh", "json", "toml", "cmake", "text")
ERRORS = "docs/errors.md"


def all_pages() -> List[str]:
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"], cwd=ROOT, capture_output=True, text=True
    )
    names = tracked.stdout.split() if tracked.returncode == 0 else []
    # A tarball has no index.
    names = names or [str(name) for name in in_folder(ROOT)]
    names = sorted(name for name in names if not name.startswith(("tests/docs/broken/", "fuzz/corpus/")))
    if "README.md" not in names:
        sys.exit(f"no pages are found in {ROOT}")
    return names


def in_folder(root: Path) -> List[Path]:
    """Every page of a folder but those of others, which lie where builds put things."""
    names = [file.relative_to(root) for file in root.rglob("*.md")]
    return [name for name in names if not {"target", "build"} & set(name.parts)]


# What a machine may lack. Without cargo, cc, make and python3 there is nothing to check.
TOOLS = {"cpp": ["c++"], "lua": ["luajit"], "cmake": ["cmake"]}
IN_COMMANDS = re.compile(r"(?:^\$ |[|;&] *|-- )(c\+\+|g\+\+|curl|cmake|pkg-config|zsh|fish|man|pip|love)\b", re.MULTILINE)


def missing(block: Block) -> List[str]:
    """What a block needs and this machine lacks."""
    wanted = [word.strip() for word in block.marks.get("needs", "").split(",") if word.strip()]
    wanted += TOOLS.get(block.language, [])
    if block.language == "console" and "not run" not in block.marks:
        wanted += IN_COMMANDS.findall(block.text)
    return [word for word in sorted(set(wanted)) if not shutil.which(word) and not module(word)]


def module(name: str) -> bool:
    return name.isidentifier() and subprocess.run([python(), "-c", f"import {name}"], capture_output=True).returncode == 0


class Story:
    """One page, from its first block to its last."""

    def __init__(self, page: Page, place: Place, compiled: Dict[str, str], rust: programs.Rust) -> None:
        self.page, self.place, self.compiled, self.rust = page, place, compiled, rust
        self.results: List[Tuple[Block, Optional[str]]] = []
        self.left_out: List[str] = []
        self.not_run: List[str] = []

    def tell(self) -> "Story":
        self.folder = self.place.folder(self.page.name)
        start = time.monotonic()
        self.port = port()
        self.environment = self.place.environment
        self.console: Optional[Console] = None
        self.python: Optional[programs.Python] = None
        try:
            for block in self.page.blocks:
                lacking = missing(block)
                if lacking and not ALL_TOOLS:
                    self.left_out.append(f"{block.place} needs {', '.join(lacking)}")
                    continue
                try:
                    if lacking:
                        raise Failure(f"not installed: {', '.join(lacking)}")
                    self.check(block)
                    for line, command in block.checks:
                        self.shell().say(command)
                        if self.shell().code:
                            raise Failure(f"{block.page}:{line}: does not hold: {command}")
                    self.results.append((block, None))
                except Failure as failure:
                    self.results.append((block, str(failure)))
                except Exception as error:  # a fault of the checks themselves is told with its block, too
                    self.results.append((block, f"{type(error).__name__}: {error}"))
        finally:
            for ended in (self.console, self.python):
                if ended:
                    ended.close()
            self.seconds = time.monotonic() - start
        return self

    def shell(self) -> Console:
        if self.console is None:
            self.console = Console(self.folder, self.place.environment)
        return self.console

    def check(self, block: Block) -> None:
        if block.language not in LANGUAGES:
            raise Failure(f"no language, or one that nobody checks: {block.language!r}")
        if "file" in block.marks:
            target = self.folder / block.marks["file"]
            target.write_text(block.text)
        if "not run" in block.marks:
            self.not_run.append(f"{block.place}: {block.marks['not run']}")
        whole = "file" not in block.marks and "not run" not in block.marks
        check: Callable[[Block, bool], None] = getattr(self, f"check_{block.language}")
        check(block, whole)

    def check_text(self, block: Block, whole: bool) -> None:
        if block.text.lstrip().startswith(("$ ", "#include", "import ")):
            raise Failure("code that calls itself text")

    def check_console(self, block: Block, whole: bool) -> None:
        if whole:
            self.shell().run(block, self.port)
            if "export " in block.text:
                self.environment = self.shell().exported()
            return
        for number, command, _ in commands(block):
            ran = subprocess.run(["bash", "-n", "-c", command], capture_output=True, text=True)
            if ran.returncode:
                raise Failure(f"{block.page}:{number}: {ran.stderr}")

    def check_sh(self, block: Block, whole: bool) -> None:
        ran = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True)
        if ran.returncode:
            raise Failure(ran.stderr)
        if whole:
            file = self.folder / f"script-{block.line}.sh"
            file.write_text(block.text)
            out, err = self.shell().say(f"bash -eu {shlex.quote(str(file))}")
            if self.shell().code:
                raise Failure(f"ended with {self.shell().code}\n{out[-4000:]}{err[-4000:]}")

    def check_c(self, block: Block, whole: bool) -> None:
        if block.place in self.compiled:
            raise Failure(self.compiled[block.place])
        if programs.is_program(block) and whole:
            programs.program(block, self.folder, self.environment)

    check_cpp = check_c

    def check_python(self, block: Block, whole: bool) -> None:
        if not whole:
            try:
                compile(block.text, block.page, "exec")
            except SyntaxError as error:
                raise Failure(str(error)) from None
            return
        if self.python is None:
            self.python = programs.Python(self.folder, self.place.python, self.environment)
        self.python.run(block)

    def check_lua(self, block: Block, whole: bool) -> None:
        if whole:
            programs.lua(block, self.folder, self.environment)
        else:
            ran = subprocess.run(["luajit", "-bl", "-"], input=block.text, capture_output=True, text=True)
            if ran.returncode:
                raise Failure(ran.stderr)

    def check_rust(self, block: Block, whole: bool) -> None:
        self.rust.check(block, self.folder, self.environment)

    def check_json(self, block: Block, whole: bool) -> None:
        programs.data(block, self.folder, self.environment)

    check_toml = check_json

    def check_cmake(self, block: Block, whole: bool) -> None:
        programs.cmake(block, self.folder, self.environment)


def checked(names: List[str], everything: bool) -> Tuple[int, List[Tuple[str, str]], List[str], List[str]]:
    """How many checks there were, what failed where, what was left out and what is not run."""
    read = {name: pages.read(ROOT, name) for name in (all_pages() if everything else sorted({*all_pages(), *names}))}
    chosen = [read[name] for name in names]
    failed: List[Tuple[str, str]] = []
    count = 0
    for page in chosen:
        count += 1
        failed += [(f"{page.name}:{line}", fault) for line, fault in page.faults]
    wrong = [fault for fault in links.faults(read) if fault.split(":")[0] in names]
    count += sum(len(page.links) for page in chosen)
    failed += [(fault.split(": ")[0], fault) for fault in wrong]
    if links.SUMMARY in names:
        count += 1
        failed += [(links.SUMMARY, fault) for fault in links.unlisted(read)]
    if ERRORS in names:
        count += 1
        failed += [(ERRORS, fault) for fault in statuses.faults(read[ERRORS])]

    place, rust = Place(), programs.Rust()
    try:
        compiled: Dict[str, str] = {}
        for language in ("c", "cpp"):
            blocks = [
                b for page in chosen for b in page.blocks
                if b.language == language and not (programs.is_program(b) and not {"file", "not run"} & set(b.marks))
            ]
            compiled.update(programs.fragments(language, blocks, place.scratch))
        # Most of a page's time is waiting for images.
        longest_first = sorted(chosen, key=lambda page: -len(page.blocks))
        with ThreadPoolExecutor(8) as pool:
            stories = list(pool.map(lambda page: Story(page, place, compiled, rust).tell(), longest_first))
    finally:
        place.close()
    count += sum(len(story.results) for story in stories)
    failed += [(b.place, f"({b.language}) {said}") for s in stories for b, said in s.results if said is not None]
    if len(stories) > 3:
        slowest = sorted(stories, key=lambda story: -story.seconds)[:3]
        print("slowest: " + ", ".join(f"{story.page.name} {story.seconds:.0f} s" for story in slowest))
    left_out = [line for story in stories for line in story.left_out]
    not_run = [line for story in stories for line in story.not_run]
    return count, failed, left_out, not_run


def give_up(*_: object) -> None:
    """Told to end: leaves no process of a page behind."""
    for console in list(Console.open):
        console.kill()
    os._exit(143)


def main() -> int:
    start = time.monotonic()
    signal.signal(signal.SIGTERM, give_up)
    names = sys.argv[1:] or all_pages()
    count, failed, left_out, not_run = checked(names, not sys.argv[1:])
    for line in left_out:
        print(f"left out: {line}")
    for line in not_run:
        print(f"not run: {line}")
    if len(not_run) > NOT_RUN_AT_MOST:
        failed.append(("tests/docs/run.py", f"{len(not_run)} blocks are not run; at most {NOT_RUN_AT_MOST} may be"))
        count += 1
    for where, said in failed:
        print(f"FAIL: {where}\n{said.rstrip()}\n")
    print(f"Ran {count} tests in {time.monotonic() - start:.1f}s: {len(names)} pages, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
