"""Loops and threads that share a client, one loop after the other, and how a client is closed on one."""

import asyncio
import gc
import os
import threading
import time
import unittest.mock
import warnings
from typing import Any, AsyncIterator, Dict, List

import imgtask
from imgtask import State, _inbox

from .looped import UNKNOWN, Looped
from .support import WithSandbox


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
