"""The half of a client that does not block: jobs, and the events that tell of them."""

from ctypes import c_size_t
from typing import Any, Callable, Generator, Iterable, Iterator, Optional, Union

from . import _abi
from ._abi import Status
from ._arguments import TaskRef, number, ref_text, wait_seconds
from ._calls import Calls
from ._errors import Cancelled, Closed, Error, TaskFailed, UnknownOperation, error_class, read_error
from ._event import Event, EventKind, Goal
from ._handles import ClientHandle, ErrorHandle
from ._inbox import Box, Inbox
from ._job import Index, Source, begin, job
from ._library import PathLike
from ._lines import Lines
from ._task import Task
from ._watch import IN_FLIGHT, OnWatchProgress, Outcome, watch, watch_job


class Jobs(Calls):
    """Jobs go on by themselves, on threads of the library; what becomes of them is told by events."""

    _inbox: Inbox
    _lines: Lines

    # --- one job ---

    def start(
        self,
        source: Optional[Source] = None,
        /,
        goal: Union[Goal, str, None] = None,
        *,
        label: str = "",
        path: Optional[PathLike] = None,
        index: Index = 0,
        progress: bool = False,
        replace: bool = True,
        timeout: Optional[float] = None,
        max_side: int = 0,
        flip_y: bool = False,
        bgra: bool = False,
        premultiply: bool = False,
        **request: Any,
    ) -> int:
        """Starts a job and gives its number; never blocks. What becomes of it is told by `events` or `next_event`.

        It begins with a request, as `submit` takes it (keywords or a dict; a dict alone can have members that are named
        like an argument here), or with a task that exists: a `Task`, its id, its poll address. A text never is a request.

        It goes as far as `goal`, a `Goal` or its word: "submitted", "looked", "finished" (if not given), "bytes", "pixels"
        or "file" (if `path` is given). `path` may hold `{id}`, `{index}` and `{ext}`, and no other brace; with `replace` false
        an existing file stays, and is a `FileError` unless it is the very image. `index` is the image's place in
        `task.images`, or "all": then each has an event of its own.

        With "pixels" the image is decoded on a thread of the library, as `Picture.rgba` does it: `max_side`, `flip_y`,
        `bgra` and `premultiply` are told there.

        `label`, at most 256 bytes, comes back with every event and from the journal. `progress` asks for events on the
        way. `timeout` is in seconds, how long the task is watched: `None` = the client's `wait_timeout`, then the
        dialect's.

        Raises `InvalidArgument` for what cannot be a job, and `Busy` when `max_pending` jobs are. All else arrives as
        the job's final event.

        >>> op = client.start(prompt="a lighthouse at dusk", path="lighthouse.png")
        >>> next(client.events()).saved.path
        PosixPath('lighthouse.png')
        >>> op = client.start(goal="pixels", max_side=512, prompt="a lighthouse at dusk")
        >>> next(client.events()).pixels
        Pixels(width=512, height=512, format='rgba8', row_bytes=2048)
        """
        wanted = job(
            goal,
            label=label,
            path=path,
            index=index,
            progress=progress,
            replace=replace,
            timeout=timeout,
            max_side=max_side,
            flip_y=flip_y,
            bgra=bgra,
            premultiply=premultiply,
        )
        begin(wanted, source, request)
        return self._start(wanted)

    def stop(self, op: int) -> None:
        """Ends a job here; its task stays with the service (`cancel` asks that). Never blocks.

        The job still gets its final event: `Cancelled`, or what it came to meanwhile.

        Raises `UnknownOperation` for a number that was never given, or whose final event was read.

        >>> client.stop(client.start(prompt="a lighthouse [never]"))
        >>> [type(event.error).__name__ for event in client.events()]
        ['Cancelled']
        """
        client = self._client()
        self._inbox.in_own_process()
        status = self._library.imgtask_client_stop(client, number("op", op, 63))
        if status == Status.UNKNOWN_OP:
            if self._inbox.holds_final(op):
                return
            raise UnknownOperation(f"no job {op}: it was never started, or its end was read", status=Status.UNKNOWN_OP)
        self._check(status)

    # --- what becomes of them ---

    def next_event(self, timeout: Optional[float] = 0) -> Optional[Event]:
        """The next event, of whatever job; `None` when none came in `timeout` seconds.

        0 never waits: for once a frame. `None` waits until there is one. With a journal, `Event.acknowledge` is the
        caller's part. Events of jobs that `watch` has started are for it alone.

        Raises `Closed` when the client was closed, and `Cancelled` when `interrupt` ended the waiting.

        >>> op = client.start(prompt="a lighthouse at dusk")
        >>> event = client.next_event(timeout=20)
        >>> event.op == op, event.is_final, client.next_event()
        (True, True, None)
        """
        client, box = self._client(), self._inbox.loose
        return self._inbox.take(client, box, wait_seconds(timeout))

    def events(self, timeout: Optional[float] = None) -> Iterator[Event]:
        """Iterates over events as they come, until no job is pending (those of `watch` do not count) or the client is
        closed; also when none comes in `timeout` seconds: `events(0)` gives what is there.

        With a journal, an event is acknowledged when the loop goes on to the next one. One whose loop body raised or was
        killed, or left by `break`, comes again after a restart: at least once, never lost. Call `Event.acknowledge`
        before a `break`.

        Jobs may be started and stopped along the way.

        >>> for word in ("a lighthouse", "a cat"):
        ...     op = client.start(prompt=word, label=word, goal="bytes")
        >>> sorted((event.label, event.picture.media_type) for event in client.events())
        [('a cat', 'image/png'), ('a lighthouse', 'image/png')]
        """
        return self._events(self._client(), wait_seconds(timeout))

    @property
    def pending(self) -> int:
        """Jobs whose final event was not read yet.

        >>> op = client.start(prompt="a lighthouse at dusk")
        >>> client.pending, [event.op == op for event in client.events()], client.pending
        (1, [True], 0)
        """
        return self._inbox.pending(self._client())

    def fileno(self) -> int:
        """A descriptor that is readable while events wait: for `select`, `selectors`, asyncio.

        When it is, call `next_event()` until it gives `None`. It belongs to the client: neither read from it nor close
        it, and take it out of your loop before `close`. Off Linux it does not tell of events that a `watch` on another
        thread has moved aside.

            loop.add_reader(client.fileno(), on_events)

        Raises `Unsupported` on Windows.

        >>> import selectors
        >>> loop = selectors.DefaultSelector()
        >>> key = loop.register(client.fileno(), selectors.EVENT_READ)
        >>> op = client.start(prompt="a lighthouse at dusk")
        >>> len(loop.select(20)), client.next_event().is_final
        (1, True)
        >>> key = loop.unregister(client.fileno())
        """
        return self._inbox.fileno(self._client())

    # --- many tasks ---

    def watch(
        self,
        refs: Iterable[Source],
        *,
        goal: Union[Goal, str, None] = None,
        index: Index = 0,
        download_to: Optional[PathLike] = None,
        replace: bool = True,
        on_progress: Optional[OnWatchProgress] = None,
        timeout: Optional[float] = None,
        in_flight: int = IN_FLIGHT,
        max_side: int = 0,
        flip_y: bool = False,
        bgra: bool = False,
        premultiply: bool = False,
    ) -> Generator[Outcome, None, None]:
        """Watches many tasks; gives an `Outcome` for each as it is done, in the order in which they are.

        `refs` are ids, poll addresses, `Task`s, or requests as dicts, which are submitted. They are taken one at a time
        as there is room, so that they may be without end: at most `in_flight` are under way. While `refs` makes one
        wait, so do outcomes.

        What goes wrong with a task is its outcome's `error`, and the loop goes on. `goal` is "finished", "bytes", "pixels"
        (with `max_side` and the others of `Picture.rgba`), or "file", which `download_to` means: a folder, made if need be,
        for `{id}.{ext}`, or a path with `{id}`, `{index}` and `{ext}` in it (and no other brace: a folder whose name has one
        cannot be used). `index` is
        the image's place in `task.images`, or "all". `on_progress` is called on the way with the `Task` and its ref.
        `timeout` is in seconds, for each task.

        Leaving the loop, by `break` too, stops the jobs that are left; the tasks stay with the service. With a journal
        those come back by the `resume` of the next client, as does a task whose loop body raised.

        >>> for done in client.watch(ids, download_to="images"):
        ...     print(done.ref, done.error or done.path)
        img_...png
        """
        wanted = watch_job(
            refs,
            goal,
            index=index,
            download_to=download_to,
            replace=replace,
            progress=on_progress is not None,
            timeout=timeout,
            in_flight=in_flight,
            max_side=max_side,
            flip_y=flip_y,
            bgra=bgra,
            premultiply=premultiply,
        )
        return watch(self, self._client(), iter(refs), wanted, on_progress, in_flight)

    # --- the journal ---

    def resume(self, progress: bool = False) -> int:
        """Takes up every task that the journal holds of this service; gives how many.

        Each is told by a RESUMED event with its new number, its label and its task, and goes on to the goal it had. A
        submit whose answer was never seen ends in `SubmitUnknown`. `progress` asks for events on the way for all.

        Raises `JournalError` without a `journal_path`, or when the journal cannot be read.

        >>> with Client("dimilinks", journal_path="tasks.journal") as client:     # killed behind the submit
        ...     op = client.start(prompt="a lighthouse at dusk", label="lighthouse")
        ...     while not client.stats().looks: pass
        >>> with Client("dimilinks", journal_path="tasks.journal") as client:     # its next start
        ...     client.resume()
        ...     print(*[f"{event.kind}: {event.label}" for event in client.events()], sep="\\n")
        1
        resumed: lighthouse
        final: lighthouse
        """
        client, error, count = self._client(), ErrorHandle(), c_size_t()
        self._inbox.in_own_process()
        flags = int(_abi.Flag.PROGRESS) if progress else 0
        status = self._library.imgtask_client_resume(client, flags, count, error)
        if status:
            raise read_error(self._library, status, error)
        return count.value

    def forget(self, ref: TaskRef) -> None:
        """Drops a task from the journal: it does not come back after a restart. A job at work on it goes on.

        Raises `NotFound` when the journal holds no such task.

        >>> with Client("dimilinks", journal_path="known.journal") as client:
        ...     op = client.start(prompt="a lighthouse at dusk [never]", progress=True)
        ...     client.forget(client.next_event(timeout=20).task)
        >>> with Client("dimilinks", journal_path="known.journal") as client:     # its next start
        ...     client.resume()
        0
        """
        client, error = self._client(), ErrorHandle()
        self._inbox.in_own_process()
        status = self._library.imgtask_client_forget(client, ref_text(ref), error)
        if status:
            raise read_error(self._library, status, error)

    # --- how that is done ---

    def _start(self, wanted: _abi.imgtask_job, box: Optional[Box] = None) -> int:
        """Starts a job whose events go into `box`."""
        status, op = self._inbox.start(self._client(), wanted, box)
        if status:
            raise self._refused(status)
        return op

    def _refused(self, status: int) -> Error:
        """Why a job was refused."""
        why = self._lines.refusal()
        if not why:
            return read_error(self._library, status, ErrorHandle())
        return error_class(status)(why, status=Status(status), retry_after=0.0 if status == Status.BUSY else None)

    def _events(self, client: ClientHandle, timeout: Optional[float]) -> Iterator[Event]:
        while True:
            try:
                event = self._inbox.take(client, self._inbox.loose, timeout, while_pending=True)
            except Closed:
                return
            if event is None:
                return
            yield event
            event.acknowledge()

    def _wait_with_progress(self, ref: TaskRef, wait_ms: int, tell: Callable[[Task], object]) -> Task:
        """Waits as the blocking call does, and tells of every step."""
        client, box = self._client(), self._inbox.box()
        wanted = job(Goal.FINISHED, progress=True)
        wanted.timeout_ms = wait_ms
        begin(wanted, ref, {})
        seen: Optional[Task] = None
        try:
            self._start(wanted, box)
            while True:
                try:
                    event = self._inbox.take(client, box, None)
                except BaseException as stop:
                    if not isinstance(stop, Error) and stop.__cause__ is None and seen is not None:
                        told = f"the task {seen.id} was {seen.state} by then"
                        stop.__cause__ = Cancelled(told, status=Status.CANCELLED, task_id=seen.id, task=seen)
                    raise
                assert event is not None
                if event.kind is EventKind.FINAL:
                    event.acknowledge()
                    break
                if event.task is not None:
                    seen = event.task
                    tell(seen)
        finally:
            self._inbox.leave(client, box)
        try:
            if event.error is not None and not isinstance(event.error, TaskFailed):
                raise event.error
            assert event.task is not None
            return event.task
        finally:
            # The error's traceback holds this frame.
            del event
