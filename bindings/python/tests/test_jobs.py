"""Jobs: what is started, what is told of it, and to whom."""

import asyncio
import pickle
import select
import threading
import time
from typing import Any, Callable, List, Tuple

import imgtask
from imgtask import EventKind, Goal, State, Status

from .support import WithSandbox


class Starting(WithSandbox):
    def final(self, client: imgtask.Client, *args: Any, **kwargs: Any) -> imgtask.Event:
        """The final event of one job."""
        op = client.start(*args, **kwargs)
        events = list(client.events(20))
        self.assertEqual({event.op for event in events}, {op})
        self.assertEqual([event.is_final for event in events], [False] * (len(events) - 1) + [True])
        return events[-1]

    def test_a_job_begins_with_keywords_a_dict_a_task_an_id_or_a_poll_address(self) -> None:
        client = self.client("lemondata")
        task = client.submit(prompt="a cat", model="gpt-image-2")
        for event in (
            self.final(client, prompt="a cat", model="gpt-image-2"),
            self.final(client, {"prompt": "a cat", "model": "gpt-image-2"}),
            self.final(client, {"prompt": "a cat"}, model="gpt-image-2"),
            self.final(client, task),
            self.final(client, pickle.loads(pickle.dumps(task))),
            self.final(client, task.id),
            self.final(client, task.poll_ref),
        ):
            assert event.task is not None
            self.assertEqual((event.status, event.error), (Status.OK, None))
            self.assertEqual((event.task.state, event.goal), (State.SUCCEEDED, Goal.FINISHED))

    def test_a_job_goes_to_the_goal_that_it_was_given(self) -> None:
        client = self.client()
        submitted = self.final(client, goal="submitted", prompt="a cat [never]")
        assert submitted.task is not None
        self.assertEqual((submitted.goal, submitted.task.is_final), (Goal.SUBMITTED, False))
        looked = self.final(client, submitted.task, "looked")
        assert looked.task is not None
        self.assertEqual((looked.goal, looked.task.id), (Goal.LOOKED, submitted.task.id))
        brought = self.final(client, goal=Goal.BYTES, prompt="a cat", size="64x48")
        assert brought.picture is not None
        self.assertEqual((brought.picture.width, brought.picture.height, brought.saved), (64, 48, None))

    def test_who_names_a_path_wants_the_image_in_it(self) -> None:
        client = self.client()
        event = self.final(client, prompt="a cat", size="64x48", path=self.folder / "{id}.{ext}")
        assert event.task is not None and event.saved is not None
        self.assertEqual((event.goal, event.picture), (Goal.FILE, None))
        self.assertEqual(event.saved.path, self.folder / f"{event.task.id}.png")
        self.assertEqual(event.saved.size, event.saved.path.stat().st_size)
        # The very image may stay; anything else that is there must.
        again = self.final(client, event.task, path=event.saved.path, replace=False)
        self.assertEqual((again.status, again.error), (Status.OK, None))
        event.saved.path.write_text("mine")
        other = self.final(client, event.task, path=event.saved.path, replace=False)
        self.assertEqual(other.status, Status.FILE)
        self.assertIsInstance(other.error, imgtask.FileError)
        self.assertEqual(event.saved.path.read_text(), "mine")

    def test_all_images_have_an_event_each(self) -> None:
        client = self.client()
        client.start(None, "bytes", index="all", prompt="cats", n=3, resolution="2k", size="64x48")
        events = list(client.events(20))
        self.assertEqual([event.kind for event in events], [EventKind.IMAGE] * 3 + [EventKind.FINAL])
        self.assertEqual([event.image_index for event in events[:3]], [0, 1, 2])
        self.assertEqual(len({event.picture.sha256 for event in events[:3] if event.picture}), 3)
        second = self.final(client, events[-1].task, "bytes", index=1)
        assert second.picture is not None and events[1].picture is not None
        self.assertEqual((second.image_index, second.picture.sha256), (1, events[1].picture.sha256))

    def test_labels_come_back_and_progress_where_it_was_asked_for(self) -> None:
        client = self.client()
        client.start(prompt="a cat", label="quiet")
        client.start(prompt="a cat [duration:40]", label="Katze 猫", progress=True)
        told: List[Tuple[str, EventKind]] = [(event.label, event.kind) for event in client.events(20)]
        self.assertEqual([kind for label, kind in told if label == "quiet"], [EventKind.FINAL])
        kinds = [kind for label, kind in told if label == "Katze 猫"]
        self.assertGreater(len(kinds), 1)
        self.assertEqual(set(kinds[:-1]), {EventKind.PROGRESS})

    def test_a_failed_task_is_an_event_with_the_error_that_wait_raises(self) -> None:
        client = self.client()
        for goal in ("finished", "bytes"):
            event = self.final(client, goal=goal, prompt="a cat [fail:content_moderation]")
            assert isinstance(event.error, imgtask.TaskFailed)
            self.assertIn("change the request", str(event.error))
            self.assertIs(event.error.task, event.task)
        looked = self.final(client, event.task, "looked")
        assert looked.task is not None
        self.assertEqual((looked.error, looked.task.state), (None, State.FAILED))

    def test_what_goes_wrong_later_is_an_event_with_its_error(self) -> None:
        client = self.client()
        self.assertIsInstance(self.final(client, "img_000000000000000000000000").error, imgtask.NotFound)
        self.assertIsInstance(self.final(client, prompt="a cat [lost-reply]").error, imgtask.SubmitUnknown)
        late = self.final(client, prompt="a cat [never]", timeout=0.2)
        assert isinstance(late.error, imgtask.Timeout) and late.error.task is not None
        self.assertEqual((late.status, late.error.task_id), (Status.TIMEOUT, late.error.task.id))
        picture = self.final(client, goal="bytes", prompt="a cat [image-html]")
        assert picture.task is not None
        self.assertIsInstance(picture.error, imgtask.BadImage)
        self.assertEqual(picture.task.state, State.SUCCEEDED)

    def test_what_cannot_be_a_job_is_told_at_once_and_why(self) -> None:
        client = self.client()
        calls: List[Tuple[str, Callable[[], object]]] = [
            ("256 bytes", lambda: client.start("img_0", label="x" * 257)),
            ("a job begins with", lambda: client.start()),
            ("goal must be one of submitted", lambda: client.start("img_0", "done")),
            ("index must be 0 or more", lambda: client.start("img_0", index="first")),
            ("timeout must be more than 0", lambda: client.start("img_0", timeout=0)),
            ("needs a path", lambda: client.start("img_0", "file")),
            ("only the goal file", lambda: client.start("img_0", "bytes", path="cat.png")),
            ("{index}", lambda: client.start("img_0", index="all", path="cat.png")),
            ("/", lambda: client.start("a/b")),
            ("NUL", lambda: client.start("a\0b")),
            ("needs a request", lambda: client.start("img_0", "submitted")),
        ]
        for words, call in calls:
            with self.assertRaises(imgtask.InvalidArgument) as caught:
                call()
            self.assertIn(words, str(caught.exception))
        with self.assertRaisesRegex(TypeError, "takes no request: prompt"):
            client.start("img_0", prompt="a cat")
        with self.assertRaises(TypeError):
            client.start(7)  # type: ignore[arg-type]
        self.assertEqual((client.pending, client.stats().requests), (0, 0))

    def test_a_text_is_never_a_request(self) -> None:
        client = self.client()
        before = self.sandbox.control("stats")["submits"]
        self.assertIsInstance(self.final(client, '{"prompt":"cat"}').error, imgtask.NotFound)
        self.assertEqual(self.sandbox.control("stats")["submits"], before)

    def test_more_jobs_than_the_client_takes_are_refused_until_events_are_read(self) -> None:
        client = self.client(max_pending=2)
        ops = [client.start(prompt=f"cat {n}") for n in range(2)]
        with self.assertRaisesRegex(imgtask.Busy, "2 jobs are pending") as caught:
            client.start("img_0")
        self.assertTrue(caught.exception.retryable)
        self.assertEqual({event.op for event in client.events(20)}, set(ops))
        self.assertGreater(client.start("img_0"), max(ops))


class Following(WithSandbox):
    def test_the_loop_ends_when_nothing_is_pending(self) -> None:
        client = self.client()
        self.assertEqual(list(client.events()), [])
        ops = {client.start(prompt=f"cat {n}") for n in range(5)}
        self.assertEqual(client.pending, 5)
        self.assertEqual({event.op for event in client.events()}, ops)
        self.assertEqual((client.pending, client.stats().pending), (0, 0))

    def test_jobs_may_be_started_along_the_way(self) -> None:
        client = self.client()
        client.start(prompt="a cat", label="3")
        labels = []
        for event in client.events():
            labels.append(event.label)
            if event.label != "0":
                client.start(prompt="a cat", label=str(int(event.label) - 1))
        self.assertEqual(labels, ["3", "2", "1", "0"])

    def test_once_a_frame_nothing_waits(self) -> None:
        client = self.client()
        started = time.monotonic()
        self.assertIsNone(client.next_event())
        self.assertEqual(list(client.events(0)), [])
        client.start(prompt="a cat [never]")
        self.assertIsNone(client.next_event())
        self.assertEqual(list(client.events(0)), [])
        self.assertLess(time.monotonic() - started, 0.5)

    def test_a_wait_for_an_event_ends_in_time(self) -> None:
        client = self.client()
        client.start(prompt="a cat [never]")
        asks: List[Callable[[], object]] = [lambda: client.next_event(0.2), lambda: next(client.events(0.2), None)]
        for ask in asks:
            started = time.monotonic()
            self.assertIsNone(ask())
            self.assertGreaterEqual(time.monotonic() - started, 0.19)
            self.assertLess(time.monotonic() - started, 2)
        for timeout in (-1, float("nan")):
            with self.assertRaises(imgtask.InvalidArgument):
                client.next_event(timeout)
            with self.assertRaises(imgtask.InvalidArgument):
                client.events(timeout)

    def test_a_stopped_job_gets_its_final_event(self) -> None:
        client = self.client()
        op = client.start(client.submit(prompt="a cat [never]"), label="never")
        client.stop(op)
        event = client.next_event(20)
        assert event is not None
        self.assertEqual((event.op, event.status, event.label), (op, Status.CANCELLED, "never"))
        self.assertIsInstance(event.error, imgtask.Cancelled)
        for unknown in (op, 10_000):
            with self.assertRaisesRegex(imgtask.UnknownOperation, f"no job {unknown}"):
                client.stop(unknown)
        with self.assertRaises(imgtask.InvalidArgument):
            client.stop(-1)

    def test_close_ends_the_loop_of_another_thread(self) -> None:
        client = self.client()
        client.start(prompt="a cat [never]")
        told: List[imgtask.Event] = []
        thread = threading.Thread(target=lambda: told.extend(client.events()))
        thread.start()
        self.assertTrue(client.close())
        thread.join(10)
        self.assertFalse(thread.is_alive())
        self.assertLessEqual(len(told), 1)
        calls: List[Callable[[], object]] = [lambda: client.start("img_0"), client.next_event, client.events]
        calls.append(lambda: client.pending)
        for call in calls:
            with self.assertRaises(imgtask.Closed):
                call()

    def test_interrupt_ends_the_loop_of_another_thread_and_jobs_go_on(self) -> None:
        client = self.client()
        op = client.start(prompt="a cat [duration:60]")
        errors: List[BaseException] = []
        begun = threading.Event()

        def follow() -> None:
            try:
                begun.set()
                list(client.events())
            except imgtask.Cancelled as error:
                errors.append(error.with_traceback(None))

        thread = threading.Thread(target=follow)
        thread.start()
        begun.wait(10)
        deadline = time.monotonic() + 10
        while thread.is_alive() and time.monotonic() < deadline:
            client.interrupt()
            thread.join(0.02)
        self.assertEqual(len(errors), 1)
        self.assertEqual([event.op for event in client.events(20)], [op])

    def test_an_event_cannot_be_changed_and_can_be_pickled(self) -> None:
        client = self.client()
        client.start(prompt="a cat", label="x")
        event = client.next_event(20)
        assert event is not None
        with self.assertRaises(AttributeError):
            event.label = "y"  # type: ignore[misc]
        event.acknowledge()
        event.acknowledge()
        self.assertEqual(pickle.loads(pickle.dumps(event)), event)

    def test_events_that_nobody_reads_leave_no_handle(self) -> None:
        client = self.client()
        for n in range(3):
            client.start(prompt="a cat", label=f"cat {n}", progress=True)
        for _ in client.events(20):
            break
        client.close()

    def test_the_log_is_told_while_somebody_waits(self) -> None:
        lines: List[Tuple[int, str]] = []
        client = self.client(log=lambda level, line: lines.append((level, line)), log_level=4)
        task = client.submit(prompt="a cat [never]")
        client.start(task)
        del lines[:]
        self.assertIsNone(client.next_event(0.3))
        self.assertTrue(any("look" in line for _, line in lines), lines)

    def test_the_log_gets_no_line_above_its_level(self) -> None:
        lines: List[Tuple[int, str]] = []
        client = self.client(log=lambda level, line: lines.append((level, line)), log_level=1)
        with self.assertRaises(imgtask.InvalidArgument):
            client.start("a/b")
        client.start("img_0")
        list(client.events(20))
        self.assertEqual(lines, [])

    def test_the_stats_tell_of_jobs(self) -> None:
        client = self.client(max_workers=2)
        for _ in range(20):
            client.start(prompt="a cat [never]")
        deadline = time.monotonic() + 20
        while client.stats().looks < 20 and time.monotonic() < deadline:
            client.next_event(0.05)
        stats = client.stats()
        self.assertEqual(stats.pending, 20)
        self.assertTrue(1 <= stats.threads <= 2, stats)
        self.assertGreater(stats.gate_per_minute, 0)


class EventLoops(WithSandbox):
    def test_select_wakes_for_an_event(self) -> None:
        client = self.client()
        self.assertEqual(select.select([client.fileno()], [], [], 0)[0], [])
        client.start(prompt="a cat")
        self.assertEqual(select.select([client.fileno()], [], [], 20)[0], [client.fileno()])
        self.assertIsNotNone(client.next_event())
        self.assertIsNone(client.next_event())
        self.assertEqual(select.select([client], [], [], 0)[0], [])

    def test_select_wakes_for_an_event_that_a_watch_moved_aside(self) -> None:
        client = self.client()
        fd = client.fileno()
        op = client.start(prompt="a cat")
        # As soon as one is done, what the watch has taken out of the queue holds the other.
        while not [done for done in client.watch([{"prompt": "a dog"}])] or len(client._inbox.loose) == 0:
            pass
        self.assertEqual(select.select([fd], [], [], 0)[0], [fd])
        event = client.next_event()
        assert event is not None
        self.assertEqual(event.op, op)
        self.assertEqual(select.select([fd], [], [], 0)[0], [])

    def test_asyncio_follows_jobs(self) -> None:
        client = self.client()

        async def follow(count: int) -> List[str]:
            loop, done = asyncio.get_running_loop(), asyncio.Queue()  # type: ignore[var-annotated]

            def read() -> None:
                for event in client.events(0):
                    done.put_nowait(event.label)

            loop.add_reader(client.fileno(), read)
            try:
                for n in range(count):
                    client.start(prompt=f"cat {n}", label=str(n))
                return [await asyncio.wait_for(done.get(), 20) for _ in range(count)]
            finally:
                loop.remove_reader(client.fileno())

        self.assertEqual(sorted(asyncio.run(follow(8))), [str(n) for n in range(8)])


class WaitingWithProgress(WithSandbox):
    def test_progress_is_told_and_never_goes_back(self) -> None:
        client = self.client()
        seen: List[imgtask.Task] = []
        task = client.wait(client.submit(prompt="a cat [duration:40]"), 20, on_progress=seen.append)
        self.assertEqual((task.state, task.progress), (State.SUCCEEDED, 100))
        self.assertEqual({each.id for each in seen}, {task.id})
        self.assertTrue(seen and not any(each.is_final for each in seen))
        progress = [each.progress or 0 for each in seen]
        self.assertEqual(progress, sorted(progress))
        self.assertEqual(client.pending, 0)

    def test_it_ends_as_a_wait_without_it(self) -> None:
        client = self.client()
        with self.assertRaises(imgtask.TaskFailed):
            client.wait(client.submit(prompt="a cat [fail]"), 20, on_progress=print_nothing)
        failed = client.submit(prompt="a cat [fail]")
        task = client.wait(failed, 20, raise_on_failure=False, on_progress=print_nothing)
        self.assertEqual(task.state, State.FAILED)
        with self.assertRaises(imgtask.NotFound):
            client.wait("img_000000000000000000000000", 20, on_progress=print_nothing)
        with self.assertRaises(imgtask.InvalidArgument):
            client.wait("a/b", on_progress=print_nothing)
        never = client.submit(prompt="a cat [never]")
        for timeout in (0, 0.3):
            started = time.monotonic()
            with self.assertRaises(imgtask.Timeout) as caught:
                client.wait(never, timeout, on_progress=print_nothing)
            self.assertLess(time.monotonic() - started, 2)
            self.assertEqual(caught.exception.task_id, never.id)

    def test_an_error_that_was_caught_leaves_no_handle(self) -> None:
        client = self.client()
        never = client.submit(prompt="a cat [never]")
        before = imgtask.live_handles()
        try:
            client.wait(never, 0.1, on_progress=print_nothing)
        except imgtask.Timeout:
            pass
        for done in client.watch([never, "a/b"], timeout=0.1):
            pass
        del done
        self.assertEqual(imgtask.live_handles(), before)

    def test_what_it_raises_ends_the_wait(self) -> None:
        client = self.client()
        task = client.submit(prompt="a cat [never]")

        def refuse(seen: imgtask.Task) -> None:
            raise RuntimeError("enough")

        with self.assertRaisesRegex(RuntimeError, "enough"):
            client.wait(task, 20, on_progress=refuse)
        self.assertEqual(client.pending, 0)
        self.assertEqual(list(client.events(0.2)), [])

    def test_events_of_other_jobs_are_kept_for_their_reader(self) -> None:
        client = self.client()
        op = client.start(prompt="a cat")
        client.wait(client.submit(prompt="a dog [duration:60]"), 20, on_progress=print_nothing)
        self.assertEqual([event.op for event in client.events(20)], [op])


def print_nothing(task: imgtask.Task) -> None:
    pass
