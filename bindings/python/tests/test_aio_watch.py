"""Many tasks, watched at once on an event loop."""

import asyncio
from typing import Any, AsyncIterator, Iterator, List, Tuple

import imgtask

from .looped import UNKNOWN, Looped


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

    async def test_what_goes_wrong_is_an_outcome_and_a_watch_that_cannot_be_is_refused(self) -> None:
        client = self.client()
        refs: List[Any] = [UNKNOWN, "a/b", *self.sandbox.make(1, "a cat [fail]"), *self.sandbox.make(1)]
        outcomes = {done.ref: type(done.error) async for done in client.aio.watch(refs)}
        kinds = [imgtask.NotFound, imgtask.InvalidArgument, imgtask.TaskFailed, type(None)]
        self.assertEqual([outcomes[ref] for ref in refs], kinds)
        wrong: List[Any] = [7, None, float("nan"), object()]
        errors = [done.error async for done in client.aio.watch([*wrong, *self.sandbox.make(1)])]
        self.assertEqual([type(error) for error in errors].count(imgtask.InvalidArgument), len(wrong))
        self.assertEqual((len(errors), errors.count(None)), (len(wrong) + 1, 1))
        with self.assertRaisesRegex(TypeError, "one text"):
            client.aio.watch("img_0")
        with self.assertRaisesRegex(TypeError, "one request"):
            client.aio.watch({"prompt": "a cat"})
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

    async def test_requests_that_still_wait_are_not_sent_when_all_are_cancelled(self) -> None:
        client = self.client(max_workers=5)

        async def watched() -> None:
            async for _ in client.aio.watch([{"prompt": "a cat [create.delay:20000]"}] * 200):
                pass

        async def submitted() -> None:
            await asyncio.gather(*(client.aio.submit(prompt="a cat [create.delay:20000]") for _ in range(200)))

        for call in (watched, submitted):
            before = self.sandbox.submits()
            task = asyncio.ensure_future(call())
            await self.until(lambda: self.sandbox.submits() - before >= 3)
            sent = self.sandbox.submits()
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            await self.until(lambda: not client.stats().in_flight and not client._inbox._claims)
            self.assertLess(sent - before, 10)
            # Those that were on their way.
            self.assertLessEqual(self.sandbox.submits() - sent, 2, call.__name__)

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
