"""Events between the library and their readers.

The library has one queue of events a client, and wants one reader. Here may be several: who calls `next_event` or
`events`, and a box for each `watch` and each `wait` that tells its progress. Whoever waits takes events out of the queue,
one at a time and only until there is one in his own box; what belongs to others he puts into theirs.

Waiting is done with the queue's descriptor and never inside of the library, so that signals get through. Coroutines wait
for their boxes: the loop they run on watches the descriptor for all of them, see `_loop`.
"""

import contextlib
import os
import select
import sys
import threading
import time
import weakref
from collections import deque
from ctypes import byref, c_int, c_uint32, c_uint64, sizeof
from typing import Any, Deque, Dict, List, Optional, Set, Tuple

from . import _abi
from ._abi import Status
from ._bell import Bell
from ._calls import closed
from ._errors import Cancelled, WrongProcess, read_error
from ._event import FINAL, PROGRESS, Event, read_event
from ._exit import leave_if_over
from ._handles import ClientHandle, ErrorHandle, EventHandle
from ._library import Library
from ._lines import Lines
from ._readable import Readable

#: So long an interrupt and the log's lines may wait for somebody who waits, seconds.
GLANCE = 0.05

#: Where the queue has no descriptor somebody who waits asks so often, seconds.
SHORT_GLANCE = 0.01

#: No thread has this number.
NOBODY = 0

#: How long the library may wait: it never does.
AT_ONCE = c_uint32(0)


class Box:
    """One reader's events that have left the library. Progress is merged, as the library does it.

    A signal may cut any step short: an event that cannot be read any more must not be counted either.
    """

    def __init__(self) -> None:
        #: Jobs it has claimed whose final event has not left the library.
        self.ops: Set[int] = set()
        #: What a job is being started for it with: holds its number before anybody knows it.
        self.starting: Optional[c_uint64] = None
        #: Jobs whose final event is in it.
        self.finals: Set[int] = set()
        #: Whether its reader is gone.
        self.left = False
        # A cell is empty when something later tells more.
        self._cells: Deque[List[Optional[EventHandle]]] = deque()
        self._progress: Dict[int, List[Optional[EventHandle]]] = {}

    def put(self, handle: EventHandle) -> None:
        if self._cells and self._cells[-1][0] is handle:
            return
        op, kind = handle.op, handle.kind
        cell: List[Optional[EventHandle]] = [handle]
        if kind == PROGRESS:
            waiting = self._progress.get(op)
            if waiting is not None:
                waiting[0] = handle
                return
            self._cells.append(cell)
            self._progress[op] = cell
            return
        if kind == FINAL:
            waiting = self._progress.pop(op, None)
            if waiting is not None:
                # The final event tells more.
                waiting[0] = None
            self.finals.add(op)
        self._cells.append(cell)

    def holds_events(self) -> bool:
        while self._cells and self._cells[0][0] is None:
            self._cells.popleft()
        return bool(self._cells)

    def take(self) -> Optional[EventHandle]:
        if not self.holds_events():
            return None
        handle = self._cells[0][0]
        assert handle is not None
        if handle.kind == FINAL:
            self.finals.discard(handle.op)
        elif handle.kind == PROGRESS:
            self._progress.pop(handle.op, None)
        self._cells.popleft()
        return handle

    def wake(self) -> bool:
        """Something was put in by somebody else. Gives whether its reader is told by this."""
        return False

    def clear(self) -> None:
        self.finals.clear()
        self._cells.clear()
        self._progress.clear()

    def __len__(self) -> int:
        return sum(1 for cell in self._cells if cell[0] is not None)


class Arriving:
    """An event on its way from the library into a box."""

    __slots__ = ("handle", "box")

    def __init__(self, handle: EventHandle) -> None:
        self.handle = handle
        self.box: Optional[Box] = None


class Inbox:
    """The events of one client, sorted by who reads them."""

    def __init__(self, library: Library, lines: Lines, has_journal: bool) -> None:
        self._library = library
        self._lines = lines
        self._has_journal = has_journal
        self._process = os.getpid()
        #: Events of jobs that nobody has claimed: for `next_event`.
        self.loose = Box()
        # Jobs that have a reader of their own, until their final event has left the library.
        self._claims: Dict[int, Box] = {}
        # Where somebody still reads.
        self._boxes = {self.loose}
        # Whether there may be claims of a reader who is gone.
        self._some_left = False
        # What the library fills, and whose it is. Stays here until it is in that box: no signal can lose it.
        self._arriving = Arriving(empty_event())
        # Used again: a signal that strikes while Python destroys something is lost.
        self._spares: List[EventHandle] = []
        # A collector may run a watch's end while this thread holds it.
        self._changed = threading.Condition(threading.RLock())
        # The thread that waits for the queue. One that finds itself here was cut short.
        self._leader = NOBODY
        #: Whether the program ends: no event is taken out of the library any more.
        self.is_over = False
        #: How often waiting was interrupted.
        self.interrupts = 0
        self._fd: Optional[int] = None
        # Those who read on loops of asyncio, see `_loop`.
        self._readers: "List[weakref.ref[Any]]" = []
        # They take out of the library what the thread that waits for it may wait for, too.
        self._bell: Optional[Bell] = None
        self._readable: Optional[Readable] = None

    def start(self, client: ClientHandle, job: _abi.imgtask_job, box: Optional[Box] = None) -> Tuple[int, int]:
        """Starts a job, whose events go into `box`. Gives the library's status and the job's number."""
        self.in_own_process()
        op = c_uint64()
        with self._changed:
            if box is None:
                status: int = self._library.imgtask_client_start(client, job, op)
            else:
                try:
                    box.starting = op
                    status = self._library.imgtask_client_start(client, job, op)
                finally:
                    self._claim(box)
        self._lines.let_through()
        return status, op.value

    def take(
        self, client: ClientHandle, box: Box, timeout: Optional[float], while_pending: bool = False
    ) -> Optional[Event]:
        """The next event of `box`; `None` when none came in `timeout` seconds.

        `while_pending` gives `None` also when no job that nobody claimed is pending any more. Raises `Closed` when the
        client was closed and every event was taken, and `Cancelled` after an interrupt.
        """
        return self._read(self._next(client, box, timeout, while_pending))

    def take_now(self, client: ClientHandle, box: Box, most: int) -> Optional[Event]:
        """The next event of `box`, if it is there or among so many that the library has; never waits."""
        self.in_own_process()
        with self._changed:
            self._sort(client, box, most)
            handle = box.take()
        return self._read(handle)

    def sort(self, client: ClientHandle, most: int) -> None:
        """Takes at most so many events out of the library; their readers are told."""
        self.in_own_process()
        with self._changed:
            self._sort(client, None, most)

    def _read(self, handle: Optional[EventHandle]) -> Optional[Event]:
        if handle is None:
            return None
        event = read_event(self._library, handle, self._has_journal)
        if event._receipt is None:
            self._library.imgtask_event_clear(handle)
            self._spares.append(handle)
        return event

    def _next(
        self, client: ClientHandle, box: Box, timeout: Optional[float], while_pending: bool
    ) -> Optional[EventHandle]:
        self.in_own_process()
        until = None if timeout is None else time.monotonic() + timeout
        interrupts = self.interrupts
        me = threading.get_ident()
        while True:
            with self._changed:
                self._sort(client, box)
                handle = box.take()
                if handle is not None:
                    if box is self.loose:
                        self._show()
                    return handle
                if while_pending and not self._loose_pending(client):
                    return None
                left = GLANCE if until is None else min(until - time.monotonic(), GLANCE)
                if left <= 0:
                    return None
                if self.interrupts != interrupts:
                    raise interrupted()
                if self._leader not in (NOBODY, me):
                    self._changed.wait(left)
                    continue
                if self._bell is None and sys.platform != "win32":
                    # Before anybody waits, as a loop may come by later. Where the system gives none, a glance does.
                    with contextlib.suppress(OSError):
                        self._bell = Bell()
                self._leader = me
            try:
                self._wait_for_queue(client, left)
            finally:
                with self._changed:
                    self._leader = NOBODY
                    self._changed.notify_all()

    def box(self, box: Optional[Box] = None) -> Box:
        """A box for a reader who claims jobs, until he leaves."""
        self.in_own_process()
        box = Box() if box is None else box
        with self._changed:
            self._boxes.add(box)
        return box

    def leave(self, client: ClientHandle, box: Box, tries: int = 20) -> None:
        """Ends the jobs of a box whose reader goes. Nothing of them is acknowledged: the journal keeps what was not read."""
        if os.getpid() != self._process:
            return
        try:
            self._leave(client, box)
        except BaseException:
            # A second Ctrl-C, or one of many. Jobs that nobody knows any more must not go on.
            if tries > 1:
                self.leave(client, box, tries - 1)
            raise

    def _leave(self, client: ClientHandle, box: Box) -> None:
        with self._changed:
            self._claim(box)
            self._some_left = box.left = True
            box.clear()
            self._boxes.discard(box)
        self.stop(client, box)

    def readers(self) -> List[Any]:
        """Those who read on loops."""
        with self._changed:
            return [each for each in (ref() for ref in self._readers) if each is not None]

    def add_reader(self, reader: Any) -> None:
        """One more who reads on a loop."""
        with self._changed:
            self._readers = [*map(weakref.ref, self.readers()), weakref.ref(reader)]

    def stop(self, client: ClientHandle, *boxes: Box) -> None:
        """Ends the jobs of these boxes."""
        with self._changed:
            ops = [op for box in boxes for op in box.ops]
        # The newest first: one that ends makes room for those behind it, whose requests would be sent before their turn.
        for op in sorted(ops, reverse=True):
            self._library.imgtask_client_stop(client, op)

    def holds_final(self, op: int) -> bool:
        """Whether a job's final event has left the library and was not read yet."""
        with self._changed:
            return op in self.loose.finals

    def pending(self, client: ClientHandle) -> int:
        """Jobs whose final event nobody has read yet, but for those whose reader is gone."""
        self.in_own_process()
        with self._changed:
            # Copies: a collector that comes by here may let a reader leave.
            gone = sum(1 for box in list(self._claims.values()) if box.left) if self._some_left else 0
            self._some_left = gone > 0
            unread = sum(len(box.finals) for box in list(self._boxes))
            return int(self._library.imgtask_client_pending(client)) - gone + unread

    def interrupt(self) -> None:
        """Ends the waiting of whoever waits now."""
        if os.getpid() == self._process:
            with self._changed:
                self.interrupts += 1
                self._changed.notify_all()
                for box in list(self._boxes):
                    box.wake()

    def fileno(self, client: ClientHandle) -> int:
        """A descriptor that is readable while an event waits for `next_event`."""
        self.in_own_process()
        with self._changed:
            if self._readable is None:
                self._readable = Readable(self.queue_fd(client))
                self._show()
            return self._readable.fileno()

    def close(self) -> None:
        """Forgets what nobody has read."""
        if os.getpid() == self._process:
            with self._changed:
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

    def _claim(self, box: Box) -> None:
        """Claims the job that was started for a box last. When that was cut short it is done again."""
        if box.starting is not None:
            op = box.starting.value
            if op:
                self._claims[op] = box
                box.ops.add(op)
            box.starting = None

    def _sort(self, client: ClientHandle, box: Optional[Box], most: int = sys.maxsize) -> None:
        """Takes events out of the library until there is one in `box`, none is left, or it were so many."""
        while True:
            handle = self._arriving.handle
            if handle.op:
                self._put(self._arriving, box)
                self._arriving = Arriving(self._spares.pop() if self._spares else empty_event())
                most -= 1
            elif most <= 0 or (box is not None and box.holds_events()):
                return
            elif self.is_over:
                leave_if_over()
                raise closed()
            else:
                status = self._library.quick_client_next_event(client, AT_ONCE, byref(handle))
                if self._lines.struck:
                    self._lines.let_through()
                if status == Status.NO_EVENT:
                    return
                if status:
                    raise closed() if status == Status.CLOSED else read_error(self._library, status, ErrorHandle())

    def _put(self, arriving: "Arriving", reader: Optional[Box]) -> None:
        """Puts an event into its box. When that was cut short it is done again, to the same end."""
        handle = arriving.handle
        op: int = handle.op
        if arriving.box is None:
            arriving.box = self._claims.get(op, self.loose)
        box = arriving.box
        if not box.left:
            box.put(handle)
        if handle.kind == FINAL:
            self._claims.pop(op, None)
            box.ops.discard(op)
        if box is not reader:
            if not box.wake():
                self._tell_all()
            if box is self.loose:
                self._show()

    def _tell_all(self) -> None:
        """Something was put into a box: whoever waits looks into his."""
        self._changed.notify_all()
        if self._bell is not None and self._leader not in (NOBODY, threading.get_ident()):
            self._bell.ring()

    def _loose_pending(self, client: ClientHandle) -> int:
        return int(self._library.imgtask_client_pending(client)) - len(self._claims) + len(self.loose.finals)

    def _show(self) -> None:
        if self._readable is not None:
            self._readable.show(self.loose.holds_events())

    # --- without it ---

    def _wait_for_queue(self, client: ClientHandle, seconds: float) -> None:
        """Waits until an event may be there; at most so long."""
        if sys.platform == "win32":
            time.sleep(min(seconds, SHORT_GLANCE))
            return
        # Not select, which takes no descriptor above 1023.
        poll = select.poll()
        poll.register(self.queue_fd(client), select.POLLIN)
        bell = self._bell
        if bell is not None:
            poll.register(bell, select.POLLIN)
        if any(fd != self._fd for fd, _ in poll.poll(max(1, seconds * 1000))) and bell is not None:
            bell.quiet()

    def queue_fd(self, client: ClientHandle) -> int:
        """The queue's own descriptor: readable while events wait in the library, and once it is closed."""
        if self._fd is None:
            fd = c_int(-1)
            status = self._library.imgtask_client_event_fd(client, fd)
            if status:
                raise read_error(self._library, status, ErrorHandle())
            self._fd = fd.value
        return self._fd


def interrupted() -> Cancelled:
    """The error of a wait for events that `interrupt` ended."""
    return Cancelled("interrupted while waiting for an event", status=Status.CANCELLED, retry_after=0.0)


def empty_event() -> EventHandle:
    """A struct for the library to fill."""
    return EventHandle(sizeof(EventHandle))
