"""The client: what a user can ask for."""

import ctypes
import os
from ctypes import byref
from dataclasses import fields
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, List, Mapping, Optional, Type, Union

from . import _abi
from ._abi import Status
from ._arguments import (
    TaskRef,
    Dialect,
    dialect_text,
    image_of,
    milliseconds,
    number,
    path_text,
    ref_text,
    request_text,
    text,
    wait_milliseconds,
)
from ._calls import closed, known
from ._errors import FileError, read_error, task_failed
from ._exit import clients, leave_if_over
from ._handles import ClientHandle, ErrorHandle, TaskHandle
from ._inbox import Inbox
from ._jobs import Jobs
from ._library import PathLike, load
from ._lines import Lines, Log
from ._patience import on_main_thread
from ._picture import Picture, SavedPicture, read_picture, read_saved_picture
from ._progress import both, task_bar
from ._provider import providers
from ._stats import Stats
from ._task import Image, State, Task, read_task

if TYPE_CHECKING:
    from ._aio import Aio
    from ._aside import Aside

#: A service whose looks take less than so many seconds is near.
NEAR = 0.005


class Client(Jobs):
    """One service, one key. Every call may be made from any thread.

    `provider` is the name of a built-in one (see `providers()`); `dialect`, a dict, JSON text or the path of a JSON file,
    describes another service instead (docs/dialects.md tells how). The key comes from `api_key`, else from the provider's environment variable; `base_url` from the
    argument, else from `<NAME>_BASE_URL`, else it is the service's own.

    Times are seconds, sizes bytes; `None` means the default.

    - `connect_timeout`: one connect with TLS (5). `request_timeout`: one look (20). `submit_timeout`: one submit (the
      dialect's, 600). `stall_timeout`: a look (10) or a download (30) without a byte. `wait_timeout`: a wait whose
      call does not say (the dialect's).
    - `poll_interval`: a fixed pace of looks; at least 1 unless the API is on loopback.
    - `user_agent`; `proxy_url` (`http://[user:password@]host:port`, or `"env"` for the environment's proxy
      variables); `ca_file` (PEM roots instead of the bundled ones).
    - `max_response_bytes`, `max_image_bytes`: 64 MiB each.
    - `allow_private_images`: follow image links to private addresses. `allow_plain_http`: let the API be at a plain
      `http://` address that is not on loopback.
    - `max_requests_per_minute`: the service's limit, of which 90 % is used (the dialect's, or found out). All calls and
      jobs of a client share it.
    - Jobs: `max_workers` threads at most (7), the first one started by the first job; `max_pending` jobs (100,000), after
      which `start` is `Busy`. `journal_path`: a file that keeps jobs over a crash, see `resume`; one process at a time. A
      `submit` that blocks is not in it.
    - `max_image_pixels`: the largest image that is decoded (67,108,864, which is 8192 x 8192 and 256 MiB of pixels); one
      that is larger is `TooLarge` before memory is taken for it.
    - `log`, a function of a level and a line, gets lines up to `log_level` (1 error to 4 debug; 3 if not given), on the
      thread that makes the call they tell of, which for one of the main thread that blocks is another thread; those of jobs
      on the thread that asks for events. It must not call this package.

    When the program ends, calls that daemon threads are in are ended first, and those threads with them (by `SystemExit`).
    It waits 2 seconds for that at most.

    On the main thread Ctrl-C ends every call (`fetch` tells its exception); it does so through `interrupt`, which ends
    the calls that other threads have in flight on the same client too. The `KeyboardInterrupt` then has the ended
    call's error as its `__cause__`, with its `task`: a submit may have made one by then.

    >>> with Client("dimilinks") as client:
    ...     task = client.wait(client.submit(prompt="a lighthouse at dusk"))
    ...     client.download(task).save("lighthouse.png")
    PosixPath('lighthouse.png')
    """

    def __init__(
        self,
        provider: Optional[str] = None,
        api_key: Optional[str] = None,
        base_url: Optional[str] = None,
        *,
        dialect: Optional[Dialect] = None,
        user_agent: Optional[str] = None,
        proxy_url: Optional[str] = None,
        ca_file: Optional[PathLike] = None,
        journal_path: Optional[PathLike] = None,
        connect_timeout: Optional[float] = None,
        request_timeout: Optional[float] = None,
        submit_timeout: Optional[float] = None,
        stall_timeout: Optional[float] = None,
        wait_timeout: Optional[float] = None,
        poll_interval: Optional[float] = None,
        max_requests_per_minute: Optional[int] = None,
        max_workers: Optional[int] = None,
        max_pending: Optional[int] = None,
        max_response_bytes: Optional[int] = None,
        max_image_bytes: Optional[int] = None,
        max_image_pixels: Optional[int] = None,
        allow_private_images: bool = False,
        allow_plain_http: bool = False,
        log: Optional[Log] = None,
        log_level: Optional[int] = None,
    ) -> None:
        self._handle: Optional[ClientHandle] = None
        self._abandoned: Optional[ClientHandle] = None
        self._near = False
        self._spare_errors: List[ErrorHandle] = []
        self._provider = provider or "a dialect of its own"
        self._library = library = load()
        level = number("log_level", 3 if log is not None and log_level is None else log_level, 3)
        self._lines = Lines(log, level if level <= _abi.LogLevel.DEBUG else 0)
        self._inbox = Inbox(library, self._lines, has_journal=journal_path is not None)
        options = _abi.imgtask_client_options(
            struct_size=ctypes.sizeof(_abi.imgtask_client_options),
            provider=text("provider", provider),
            dialect_json=dialect_text(dialect),
            base_url=text("base_url", base_url),
            api_key=text("api_key", api_key),
            user_agent=text("user_agent", user_agent),
            proxy_url=text("proxy_url", proxy_url),
            ca_file=path_text("ca_file", ca_file),
            journal_path=path_text("journal_path", journal_path),
            connect_timeout_ms=milliseconds("connect_timeout", connect_timeout),
            request_timeout_ms=milliseconds("request_timeout", request_timeout),
            submit_timeout_ms=milliseconds("submit_timeout", submit_timeout),
            stall_timeout_ms=milliseconds("stall_timeout", stall_timeout),
            wait_timeout_ms=milliseconds("wait_timeout", wait_timeout),
            poll_interval_ms=milliseconds("poll_interval", poll_interval),
            max_requests_per_minute=number("max_requests_per_minute", max_requests_per_minute, 32),
            max_workers=number("max_workers", max_workers, 32),
            max_pending=number("max_pending", max_pending, 32),
            max_response_bytes=number("max_response_bytes", max_response_bytes, 63),
            max_image_bytes=number("max_image_bytes", max_image_bytes, 63),
            max_image_pixels=number("max_image_pixels", max_image_pixels, 63),
            allow_private_images=int(bool(allow_private_images)),
            allow_plain_http=int(bool(allow_plain_http)),
            log_level=max(level, self._lines.level),
            log=self._lines.sink,
        )
        handle, error = ClientHandle(), ErrorHandle()
        # Freed after the handle, however the handle ends.
        handle.sink = self._lines.sink  # type: ignore[attr-defined]
        status = library.imgtask_client_create(options, handle, error)
        if status:
            raise read_error(library, status, error)
        self._handle = handle
        clients.add(self)

    # --- one task ---

    def submit(self, request: Union[str, Mapping[str, Any], None] = None, /, **members: Any) -> Task:
        """Submits a request in the provider's own words; gives the task, which is final already when the service
        answered with the images.

        The request is a dict or JSON text, with `members` added: `client.submit(prompt="a cat", size="1024x1024")`.

        Never sent twice by itself: when the answer is lost, `SubmitUnknown` is raised, with what is known. No journal has it:
        for a request that must survive a crash there is `start`.

        >>> task = client.submit(prompt="a lighthouse at dusk", size="1024x1024")
        >>> task.id, task.is_final
        ('img_...', False)
        """
        body = request_text(request, members)
        return self._task(lambda library, client, out, error: library.imgtask_client_submit(client, body, out, error))

    def fetch(self, ref: TaskRef) -> Task:
        """One look at a task. A task that failed is no error here: see its `state`.

        Where looks take less than 5 ms, on loopback for instance, Ctrl-C waits for the end of the look, however long
        it takes this time: at most `request_timeout`.

        Raises `NotFound` for a task the service does not know.

        >>> client.fetch(client.submit(prompt="a lighthouse at dusk [never]")).state in ("queued", "running")
        True
        """
        encoded = ref_text(ref)
        # A thread for the signals costs as much as four looks at a service that is near, and nothing beside a look at
        # one that is far: so the time that the last look took decides. The first may meet anything.
        if not self._near and on_main_thread():
            started = monotonic()
            task = self._task(
                lambda library, client, out, error: library.imgtask_client_fetch(client, encoded, out, error)
            )
            self._near = monotonic() - started < NEAR
            return task
        client = self._handle
        if client is None:
            leave_if_over()
            raise closed()
        library = self._library
        handle = TaskHandle()
        spare = self._spare_errors
        try:
            error = spare.pop()
        except IndexError:
            error = ErrorHandle()
        started = monotonic()
        status = library.quick_client_fetch(client, encoded, byref(handle), byref(error))
        self._near = monotonic() - started < NEAR
        if self._lines.struck:
            self._lines.let_through()
        if status:
            leave_if_over()
            raise read_error(library, status, error, known(library, handle))
        spare.append(error)
        return read_task(library, handle)

    def wait(
        self,
        ref: TaskRef,
        timeout: Optional[float] = None,
        raise_on_failure: bool = True,
        on_progress: Optional[Callable[[Task], object]] = None,
        progress: bool = False,
    ) -> Task:
        """Looks until the task is final, as often as the service wants it.

        `timeout` is in seconds from the call: `None` = the client's `wait_timeout`, then the dialect's; 0 = one look.
        A `Task` that is final already is not looked at again.

        `on_progress` is called with the task, on this thread, whenever a look shows that it moved on: the progress never
        goes back. What it raises ends the wait. Such a wait is a job, and one look tells nothing on the way.
        `progress` shows that as a bar of tqdm, which must be installed.

        Raises `Timeout`, whose `task` is what was seen last, when the time is over; `TaskFailed`, with the `task`,
        when it ended in another state than succeeded, unless `raise_on_failure` is false.

        >>> task = client.wait("img_0000", raise_on_failure=False)
        Traceback (most recent call last):
        imgtask.NotFound: ...
        """
        if progress:
            with task_bar() as show:
                task = self.wait(ref, timeout, False, both(show, on_progress))
                show(task)
        elif isinstance(ref, Task) and ref.is_final:
            task = ref
        else:
            encoded = ref_text(ref)
            wait_ms = wait_milliseconds(timeout)
            if on_progress is not None and wait_ms > 0:
                task = self._wait_with_progress(ref, wait_ms, on_progress)
            else:
                task = self._task(
                    lambda library, client, out, error: library.imgtask_client_wait(
                        client, encoded, wait_ms, out, error
                    )
                )
        if raise_on_failure and task.is_final and task.state is not State.SUCCEEDED:
            raise task_failed(task)
        return task

    def cancel(self, ref: TaskRef) -> Task:
        """Asks the provider to cancel a task; gives what it says of the task then.

        Raises `Unsupported` where the provider has no such call (see `Provider.can_cancel`).

        >>> client.cancel("img_0000")
        Traceback (most recent call last):
        imgtask.Unsupported: DimiLinks has no call that cancels a task
        """
        encoded = ref_text(ref)
        return self._task(
            lambda library, client, out, error: library.imgtask_client_cancel_task(client, encoded, out, error)
        )

    # --- its images ---

    def download(self, task: Union[Task, Image], index: int = 0) -> Picture:
        """The bytes of one image: of a task, whose `images` `index` counts, or of one of these.

        Raises `NoImage` for a task without any, and `LinkExpired` where the service gives no fresh address.

        >>> task = client.wait(client.submit(prompt="two lighthouses", n=2))
        >>> [client.download(image).media_type for image in task.images]
        ['image/png', 'image/png']

        >>> client.download(client.wait(client.submit(prompt="a lighthouse at dusk")))
        Picture(media_type='image/png', ...)
        """
        source, place = image_of(task, index)
        return read_picture(
            self._library,
            self._bytes(
                lambda library, client, out, error: library.imgtask_client_download(
                    client, source, place, 0, out, error
                )
            ),
        )

    def download_file(
        self, task: Union[Task, Image], path: PathLike, index: int = 0, replace: bool = True
    ) -> SavedPicture:
        """One image into a file, see `download`: whole and checked under its name, or absent.

        With `replace` false an existing file is a `FileError`, and stays as it is.

        >>> task = client.wait(client.submit(prompt="a lighthouse", size="64x48"))
        >>> saved = client.download_file(task, "small.png")
        >>> saved.path, saved.width, saved.height, saved.size == saved.path.stat().st_size
        (PosixPath('small.png'), 64, 48, True)
        >>> client.download_file(task, "small.png", replace=False)
        Traceback (most recent call last):
        imgtask.FileError: ...
        """
        source, place = image_of(task, index)
        name = path_text("path", path)
        flags = 0 if replace else int(_abi.Flag.NO_REPLACE)
        try:
            saved = self._bytes(
                lambda library, client, out, error: library.imgtask_client_download_file(
                    client, source, place, name, flags, out, error
                )
            )
        except FileError as error:
            error.filename = os.fsdecode(path)
            raise
        return read_saved_picture(self._library, saved, Path(path))

    # --- for asyncio ---

    @property
    def aio(self) -> "Aio":
        """The same calls as coroutines, see `Aio`: `submit`, `fetch`, `wait`, `cancel`, `download`, `download_file`, `watch`,
        `close`.

        >>> import asyncio
        >>> async def main():
        ...     async with Client("dimilinks").aio as client:
        ...         return await client.wait(await client.submit(prompt="a lighthouse at dusk"))
        >>> asyncio.run(main()).state
        <State.SUCCEEDED: 'succeeded'>
        """
        # asyncio takes longer to import than the rest of this package.
        from ._aio import Aio

        return Aio(self)

    @property
    def _aside(self) -> "Aside":
        """Where `cancel` blocks for those who await it."""
        from ._aside import Aside

        kept: Aside = self.__dict__.setdefault("_kept_aside", Aside(4))
        return kept

    # --- the client itself ---

    def set_key(self, api_key: str) -> None:
        """Uses another key from the next request on: for short-lived tokens.

        >>> import os
        >>> client.set_key(os.environ["DIMILINKS_API_KEY"])
        """
        client, error = self._client(), ErrorHandle()
        status = self._library.imgtask_client_set_key(client, text("api_key", api_key), error)
        if status:
            raise read_error(self._library, status, error)

    def interrupt(self) -> None:
        """Ends every call in flight, on whatever thread, with `Cancelled`, and the loops that wait for events; the client
        stays usable, and jobs go on (but those of a `watch` whose loop ended so). A submit that was sent already ends in
        `SubmitUnknown`: a task may have been made.

        >>> import threading
        >>> timer = threading.Timer(0.2, client.interrupt)
        >>> timer.start()
        >>> client.wait(client.submit(prompt="a lighthouse [never]"))
        Traceback (most recent call last):
        imgtask.Cancelled: ...
        """
        self._check(self._library.imgtask_client_interrupt(self._client()))
        self._inbox.interrupt()

    def stats(self) -> Stats:
        """What this client has done so far.

        >>> before = client.stats()
        >>> task = client.wait(client.submit(prompt="a lighthouse at dusk"))
        >>> client.stats().looks > before.looks
        True
        """
        info = _abi.imgtask_stats()
        info.struct_size = ctypes.sizeof(info)
        self._check(self._library.imgtask_client_get_stats(self._client(), info))
        told = {each.name: getattr(info, each.name) for each in fields(Stats)}
        return Stats(**{**told, "pending": self.pending})

    def close(self, timeout: float = 5.0) -> bool:
        """Ends everything in flight and refuses new calls with `Closed`; waits up to `timeout` seconds for the ends. What
        the journal holds stays in it.

        Gives whether all had ended. May be called again; leaving a `with` block calls it.

        >>> short = Client("dimilinks")
        >>> short.close(), short.closed
        (True, True)
        >>> short.fetch("img_0000")
        Traceback (most recent call last):
        imgtask.Closed: the client is closed
        """
        limit = wait_milliseconds(timeout)
        client = self._end()
        return client is None or self._end_status(client, limit) == Status.OK

    def _end(self) -> Optional[ClientHandle]:
        """Refuses new calls from here on; gives what is to be closed, once."""
        client, self._handle = self._handle, None
        if client is not None:
            self._inbox.close()
        return client

    def _abandon(self) -> None:
        """Ends the calls that other threads have in flight, and refuses new ones, as the program ends. Waits for nothing."""
        if self._handle is not None:
            self._abandoned, self._handle = self._handle, None
            self._inbox.is_over = True
        if self._abandoned is not None:
            # In the child of a fork it is refused.
            self._library.imgtask_client_interrupt(self._abandoned)

    def _end_status(self, client: ClientHandle, milliseconds: int) -> int:
        """Ends everything in flight; waits so long for the ends, and gives OK when all had ended, TIMEOUT when not."""
        return self._library.imgtask_client_close(client, milliseconds)  # type: ignore[no-any-return]

    def _title(self) -> str:
        """The service's name for people; "" for a dialect of its own."""
        return next((each.title for each in providers() if each.name == self._provider), "")

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._handle is None

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], traceback: Optional[TracebackType]
    ) -> None:
        self.close()

    def __reduce__(self) -> Any:
        raise TypeError("a Client belongs to its process and cannot be pickled or copied: create one in each process")

    def __repr__(self) -> str:
        return f"<imgtask.Client for {self._provider}{', closed' if self.closed else ''}>"
