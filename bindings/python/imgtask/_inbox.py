"""Events between the library and their readers.

The library has one queue of events a client, and wants one reader. Here may be several: who calls `next_event` or
`events`, and a box for each `watch` and each `wait` that tells its progress. Whoever waits takes events out of the queue,
one at a time and only until there is one in his own box; what belongs to others he puts into theirs.

Waiting is done with the queue's descriptor and never inside of the library, so that signals get through.
"""

import os
import select
import sys
import threading
import time
from collections import deque
from ctypes import byref, c_int, c_uint32, c_uint64, sizeof
from typing import Deque, Dict, List, Optional, Set, Tuple

from . import _abi
from ._abi import Status
from ._calls import closed
from ._errors import Cancelled, WrongProcess, read_error
from ._event import FINAL, PROGRESS
from ._handles import ClientHandle, ErrorHandle, EventHandle
from ._library import Library
from ._readable import Readable

#: So long an interrupt and the log's lines may wait for somebody who waits, seconds.
GLANCE = 0.05

#: Where the queue has no descriptor somebody who waits asks so often, seconds.
SHORT_GLANCE = 0.01

#: How long the library may wait: it never does.
AT_ONCE = c_uint32(0)


class Box:
    """One reader's events that have left the library. Progress is merged, as the library does it."""

    def __init__(self) -> None:
        #: Events in it.
        self.count = 0
        #: Jobs whose final event is in it.
        self.finals: Set[int] = set()
        #: Whether its reader is gone.
        self.left = False
        self._cells: Deque[List[Optional[EventHandle]]] = deque()
        self._progress: Dict[int, List[Optional[EventHandle]]] = {}

    def put(self, handle: EventHandle) -> None:
        op = handle.op
        waiting = self._progress.pop(op, None)
        if handle.kind == PROGRESS:
            cell: List[Optional[EventHandle]]
            if waiting is not None:
                cell = waiting
                cell[0] = handle
            else:
                cell = [handle]
                self._cells.append(cell)
                self.count += 1
            self._progress[op] = cell
            return
        if waiting is not None:
            if handle.kind == FINAL:
                # It tells more.
                waiting[0] = None
                self.count -= 1
            else:
                self._progress[op] = waiting
        if handle.kind == FINAL:
            self.finals.add(op)
        self._cells.append([handle])
        self.count += 1

    def take(self) -> Optional[EventHandle]:
        while self._cells:
            handle = self._cells.popleft()[0]
            if handle is None:
                continue
            self.count -= 1
            if handle.kind == FINAL:
                self.finals.discard(handle.op)
            elif handle.kind == PROGRESS:
                self._progress.pop(handle.op, None)
            return handle
        return None

    def clear(self) -> None:
        self.count = 0
        self.finals.clear()
        self._cells.clear()
        self._progress.clear()


class Inbox:
    """The events of one client, sorted by who reads them."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._process = os.getpid()
        #: Events of jobs that nobody has claimed: for `next_event`.
        self.loose = Box()
        # Jobs that have a reader of their own, until their final event has left the library.
        self._claims: Dict[int, Box] = {}
        # Those of them whose reader is gone, and jobs whose final event waits in a box.
        self._gone = 0
        self._unread = 0
        # Filled by the library. Stays here until it is in a box, so that no signal can lose it.
        self._arriving = empty_event()
        # A collector may run a watch's end while this thread holds it.
        self._changed = threading.Condition(threading.RLock())
        self._led = False
        self._interrupts = 0
        self._fd: Optional[int] = None
        self._readable: Optional[Readable] = None

    def start(self, client: ClientHandle, job: _abi.imgtask_job, box: Optional[Box] = None) -> Tuple[int, int]:
        """Starts a job, whose events go into `box`. Gives the library's status and the job's number."""
        self.in_own_process()
        op = c_uint64()
        with self._changed:
            try:
                status: int = self._library.imgtask_client_start(client, job, op)
            finally:
                if box is not None and op.value:
                    self._claims[op.value] = box
        return status, op.value

    def take(
        self, client: ClientHandle, box: Box, timeout: Optional[float], while_pending: bool = False
    ) -> Optional[EventHandle]:
        """The next event of `box`; `None` when none came in `timeout` seconds.

        `while_pending` gives `None` also when no job that nobody claimed is pending any more. Raises `Closed` when the
        client was closed and every event was taken, and `Cancelled` after an interrupt.
        """
        self.in_own_process()
        until = None if timeout is None else time.monotonic() + timeout
        interrupts = self._interrupts
        while True:
            with self._changed:
                self._sort(client, box)
                handle = box.take()
                if handle is not None:
                    self._took(handle, box)
                    return handle
                if while_pending and not self._loose_pending(client):
                    return None
                left = GLANCE if until is None else min(until - time.monotonic(), GLANCE)
                if left <= 0:
                    return None
                if self._interrupts != interrupts:
                    raise Cancelled("interrupted while waiting for an event", status=Status.CANCELLED, retry_after=0.0)
                if self._led:
                    self._changed.wait(left)
                    continue
                self._led = True
            try:
                self._wait_for_queue(client, left)
            finally:
                with self._changed:
                    self._led = False
                    self._changed.notify_all()

    def leave(self, client: ClientHandle, box: Box) -> None:
        """Ends the jobs of a box whose reader goes. Nothing of them is acknowledged: the journal keeps what was not read."""
        if os.getpid() != self._process:
            return
        with self._changed:
            ops = [op for op, owner in self._claims.items() if owner is box]
            self._gone += len(ops)
            self._unread -= len(box.finals)
            box.left = True
            box.clear()
        for op in ops:
            self._library.imgtask_client_stop(client, op)

    def holds_final(self, op: int) -> bool:
        """Whether a job's final event has left the library and was not read yet."""
        with self._changed:
            return op in self.loose.finals

    def pending(self, client: ClientHandle) -> int:
        """Jobs whose final event nobody has read yet, but for those whose reader is gone."""
        self.in_own_process()
        with self._changed:
            return int(self._library.imgtask_client_pending(client)) - self._gone + self._unread

    def interrupt(self) -> None:
        """Ends the waiting of whoever waits now."""
        if os.getpid() == self._process:
            with self._changed:
                self._interrupts += 1
                self._changed.notify_all()

    def fileno(self, client: ClientHandle) -> int:
        """A descriptor that is readable while an event waits for `next_event`."""
        self.in_own_process()
        with self._changed:
            if self._readable is None:
                fd = c_int(-1)
                status = self._library.imgtask_client_event_fd(client, fd)
                if status:
                    raise read_error(self._library, status, ErrorHandle())
                self._readable = Readable(fd.value)
                self._show()
            return self._readable.fileno()

    def close(self) -> None:
        """Forgets what nobody has read."""
        if os.getpid() == self._process:
            with self._changed:
                self._unread -= len(self.loose.finals)
                self.loose.clear()
                if self._readable is not None:
                    self._readable.close()
                    self._readable = None
                self._changed.notify_all()

    def in_own_process(self) -> None:
        """Refuses to go on in a child: a thread of the parent may have held the lock at the fork."""
        if os.getpid() != self._process:
            raise WrongProcess(
                "the client was created before a fork, in the parent process: create one in each process",
                status=Status.WRONG_PROCESS,
            )

    # --- with the lock held ---

    def _sort(self, client: ClientHandle, box: Box) -> None:
        """Takes events out of the library until there is one in `box` or none is left."""
        while box.count == 0:
            arriving = self._arriving
            if not arriving.op:
                status = self._library.quick_client_next_event(client, AT_ONCE, byref(arriving))
                if status == Status.NO_EVENT:
                    return
                if status:
                    raise closed() if status == Status.CLOSED else read_error(self._library, status, ErrorHandle())
            self._put(arriving, box)
            self._arriving = empty_event()

    def _put(self, handle: EventHandle, reader: Box) -> None:
        op: int = handle.op
        box = self._claims.get(op, self.loose)
        if handle.kind == FINAL:
            self._claims.pop(op, None)
            if box.left:
                self._gone -= 1
            else:
                self._unread += 1
        if box.left:
            return
        box.put(handle)
        if box is not reader:
            self._changed.notify_all()
            if box is self.loose:
                self._show()

    def _took(self, handle: EventHandle, box: Box) -> None:
        if handle.kind == FINAL:
            self._unread -= 1
        if box is self.loose:
            self._show()

    def _loose_pending(self, client: ClientHandle) -> int:
        return int(self._library.imgtask_client_pending(client)) - len(self._claims) + len(self.loose.finals)

    def _show(self) -> None:
        if self._readable is not None:
            self._readable.show(self.loose.count > 0)

    # --- without it ---

    def _wait_for_queue(self, client: ClientHandle, seconds: float) -> None:
        """Waits until an event may be there; at most so long."""
        if sys.platform == "win32":
            time.sleep(min(seconds, SHORT_GLANCE))
            return
        if self._fd is None:
            fd = c_int(-1)
            status = self._library.imgtask_client_event_fd(client, fd)
            if status:
                raise read_error(self._library, status, ErrorHandle())
            self._fd = fd.value
        # Not select, which takes no descriptor above 1023.
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        poll.poll(max(1, seconds * 1000))


def empty_event() -> EventHandle:
    """A struct for the library to fill."""
    return EventHandle(sizeof(EventHandle))

