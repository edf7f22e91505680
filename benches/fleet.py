"""Ten thousand tasks through the C ABI, against the sandbox at sixty times its speed: what `fleet.c` measures of itself."""

import contextlib
import json
import re
import shutil
import socket
import subprocess
import urllib.request
from pathlib import Path

BENCHES = Path(__file__).resolve().parent
TASKS = 10_000
# The service's 1,000 requests a minute, sixty times as fast; the client is told so.
SPEED = 60
LIMIT = 1_000
# Seconds that a part may last.
PATIENCE = 180
# The sandbox is on this machine: asked through no proxy.
DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Sandbox:
    """A sandbox of its own, with so many tasks in it."""

    def __init__(self, stack, command, *options):
        process = subprocess.Popen(
            [command, "sandbox", *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        stack.callback(self.stop)
        self.process = process
        said = json.loads(process.stdout.readline())
        self.control = said["control"]
        self.access = said["providers"]["lemondata"]

    def ask(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.control}/{path}", data=data, headers={"content-type": "application/json"})
        with DIRECTLY.open(request, timeout=PATIENCE) as answer:
            return json.load(answer)

    def make(self, count):
        return self.ask("tasks", {"provider": "lemondata", "count": count})["ids"]

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def figures(program, what, access, *more, ids=()):
    """What one run of the program says of itself."""
    run = subprocess.run(
        [program, what, access["base_url"], access["key"], *map(str, more)],
        input="\n".join(ids),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    if run.returncode:
        raise SystemExit(f"fleet {what}: {run.stderr}")
    return {name: float(value) for name, value in (line.split() for line in run.stdout.splitlines())}


def watch(program, command, *dead):
    """All tasks to their end, and the 429s that the sandbox gave."""
    with contextlib.ExitStack() as stack:
        sandbox = Sandbox(stack, command, "--speed", str(SPEED), "--rate-limit", str(LIMIT), "--seed", "1")
        ids = sandbox.make(TASKS)
        seen = figures(program, "watch", sandbox.access, LIMIT * SPEED, *dead, ids=ids)
        return seen, sandbox.ask("stats")["rate_limited"] + seen["rate_limited"]


def instructions(program):
    """What one more call for an event costs when there is none; what comes before the first one is not counted."""
    few, many = 1_000, 21_000

    def total(calls):
        tool = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
        run = subprocess.run(
            [*tool, program, "ask", "http://127.0.0.1:1", "key", str(calls)], capture_output=True, text=True, timeout=PATIENCE
        )
        found = re.search(r"Collected : (\d+)", run.stderr)
        if run.returncode or not found:
            raise SystemExit(f"fleet ask: {run.stderr}")
        return int(found[1])

    return (total(many) - total(few)) / (many - few)


def measure(table, lib, command, folder):
    """Adds the figures to the table."""
    program = folder / "fleet"
    subprocess.run(
        ["cc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-I", BENCHES.parent / "include", BENCHES / "fleet.c", "-o", program]
        + [folder / "libimgtask.so.0", f"-Wl,-rpath,{folder}"],
        check=True,
    )
    with contextlib.ExitStack() as stack:
        sandbox = Sandbox(stack, command)
        asked = figures(program, "empty", sandbox.access)
    table.title("asking for an event when there is none")
    table.figure("imgtask_client_next_event(client, 0, ...), median ns", asked["ask_ns"], ".0f", 100)
    table.figure("allocations of a million calls", asked["allocations"], ".0f", 0, counted=True)

    name = "instructions of a call"
    if shutil.which("valgrind"):
        table.figure(name, instructions(program), ".0f", 400, counted=True)
    else:
        table.missing(name, "valgrind is missing: apt-get install valgrind")

    with contextlib.ExitStack() as stack:
        # No task ends, no request is too many: only waiting counts.
        sandbox = Sandbox(stack, command, "--duration", "100000")
        weighed = figures(program, "memory", sandbox.access, 600_000, ids=sandbox.make(TASKS))
    alone, limited = watch(program, command)
    with contextlib.ExitStack() as stack:
        # Takes connections and never answers.
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=64))
        beside, limited_beside = watch(program, command, f"http://127.0.0.1:{silent.getsockname()[1]}")

    table.title(f"{TASKS:,} tasks of a sandbox at {SPEED} times its speed, {LIMIT * SPEED:,} requests a minute")
    table.figure("final events that are missing or came twice", abs(TASKS - alone["finals"]) + alone["twice"], ".0f", 0, counted=True)
    table.figure("tasks whose final event is not their end", TASKS - alone["ended"], ".0f", 0, counted=True)
    table.figure("429s", limited, ".0f", 0, counted=True)
    table.figure("looks a task", alone["looks"] / TASKS, ".2f", 1.5)
    table.figure("threads of the process", alone["threads"], ".0f", 9, counted=True)
    table.figure("sockets of the process", alone["sockets"], ".0f", 8, counted=True)
    table.figure("resident bytes a waiting task", weighed["bytes_a_task"], ".0f", 512, counted=True)
    table.figure("seconds until the last one", alone["seconds"], ".1f")
    table.figure("CPU of the process, ms", alone["cpu_ms"], ".0f")
    table.figure("next_event(client, 0, ...) meanwhile, p50 ns", alone["ask_p50_ns"], ".0f")
    table.figure("next_event(client, 0, ...) meanwhile, p99.9 us", alone["ask_p999_ns"] / 1000, ".1f", 50)
    table.title("the same beside 10,000 tasks on a host that never answers")
    table.figure("429s, and final events missing or twice", limited_beside + abs(TASKS - beside["finals"]) + beside["twice"], ".0f", 0, counted=True)
    table.figure("time, beside the time alone", beside["seconds"] / alone["seconds"], ".2f", 1.2)
