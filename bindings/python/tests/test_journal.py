"""The journal: what comes back after a crash, and what does not because it was acknowledged."""

import gc
import os
import signal
import subprocess
import sys
from typing import Any, List

import imgtask
from imgtask import EventKind, Goal

from .support import PACKAGE, WithSandbox, library_file


class Journal(WithSandbox):
    def opened(self, **options: Any) -> imgtask.Client:
        return self.client(journal_path=self.folder / "journal", **options)

    def left(self) -> List[str]:
        """The labels of what a new process would find, which then is over."""
        client = self.opened()
        count = client.resume()
        events = list(client.events(20))
        client.close()
        resumed = [event.label for event in events if event.kind is EventKind.RESUMED]
        self.assertEqual(len(resumed), count)
        self.assertEqual(sorted(event.label for event in events if event.is_final), sorted(resumed))
        return sorted(resumed)

    def start_three(self, client: imgtask.Client) -> None:
        for n in range(3):
            client.start(prompt="a cat", label=f"cat {n}")

    def test_what_the_loop_went_past_does_not_come_back(self) -> None:
        client = self.opened()
        self.start_three(client)
        self.assertEqual(len(list(client.events(20))), 3)
        client.close()
        self.assertEqual(self.left(), [])

    def test_what_nobody_read_comes_back_with_label_goal_and_task(self) -> None:
        client = self.opened()
        client.start(prompt="a cat", label="lighthouse", path=self.folder / "{id}.{ext}")
        while client.stats().events_waiting == 0:
            pass
        client.close()
        client = self.opened()
        self.assertEqual(client.resume(), 1)
        resumed, final = client.events(20)
        assert resumed.task is not None and final.task is not None and final.saved is not None
        self.assertEqual((resumed.kind, resumed.label), (EventKind.RESUMED, "lighthouse"))
        self.assertEqual((final.label, final.goal, final.task.id), ("lighthouse", Goal.FILE, resumed.task.id))
        self.assertEqual(final.saved.path, self.folder / f"{final.task.id}.png")
        client.close()
        self.assertEqual(self.left(), [])

    def test_an_event_whose_loop_body_raised_comes_back(self) -> None:
        client = self.opened()
        self.start_three(client)
        told: List[str] = []
        with self.assertRaises(ZeroDivisionError):
            for event in client.events(20):
                told.append(event.label)
                if len(told) == 2:
                    1 / 0
        del event
        client.close()
        self.assertEqual(self.left(), sorted({"cat 0", "cat 1", "cat 2"} - {told[0]}))

    def test_an_event_left_by_break_comes_back_unless_it_was_acknowledged(self) -> None:
        for acknowledged in (False, True):
            client = self.opened()
            client.start(prompt="a cat", label="cat")
            for event in client.events(20):
                if acknowledged:
                    event.acknowledge()
                break
            del event
            client.close()
            self.assertEqual(self.left(), [] if acknowledged else ["cat"])

    def test_an_event_that_is_forgotten_comes_back(self) -> None:
        client = self.opened()
        self.start_three(client)
        kept = [client.next_event(20) for _ in range(3)]
        first = kept.pop()
        assert first is not None
        first.acknowledge()
        label = first.label
        del first, kept
        gc.collect()
        client.close()
        self.assertEqual(self.left(), sorted({"cat 0", "cat 1", "cat 2"} - {label}))

    def test_a_watch_that_went_on_leaves_nothing_and_one_that_was_left_leaves_the_rest(self) -> None:
        client = self.opened()
        ids = self.sandbox.make(5)
        self.assertEqual(len(list(client.watch(ids))), 5)
        client.close()
        self.assertEqual(self.left(), [])
        client = self.opened()
        for read, _ in enumerate(client.watch(ids, in_flight=5)):
            if read == 2:
                break
        client.close()
        self.assertEqual(len(self.left()), 3)

    def test_jobs_at_work_are_not_taken_up_twice(self) -> None:
        client = self.opened()
        self.start_three(client)
        self.assertEqual(client.resume(), 0)
        self.assertEqual(len(list(client.events(20))), 3)

    def test_a_task_that_is_forgotten_does_not_come_back(self) -> None:
        client = self.opened()
        ids = self.sandbox.make(2, "a cat [never]")
        for ref in ids:
            client.start(ref, label=ref)
        client.forget(ids[0])
        with self.assertRaises(imgtask.NotFound):
            client.forget(ids[0])
        client.close()
        client = self.opened()
        self.assertEqual(client.resume(progress=True), 1)
        (resumed,) = client.events(0)
        self.assertEqual(resumed.label, ids[1])

    def test_a_client_without_a_journal_says_so(self) -> None:
        client = self.client()
        for call in (client.resume, lambda: client.forget("img_0")):
            with self.assertRaises(imgtask.JournalError):
                call()

    def test_a_wait_that_tells_its_progress_leaves_nothing(self) -> None:
        client = self.opened()
        client.wait(client.submit(prompt="a cat"), 20, on_progress=lambda task: None)
        client.close()
        self.assertEqual(self.left(), [])

    def test_a_process_killed_in_the_loop_body_finds_the_event_again(self) -> None:
        script = f"""
import os, signal, imgtask
client = imgtask.Client("dimilinks", poll_interval=0.02, journal_path={str(self.folder / "journal")!r})
for n in range(5):
    client.start(prompt="a cat", label=f"cat {{n}}")
read = 0
for event in client.events(20):
    print(event.label, flush=True)
    read += 1
    if read == 3:
        os.kill(os.getpid(), signal.SIGKILL)
"""
        done = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            timeout=60,
            env={
                **os.environ,
                **self.sandbox.environment(),
                "PYTHONPATH": str(PACKAGE),
                "IMGTASK_LIBRARY": str(library_file()),
            },
        )
        self.assertEqual(done.returncode, -signal.SIGKILL, done.stderr)
        read = done.stdout.splitlines()
        self.assertEqual(len(read), 3)
        left = self.left()
        # At least once: an acknowledgement may not have reached the disk.
        self.assertLessEqual({f"cat {n}" for n in range(5)} - set(read[:2]), set(left))
        self.assertEqual(self.left(), [])
