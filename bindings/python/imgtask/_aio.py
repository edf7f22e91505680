"""A client's calls for asyncio."""

import asyncio
import inspect
import os
from types import TracebackType
from typing import TYPE_CHECKING, Any, AsyncGenerator, AsyncIterable, Callable, Iterable, Mapping, Optional, Type, Union

from . import _abi
from ._abi import Status
from ._aio_watch import each, watch
from ._arguments import TaskRef, image_of, ref_text, request_text, wait_milliseconds
from ._calls import ended_before
from ._errors import Cancelled, Error, FileError, Starved, TaskFailed, not_finished, task_failed, without_image
from ._event import Event, Goal
from ._inbox import GLANCE
from ._job import Index, Source, job
from ._library import PathLike
from ._loop import Waiter, reader_of
from ._picture import Picture, SavedPicture
from ._progress import both, task_bar
from ._task import Image, State, Task
from ._watch import IN_FLIGHT, OnWatchProgress, Outcome, watch_job

if TYPE_CHECKING:
    from ._client import Client

#: So long a job that is stopped may take to tell what became of it, seconds.
LAST_WORD = 0.1


class Aio:
    """The calls of a `Client` as coroutines: the same arguments, the same results, the same errors.

    Everything that is awaited on one event loop is told by one descriptor, so that a thousand waits take no thread of their
    own. `cancel` alone asks on a thread, one of four at most, since no job does that.

    Cancelling what is awaited, as `asyncio.timeout`, `wait_for` and Ctrl-C do, stops its job; the task stays with the
    service. Several loops may use a client, each while it runs, and so may threads, with the calls that block.

    >>> import asyncio
    >>> async def lighthouse():
    ...     async with Client("dimilinks").aio as client:
    ...         task = await client.wait(await client.submit(prompt="a lighthouse at dusk"))
    ...         return await client.download(task)
    >>> asyncio.run(lighthouse()).media_type
    'image/png'
    """

    def __init__(self, client: "Client") -> None:
        self._client = client

    # --- one task ---

    async def submit(self, request: Union[str, Mapping[str, Any], None] = None, /, **members: Any) -> Task:
        """As `Client.submit`.

        When it is cancelled on the way, a task may have been made all the same: the `CancelledError` has as its `__cause__`
        what is known of that, a `SubmitUnknown` for instance, with its `task`. Up to Python 3.10 an `asyncio.Task` raises a
        `CancelledError` of its own, which has that one as its `__context__`.
        """
        wanted = job(Goal.SUBMITTED)
        wanted.request_json = request_text(request, members)
        return task_of(await self._run(wanted, is_paid=True))

    async def fetch(self, ref: TaskRef) -> Task:
        """As `Client.fetch`: one look."""
        wanted = job(Goal.LOOKED)
        wanted.task_ref = ref_text(ref)
        return task_of(await self._run(wanted))

    async def wait(
        self,
        ref: TaskRef,
        timeout: Optional[float] = None,
        raise_on_failure: bool = True,
        on_progress: Optional[Callable[[Task], object]] = None,
        progress: bool = False,
    ) -> Task:
        """As `Client.wait`. `on_progress` may be a coroutine function; the next look is told when it is through.

        >>> async def both(ids):
        ...     async with Client("dimilinks").aio as client:
        ...         return await asyncio.gather(*map(client.wait, ids))
        >>> import asyncio
        >>> [str(task.state) for task in asyncio.run(both(ids))]
        ['succeeded']
        """
        if progress:
            with task_bar() as show:
                task = await self.wait(ref, timeout, False, both(show, on_progress))
                show(task)
        elif isinstance(ref, Task) and ref.is_final:
            task = ref
        elif wait_milliseconds(timeout) == 0:
            task = await self._look(ref)
        else:
            wanted = job(Goal.FINISHED, progress=on_progress is not None)
            wanted.task_ref = ref_text(ref)
            wanted.timeout_ms = wait_milliseconds(timeout)
            task = task_of(await self._run(wanted, on_progress))
        if raise_on_failure and task.is_final and task.state is not State.SUCCEEDED:
            raise task_failed(task)
        return task

    async def cancel(self, ref: TaskRef) -> Task:
        """As `Client.cancel`, which blocks: done on one of four threads. Who stops waiting for it does not stop it."""
        client = self._client
        ref_text(ref)
        client._client()
        # A child of a fork has none of the threads, and perhaps their lock.
        client._inbox.in_own_process()
        return await client._aside.run(lambda: client.cancel(ref))

    # --- its images ---

    async def download(self, task: Union[Task, Image], index: int = 0) -> Picture:
        """As `Client.download`."""
        event = await self._download(job(Goal.BYTES), task, index)
        assert event.picture is not None
        return event.picture

    async def download_file(
        self, task: Union[Task, Image], path: PathLike, index: int = 0, replace: bool = True
    ) -> SavedPicture:
        """As `Client.download_file`, except that `{id}`, `{index}` and `{ext}` in `path` are filled in, as `start` does
        it, and that it may hold no other brace."""
        try:
            event = await self._download(job(Goal.FILE, path=path, replace=replace), task, index)
        except FileError as error:
            if "{" not in os.fsdecode(path):
                error.filename = os.fsdecode(path)
            raise
        assert event.saved is not None
        return event.saved

    # --- many tasks ---

    def watch(
        self,
        refs: Union[Iterable[Source], AsyncIterable[Source]],
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
    ) -> AsyncGenerator[Outcome, None]:
        """As `Client.watch`, for `async for`. `refs` may also be an async iterable: while it makes one wait, outcomes come.

        A loop that is left by `break` stops the jobs that are left when the generator is closed: at once with
        `contextlib.aclosing` or its `aclose`, else when asyncio comes by. `on_progress` may be a coroutine function.

        >>> async def images(ids):
        ...     async with Client("dimilinks").aio as client:
        ...         async for done in client.watch(ids, download_to="images"):
        ...             print(done.ref, done.error or done.path)
        >>> import asyncio
        >>> asyncio.run(images(ids))
        img_... images/img_...png
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
        return watch(self._client, self._client._client(), each(refs), wanted, on_progress, in_flight)

    # --- the client itself ---

    async def close(self, timeout: float = 5.0) -> bool:
        """As `Client.close`; while it waits for the ends, those who wait for jobs are told."""
        client = self._client
        limit = asyncio.get_running_loop().time() + wait_milliseconds(timeout) / 1000
        handle = client._end()
        pause = 0.001
        while handle is not None:
            status = client._end_status(handle, 0)
            if status != Status.TIMEOUT or asyncio.get_running_loop().time() >= limit:
                return status == Status.OK
            await asyncio.sleep(pause)
            pause = min(2 * pause, GLANCE)
        return True

    async def __aenter__(self) -> "Aio":
        return self

    async def __aexit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], traceback: Optional[TracebackType]
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"{self._client!r}.aio"

    # --- how that is done ---

    async def _run(
        self, wanted: _abi.imgtask_job, on_progress: Optional[Callable[[Task], object]] = None, is_paid: bool = False
    ) -> Event:
        """Runs a job up to its final event."""
        jobs, inbox = self._client, self._client._inbox
        waiter = reader_of(inbox).open(jobs._client())
        try:
            jobs._start(wanted, waiter.box)
            while True:
                try:
                    event = await waiter.next()
                except asyncio.CancelledError as stop:
                    if is_paid and stop.__cause__ is None:
                        word = await last_word(waiter)
                        if word is not None:
                            stop.__cause__ = word.error or ended_before(word.task)
                    raise
                except Cancelled:
                    # Interrupted. What the job says of it knows the task.
                    word = await last_word(waiter)
                    if word is None:
                        raise
                    return word
                if event.is_final:
                    event.acknowledge()
                    return event
                if event.task is not None and on_progress is not None:
                    told = on_progress(event.task)
                    if inspect.isawaitable(told):
                        await told
        finally:
            waiter.leave()

    async def _look(self, ref: TaskRef) -> Task:
        """A wait that has the time for one look alone, however long that takes."""
        wanted = job(Goal.LOOKED)
        wanted.task_ref = ref_text(ref)
        event = await self._run(wanted)
        task, error = event.task, event.error
        try:
            if error is not None and (error.retry_after != 0.0 or isinstance(error, (Cancelled, Starved))):
                raise error
            if error is not None or task is None or not task.is_final:
                raise not_finished(self._client._title(), wanted.task_ref.decode(), task, error)
            return task
        finally:
            # The error's traceback holds this frame.
            del event, error

    async def _download(self, wanted: _abi.imgtask_job, task: Union[Task, Image], index: int) -> Event:
        """Runs a job that brings an image."""
        wanted.task, wanted.image_index = image_of(task, index)
        refusal = without_image(task, index) if isinstance(task, Task) else None
        if refusal is not None:
            raise refusal
        return checked(await self._run(wanted))


def task_of(event: Event) -> Task:
    """The task that a final event tells of. A task that failed is no error here."""
    task = checked(event).task
    assert task is not None
    return task


def checked(event: Event) -> Event:
    """A final event; raises what went wrong."""
    try:
        if event.error is not None and not isinstance(event.error, TaskFailed):
            raise event.error
        return event
    finally:
        # The error's traceback holds this frame.
        del event


async def last_word(waiter: Waiter) -> Optional[Event]:
    """The final event of a job that is stopped now, if it comes soon. Not acknowledged: the journal keeps such a job."""
    waiter.stop()
    try:
        return await asyncio.wait_for(final(waiter), LAST_WORD)
    except (asyncio.TimeoutError, Error):
        return None


async def final(waiter: Waiter) -> Event:
    """The final event of a job; those before it are passed over."""
    while True:
        event = await waiter.next()
        if event.is_final:
            return event
