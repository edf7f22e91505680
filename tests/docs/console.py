"""Blocks of a terminal: what stands behind `$ ` is run by bash, in order, in one shell a page; what is shown is compared."""

import os
import re
import selectors
import shlex
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Dict, List, Set, Tuple

from pages import Block

LIMIT = 180.0  # seconds for a command
END = "imgtask-docs-end-of-command"


class Failure(Exception):
    """A block that is not true."""


def incomplete(command: str) -> bool:
    if command.endswith(("\\", "|", "&&")):
        return True
    heredoc = re.search(r"<<-?'?(\w+)'?", command)
    if heredoc:
        return not re.search(rf"^\s*{heredoc.group(1)}$", command, re.MULTILINE)
    try:
        shlex.split(command, comments=True)
    except ValueError:
        return True
    return False


def commands(block: Block) -> List[Tuple[int, str, str]]:
    """Line, command and what is shown of its output."""
    found: List[Tuple[int, str, List[str]]] = []
    for number, line in enumerate(block.text.split("\n")[:-1], block.line):
        if found and not found[-1][2] and incomplete(found[-1][1]):
            found[-1] = (found[-1][0], f"{found[-1][1]}\n{line}", [])
        elif line.startswith("$ "):
            found.append((number, line[2:], []))
        elif found:
            found[-1][2].append(line)
        else:
            raise Failure(f"{block.page}:{number}: a command begins with `$ `")
    for number, command, _ in found:
        if incomplete(command):
            raise Failure(f"{block.page}:{number}: a command without an end")
    return [(number, command, "\n".join(shown)) for number, command, shown in found]


def form(text: str) -> str:
    """What is left of a text when numbers, fingerprints and the width of columns may differ."""
    text = re.sub(r"\b[0-9a-f]{12,}\b", "F", text)
    text = re.sub(r"\d+(\.\d+)?", "0", text)
    return re.sub(r"[ \t]+", " ", text)


def lines_of(text: str) -> List[str]:
    return [line.rstrip() for line in text.strip().split("\n")]


def same(shown: str, out: str, err: str, numbers_vary: bool) -> bool:
    """Whether the output is what is shown. A page may leave out what was said as an error, which is mostly progress; a line `...`
    stands for any lines. Where numbers vary, nothing of the output is left out and nothing is shown that was not said."""
    if numbers_vary:
        wanted, said = lines_of(form(shown)), lines_of(form(out))
        return set(said) <= set(wanted) and set(wanted) <= {*said, *lines_of(form(err))}
    pattern = r"\n".join(".*" if line == "..." else re.escape(line) for line in lines_of(shown))
    return any(re.fullmatch(pattern, "\n".join(lines_of(said)), re.DOTALL) for said in (out, out + err, err + out))


class Console:
    """One shell, for one page."""

    open: "Set[Console]" = set()

    def __init__(self, folder: Path, environment: Dict[str, str]) -> None:
        self.folder = folder
        self.errors = Path(tempfile.mkstemp(prefix="imgtask docs-")[1])
        self.shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
        self.code = 0
        Console.open.add(self)

    def say(self, command: str, limit: float = LIMIT) -> Tuple[str, str]:
        """Runs one command, and gives what it wrote to its output and as errors; `code` is how it ended."""
        shell = self.shell
        assert shell.stdin is not None and shell.stdout is not None
        text = f"(exit {self.code}); {{ {command}\n}} </dev/null 2>{shlex.quote(str(self.errors))}\nprintf '\\n%s %d\\n' {END} $?\n"
        shell.stdin.write(text.encode())
        shell.stdin.flush()
        said = b""
        end = time.monotonic() + limit
        mark = re.compile(rb"\n" + END.encode() + rb" (\d+)\n")
        with selectors.DefaultSelector() as selector:
            selector.register(shell.stdout, selectors.EVENT_READ)
            while not mark.search(said):
                if not selector.select(max(0.0, end - time.monotonic())):
                    raise Failure(f"not done after {limit:.0f} s: {command}\n{said.decode(errors='replace')}{self.told()}")
                more = os.read(shell.stdout.fileno(), 65536)
                if not more:
                    raise Failure(f"ended the shell: {command}\n{said.decode(errors='replace')}{self.told()}")
                said += more
        found = mark.search(said)
        assert found is not None
        self.code = int(found.group(1))
        return (said[: found.start()] + said[found.end() :]).decode(errors="replace"), self.told()

    def told(self) -> str:
        return self.errors.read_text(errors="replace") if self.errors.exists() else ""

    def start(self, command: str) -> None:
        """Starts a server in the background, and waits until it has said a line."""
        log = self.folder / ".background"
        self.say(f"{command.rstrip('& ')} >{shlex.quote(str(log))} 2>&1 &")
        end = time.monotonic() + 20
        while not (log.exists() and log.read_text()):
            if time.monotonic() > end:
                raise Failure(f"says nothing: {command}")
            time.sleep(0.01)

    def run(self, block: Block, port: int) -> None:
        """Runs a block's commands, and compares what they say with what is shown."""
        lines = commands(block)
        if block.marks.get("with"):
            self.say(block.marks["with"])
        for place, (number, command, shown) in enumerate(lines):
            if "port" in block.marks:
                command = command.replace(block.marks["port"], str(port))
            if command.endswith("&") and not command.endswith("&&"):
                self.start(command)
                continue
            out, err = self.say(command)
            asked = place + 1 < len(lines) and lines[place + 1][1] == "echo $?"
            where = f"{block.page}:{number}: $ {command}"
            if self.code != 0 and not asked:
                raise Failure(f"{where}\nended with {self.code} and said\n{out[-4000:]}{err[-4000:]}")
            if shown.strip() and not same(shown, out, err, "numbers vary" in block.marks):
                raise Failure(f"{where}\nsaid\n{out[-4000:]}{err[-4000:]}\ninstead of\n{shown}")

    def exported(self) -> Dict[str, str]:
        """What the page's commands have put into the environment."""
        said, _ = self.say("env -0 | tr '\\n\\0' ' \\n'")
        return dict(line.split("=", 1) for line in said.split("\n") if "=" in line)

    def kill(self) -> None:
        """Ends the shell and all that it has started."""
        try:
            os.killpg(self.shell.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def close(self) -> None:
        self.kill()
        self.shell.wait()
        Console.open.discard(self)
        self.errors.unlink(missing_ok=True)
