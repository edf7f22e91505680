"""The calls of a client for asyncio: the same results and errors as those that block, on one loop, without a thread each."""

import asyncio
import sys
import threading
import time
import unittest.mock
from typing import Any, Callable, List, Optional, Tuple

import imgtask
from imgtask import State, _aio

from .looped import UNKNOWN, Looped


class Calls(Looped):
    async def test_a_task_is_submitted_waited_for_and_downloaded(self) -> None:
        client = self.client()
        task = await client.aio.submit(prompt="a cat [duration:5]", size="64x48")
        self.assertIn(task.state, (State.QUEUED, State.RUNNING))
        self.assertEqual((await client.aio.fetch(task)).id, task.id)
        done = await client.aio.wait(task, 20)
        self.assertEqual((done.id, done.state, done.progress), (task.id, State.SUCCEEDED, 100))
        picture = await client.aio.download(done)
        self.assertEqual(picture, client.download(done))
        saved = await client.aio.download_file(done, self.folder / "cat.png")
        self.assertEqual(saved.path.read_bytes(), picture.data)
        self.assertEqual((client.pending, client.stats().in_flight), (0, 0))

    async def test_requests_are_taken_as_the_blocking_call_takes_them(self) -> None:
        client = self.client()
        for request, members in (({"prompt": "a cat"}, {}), ('{"prompt": "a cat"}', {}), (None, {"prompt": "a cat"})):
            self.assertRegex((await client.aio.submit(request, **members)).id, "^img_")
        with self.assertRaisesRegex(imgtask.InvalidArgument, "JSON"):
            await client.aio.submit("no JSON")
        self.assertEqual(
            await self.told(lambda: client.aio.submit(prompt=7)), self.told_blocking(lambda: client.submit(prompt=7))
        )

    async def test_a_synchronous_answer_is_final_at_once(self) -> None:
        client = self.client("lemondata")
        task = await client.aio.submit(prompt="a cat", model="gpt-image-2", sync=True)
        again = client.submit(prompt="a cat", model="gpt-image-2", sync=True)
        self.assertEqual((task.state, len(task.images)), (again.state, len(again.images)))

    async def test_errors_are_those_of_the_blocking_calls(self) -> None:
        client = self.client()
        never = client.submit(prompt="a cat [never]")
        failed = client.wait(client.submit(prompt="a cat [fail]"), 20, raise_on_failure=False)
        spoilt = client.wait(client.submit(prompt="a cat [image-html]"), 20)
        path = self.folder / "no folder" / "cat.png"
        both: List[Tuple[Callable[[Any], Any], Any]] = [
            (lambda calls: calls.fetch(UNKNOWN), imgtask.NotFound),
            (lambda calls: calls.wait(UNKNOWN), imgtask.NotFound),
            (lambda calls: calls.wait("a/b"), imgtask.InvalidArgument),
            (lambda calls: calls.wait(""), imgtask.InvalidArgument),
            (lambda calls: calls.wait(never, 0), imgtask.Timeout),
            (lambda calls: calls.wait(UNKNOWN, 0), imgtask.NotFound),
            (lambda calls: calls.wait(failed.id, 0), imgtask.TaskFailed),
            (lambda calls: calls.wait(failed), imgtask.TaskFailed),
            (lambda calls: calls.wait(failed.id), imgtask.TaskFailed),
            (lambda calls: calls.wait(never, -1), imgtask.InvalidArgument),
            (lambda calls: calls.cancel(never), imgtask.Unsupported),
            (lambda calls: calls.download(spoilt), imgtask.BadImage),
            (lambda calls: calls.download(failed), imgtask.NoImage),
            (lambda calls: calls.download(never), imgtask.NoImage),
            (lambda calls: calls.download(spoilt, 1), imgtask.InvalidArgument),
            (lambda calls: calls.download(spoilt, -1), imgtask.InvalidArgument),
            (lambda calls: calls.download(spoilt.images[0], 1), imgtask.InvalidArgument),
            (lambda calls: calls.download_file(spoilt, path), imgtask.FileError),
        ]
        for call, kind in both:
            told, blocking = await self.told(lambda: call(client.aio)), self.told_blocking(lambda: call(client))
            self.assertEqual((told[0], told[:-1]), (kind, blocking[:-1]))
            if kind is imgtask.FileError:
                for calls in (client, client.aio):
                    with self.assertRaises(imgtask.FileError) as caught:
                        saved: Any = calls.download_file(spoilt, path)
                        await saved
                    self.assertEqual(caught.exception.filename, str(path))
            # A download that failed knows its task here.
            self.assertIn(blocking[-1], (told[-1], None))
        for wrong in (7, None, b"img_0"):
            with self.assertRaises(TypeError):
                await client.aio.wait(wrong)  # type: ignore[arg-type]
            with self.assertRaises(TypeError):
                await client.aio.download(wrong)  # type: ignore[arg-type]
        self.assertEqual(client.pending, 0)

    async def test_a_look_at_a_service_that_is_not_there_says_so(self) -> None:
        client = self.client(base_url="http://127.0.0.1:9/v1")
        told = await self.told(lambda: client.aio.fetch(UNKNOWN))
        self.assertEqual(told, self.told_blocking(lambda: client.fetch(UNKNOWN)))
        self.assertEqual(told[0], imgtask.ConnectError)
        told = await self.told(lambda: client.aio.wait(UNKNOWN, 0))
        self.assertEqual(told, self.told_blocking(lambda: client.wait(UNKNOWN, 0)))
        self.assertEqual((told[0], told[-1]), (imgtask.Timeout, (UNKNOWN, State.UNKNOWN)))

    async def test_a_wait_that_is_over_tells_what_was_seen(self) -> None:
        client = self.client()
        never = client.submit(prompt="a cat [never]")
        for timeout in (0, 0.2):
            with self.assertRaises(imgtask.Timeout) as late:
                await client.aio.wait(never, timeout)
            assert late.exception.task is not None
            self.assertEqual((late.exception.task.id, late.exception.task_id), (never.id, never.id))
            del late

    async def test_a_wait_without_time_looks_once(self) -> None:
        client = self.client()
        never = client.submit(prompt="a cat [never]")
        for _ in range(5):
            with self.assertRaises(imgtask.Timeout):
                await client.aio.wait(never, 0)
        (looks,) = (task["looks"] for task in self.sandbox.control("tasks") if task["id"] == never.id)
        self.assertEqual(looks, 5)

    async def test_every_one_of_many_waits_without_time_has_its_look(self) -> None:
        # One that does not know how often it may look lets the last of them wait for a second or two.
        client = self.client(max_requests_per_minute=None)
        refs = self.sandbox.make(15, "a cat [never]") + self.sandbox.make(15)
        told = await asyncio.gather(*(client.aio.wait(ref, 0) for ref in refs), return_exceptions=True)
        self.assertEqual([type(each) for each in told], [imgtask.Timeout] * 15 + [imgtask.Task] * 15)
        for ref, each in zip(refs, told):
            task = each.task if isinstance(each, imgtask.Timeout) else each
            assert isinstance(task, imgtask.Task)
            self.assertEqual((task.id, task.looked_at is None), (ref, False))
        del told, each, task

    async def test_a_task_that_failed_is_given_where_asked_for(self) -> None:
        client = self.client()
        failed = await client.aio.wait(await client.aio.submit(prompt="a cat [fail]"), 20, raise_on_failure=False)
        self.assertEqual(failed.state, State.FAILED)
        self.assertIs(await client.aio.wait(failed, raise_on_failure=False), failed)

    async def test_progress_is_told_to_functions_and_to_coroutines(self) -> None:
        client = self.client()
        seen: List[imgtask.Task] = []

        async def slowly(task: imgtask.Task) -> None:
            await asyncio.sleep(0)
            seen.append(task)

        for on_progress in (seen.append, slowly):
            del seen[:]
            done = await client.aio.wait(client.submit(prompt="a cat [duration:60]"), 20, on_progress=on_progress)
            self.assertEqual(done.state, State.SUCCEEDED)
            self.assertTrue(seen)
            self.assertFalse(any(task.is_final for task in seen))

    async def test_what_on_progress_raises_ends_the_wait(self) -> None:
        client = self.client()

        def refuse(task: imgtask.Task) -> None:
            raise RuntimeError("enough")

        with self.assertRaisesRegex(RuntimeError, "enough"):
            await client.aio.wait(client.submit(prompt="a cat [never]"), on_progress=refuse)
        await self.until(lambda: client.pending == 0)

    async def test_on_progress_may_raise_what_an_interrupt_raises(self) -> None:
        client = self.client()
        told: List[imgtask.Task] = []

        def stop(task: imgtask.Task) -> None:
            told.append(task)
            raise imgtask.Cancelled("the user has had enough")

        with self.assertRaisesRegex(imgtask.Cancelled, "had enough"):
            await client.aio.wait(client.submit(prompt="a cat [never]"), on_progress=stop)
        self.assertEqual(len(told), 1)
        await self.until(lambda: client.pending == 0)
        del told

    async def test_a_provider_is_asked_to_cancel(self) -> None:
        client = self.client("lemondata")
        request = {"prompt": "a cat [video] [hold:queued]", "model": "gpt-image-2"}
        task = await client.aio.submit(request)
        self.assertEqual((await client.aio.cancel(task)).state, State.CANCELLED)
        with self.assertRaises(imgtask.NotFound):
            await client.aio.cancel("img_nobody")
        tasks = [await client.aio.submit(request) for _ in range(20)]
        ended = await asyncio.gather(*map(client.aio.cancel, tasks))
        self.assertEqual({task.state for task in ended}, {State.CANCELLED})
        del ended, tasks

    async def test_at_most_four_threads_ask_a_provider_to_cancel(self) -> None:
        client = self.client()
        asking: List[str] = []
        answered = threading.Event()

        def cancel(ref: str) -> str:
            asking.append(ref)
            answered.wait(20)
            return ref

        with unittest.mock.patch.object(client, "cancel", cancel):
            calls = [asyncio.ensure_future(client.aio.cancel(f"img_{number}")) for number in range(20)]
            await self.until(lambda: len(asking) == 4)
            # One that has begun goes on, one that has not never begins.
            calls[0].cancel()
            calls[19].cancel()
            await asyncio.sleep(0.05)
            self.assertEqual(len(asking), 4)
            answered.set()
            await asyncio.wait(calls)
        self.assertEqual(sorted(asking), sorted(f"img_{number}" for number in range(19)))
        await self.until(lambda: not any(thread.name == "imgtask-aside" for thread in threading.enumerate()))
        del calls


class Cancelling(Looped):
    async def assert_nothing_is_left(self, client: imgtask.Client) -> None:
        """The last events of what was stopped are taken out of the library, too, although nobody asks for any."""
        await self.until(lambda: client.stats().events_waiting == 0 and not client._inbox._claims)
        self.assertEqual((client.pending, len(client._inbox._boxes), client.stats().in_flight), (0, 1, 0))

    async def test_cancelling_a_wait_stops_its_job(self) -> None:
        client = self.client()
        never = client.submit(prompt="a cat [never]")
        waiting = asyncio.ensure_future(client.aio.wait(never))
        await self.until(lambda: client.pending == 1)
        waiting.cancel()
        started = time.monotonic()
        with self.assertRaises(asyncio.CancelledError):
            await waiting
        self.assertLess(time.monotonic() - started, 0.1)
        await self.assert_nothing_is_left(client)
        # The task is still with the service.
        self.assertFalse(client.fetch(never).is_final)

    async def test_a_limit_of_asyncio_ends_a_wait(self) -> None:
        client = self.client()
        never = client.submit(prompt="a cat [never]")
        with self.assertRaises(asyncio.TimeoutError):
            await asyncio.wait_for(client.aio.wait(never), 0.1)
        if sys.version_info >= (3, 11):
            with self.assertRaises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await client.aio.wait(never)
        await self.assert_nothing_is_left(client)

    async def test_one_that_fails_ends_the_others_of_its_group(self) -> None:
        client = self.client()
        refs = [client.submit(prompt="a cat [never]").id for _ in range(3)] + [UNKNOWN]
        if sys.version_info >= (3, 11):
            with self.assertRaises(ExceptionGroup) as caught:
                async with asyncio.TaskGroup() as group:
                    for ref in refs:
                        group.create_task(client.aio.wait(ref))
            self.assertEqual([type(error) for error in caught.exception.exceptions], [imgtask.NotFound])
            del caught
        else:
            waits = [asyncio.ensure_future(client.aio.wait(ref)) for ref in refs]
            with self.assertRaises(imgtask.NotFound):
                await asyncio.gather(*waits)
            for wait in waits:
                wait.cancel()
            await asyncio.wait(waits)
        await self.assert_nothing_is_left(client)

    async def test_gather_gives_results_and_errors_in_order(self) -> None:
        client = self.client()
        refs = [*self.sandbox.make(3), UNKNOWN, *self.sandbox.make(1, "a cat [fail]")]
        told = await asyncio.gather(*map(client.aio.wait, refs), return_exceptions=True)
        self.assertEqual([type(each) for each in told], [imgtask.Task] * 3 + [imgtask.NotFound, imgtask.TaskFailed])
        self.assertEqual([each.id for each in told[:3] if isinstance(each, imgtask.Task)], refs[:3])
        del told

    async def test_a_submit_that_is_cancelled_tells_what_became_of_it(self) -> None:
        client = self.client()

        async def submitted() -> Optional[BaseException]:
            try:
                await client.aio.submit(prompt="a cat [create.silent]")
            except asyncio.CancelledError as stop:
                return stop.__cause__
            return None

        known = self.sandbox.control("stats")["faults"]
        task = asyncio.ensure_future(submitted())
        # When it has arrived there.
        await self.until(lambda: self.sandbox.control("stats")["faults"] != known)
        task.cancel()
        started = time.monotonic()
        cause = await task
        self.assertIsInstance(cause, imgtask.SubmitUnknown)
        self.assertLess(time.monotonic() - started, 0.3)
        await self.assert_nothing_is_left(client)
        del cause, task

    async def test_who_awaits_the_task_of_a_submit_that_is_cancelled_is_told_too(self) -> None:
        client = self.client()
        known = self.sandbox.control("stats")["faults"]
        task = asyncio.ensure_future(client.aio.submit(prompt="a cat [create.silent]"))
        await self.until(lambda: self.sandbox.control("stats")["faults"] != known)
        task.cancel()
        # However long it takes on a busy machine.
        with unittest.mock.patch.object(_aio, "LAST_WORD", 10), self.assertRaises(asyncio.CancelledError) as caught:
            await task
        # Python up to 3.10 raises another error here, and keeps the one that the submit raised behind it.
        stop: Optional[BaseException] = caught.exception
        if sys.version_info < (3, 11):
            stop = caught.exception.__context__
        assert stop is not None
        self.assertIsInstance(stop.__cause__, imgtask.SubmitUnknown)
        await self.assert_nothing_is_left(client)
        del stop, caught, task

    async def test_a_download_that_gets_no_answer_can_be_cancelled(self) -> None:
        client = self.client()
        task = client.wait(client.submit(prompt="a cat [image.silent]"), 20)
        with self.assertRaises(asyncio.TimeoutError):
            await asyncio.wait_for(client.aio.download(task), 0.1)
        await self.assert_nothing_is_left(client)

    async def test_waits_cancelled_at_any_moment_leave_nothing(self) -> None:
        client = self.client()
        refs = self.sandbox.make(50) + self.sandbox.make(50, "a cat [never]")
        for turn in range(20):
            waits = [asyncio.ensure_future(client.aio.wait(ref, on_progress=lambda task: None)) for ref in refs]
            await asyncio.sleep(0.001 * turn)
            for wait in waits:
                wait.cancel()
            done, _ = await asyncio.wait(waits, timeout=10)
            self.assertEqual(len(done), len(refs))
            for wait in waits:
                if not wait.cancelled():
                    self.assertEqual(wait.result().state, State.SUCCEEDED)
            del wait, waits, done
        await self.assert_nothing_is_left(client)

    async def test_interrupt_ends_what_is_awaited_with_the_task(self) -> None:
        client = self.client()
        never = client.submit(prompt="a cat [never]")
        seen: List[imgtask.Task] = []
        waits = [asyncio.ensure_future(client.aio.wait(never, on_progress=seen.append)) for _ in range(3)]
        waits += [asyncio.ensure_future(client.aio.wait(never)) for _ in range(3)]
        await self.until(lambda: len(seen) >= 3)
        client.interrupt()
        for wait in waits:
            with self.assertRaisesRegex(imgtask.Cancelled, "was interrupted; it goes on") as caught:
                await wait
            assert caught.exception.task is not None
            self.assertEqual((caught.exception.task_id, caught.exception.task.id), (never.id, never.id))
            del caught
        self.assertEqual((await client.aio.fetch(never)).id, never.id)
        del seen, waits, wait
        await self.assert_nothing_is_left(client)


class Kept(Looped):
    async def test_a_journal_keeps_what_was_cancelled_and_nothing_else(self) -> None:
        journal = self.folder / "journal"
        client = self.client(journal_path=journal)
        await client.aio.wait(await client.aio.submit(prompt="a cat"), 20)
        never = await client.aio.submit(prompt="a cat [never]")
        with self.assertRaises(asyncio.TimeoutError):
            await asyncio.wait_for(client.aio.wait(never), 0.2)
        watching = client.aio.watch([{"prompt": "a dog"}])
        self.assertIsNone((await watching.__anext__()).error)
        # Going on tells the journal that it was dealt with.
        with self.assertRaises(StopAsyncIteration):
            await watching.__anext__()
        self.assertTrue(await client.aio.close())
        del watching

        again = self.client(journal_path=journal)
        self.assertEqual(again.resume(), 1)
        event = again.next_event(10)
        assert event is not None and event.task is not None
        self.assertEqual((event.kind, event.task.id), (imgtask.EventKind.RESUMED, never.id))
        again.stop(event.op)
        del event

    async def test_the_log_s_lines_come_while_somebody_awaits(self) -> None:
        said: List[Tuple[int, str]] = []
        client = self.client(log=lambda level, line: said.append((threading.get_ident(), line)), log_level=4)
        never = asyncio.ensure_future(client.aio.wait(await client.aio.submit(prompt="a cat [never]")))
        await self.until(lambda: any("look: task" in line for _, line in said))
        self.assertEqual({thread for thread, _ in said}, {threading.get_ident()})
        never.cancel()
        await asyncio.wait([never])
        await self.until(lambda: not client._inbox._claims)
