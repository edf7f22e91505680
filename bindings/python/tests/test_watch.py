"""Many tasks, watched at once: what is given back, in which order, and what is left behind."""

import itertools
import threading
import time
from typing import Any, Dict, Iterator, List, Tuple

import imgtask
from imgtask import State

from .support import WithSandbox


class Outcomes(WithSandbox):
    def test_each_ref_has_one_outcome(self) -> None:
        client = self.client()
        ids = self.sandbox.make(20)
        done = list(client.watch(ids))
        self.assertEqual(sorted(each.ref for each in done), sorted(ids))
        for each in done:
            assert each.task is not None
            self.assertEqual((each.task.id, each.task.state, each.error), (each.ref, State.SUCCEEDED, None))
            self.assertEqual((each.pictures, each.files, each.picture, each.path), ((), (), None, None))
        self.assertEqual(client.pending, 0)

    def test_a_ref_of_no_kind_is_an_outcome_and_the_loop_goes_on(self) -> None:
        client = self.client()
        (good,) = self.sandbox.make(1)
        wrong: List[Any] = [7, None, float("nan"), b"img_1", ["prompt"], object(), {"prompt": object()}]
        outcomes = {id(each.ref): each.error for each in client.watch([*wrong, good])}
        self.assertIsNone(outcomes.pop(id(good)))
        self.assertEqual([type(outcomes[id(ref)]) for ref in wrong], [imgtask.InvalidArgument] * len(wrong))
        self.assertRegex(str(outcomes[id(wrong[2])]), "not float")
        self.assertEqual(client.pending, 0)

    def test_what_is_done_first_comes_first(self) -> None:
        client = self.client()
        slow = client.submit(prompt="a cat [duration:100]")
        quick = client.submit(prompt="a cat [duration:5]")
        self.assertEqual([each.ref for each in client.watch([slow, quick])], [slow, quick][::-1])

    def test_refs_are_ids_addresses_tasks_and_requests(self) -> None:
        client = self.client("lemondata")
        task = client.submit(prompt="a cat", model="gpt-image-2")
        request = {"prompt": "a dog", "model": "gpt-image-2"}
        refs: List[Any] = [task, task.id, task.poll_ref, request]
        done = {id(each.ref): each for each in client.watch(refs)}
        self.assertEqual(set(done), {id(ref) for ref in refs})
        self.assertEqual({each.error for each in done.values()}, {None})

    def test_images_go_into_a_folder_or_where_a_pattern_says(self) -> None:
        client = self.client()
        ids = self.sandbox.make(3)
        folder = self.folder / "images" / "of today"
        for done in client.watch(ids, download_to=folder):
            self.assertEqual(done.path, folder / f"{done.ref}.png")
            assert done.path is not None
            self.assertEqual(done.path.read_bytes()[:4], b"\x89PNG")
        for done in client.watch(ids, download_to=self.folder / "{id}-{index}.bin"):
            self.assertEqual(done.path, self.folder / f"{done.ref}-0.bin")
        for ref in ids:
            (folder / f"{ref}.png").write_text("mine")
        kept = [done.error for done in client.watch(ids, download_to=folder, replace=False)]
        self.assertEqual({type(error) for error in kept}, {imgtask.FileError})

    def test_images_come_as_bytes_all_of_them_where_asked(self) -> None:
        client = self.client()
        one = client.wait(client.submit(prompt="cats", n=2, resolution="2k", size="64x48"), 20)
        (done,) = client.watch([one], goal="bytes")
        assert done.picture is not None
        self.assertEqual((len(done.pictures), done.picture.width), (1, 64))
        (done,) = client.watch([one], goal="bytes", index="all")
        self.assertEqual(len({picture.sha256 for picture in done.pictures}), 2)
        (done,) = client.watch([one], index="all", download_to=self.folder)
        self.assertEqual([each.path.name for each in done.files], [f"{one.id}-0.png", f"{one.id}-1.png"])

    def test_what_goes_wrong_with_a_task_is_its_outcome(self) -> None:
        client = self.client()
        failed = client.submit(prompt="a cat [fail]")
        never = client.submit(prompt="a cat [never]")
        good = client.submit(prompt="a cat")
        spoilt = client.submit(prompt="a cat [image-html]")
        refs: List[Any] = ["img_000000000000000000000000", failed, never, "a/b", "", "a\0b", good, spoilt]
        outcomes = {id(each.ref): each for each in client.watch(refs, goal="bytes", timeout=3)}
        errors = [type(outcomes[id(ref)].error) for ref in refs]
        self.assertEqual(
            errors,
            [
                imgtask.NotFound,
                imgtask.TaskFailed,
                imgtask.Timeout,
                imgtask.InvalidArgument,
                imgtask.InvalidArgument,
                imgtask.InvalidArgument,
                type(None),
                imgtask.BadImage,
            ],
        )
        task = outcomes[id(never)].task
        assert task is not None
        self.assertFalse(task.is_final)

    def test_a_mistake_in_the_program_is_refused_at_once(self) -> None:
        client = self.client()
        with self.assertRaisesRegex(TypeError, "one text"):
            client.watch("img_0")
        with self.assertRaisesRegex(TypeError, "one request"):
            client.watch({"prompt": "a cat"})
        with self.assertRaises(TypeError):
            client.watch(None)  # type: ignore[arg-type]
        wrongs: List[Dict[str, Any]] = [
            {"goal": "done"},
            {"goal": "file"},
            {"goal": "bytes", "download_to": self.folder},
            {"index": -1},
            {"in_flight": 0},
            {"goal": "bytes", "max_side": 8},
            {"timeout": 0},
            {"index": "all", "download_to": self.folder / "{id}.png"},
        ]
        for wrong in wrongs:
            with self.assertRaises(imgtask.InvalidArgument):
                client.watch([], **wrong)
        self.assertEqual(client.stats().requests, 0)

    def test_progress_is_told_with_the_ref(self) -> None:
        client = self.client()
        task = client.submit(prompt="a cat [duration:40]")
        told: List[Tuple[Any, imgtask.Task]] = []
        list(client.watch([task], on_progress=lambda seen, ref: told.append((ref, seen))))
        self.assertTrue(told)
        self.assertEqual({id(ref) for ref, _ in told}, {id(task)})
        self.assertFalse(any(seen.is_final for _, seen in told))


class Pulling(WithSandbox):
    def test_refs_without_end_are_pulled_only_as_there_is_room(self) -> None:
        client = self.client()
        ids = self.sandbox.make(40)
        pulled = 0

        def endless() -> Iterator[str]:
            nonlocal pulled
            for ref in itertools.cycle(ids):
                pulled += 1
                yield ref

        watching = client.watch(endless(), in_flight=8)
        for read, _ in enumerate(itertools.islice(watching, 100), 1):
            self.assertLessEqual(pulled, read + 8)
            self.assertLessEqual(client.pending, 8)
        watching.close()
        self.assertEqual((client.pending, list(client.events(0.2))), (0, []))

    def test_nothing_is_pulled_before_the_loop_begins(self) -> None:
        client = self.client()

        def refuse() -> Iterator[str]:
            raise AssertionError("pulled")
            yield ""

        client.watch(refuse()).close()
        client.watch(refuse())

    def test_what_is_done_does_not_wait_for_refs_that_come_later(self) -> None:
        client = self.client()
        (first,) = self.sandbox.make(1)
        for later in ("a/b", self.sandbox.make(1, "a cat [never]")[0]):
            seen = late = False

            def slowly() -> Iterator[str]:
                nonlocal late
                yield first
                deadline = time.monotonic() + 10
                # Goes on to have something until the first outcome was seen.
                while not seen and not late:
                    yield later
                    time.sleep(0.01)
                    late = time.monotonic() > deadline

            for done in client.watch(slowly()):
                if done.ref == first:
                    seen = True
                    break
            self.assertEqual((seen, late), (True, False), later)

    def test_a_source_that_raises_ends_the_loop_and_its_jobs(self) -> None:
        client = self.client()

        def broken() -> Iterator[str]:
            yield client.submit(prompt="a cat [never]").id
            raise RuntimeError("no more")

        with self.assertRaisesRegex(RuntimeError, "no more"):
            list(client.watch(broken()))
        self.assertEqual((client.pending, list(client.events(0.2))), (0, []))

    def test_a_client_with_less_room_takes_them_all_in_turn(self) -> None:
        client = self.client(max_pending=3)
        ids = self.sandbox.make(12)
        self.assertEqual(sorted(each.ref for each in client.watch(ids)), sorted(ids))
        taken = [client.start(prompt="a cat [never]") for _ in range(3)]
        with self.assertRaises(imgtask.Busy):
            list(client.watch(ids))
        for op in taken:
            client.stop(op)


class Leaving(WithSandbox):
    def assert_nothing_is_left(self, client: imgtask.Client) -> None:
        self.assertEqual(client.pending, 0)
        self.assertEqual(list(client.events(0.2)), [])
        deadline = time.monotonic() + 10
        while client.stats().in_flight and time.monotonic() < deadline:
            time.sleep(0.01)
        before = client.stats().looks
        self.assertIsNone(client.next_event(0.2))
        self.assertEqual(client.stats().looks, before, "a job goes on")

    def refs(self, client: imgtask.Client) -> List[str]:
        return [client.submit(prompt="a cat").id, *self.sandbox.make(5, "a cat [never]")]

    def test_break_stops_what_is_left(self) -> None:
        client = self.client()
        for done in client.watch(self.refs(client)):
            break
        self.assert_nothing_is_left(client)

    def test_requests_that_still_wait_are_not_sent_by_the_end(self) -> None:
        client = self.client(max_workers=5)
        refs: List[Any] = [{"prompt": "a cat [create.delay:20000]"}] * 300 + self.sandbox.make(1)
        before = self.sandbox.submits()
        for done in client.watch(refs):
            deadline = time.monotonic() + 10
            # Those that keep the workers busy.
            while self.sandbox.submits() - before < 3 and time.monotonic() < deadline:
                time.sleep(0.01)
            sent = self.sandbox.submits()
            break
        self.assert_nothing_is_left(client)
        self.assertLess(sent - before, 10)
        self.assertLessEqual(self.sandbox.submits() - sent, 2)

    def test_an_error_in_the_loop_body_stops_what_is_left(self) -> None:
        client = self.client()
        with self.assertRaises(ZeroDivisionError):
            for done in client.watch(self.refs(client)):
                1 / 0
        self.assert_nothing_is_left(client)

    def test_an_error_in_on_progress_stops_what_is_left(self) -> None:
        client = self.client()

        def refuse(ref: Any, task: imgtask.Task) -> None:
            raise RuntimeError("enough")

        with self.assertRaisesRegex(RuntimeError, "enough"):
            list(client.watch(self.refs(client), on_progress=refuse))
        self.assert_nothing_is_left(client)

    def test_close_of_the_iteration_stops_what_is_left(self) -> None:
        client = self.client()
        watching = client.watch(self.refs(client))
        next(watching)
        watching.close()
        self.assert_nothing_is_left(client)

    def test_a_client_that_is_closed_ends_the_loop_with_an_outcome_for_each(self) -> None:
        client = self.client()
        refs = self.refs(client)
        outcomes = []
        for done in client.watch(refs):
            outcomes.append(done)
            client.close()
        self.assertEqual(sorted(each.ref for each in outcomes), sorted(refs))
        self.assertEqual([type(each.error) for each in outcomes[1:]], [imgtask.Cancelled] * 5)

    def test_a_client_that_is_closed_while_refs_are_left_says_so(self) -> None:
        client = self.client()
        with self.assertRaises(imgtask.Closed):
            for _ in client.watch(itertools.cycle(self.sandbox.make(4)), in_flight=2):
                client.close()

    def test_interrupt_ends_the_loop(self) -> None:
        client = self.client()
        refs = self.sandbox.make(5, "a cat [never]")
        errors: List[BaseException] = []

        def follow() -> None:
            try:
                list(client.watch(refs))
            except imgtask.Cancelled as error:
                errors.append(error.with_traceback(None))

        thread = threading.Thread(target=follow)
        thread.start()
        deadline = time.monotonic() + 10
        while thread.is_alive() and time.monotonic() < deadline:
            if client.pending == 5:
                client.interrupt()
            thread.join(0.02)
        self.assertEqual(len(errors), 1)
        self.assert_nothing_is_left(client)


class Beside(WithSandbox):
    def test_other_jobs_keep_their_events(self) -> None:
        client = self.client()
        ops = {client.start(prompt=f"cat {n}", label="mine") for n in range(5)}
        ids = self.sandbox.make(20)
        self.assertEqual(len(list(client.watch(ids))), 20)
        self.assertEqual({(event.op, event.label) for event in client.events(20)}, {(op, "mine") for op in ops})

    def test_two_loops_in_turn_get_each_their_own(self) -> None:
        client = self.client()
        first, second = self.sandbox.make(30), self.sandbox.make(30)
        one, two = client.watch(first, in_flight=7), client.watch(second, in_flight=3)
        got: List[List[str]] = [[], []]
        for a, b in itertools.zip_longest(one, two):
            got[0].append(a.ref)
            got[1].append(b.ref)
        self.assertEqual([sorted(each) for each in got], [sorted(first), sorted(second)])

    def test_loops_of_several_threads_get_each_their_own(self) -> None:
        client = self.client(max_requests_per_minute=1_000_000)
        shares = [self.sandbox.make(100) for _ in range(4)]
        ops = [client.start(ref, label="loose") for ref in self.sandbox.make(50)]
        got: List[List[str]] = [[] for _ in shares]
        events: List[int] = []

        def loop(place: int) -> None:
            got[place] += [done.ref for done in client.watch(shares[place], in_flight=20)]

        threads = [threading.Thread(target=loop, args=(place,)) for place in range(len(shares))]
        threads.append(threading.Thread(target=lambda: events.extend(event.op for event in client.events())))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual([sorted(each) for each in got], [sorted(share) for share in shares])
        self.assertEqual(sorted(events), sorted(ops))
        self.assertEqual(client.pending, 0)

    def test_progress_that_nobody_reads_takes_no_room(self) -> None:
        client = self.client()
        for _ in range(3):
            client.start(prompt="a cat [duration:60]", progress=True)
        # Long enough for progress of the others to come by, over and over.
        list(client.watch([{"prompt": "a cat [duration:100]"}] * 3))
        self.assertLessEqual(len(client._inbox.loose), 3)
        self.assertEqual(len([event for event in client.events(20) if event.is_final]), 3)
