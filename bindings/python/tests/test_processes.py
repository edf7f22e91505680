"""A client and its process: what a child is told after a fork, however it was made, and what goes from process to process."""

import asyncio
import multiprocessing
import os
import threading
import time
import unittest.mock
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Callable, Dict, List, Tuple

import imgtask
from imgtask import _library

from .support import WithSandbox, library_file

#: Every way that Python has of making a process.
WAYS = ("fork", "spawn", "forkserver")

#: The client of a worker, as `starting` makes it.
own: List[imgtask.Client] = []


def starting(environment: Dict[str, str]) -> None:
    """What a worker does first."""
    os.environ.update(environment)
    own.append(imgtask.Client("dimilinks", poll_interval=0.02))


def made(prompt: str) -> Tuple[int, imgtask.Task]:
    """The task of a prompt, by the client of this worker."""
    return os.getpid(), own[0].wait(own[0].submit(prompt=prompt), timeout=20)


def in_child(work: Callable[[], str]) -> str:
    """What `work` gives or raises in a forked child. It leaves no copy of a test behind, and is killed if it hangs."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reader)
            try:
                told = work()
            except Exception as error:
                told = f"{type(error).__name__}: {error}"
            os.write(writer, told.encode())
        finally:
            os._exit(0)
    os.close(writer)
    killer = threading.Timer(20, os.kill, (pid, 9))
    killer.start()
    with open(reader, "rb") as told_by_child:
        told = told_by_child.read().decode()
    os.waitpid(pid, 0)
    killer.cancel()
    return told


class Processes(WithSandbox):
    def environment(self) -> Dict[str, str]:
        return {**self.sandbox.environment(), "IMGTASK_LIBRARY": str(library_file())}

    def test_workers_have_clients_of_their_own_however_they_were_made(self) -> None:
        # A client with threads, so that a fork meets some.
        client = self.client()
        client.start(prompt="a cat [never]")
        for way in WAYS:
            with self.subTest(way):
                context = multiprocessing.get_context(way)
                with ProcessPoolExecutor(2, context, starting, (self.environment(),)) as workers:
                    tasks = list(workers.map(made, ["a cat", "a dog"], timeout=60))
                self.assertNotIn(os.getpid(), [pid for pid, _ in tasks])
                for _, task in tasks:
                    # A task that came from another process tells all, and is fetched again for its image.
                    self.assertEqual((task.state, len(task.images)), (imgtask.State.SUCCEEDED, 1))
                    self.assertEqual(client.download(client.fetch(task)).media_type, "image/png")
        self.assertEqual(client.pending, 1)

    def test_a_child_is_told_to_create_a_client_of_its_own(self) -> None:
        client = self.client()
        task = client.wait(client.submit(prompt="a cat"), timeout=20)
        calls: Dict[str, Callable[[], Any]] = {
            "submit": lambda: client.submit(prompt="a cat"),
            "fetch": lambda: client.fetch(task.id),
            "wait": lambda: client.wait(task.id),
            "download": lambda: client.download(task),
            "start": lambda: client.start(task),
            "events": lambda: next(client.events()),
            "watch": lambda: next(client.watch([task.id])),
            "set_key": lambda: client.set_key("another"),
            "stats": client.stats,
            "aio.wait": lambda: asyncio.run(client.aio.wait(task.id)),
        }
        for name, call in calls.items():
            with self.subTest(name):
                told = in_child(lambda call=call: str(call()))  # type: ignore[misc]
                self.assertRegex(told, "^WrongProcess: .*fork.*create one in (each|this) process")
        self.assertEqual(client.fetch(task.id).id, task.id)

    def test_a_child_of_a_fork_that_met_a_cancel_on_its_way_is_told_so(self) -> None:
        client = self.client()
        with client._aside._lock:
            told = in_child(lambda: str(asyncio.run(client.aio.cancel("img_0"))))
        self.assertRegex(told, "^WrongProcess: ")

    def test_a_child_closes_a_client_of_its_parent_at_once_on_a_loop_too(self) -> None:
        client = self.client()
        client.start(prompt="a cat [never]")

        def closes() -> str:
            started = time.monotonic()
            return f"{asyncio.run(client.aio.close())} {time.monotonic() - started < 2}"

        self.assertEqual(in_child(closes), "False True")
        self.assertEqual(client.pending, 1)

    def test_a_child_reads_what_its_parent_had(self) -> None:
        client = self.client()
        task = client.wait(client.submit(prompt="a cat", size="64x48"), timeout=20)
        picture = client.download(task)
        self.assertEqual(in_child(lambda: f"{task.model} {task.raw['id']} {len(picture.data)}").split()[-2], task.id)
        self.assertEqual(in_child(lambda: str(picture.rgba().width)), "64")

    def test_a_child_that_ends_leaves_the_client_of_its_parent_alone(self) -> None:
        client = self.client()
        op = client.start(prompt="a cat [duration:5]")

        def goes() -> str:
            nonlocal client
            client.close()
            del client
            return "gone"

        self.assertEqual(in_child(goes), "gone")
        self.assertEqual([event.op for event in client.events(20)], [op])

    def test_a_fork_while_another_thread_loads_the_library_leaves_the_child_free_to(self) -> None:
        held, leave = threading.Event(), threading.Event()

        def holds() -> None:
            with _library._loading:
                held.set()
                leave.wait(30)

        thread = threading.Thread(target=holds)
        thread.start()
        self.assertTrue(held.wait(10))
        try:
            with unittest.mock.patch.object(_library.loaded, "library", None):
                told = in_child(lambda: imgtask.load(library_file()).version)
        finally:
            leave.set()
            thread.join(10)
        self.assertEqual(told, imgtask.library_version())
