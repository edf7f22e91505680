#!/usr/bin/env python3
"""What a look costs, beside what a reader knows: libcurl with cJSON, and a bare socket; what an image of a gigabyte costs beside
libcurl; what many tasks cost behind one gate, beside loops of their own; and what a frame feels of an image that is decoded.

Server and client are pinned to one core; each way has a process of its own, and all ways take turns within one run, so that
a busy machine is unfair to none. Prints one line a figure with its limit; a part that cannot be measured is named, never
passed over.

    python3 benches/run.py [--lib build/lib] [--rounds 1200] [--strict]

Needs cc and python3; for every figure also cargo, and libcurl4-openssl-dev, libcjson-dev, valgrind and strace (Debian's
names).
Exit code 1 when something counted (instructions, system calls, threads, requests in virtual time, memory of a download) is over
its limit; with --strict also when a time is, or when a figure is missing.
"""

import argparse
import contextlib
import os
import re
import select
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import fleet
import pixels

ROOT = Path(__file__).resolve().parent.parent
BENCHES = ROOT / "benches"

# Looks in one turn of a way: a millisecond or two, shorter than a time slice, so that most turns are never interrupted even
# on a busy machine.
TURN = 50
# Looks before them, not timed: another way had the core.
WARM_UP = 15
# Seconds after which a worker that does not answer is taken for dead.
PATIENCE = 120
# Turns of each way that saves a gigabyte.
SAVES = 3
# The ways, for people.
TITLES = {
    "imgtask": "imgtask, C ABI",
    "curl": "libcurl, handle kept, with cJSON",
    "raw": "bare socket with strstr",
    "python": "imgtask, Python",
}
# The bodies of server.c that are not small.
INLINE_BYTES = 14_000_000
ROWS_BYTES = 3_000_000
# The tasks of server.c with an image behind a link, and more bytes than which the image of the first has.
BIG, LITTLE = "img_big", "img_little"
BIG_BYTES = 1 << 30


class Table:
    """The figures, printed as they come in."""

    def __init__(self):
        self.missed = []
        self.counted_missed = []
        self.absent = []
        print(f"{'':<52}{'measured':>14}{'limit':>10}")

    def title(self, text):
        print(f"\n{text}")

    def figure(self, name, value, form, limit=None, counted=False, least=False):
        """`counted`: what is counted comes out the same however busy the machine is, so that a missed limit is a fault. `least`:
        the limit is the least that is asked for, and not the most."""
        ok = limit is None or (value >= limit if least else value <= limit)
        verdict = "" if limit is None else "  ok" if ok else "  MISSED"
        shown = "" if limit is None else format(limit, form)
        print(f"  {name:<50}{format(value, form):>14}{shown:>10}{verdict}", flush=True)
        if not ok:
            self.missed.append(name)
            if counted:
                self.counted_missed.append(name)

    def missing(self, name, why):
        print(f"  {name:<50}{'not measured':>14}", flush=True)
        self.absent.append(f"{name}: {why}")

    def end(self):
        print(f"\n{len(self.missed)} missed, {len(self.absent)} not measured")
        for line in self.absent:
            print(f"  not measured: {line}")
        return not self.missed and not self.absent


class Worker:
    """A process that does one thing when told so, and answers with a line."""

    def __init__(self, stack, command, env=None):
        self.name = " ".join(map(str, command))
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, text=True, bufsize=1)
        stack.callback(self.stop)

    def answer(self):
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        line = self.process.stdout.readline() if ready else ""
        if not line:
            raise SystemExit(f"{self.name}: no answer" + ("" if ready else f" within {PATIENCE} s"))
        return [int(word) for word in line.split()]

    def ask(self, order):
        self.process.stdin.write(f"{order}\n")
        return self.answer()

    def stop(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def compiles(code, *flags):
    """Whether a few lines of C compile and link."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "try.c"
        source.write_text(code + "\nint main(void) { return 0; }\n")
        run = subprocess.run(["cc", source, "-o", Path(folder) / "try", *flags], capture_output=True)
        return run.returncode == 0


def build(lib, folder):
    """Compiles the worker against the library in `lib`; gives its path and whether curl is in it."""
    if not shutil.which("cc"):
        raise SystemExit("cc is missing: apt-get install gcc libc6-dev")
    shared = lib / "libimgtask.so"
    if not shared.exists():
        raise SystemExit(f"{shared} is missing: run `make lib`, or say where it is with --lib")
    # cargo's own folder has no link of the SONAME.
    soname = "libimgtask.so.0"
    (folder / soname).symlink_to(shared.resolve())
    curl = compiles("#include <curl/curl.h>\n#include <cjson/cJSON.h>", "-lcurl", "-lcjson")
    sources = ["worker.c", "server.c", "picture.c", "way_imgtask.c", "way_raw.c"] + (["way_curl.c"] if curl else [])
    command = ["cc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-I", ROOT / "include"]
    command += [] if curl else ["-DNO_CURL"]
    command += [BENCHES / source for source in sources]
    command += ["-o", folder / "worker", folder / soname, f"-Wl,-rpath,{folder}", "-pthread", "-ldl"]
    command += ["-lcurl", "-lcjson"] if curl else []
    subprocess.run(command, check=True)
    return folder / "worker", curl


def compare(table, worker, curl, lib, port, rounds):
    """Wall time and CPU of all ways, in turns."""
    python_env = {**os.environ, "IMGTASK_LIBRARY": str(lib / "libimgtask.so"), "PYTHONPATH": str(ROOT / "bindings/python")}
    with contextlib.ExitStack() as stack:
        ways = {"imgtask": Worker(stack, [worker, "imgtask", port])}
        if curl:
            ways["curl"] = Worker(stack, [worker, "curl", port])
        ways["raw"] = Worker(stack, [worker, "raw", port])
        ways["python"] = Worker(stack, [sys.executable, BENCHES / "worker.py", port], python_env)
        for way in ways.values():
            way.ask(f"{20 * TURN} 0")
        turns = {name: [] for name in ways}
        order = list(ways)
        for _ in range(rounds):
            for name in order:
                turns[name] += ways[name].ask(f"{WARM_UP} {TURN}")
            order.append(order.pop(0))
        ends = {name: way.ask("end") for name, way in ways.items()}

    wall = {name: statistics.median(times) / TURN / 1000 for name, times in turns.items()}
    looks = rounds * (WARM_UP + TURN)
    user, system = ({name: end[i] / looks for name, end in ends.items()} for i in range(2))
    table.title(f"one look at a finished task, microseconds; {rounds} turns of {TURN} looks, median turn")
    for what, figures in [("wall", wall), ("user CPU", user), ("system CPU", system)]:
        for name in ways:
            table.figure(f"{TITLES[name]}: {what}", figures[name], ".1f")
    table.title("the same, beside each other")
    if curl:
        table.figure("imgtask / libcurl + cJSON, wall", wall["imgtask"] / wall["curl"], ".2f", 1.0)
        table.figure("imgtask / libcurl + cJSON, user CPU", user["imgtask"] / user["curl"], ".2f", 0.7)
    else:
        why = "libcurl or cJSON is missing: apt-get install libcurl4-openssl-dev libcjson-dev"
        table.missing("imgtask / libcurl + cJSON, wall", why)
        table.missing("imgtask / libcurl + cJSON, user CPU", why)
    table.figure("imgtask / bare socket, wall", wall["imgtask"] / wall["raw"], ".2f", 2.2)
    table.figure("Python / C, wall", wall["python"] / wall["imgtask"], ".2f", 1.5)
    table.figure("threads started by all the looks of the C ABI", ends["imgtask"][2], ".0f", 0, counted=True)


def count(table, worker, curl, port):
    """Instructions and system calls of one look: what more looks cost more, so that the start is not counted."""
    few, many = 200, 1200

    def slope(tool, pattern, way):
        def total(looks):
            run = subprocess.run(
                [*tool, worker, way, port], input=f"0 {looks}\nend\n", capture_output=True, text=True, timeout=PATIENCE
            )
            found = re.search(pattern, run.stderr, re.M)
            if run.returncode or not found:
                raise SystemExit(f"{' '.join(tool)}:\n{run.stderr}")
            return int(found[1].replace(",", ""))

        return (total(many) - total(few)) / (many - few)

    table.title("what one look does in its process")
    limits = {"imgtask": (50_000, 12), "curl": (None, None), "raw": (None, None)}
    if not curl:
        del limits["curl"]
    tools = [
        ("instructions", "valgrind", ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"], r"Collected : (\d+)"),
        ("system calls", "strace", ["strace", "-f", "-c", "-U", "calls,name"], r"^ *(\d+) total$"),
    ]
    for i, (what, program, tool, pattern) in enumerate(tools):
        for name, limit in limits.items():
            if shutil.which(program):
                table.figure(f"{TITLES[name]}: {what}", slope(tool, pattern, name), ",.0f" if i == 0 else ".1f", limit[i], True)
            else:
                table.missing(f"{TITLES[name]}: {what}", f"{program} is missing: apt-get install {program}")


def grow(table, worker, port):
    """Memory that one look at a large answer takes at its peak, beside the answer's length."""
    table.title("resident memory at the peak of one look, in lengths of its answer")
    for title, task_id, size, limit in [
        ("14 MB data URL", "img_inline", INLINE_BYTES, 2.2),
        ("a million {} in a member that is not read (3 MB)", "img_rows", ROWS_BYTES, 2.2),
    ]:
        with contextlib.ExitStack() as stack:
            way = Worker(stack, [worker, "imgtask", port])
            way.ask(f"{TURN} 0")
            table.figure(title, way.ask(f"peak {task_id}")[0] / size, ".2f", limit)


def save(table, worker, curl, lib, port):
    """An image of a gigabyte becomes a file, in turns. All ways write beside the library, which is on a disk more surely than the
    system's folder for what is temporary, and bring to the disk the file, its name, and its folder. Besides, libcurl receives and
    writes, and nothing more; imgtask tells the type, looks for the image's end, and takes its SHA-256."""
    no_curl = "libcurl or cJSON is missing: apt-get install libcurl4-openssl-dev libcjson-dev"
    with contextlib.ExitStack() as stack:
        ways = {name: Worker(stack, [worker, name, port]) for name in ["imgtask", "job"] + (["curl"] if curl else [])}
        file = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=lib))) / "picture.png"
        times, grown = {name: [] for name in ways}, dict.fromkeys(ways, 0)

        def ask(name, task_id):
            time, more = ways[name].ask(f"save {task_id} {file}")
            length = file.stat().st_size
            file.unlink()
            if (task_id == BIG) != (length > BIG_BYTES):
                raise SystemExit(f"{name}: the image of {task_id} has {length:,} bytes")
            return time, more

        order = list(ways)
        for name in order:
            ask(name, LITTLE)
        for _ in range(SAVES):
            for name in order:
                time, more = ask(name, BIG)
                times[name].append(time / 1e9)
                grown[name] = max(grown[name], more)
            order.append(order.pop(0))
    table.title(f"an image of 1 GiB into a file that is on the disk; {SAVES} turns, median turn")
    table.figure("imgtask_client_download_file: KiB of memory more", grown["imgtask"] / 1024, ",.0f", 1023, counted=True)
    table.figure("a job with the goal FILE: KiB of memory more", grown["job"] / 1024, ",.0f", 1023, counted=True)
    for name, title in [("imgtask", "imgtask, C ABI"), ("job", "imgtask, a job"), ("curl", "libcurl with stdio")]:
        if name in ways:
            table.figure(f"{title}: MiB/s", BIG_BYTES / (1 << 20) / statistics.median(times[name]), ",.0f")
    for name, title in [("imgtask", "imgtask / libcurl, throughput"), ("job", "a job / libcurl, throughput")]:
        if curl:
            # Of turns that followed each other: a busy disk is busy for both.
            ratio = statistics.median(theirs / ours for ours, theirs in zip(times[name], times["curl"]))
            table.figure(f"{title}, at least", ratio, ".2f", 0.9, least=True)
        else:
            table.missing(title, no_curl)


def measurement(test):
    """What a measurement among the crate's tests prints."""
    command = ["cargo", "test", "--quiet", "--profile", "release-static", "--lib", test, "--", "--ignored", "--nocapture"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if run.returncode:
        raise SystemExit(f"{' '.join(command)}:\n{run.stdout}{run.stderr}")
    return run.stdout


def read(table):
    """Time that the reading of a body takes, without the network: a measurement among the crate's tests."""
    table.title("reading an answer by its dialect")
    name = "a body of 400 bytes, the slowest, nanoseconds"
    if not shutil.which("cargo"):
        table.missing(name, "cargo is missing: https://rustup.rs")
        return
    found = re.findall(r"^a body of \d+ bytes: (\d+) ns$", measurement("a_body_of_400_bytes"), re.M)
    if not found:
        raise SystemExit("a_body_of_400_bytes measured nothing")
    table.figure(name, max(map(int, found)), ",", 3_000)


def many(table):
    """Many tasks behind one gate, beside loops of their own: virtual time, so that everything but the last title counts."""
    if not shutil.which("cargo"):
        table.title("many tasks behind one gate")
        table.missing("requests, 429s and delays", "cargo is missing: https://rustup.rs")
        return
    figures = 0
    for line in measurement("many_tasks_beside_fixed_loops").splitlines():
        # libtest writes the test's name before its first line.
        kind, *rest = line.removeprefix("test poll::tests::tables::many_tasks_beside_fixed_loops ... ").split("\t")
        if kind == "title":
            table.title(rest[0])
        elif kind == "row":
            print(f"  {rest[0]}")
        elif kind == "figure":
            name, value, decimals, limit, counted = rest
            table.figure(name, float(value), f",.{decimals}f", float(limit), counted == "true")
            figures += 1
    if not figures:
        raise SystemExit("many_tasks_beside_fixed_loops measured nothing")


def main():
    parser = argparse.ArgumentParser(description="What a look and a download cost, beside libcurl with cJSON and a bare socket.")
    parser.add_argument("--lib", type=Path, default=ROOT / "build/lib", help="where libimgtask.so is (build/lib)")
    parser.add_argument("--command", type=Path, default=ROOT / "build/bin/imgtask", help="the imgtask command (build/bin/imgtask)")
    parser.add_argument("--rounds", type=int, default=1200, help="turns of each way (1200)")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when any limit is missed or a figure is missing")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        worker, curl = build(options.lib.resolve(), folder)
        server = Worker(stack, [worker, "serve"])
        port = str(server.answer()[0])
        table = Table()
        compare(table, worker, curl, options.lib.resolve(), port, options.rounds)
        count(table, worker, curl, port)
        grow(table, worker, port)
        save(table, worker, curl, options.lib.resolve(), port)
        read(table)
        many(table)
        fleet.measure(table, options.lib.resolve(), options.command.resolve(), folder)
        pixels.measure(table, folder)
        good = table.end()
    return 1 if table.counted_missed or (options.strict and not good) else 0


if __name__ == "__main__":
    sys.exit(main())
