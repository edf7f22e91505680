"""The calls of a client for asyncio: the same results and errors as those that block, on one loop, without a thread each."""

import asyncio
import gc
import os
import sys
import threading
import time
import unittest
import unittest.mock
import warnings
from typing import Any, AsyncIterator, Awaitable, Callable, Dict, Iterator, List, Optional, Tuple

import imgtask
from imgtask import State, _inbox

from .support import WithSandbox

#: No task has it.
UNKNOWN = "img_000000000000000000000000"


class Looped(WithSandbox, unittest.IsolatedAsyncioTestCase):
    """Tests that run on a loop, and leave no handle behind while it still runs."""

    def setUp(self) -> None:
        super().setUp()
        # What asyncio leaves behind in rings is not this package's.
        self.addCleanup(gc.collect)

    async def asyncSetUp(self) -> None:
        # Loops of tests tell what takes long; some of these tests do much in one turn.
        asyncio.get_running_loop().slow_callback_duration = 60
        asyncio.get_running_loop().call_later(60, self.give_up)

    def give_up(self) -> None:
        """Nothing waits for ever."""
        for task in asyncio.all_tasks():
            task.cancel()

    async def until(self, true: Callable[[], object]) -> None:
        """Waits for something that other threads bring about."""
        deadline = time.monotonic() + 10
        while not true():
            self.assertLess(time.monotonic(), deadline)
            await asyncio.sleep(0.002)

    async def told(self, call: Callable[[], Awaitable[object]]) -> Tuple[Any, ...]:
        """What a call raises."""
        try:
            await call()
        except imgtask.Error as error:
            state = None if error.task is None else (error.task.id, error.task.state)
            return type(error), str(error), error.status, error.http_status, error.task_id, state
        raise AssertionError("nothing was raised")

    def told_blocking(self, call: Callable[[], object]) -> Tuple[Any, ...]:
        """What a call that blocks raises."""

        async def called() -> object:
            return call()

        coroutine = self.told(called)
        try:
            coroutine.send(None)
        except StopIteration as stop:
            told: Tuple[Any, ...] = stop.value
            return told
        raise AssertionError("it waited")


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
        with self.assertRaises(asyncio.CancelledError) as caught:
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


class Watching(Looped):
    async def test_each_ref_has_one_outcome(self) -> None:
        client = self.client()
        ids = self.sandbox.make(300)
        done = [each async for each in client.aio.watch(ids, in_flight=40)]
        self.assertEqual(sorted(each.ref for each in done), sorted(ids))
        self.assertEqual({each.error for each in done}, {None})
        self.assertEqual(client.pending, 0)

    async def test_images_come_as_bytes_pixels_and_files(self) -> None:
        client = self.client()
        ids = self.sandbox.make(3)
        async for done in client.aio.watch(ids, goal="bytes"):
            assert done.picture is not None
            self.assertEqual(done.picture.width, 8)
        async for done in client.aio.watch(ids, goal="pixels", max_side=4):
            assert done.pixels is not None
            self.assertEqual(done.pixels.width, 4)
        async for done in client.aio.watch(ids, download_to=self.folder / "images"):
            self.assertEqual(done.path, self.folder / "images" / f"{done.ref}.png")
        two = client.wait(client.submit(prompt="cats", n=2, size="64x48"), 20)
        async for done in client.aio.watch([two], goal="bytes", index="all"):
            self.assertEqual(len({picture.sha256 for picture in done.pictures}), 2)

    async def test_refs_may_be_an_async_iterable_that_makes_one_wait(self) -> None:
        client = self.client()
        ids = self.sandbox.make(5)
        seen: List[str] = []
        closed: List[str] = []

        async def slowly() -> AsyncIterator[str]:
            try:
                for ref in ids:
                    # Goes on when the outcome of the one before was seen.
                    await self.until(lambda: len(seen) == ids.index(ref))
                    yield ref
            finally:
                closed.append("closed")

        async for done in client.aio.watch(slowly()):
            seen.append(done.ref)
        self.assertEqual((seen, closed), (ids, ["closed"]))

    async def test_what_goes_wrong_is_an_outcome_and_mistakes_end_the_loop(self) -> None:
        client = self.client()
        refs: List[Any] = [UNKNOWN, "a/b", *self.sandbox.make(1, "a cat [fail]"), *self.sandbox.make(1)]
        outcomes = {done.ref: type(done.error) async for done in client.aio.watch(refs)}
        kinds = [imgtask.NotFound, imgtask.InvalidArgument, imgtask.TaskFailed, type(None)]
        self.assertEqual([outcomes[ref] for ref in refs], kinds)
        with self.assertRaisesRegex(TypeError, "int"):
            async for _ in client.aio.watch([7]):  # type: ignore[list-item]
                pass
        with self.assertRaisesRegex(TypeError, "one text"):
            client.aio.watch("img_0")
        with self.assertRaises(imgtask.InvalidArgument):
            client.aio.watch([], in_flight=0)
        self.assertEqual(client.pending, 0)

    async def test_a_source_that_raises_ends_the_loop_and_its_jobs(self) -> None:
        client = self.client()

        async def broken() -> AsyncIterator[str]:
            yield client.submit(prompt="a cat [never]").id
            raise RuntimeError("no more")

        with self.assertRaisesRegex(RuntimeError, "no more"):
            async for _ in client.aio.watch(broken()):
                pass
        await self.until(lambda: not client._inbox._claims)

    async def test_refs_are_pulled_only_as_there_is_room(self) -> None:
        client = self.client()
        ids = self.sandbox.make(60)
        pulled = read = 0

        def counted() -> Iterator[str]:
            nonlocal pulled
            for ref in ids:
                pulled += 1
                yield ref

        async for _ in client.aio.watch(counted(), in_flight=8):
            read += 1
            self.assertLessEqual(pulled, read + 8)
            self.assertLessEqual(client.pending, 8)
            await asyncio.sleep(0)
        self.assertEqual(read, 60)

    async def test_a_client_with_less_room_takes_them_all_in_turn(self) -> None:
        client = self.client(max_pending=3)
        ids = self.sandbox.make(12)
        self.assertEqual(sorted([each.ref async for each in client.aio.watch(ids)]), sorted(ids))
        for _ in range(3):
            client.start(prompt="a cat [never]")
        with self.assertRaises(imgtask.Busy):
            async for _ in client.aio.watch(ids):
                pass
        with self.assertRaises(imgtask.Busy):
            await client.aio.wait(ids[0])

    async def test_leaving_the_loop_stops_what_is_left_and_ends_the_source(self) -> None:
        client = self.client()
        closed: List[str] = []

        async def endless() -> AsyncIterator[Any]:
            try:
                yield {"prompt": "a cat"}
                while True:
                    yield {"prompt": "a cat [never]"}
                    await asyncio.sleep(0.001)
            except asyncio.CancelledError:
                closed.append("cancelled")
                raise

        watching = client.aio.watch(endless(), in_flight=10_000)
        async for done in watching:
            await self.until(lambda: client.pending > 3)
            break
        await watching.aclose()
        self.assertEqual(closed, ["cancelled"])
        await self.until(lambda: not client._inbox._claims)
        self.assertEqual(client.pending, 0)
        del done

    async def test_cancelling_a_watch_stops_what_is_left(self) -> None:
        client = self.client()
        refs = self.sandbox.make(20, "a cat [never]")

        async def watched() -> None:
            async for _ in client.aio.watch(refs):
                pass

        with self.assertRaises(asyncio.TimeoutError):
            await asyncio.wait_for(watched(), 0.1)
        await self.until(lambda: not client._inbox._claims)
        self.assertEqual(client.pending, 0)

    async def test_progress_is_told_with_the_ref(self) -> None:
        client = self.client()
        task = client.submit(prompt="a cat [duration:40]")
        told: List[Tuple[imgtask.Task, Any]] = []

        async def tell(seen: imgtask.Task, ref: Any) -> None:
            told.append((seen, ref))

        for on_progress in (lambda seen, ref: told.append((seen, ref)), tell):
            async for _ in client.aio.watch([{"prompt": "a cat [duration:40]"}, task], on_progress=on_progress):
                pass
            self.assertTrue(any(ref is not task for _, ref in told))
            self.assertFalse(any(seen.is_final for seen, _ in told))
            del told[:]


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


class Together(Looped):
    async def test_threads_and_loops_share_a_client(self) -> None:
        client = self.client()
        shares = [self.sandbox.make(60) for _ in range(5)]
        got: List[List[str]] = [[] for _ in shares]
        loose = [client.start(ref) for ref in self.sandbox.make(30)]
        events: List[int] = []

        async def gathered(share: List[str]) -> List[str]:
            return [task.id for task in await asyncio.gather(*map(client.aio.wait, share))]

        def watched() -> None:
            got[0] = [done.ref for done in client.watch(shares[0], in_flight=20)]

        def waited() -> None:
            got[1] = [client.wait(ref, on_progress=lambda task: None).id for ref in shares[1]]

        def on_a_loop_of_its_own() -> None:
            got[2] = asyncio.run(gathered(shares[2]))

        def followed() -> None:
            events.extend(event.op for event in client.events())

        threads = [threading.Thread(target=each) for each in (watched, waited, on_a_loop_of_its_own, followed)]
        for thread in threads:
            thread.start()
        got[3] = await gathered(shares[3])
        got[4] = [done.ref async for done in client.aio.watch(shares[4], in_flight=20)]
        await self.until(lambda: not any(thread.is_alive() for thread in threads))
        self.assertEqual([sorted(each) for each in got], [sorted(share) for share in shares])
        self.assertEqual(sorted(events), sorted(loose))
        await self.until(lambda: client.pending == 0)

    async def test_a_thread_gets_its_events_at_once_although_a_loop_takes_them(self) -> None:
        client = self.client()
        ids = self.sandbox.make(200)
        never = asyncio.ensure_future(client.aio.wait(self.sandbox.make(1, "a cat [never]")[0]))
        took: List[float] = []

        def watched() -> None:
            started = time.monotonic()
            for _ in client.watch(ids, in_flight=1):
                pass
            took.append(time.monotonic() - started)

        # Who is not told waits for the next glance.
        with unittest.mock.patch.object(_inbox, "GLANCE", 5):
            thread = threading.Thread(target=watched)
            thread.start()
            await self.until(lambda: took)
            thread.join()
        self.assertLess(took[0], 4)
        never.cancel()
        await asyncio.wait([never])

    async def test_a_thread_that_waited_first_is_told_what_a_loop_takes_later(self) -> None:
        client = self.client()
        (ref,) = self.sandbox.make(1, "a cat [duration:30]")
        took: List[float] = []

        def watched() -> None:
            started = time.monotonic()
            for _ in client.watch([ref]):
                pass
            took.append(time.monotonic() - started)

        # The queue tells nobody: what is left is the loop's word, and the next glance.
        silent, writer = os.pipe()
        handle = client._client()
        thread = threading.Thread(target=watched)
        with unittest.mock.patch.object(_inbox, "GLANCE", 5):
            with unittest.mock.patch.object(_inbox.Inbox, "queue_fd", return_value=silent):
                thread.start()
                await self.until(lambda: client._inbox._leader)
                while not took:
                    client._inbox.sort(handle, 256)
                    await asyncio.sleep(0.002)
                thread.join()
        os.close(silent)
        os.close(writer)
        self.assertLess(took[0], 4)

    async def test_events_of_jobs_go_to_who_started_them(self) -> None:
        client = self.client()
        op = client.start(prompt="a cat")
        arrived = asyncio.Event()
        asyncio.get_running_loop().add_reader(client.fileno(), arrived.set)
        await client.aio.wait(await client.aio.submit(prompt="a dog"), 20)
        await asyncio.wait_for(arrived.wait(), 10)
        asyncio.get_running_loop().remove_reader(client.fileno())
        self.assertEqual([event.op for event in client.events(5)], [op])

    async def test_a_thousand_waits_take_no_thread_of_their_own(self) -> None:
        client = self.client()
        ids = self.sandbox.make(900) + self.sandbox.make(100, "a cat [duration:60]")
        before = threading.active_count()
        waits = [asyncio.ensure_future(client.aio.wait(ref)) for ref in ids]
        await asyncio.sleep(0)
        self.assertEqual(threading.active_count(), before)
        done = await asyncio.gather(*waits)
        self.assertEqual([task.id for task in done], ids)
        self.assertEqual(threading.active_count(), before)
        del done, waits

    async def test_the_time_for_many_waits_grows_with_their_number_alone(self) -> None:
        client = self.client()
        (ref,) = self.sandbox.make(1, "a cat [never]")
        asyncio.get_running_loop().set_debug(False)

        async def cost(count: int) -> float:
            """Processor seconds for one of so many waits, from beginning to end."""
            started = time.thread_time()
            waits = [asyncio.ensure_future(client.aio.wait(ref)) for _ in range(count)]
            await asyncio.sleep(0)
            for wait in waits:
                wait.cancel()
            await asyncio.wait(waits)
            await self.until(lambda: not client._inbox._claims)
            return (time.thread_time() - started) / count

        await cost(200)
        few = min([await cost(200) for _ in range(3)])
        many = min([await cost(4_000) for _ in range(2)])
        self.assertLess(many, 4 * few, f"{few * 1e6:.0f} us each of few, {many * 1e6:.0f} us each of many")


class Loops(WithSandbox):
    """A client outlives the loops that it is used on."""

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(gc.collect)

    def test_a_client_goes_from_one_loop_to_the_next(self) -> None:
        client = self.client()

        async def once() -> str:
            return (await client.aio.wait(await client.aio.submit(prompt="a cat"), 20)).id

        self.assertEqual(len({asyncio.run(once()) for _ in range(5)}), 5)
        self.assertEqual(client.pending, 0)

    def test_a_loop_that_ends_stops_what_was_awaited_there(self) -> None:
        client = self.client()
        refs = self.sandbox.make(50, "a cat [never]")

        async def left() -> None:
            for ref in refs:
                asyncio.ensure_future(client.aio.wait(ref))
            await asyncio.sleep(0.05)
            self.assertEqual(client.pending, 50)

        asyncio.run(left())
        self.assertEqual(client.pending, 0)
        # The next loop, or whoever reads events, takes what the first one left in the library.
        self.assertEqual(asyncio.run(self.one(client)), State.SUCCEEDED)
        self.assertEqual((len(client._inbox._claims), list(client.events(0.2))), (0, []))

    async def one(self, client: imgtask.Client) -> State:
        return (await client.aio.wait(await client.aio.submit(prompt="a cat"), 20)).state

    def test_a_loop_closed_in_the_middle_of_a_wait_leaves_nothing_when_that_is_forgotten(self) -> None:
        client = self.client()
        (never,) = self.sandbox.make(1, "a cat [never]")
        loop = asyncio.new_event_loop()
        said: List[Dict[str, Any]] = []
        loop.set_exception_handler(lambda _, told: said.append(told))
        waiting = loop.create_task(client.aio.wait(never))
        loop.run_until_complete(asyncio.sleep(0.05))
        loop.close()
        # Its events go nowhere, and hold nobody up.
        self.assertEqual(len(list(client.watch(self.sandbox.make(3)))), 3)
        self.assertEqual(client.pending, 1)
        del waiting
        gc.collect()
        del said[:]
        deadline = time.monotonic() + 10
        while client._inbox._claims and time.monotonic() < deadline:
            self.assertIsNone(client.next_event(0.01))
        self.assertEqual((client.pending, len(client._inbox._boxes)), (0, 1))

    def test_a_watch_on_a_loop_that_was_closed_leaves_nothing_when_it_is_forgotten(self) -> None:
        client = self.client()
        refs = self.sandbox.make(5, "a cat [never]")
        loop = asyncio.new_event_loop()
        watching = client.aio.watch([*self.sandbox.make(1), *refs])

        async def first() -> None:
            # On the loop, which is then to end the generator, and cannot when it is closed.
            await watching.__anext__()

        loop.run_until_complete(first())
        loop.close()
        self.assertEqual(client.pending, 5)
        with warnings.catch_warnings():
            # The task that pulled refs was not done.
            warnings.simplefilter("ignore")
            del watching
            gc.collect()
        self.assertEqual((client.pending, len(client._inbox._boxes)), (0, 1))

    def test_two_loops_use_a_client_at_once(self) -> None:
        client = self.client()
        shares = [self.sandbox.make(100) for _ in range(3)]
        got: List[List[str]] = [[] for _ in shares]

        async def gathered(share: List[str]) -> List[str]:
            return [task.id for task in await asyncio.gather(*map(client.aio.wait, share))]

        def on_a_loop(place: int) -> None:
            got[place] = asyncio.run(gathered(shares[place]))

        threads = [threading.Thread(target=on_a_loop, args=(place,)) for place in range(len(shares))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual(got, shares)

    def test_without_a_loop_a_call_says_so(self) -> None:
        client = self.client()
        call = client.aio.wait(UNKNOWN)
        with self.assertRaisesRegex(RuntimeError, "no running event loop"):
            call.send(None)

    def test_a_watch_that_nobody_ended_is_ended_with_its_loop(self) -> None:
        client = self.client()
        kept: List[Any] = []

        async def left() -> None:
            watching = client.aio.watch([{"prompt": "a cat"}, *self.sandbox.make(5, "a cat [never]")])
            kept.append(watching)
            await watching.__anext__()

        asyncio.run(left())
        self.assertEqual((client.pending, len(client._inbox._boxes)), (0, 1))
        del kept[:]


class Closing(Looped):
    async def test_a_client_is_closed_by_async_with(self) -> None:
        async with self.client().aio as client:
            self.assertEqual(repr(client), "<imgtask.Client for dimilinks>.aio")
            task = await client.submit(prompt="a cat")
        with self.assertRaises(imgtask.Closed):
            await client.wait(task)
        with self.assertRaises(imgtask.Closed):
            await client.cancel(task)
        with self.assertRaises(imgtask.Closed):
            client.watch([task])
        self.assertTrue(await client.close())

    async def test_who_waits_is_told_and_the_loop_goes_on(self) -> None:
        for close_it in (lambda client: client.aio.close(), self.close_blocking):
            client = self.client()
            refs = self.sandbox.make(20, "a cat [never]")
            waits = [asyncio.ensure_future(client.aio.wait(ref)) for ref in refs]
            watching = asyncio.ensure_future(self.first(client.aio.watch(refs[:1])))
            await self.until(lambda: client.stats().pending == 21)
            started = time.monotonic()
            self.assertTrue(await close_it(client))
            for ref, wait in zip(refs, waits):
                with self.assertRaises(imgtask.Cancelled) as caught:
                    await wait
                self.assertEqual(caught.exception.task_id, ref)
                del caught
            self.assertIsInstance((await watching).error, imgtask.Cancelled)
            self.assertLess(time.monotonic() - started, 1)
            del wait, waits, watching

    async def close_blocking(self, client: imgtask.Client) -> bool:
        return client.close()

    async def first(self, outcomes: AsyncIterator[imgtask.Outcome]) -> imgtask.Outcome:
        return await outcomes.__anext__()

    async def test_a_client_that_nobody_holds_is_freed_at_once(self) -> None:
        before = imgtask.live_handles()
        client = self.sandbox.client()
        task = await client.aio.wait(await client.aio.submit(prompt="a cat"), 20)
        await client.aio.download(task)
        del client, task
        self.assertEqual(imgtask.live_handles(), before)

    async def test_descriptors_are_given_back(self) -> None:
        def opened() -> int:
            return len(os.listdir("/proc/self/fd"))

        before = opened()
        client = self.sandbox.client()
        for _ in range(3):
            await client.aio.wait(await client.aio.submit(prompt="a cat"), 20)
            await asyncio.sleep(2 * _inbox.GLANCE)
        await client.aio.close()
        del client
        await asyncio.sleep(2 * _inbox.GLANCE)
        self.assertEqual(opened(), before)


class WithoutDescriptor(Looped):
    """Where a queue has no descriptor, or a loop takes none, one timer asks for all."""

    async def all_is_well(self) -> None:
        client = self.client()
        ids = self.sandbox.make(100)
        started = time.monotonic()
        done = await asyncio.gather(*map(client.aio.wait, ids))
        self.assertEqual([task.id for task in done], ids)
        self.assertLess(time.monotonic() - started, 5)
        self.assertEqual(len([each async for each in client.aio.watch(ids, in_flight=10)]), 100)
        with self.assertRaises(asyncio.TimeoutError):
            await asyncio.wait_for(client.aio.wait(self.sandbox.make(1, "a cat [never]")[0]), 0.1)
        await self.until(lambda: not client._inbox._claims)
        self.assertTrue(await client.aio.close())
        del done

    async def test_a_queue_without_a_descriptor_is_asked_again_and_again(self) -> None:
        unsupported = imgtask.Unsupported("none here", status=imgtask.Status.UNSUPPORTED)
        with unittest.mock.patch.object(_inbox.Inbox, "queue_fd", side_effect=unsupported) as asked:
            await self.all_is_well()
        self.assertTrue(asked.called)

    async def test_so_it_is_on_a_loop_that_takes_no_descriptors(self) -> None:
        loop = asyncio.get_running_loop()
        with unittest.mock.patch.object(type(loop), "add_reader", side_effect=NotImplementedError) as asked:
            await self.all_is_well()
        self.assertTrue(asked.called)
