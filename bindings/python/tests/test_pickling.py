"""What is kept of tasks, images and errors when they go to another process, or are copied."""

import copy
import os
import pickle
import subprocess
import sys
from typing import Any, Dict, List

import imgtask
from imgtask import State, _errors

from .support import PACKAGE, WithSandbox

# A process that has no library reads what another one wrote, and tells what it sees.
READS = """
import pickle, sys
kept = pickle.load(sys.stdin.buffer)
import imgtask
from imgtask import _library
for name, thing in kept.items():
    print(name, type(thing).__module__, type(thing).__name__, repr(thing))
task, failed, picture, pixels = (kept[name] for name in ("task", "failed", "picture", "pixels"))
print(task.to_dict(), task.raw, task.poll_ref, task.images[0].url, failed.failure)
print(len(picture.data), picture.sha256, len(pixels.tobytes()), pixels._repr_png_()[:4], len(task._repr_html_()))
print(kept["error"].status, kept["error"].retry_after, kept["error"].task, kept["outcome"].picture == picture)
print(_library.loaded.library)
"""


class Kept(WithSandbox):
    def things(self, client: imgtask.Client) -> Dict[str, Any]:
        """One of everything that calls give."""
        task = client.wait(client.submit(prompt="a cat", size="64x48"), 20)
        picture = client.download(task)
        with self.assertRaises(imgtask.Timeout) as late:
            client.wait(client.submit(prompt="a cat [never]"), 0)
        (outcome,) = client.watch([task], goal="bytes")
        op = client.start(task, goal="pixels", label="cat")
        (event,) = client.events(10)
        self.assertEqual(event.op, op)
        return {
            "task": task,
            "image": task.images[0],
            "failed": client.wait(client.submit(prompt="a cat [fail]"), 20, raise_on_failure=False),
            "picture": picture,
            "pixels": picture.rgba(),
            "saved": client.download_file(task, self.folder / "cat.png"),
            "error": late.exception.with_traceback(None),
            "outcome": outcome,
            "event": event,
            "stats": client.stats(),
            "provider": imgtask.providers()[0],
        }

    def test_another_process_reads_it_without_the_library(self) -> None:
        things = self.things(self.client())
        told: List[str] = []
        for library in (os.environ.get("IMGTASK_LIBRARY", ""), str(self.folder / "no library")):
            done = subprocess.run(
                [sys.executable, "-c", READS],
                input=pickle.dumps(things),
                capture_output=True,
                timeout=60,
                env={**os.environ, "PYTHONPATH": str(PACKAGE), "IMGTASK_LIBRARY": library},
            )
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            told.append(done.stdout.decode())
        self.assertEqual(told[0], told[1])
        lines = told[0].splitlines()
        for (name, thing), line in zip(things.items(), lines):
            self.assertEqual(line, f"{name} imgtask {type(thing).__name__} {thing!r}")
        task = things["task"]
        rest = [
            f"{task.to_dict()} {task.raw} {task.poll_ref} {task.images[0].url} {things['failed'].failure}",
            f"{len(things['picture'].data)} {things['picture'].sha256} {64 * 48 * 4} b'\\x89PNG' {len(task._repr_html_())}",
            f"timeout {things['error'].retry_after} {things['error'].task!r} True",
            "None",
        ]
        self.assertEqual(lines[len(things) :], rest)

    def test_it_is_the_same_under_every_protocol_and_as_a_copy(self) -> None:
        things = self.things(self.client())
        pixels = things.pop("pixels")
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            self.assertEqual(pickle.loads(pickle.dumps(pixels, protocol)).tobytes(), pixels.tobytes())
            for name, thing in things.items():
                again = pickle.loads(pickle.dumps(thing, protocol))
                self.assertEqual((type(again), repr(again)), (type(thing), repr(thing)))
                if name not in ("error", "event"):
                    self.assertEqual(again, thing)
        for thing in (*things.values(), pixels):
            for again in (copy.copy(thing), copy.deepcopy(thing), copy.deepcopy([thing])[0]):
                self.assertEqual((type(again), repr(again)), (type(thing), repr(thing)))

    def test_what_needs_the_library_says_what_to_do(self) -> None:
        client = self.client()
        task = client.wait(client.submit(prompt="a cat"), 20)
        again = pickle.loads(pickle.dumps(task))
        for thing in (again, again.images[0], pickle.loads(pickle.dumps(task.images[0]))):
            with self.assertRaisesRegex(imgtask.InvalidArgument, "pickled or rebuilt: fetch it again"):
                client.download(thing)
        with self.assertRaisesRegex(imgtask.InvalidArgument, "download it again"):
            pickle.loads(pickle.dumps(client.download(task))).rgba()
        # All else goes on with it.
        fresh = client.fetch(again)
        self.assertEqual(
            (fresh.id, client.wait(again), client.download(fresh).media_type), (task.id, again, "image/png")
        )
        self.assertEqual([done.ref for done in client.watch([again], goal="bytes")], [again])

    def test_a_copied_task_can_be_downloaded(self) -> None:
        client = self.client()
        task = copy.deepcopy(client.wait(client.submit(prompt="a cat"), 20))
        self.assertEqual(client.download(copy.copy(task.images[0])), client.download(task))

    def test_every_error_keeps_what_it_tells(self) -> None:
        client = self.client()
        task = client.wait(client.submit(prompt="a cat [fail]"), 20, raise_on_failure=False)
        kinds = {
            *_errors._CLASSES.values(),
            *(kind for *_, kind in _errors._FAMILIES),
            imgtask.TaskFailed,
            imgtask.Error,
        }
        for kind in kinds:
            error = kind(
                "it went wrong",
                status=imgtask.Status.RATE_LIMITED,
                http_status=429,
                retry_after=1.5,
                provider_code="slow_down",
                request_id="req_1",
                task_id=task.id,
                task=task,
            )
            for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
                self.assertEqual((type(again), str(again), again.args), (kind, "it went wrong", error.args))
                self.assertEqual(vars(again), vars(error))
                self.assertTrue(again.retryable)

    def test_a_number_of_a_newer_library_stays_what_it_is(self) -> None:
        for number in (imgtask.Status(59), imgtask.Status.NOT_FOUND):
            copies = [pickle.loads(pickle.dumps(number, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
            for again in (*copies, copy.copy(number), copy.deepcopy(number)):
                self.assertEqual((type(again), again, str(again)), (imgtask.Status, number, str(number)))

    def test_a_client_says_why_it_cannot(self) -> None:
        client = self.client()
        for thing in (client, client.aio):
            for call in (pickle.dumps, copy.copy, copy.deepcopy):
                if thing is not client and call is copy.copy:
                    continue
                with self.assertRaisesRegex(TypeError, "a Client belongs to its process"):
                    call(thing)  # type: ignore[operator]

    def test_no_secret_is_in_what_is_shown(self) -> None:
        client = self.client()
        task = client.wait(client.submit(prompt="a cat"), 20)
        self.assertEqual(task.state, State.SUCCEEDED)
        query = task.images[0].url.partition("?")[2]
        self.assertTrue(query)
        for told in (repr(task), repr(task.images[0]), task._repr_html_()):
            self.assertNotIn(query, told)
