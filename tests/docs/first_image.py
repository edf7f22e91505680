"""The README's way to the first image, for C, C++ and Python: its own blocks, as they stand there, in a clone of this repository.

    python3 tests/docs/first_image.py                 in this checkout: what is built already is not built again
    python3 tests/docs/first_image.py --cold Python   one way in a fresh clone with nothing built: what a newcomer waits for

Each must end with an image within five minutes, with the build from nothing, which is in the first way and counts for the others:
in CI this is the first step that builds. Where others use the machine, minutes of processor time count.
"""

import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import List

from console import Console, Failure, commands
from pages import Block, read
from place import ROOT

MINUTES = 5
MARK = re.compile(r"<!-- first image: (.+) -->")


def ways() -> List["tuple[str, Block]"]:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").split("\n")
    blocks = {block.line: block for block in read(ROOT, "README.md").blocks}
    # The mark, the fence, the first line of code.
    return [(found.group(1), blocks[number + 2]) for number, line in enumerate(lines, 1) if (found := MARK.fullmatch(line))]


def image(told: str, folder: Path, before: float) -> str:
    """What there is to see: a picture drawn in the terminal, or a file that came."""
    if told.count("\033[38;2;") > 500:
        return f"a picture of {told.count(chr(10))} lines in the terminal"
    for file in folder.glob("build/*.png"):
        if file.stat().st_mtime >= before and file.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n":
            return f"{file.name}, {file.stat().st_size} bytes"
    return ""


#: What the first way took, in seconds and in seconds of processor time.
first = (0.0, 0.0)


def processor_time() -> float:
    """Of everything that was run so far, and has ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def walk(name: str, block: Block, folder: Path) -> bool:
    global first
    start, used, now = time.monotonic(), processor_time(), time.time()
    from_nothing = not (folder / "build/bin/imgtask").exists()
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("IMGTASK_", "MAKE", "PYTHONPATH"))}
    console = Console(folder, environment)
    told = ""
    try:
        for number, command, _ in commands(block):
            out, err = console.say(command, 4 * MINUTES * 60)
            told += out
            if console.code:
                print(f"FAIL: README.md:{number}\n$ {command}\n{out[-2000:]}{err[-2000:]}")
                return False
    except Failure as failure:
        print(f"FAIL: README.md:{block.line}\n{failure}")
        return False
    finally:
        console.close()
    took, used, seen = time.monotonic() - start + first[0], processor_time() - used + first[1], image(told, folder, now)
    for made in ("show", "save", "lighthouse.png"):
        (folder / "build" / made).unlink(missing_ok=True)
    if from_nothing:
        first = (took, used)
    said = f"{name}: {seen or 'no image'} after {took:.0f} s, {used:.0f} s of processor time"
    if not seen or min(took, used) > MINUTES * 60:
        print(f"FAIL: README.md:{block.line}\n{said}")
        return False
    print(f"{said}{', built from nothing' if first[0] else ''}")
    return True


def main() -> int:
    found = ways()
    if [name for name, _ in found] != ["C", "C++", "Python"]:
        print(f"FAIL: README.md\nits ways to a first image are {[name for name, _ in found]}")
        return 1
    if sys.argv[1:2] == ["--cold"]:
        with tempfile.TemporaryDirectory() as scratch:
            clone = Path(scratch) / "a clone"
            subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
            os.environ.pop("CARGO_TARGET_DIR", None)
            good = [walk(name, block, clone) for name, block in found if name in sys.argv[2:] or not sys.argv[2:]]
    else:
        good = [walk(name, block, ROOT) for name, block in found]
    print(f"Ran {len(good)} tests: {good.count(False)} failed")
    return 0 if good and all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
