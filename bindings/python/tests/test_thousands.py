"""Thousands of tasks through one loop: all of them once, in little memory, also when the process is killed in between."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict, Iterator, List

from .support import PACKAGE, ROOT, WithSandbox, library_file

#: How many the slow test watches, in minutes; without the variable there is none.
MANY = int(os.environ.get("IMGTASK_MANY_TASKS", "0"))

# Runs the example on the ids in a file, with the pace of the sandbox, and tells what it costs.
RUN = """
import sys, time
sys.path.insert(0, sys.argv[1])
from watch_many import watch_many
started = time.monotonic()
with open(sys.argv[2]) as ids:
    watch_many(map(str.strip, ids), sys.argv[3], max_requests_per_minute=60_000_000)
seconds = time.monotonic() - started
# Not getrusage, whose largest size is also that of the process this one was forked from.
with open("/proc/self/status") as status:
    (most,) = (line.split()[1] for line in status if line.startswith("VmHWM:"))
print(seconds, most)
"""


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


class Thousands(WithSandbox):
    def test_five_thousand_tasks_are_watched_in_flat_memory(self) -> None:
        client = self.client()
        ids = self.sandbox.make(5_000)
        left = set(ids)
        sizes: List[int] = []
        most = 0

        def pulled() -> Iterator[str]:
            for count, ref in enumerate(ids):
                if count % 500 == 0:
                    sizes.append(resident())
                yield ref

        for done in client.watch(pulled(), in_flight=200):
            self.assertIsNone(done.error)
            left.remove(done.ref)
            most = max(most, client.pending)
        self.assertEqual(left, set())
        self.assertLessEqual(most, 200)
        # After the first thousand nothing grows but what this test keeps.
        self.assertLess(sizes[-1] - sizes[2], 4 << 20, sizes)


class Killed(WithSandbox):
    def run_example(self, ids: Path, images: Path) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, str(ROOT / "examples" / "python"), str(ids), str(images)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                **self.sandbox.environment(),
                "PYTHONPATH": str(PACKAGE),
                "IMGTASK_LIBRARY": str(library_file()),
            },
        )
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def image_gets(self) -> Dict[str, int]:
        """How often each task's image was asked for."""
        return {task["id"]: task["image_gets"] for task in self.sandbox.control("tasks")}

    def kill_halfway(self, count: int) -> None:
        """Kills the example when it is half done; the second run does the rest and nothing twice."""
        self.sandbox.control("reset", {})
        ids = self.sandbox.make(count)
        listed = self.folder / "ids.txt"
        listed.write_text("\n".join(ids) + "\n")
        images = self.folder / "images"
        manifest = images / "manifest.jsonl"

        first = self.run_example(listed, images)
        deadline = time.monotonic() + 600
        written = 0
        while written < count // 2:
            self.assertIsNone(first.poll(), "the first run ended by itself")
            self.assertLess(time.monotonic(), deadline, f"{written} of {count} are done")
            time.sleep(0.002)
            written = manifest.read_bytes().count(b"\n") if manifest.exists() else 0
        first.send_signal(signal.SIGKILL)
        self.assertEqual(first.wait(20), -signal.SIGKILL)
        known = {json.loads(line)["id"] for line in manifest.read_text().splitlines() if line.endswith("}")}
        self.assertTrue(count // 2 <= len(known) < count, len(known))
        before = self.image_gets()

        second = self.run_example(listed, images)
        said, complained = second.communicate(timeout=600)
        self.assertEqual((second.returncode, complained), (0, ""))

        lines = [json.loads(line) for line in manifest.read_text().splitlines()]
        self.assertEqual(sorted(line["id"] for line in lines), sorted(ids), "each task stands there once")
        files = sorted(each.name for each in images.iterdir() if not each.name.startswith("."))
        self.assertEqual(files, sorted([f"{ref}.png" for ref in ids] + ["manifest.jsonl"]))
        for ref in (ids[0], ids[-1]):
            self.assertEqual((images / f"{ref}.png").read_bytes()[:4], b"\x89PNG")
        after = self.image_gets()
        self.assertEqual({ref for ref in known if after[ref] != before[ref] or after[ref] != 1}, set())
        # What was done and not written down yet is asked for once more, and nothing else is.
        self.assertEqual({ref for ref in ids if after[ref] != before[ref] + (ref not in known)}, set())
        seconds, kilobytes = said.split()
        rate = (count - len(known)) / float(seconds)
        if MANY:
            print(f"\n{count - len(known)} images in the second run: {rate:.0f} a second, {int(kilobytes) // 1024} MB")
        self.assertLess(int(kilobytes), 80 * 1024)

    def test_two_thousand_tasks_survive_a_kill(self) -> None:
        self.kill_halfway(2_000)

    if MANY:

        def test_many_tasks_survive_a_kill(self) -> None:
            self.kill_halfway(MANY)
