"""Blocks of a programming language: whole programs are compiled and run, fragments are compiled in a function."""

import json
import re
import select
import subprocess
import sys
from pathlib import Path
from typing import Dict, List

from console import Failure
from pages import Block
from place import LIBRARY, ROOT

LIMIT = 120  # seconds for one program

# What a fragment may speak of without having made it: the names that the pages use.
C_PRELUDE = """
#include <imgtask.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
extern imgtask_client_options options;
extern imgtask_client *client;
extern imgtask_task *task;
extern imgtask_task_info info;
extern imgtask_bytes *bytes;
extern imgtask_error *error;
extern imgtask_status status;
extern imgtask_job job;
extern imgtask_event event;
extern const char *id;
"""

CPP_PRELUDE = """
#include <imgtask.hpp>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>
"""

# Compiled as headers say; what a fragment declares it need not use.
LOOSE = ["-Wno-unused-variable", "-Wno-unused-but-set-variable", "-Wno-unused-function", "-Wno-unused-parameter"]
COMPILERS = {"c": ["cc", "-std=c11"], "cpp": ["c++", "-std=c++17"]}
STRICT = ["-O1", "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'include'}"]


def is_program(block: Block) -> bool:
    return re.search(r"^(int|fn|async fn) main\(", block.text, re.MULTILINE) is not None


def stands_in_a_file(block: Block) -> bool:
    """Whether a fragment is functions and includes rather than statements."""
    first = next((line for line in block.text.split("\n") if line and not line.startswith(("/", " ", "*"))), "")
    return re.match(r"#include|static |struct |class |template|using |namespace |enum |(\w+[ *&]+)+\w+\([^;]*$", first) is not None


def compiled(command: List[str], folder: Path) -> str:
    """What a compiler has to say."""
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LIMIT)
    return "" if ran.returncode == 0 else (ran.stderr or ran.stdout or f"ended with {ran.returncode}")


def source(block: Block, number: int) -> str:
    text = f'#line {block.line} "{block.page}"\n{block.text}'
    with_ = block.marks.get("with", "")
    if is_program(block) or stands_in_a_file(block):
        return f"{with_}\n{text}"
    return f"int fragment_{number}(void);\nint fragment_{number}(void)\n{{\n{with_}\n{text}return 0;\n}}\n"


def fragments(language: str, blocks: List[Block], folder: Path) -> Dict[str, str]:
    """Compiles all fragments of C or C++ in one go, and says what is wrong with which."""
    prelude = C_PRELUDE if language == "c" else CPP_PRELUDE
    compiler = [*COMPILERS[language], *STRICT, *LOOSE]
    faults: Dict[str, str] = {}
    for batch in [[b for b in blocks if not stands_in_a_file(b)], *[[b] for b in blocks if stands_in_a_file(b)]]:
        if not batch:
            continue
        file = folder / f"fragments.{language}"
        file.write_text(prelude + "".join(source(block, number) for number, block in enumerate(batch)))
        said = compiled([*compiler, "-fmax-errors=0", "-c", str(file), "-o", "/dev/null"], folder)
        if not said:
            continue
        for line in said.split("\n"):
            found = re.match(r"(.+?):(\d+):\d+: (?:fatal )?error: ", line)
            block = found and next(
                (b for b in batch if b.page == found.group(1) and b.line <= int(found.group(2)) <= b.last), None
            )
            if block:
                faults[block.place] = faults.get(block.place, "") + line + "\n"
        if not any(block.place in faults for block in batch):
            faults.update({block.place: said for block in batch})
    return faults


def program(block: Block, folder: Path, environment: Dict[str, str]) -> None:
    """Compiles a whole program of C or C++, links it with the library and runs it against the sandbox."""
    name = f"program-{block.line}"
    file = folder / f"{name}.{block.language}"
    file.write_text(source(block, 0))
    link = [f"-L{LIBRARY}", "-limgtask", f"-Wl,-rpath,{LIBRARY}"]
    said = compiled([*COMPILERS[block.language], *STRICT, str(file), "-o", name, *link], folder)
    if said:
        raise Failure(said)
    run([f"./{name}"], folder, environment)


def run(command: List[str], folder: Path, environment: Dict[str, str]) -> None:
    try:
        ran = subprocess.run(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT
        )
    except subprocess.TimeoutExpired:
        raise Failure(f"not done after {LIMIT} s") from None
    if ran.returncode != 0:
        raise Failure(f"ended with {ran.returncode}\n{ran.stdout[-2000:]}{ran.stderr[-2000:]}")


def lua(block: Block, folder: Path, environment: Dict[str, str]) -> None:
    """Runs a chunk in LuaJIT, with a stand-in for LÖVE that holds what a game shows."""
    file = folder / f"chunk-{block.line}.lua"
    # The chunk's lines keep their numbers.
    file.write_text(block.marks.get("with", "").replace("\n", " ") + "\n" * (block.line - 1) + block.text)
    run(["luajit", str(ROOT / "tests" / "docs" / "love.lua"), str(file)], folder, environment)


RUST_PRELUDE = """#![allow(unused)]
use imgtask::*;
"""


class Rust:
    """The crate as the tests have built it, for programs of the pages."""

    def __init__(self) -> None:
        self.flags: List[str] = []

    def built(self) -> List[str]:
        if not self.flags:
            command = ["cargo", "build", "--quiet", "--lib", "--features", "cli,header", "--message-format=json"]
            ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
            if ran.returncode:
                raise Failure(ran.stderr)
            for line in ran.stdout.split("\n"):
                message = json.loads(line) if line.startswith("{") else {}
                if message.get("reason") == "compiler-artifact" and message["target"]["name"] == "imgtask":
                    for file in message["filenames"]:
                        if file.endswith(".rlib"):
                            self.flags = ["--extern", f"imgtask={file}", "-L", f"dependency={Path(file).parent / 'deps'}"]
        return self.flags

    def check(self, block: Block, folder: Path, environment: Dict[str, str]) -> None:
        with_ = block.marks.get("with", "")
        if is_program(block):
            text = f"{with_}\n{block.text}"
        else:
            text = (
                f"{RUST_PRELUDE}{with_}\n"
                "fn fragment(client: &Client, task: &Task) -> std::result::Result<(), Box<dyn std::error::Error>> {\n"
                f"{block.text}\nOk(())\n}}\nfn main() {{}}\n"
            )
        file = folder / f"block-{block.line}.rs"
        file.write_text(text)
        name = f"block-{block.line}"
        said = compiled(["rustc", "--edition", "2024", str(file), "-o", name, *self.built()], folder)
        if said:
            raise Failure(said)
        run([f"./{name}"], folder, environment)


class Python:
    """An interpreter for one page: what a block defines is there for the next."""

    def __init__(self, folder: Path, python: str, environment: Dict[str, str]) -> None:
        worker = ROOT / "tests" / "docs" / "python_worker.py"
        self.errors = folder / ".python-errors"
        self.process = subprocess.Popen(
            [python, str(worker)],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors.open("w"),
            text=True,
            start_new_session=True,
        )

    def run(self, block: Block) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        asked = {"text": block.text, "page": block.page, "line": block.line, "with": block.marks.get("with", "")}
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        if not select.select([self.process.stdout], [], [], LIMIT)[0]:
            self.close()
            raise Failure(f"not done after {LIMIT} s")
        answer = self.process.stdout.readline()
        if not answer:
            raise Failure(f"the interpreter ended with {self.process.wait()}\n{self.errors.read_text()[-2000:]}")
        if said := json.loads(answer):
            raise Failure(said)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


def data(block: Block, folder: Path, environment: Dict[str, str]) -> None:
    """JSON and TOML are read; a JSON document that looks like a dialect is checked as one."""
    if block.language == "toml":
        if sys.version_info >= (3, 11):
            import tomllib

            try:
                tomllib.loads(block.text)
            except tomllib.TOMLDecodeError as error:
                raise Failure(str(error)) from None
        return
    try:
        value = json.loads(block.text)
    except ValueError as error:
        raise Failure(str(error)) from None
    # What a page shows as wrong, its console block checks.
    if isinstance(value, dict) and "poll" in value and "dialect" in value:
        file = folder / f"dialect-{block.line}.json"
        file.write_text(block.text)
        run(["imgtask", "dialect", "check", str(file)], folder, environment)


def cmake(block: Block, folder: Path, environment: Dict[str, str]) -> None:
    """Configures and builds what the block says, with the library as this checkout holds it."""
    project = folder / f"cmake-{block.line}"
    project.mkdir()
    (project / "app.c").write_text('#include <imgtask.h>\nint main(void) { return imgtask_abi_version() != IMGTASK_ABI_VERSION; }\n')
    (project / "app.cpp").write_text('#include <imgtask.h>\nint main() { return imgtask_abi_version() != IMGTASK_ABI_VERSION; }\n')
    start = "cmake_minimum_required(VERSION 3.16)\nproject(app C CXX)\n"
    named = "" if re.search(r"^add_executable", block.text, re.MULTILINE) else "add_executable(app app.c)\n"
    head = "" if re.search(r"^project\(", block.text, re.MULTILINE) else start
    (project / "CMakeLists.txt").write_text(head + named + block.text)
    # A project that would fetch the sources is given this checkout, and what `make lib` built of it.
    environment = {"CARGO_TARGET_DIR": str(ROOT / "target"), **environment}
    options = ["-Werror=dev", f"-DFETCHCONTENT_SOURCE_DIR_IMGTASK={ROOT}"]
    run(["cmake", "-S", str(project), "-B", str(project / "build"), *options], folder, environment)
    run(["cmake", "--build", str(project / "build")], folder, environment)
