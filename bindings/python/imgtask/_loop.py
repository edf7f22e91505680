"""A client's events on asyncio's loops.

A loop watches the descriptor of the client's queue for all who await something there, so that a thousand waits take no
thread. Each has a box, and is woken when something is put in, whoever took it out of the library: this loop, another one,
or a thread that blocks.

A loop that cannot watch descriptors, and a system without this one, look at the queue again and again while somebody waits.
"""

import asyncio
import contextlib
import os
import weakref
from typing import Dict, List, Optional, Set

from ._errors import Error
from ._event import Event
from ._handles import ClientHandle
from ._inbox import GLANCE, SHORT_GLANCE, Box, Inbox, interrupted

#: Events that are sorted in one turn of the loop at most: some milliseconds.
BATCH = 256


class LoopBox(Box):
    """The events of one who awaits them."""

    def __init__(self, reader: "LoopReader") -> None:
        super().__init__()
        # The inbox holds the box. It must not hold who awaits something on a loop that was closed.
        self._reader = weakref.ref(reader)

    def wake(self) -> bool:
        reader = self._reader()
        if reader is not None:
            # The loop was closed: nobody waits there any more.
            with contextlib.suppress(RuntimeError):
                reader.loop.call_soon_threadsafe(reader.resume, self)
        return True


class LoopReader:
    """Takes a client's events out of the library on one loop.

    The loop holds it while somebody waits, and so does whoever waits; nobody else does, so that a loop that was closed
    leaves nothing behind.
    """

    def __init__(self, inbox: Inbox, loop: asyncio.AbstractEventLoop) -> None:
        #: The loop.
        self.loop = loop
        self._inbox = inbox
        # There while somebody waits, and no longer: a client that is done with is freed at once.
        self._client: Optional[ClientHandle] = None
        self._waiting: Set[LoopBox] = set()
        # Those of them that are empty, and whose reader awaits something.
        self._sleeping: "Dict[LoopBox, asyncio.Future[None]]" = {}
        # Whose reader is gone and whose jobs have not ended yet.
        self._ending: Set[LoopBox] = set()
        # Whose jobs are to end at the loop's next turn.
        self._stopping: List[LoopBox] = []
        # A descriptor of its own, as a loop takes each number only once: -1 without.
        self._fd = -1
        self._is_watching = False
        self._will_glance = False

    def open(self, client: ClientHandle) -> "Waiter":
        """One who awaits the events of jobs here."""
        if not self._is_watching:
            self._watch(client)
        box = LoopBox(self)
        # A signal may cut each step short: there is always somebody who leaves the box.
        waiter = Waiter(self._inbox, client, self, box)
        self._inbox.box(box)
        self._waiting.add(box)
        self._client = client
        return waiter

    async def changed(self, box: LoopBox) -> None:
        """Waits until something is put into a box. On the loop nothing can come in between a look into it and this."""
        self._sleeping[box] = self.loop.create_future()
        try:
            await self._sleeping[box]
        finally:
            del self._sleeping[box]

    def resume(self, box: LoopBox) -> None:
        """Ends the wait for a box. On the loop."""
        future = self._sleeping.get(box)
        if future is not None and not future.done():
            future.set_result(None)

    def stop(self, client: ClientHandle, box: LoopBox) -> None:
        """Ends a box's jobs, together with those of all others that are to end in this turn of the loop."""
        if not self._stopping:
            self.loop.call_soon(self._stop, client)
        self._stopping.append(box)

    def _stop(self, client: ClientHandle) -> None:
        stopping, self._stopping = self._stopping, []
        self._inbox.stop(client, *stopping)

    def left(self, box: LoopBox) -> None:
        """The one who had this box is gone. Told on any thread."""
        self._waiting.discard(box)
        if box.ops:
            self._ending.add(box)
        self._rest()

    # --- how it is told ---

    def _watch(self, client: ClientHandle) -> None:
        try:
            self._fd = os.dup(self._inbox.queue_fd(client))
            self.loop.add_reader(self._fd, self._sort)
        except (Error, NotImplementedError, OSError):
            # None on this system, none that this loop takes, none left.
            self._close()
        self._is_watching = True
        self._glance_later()

    def _glance_later(self) -> None:
        if not self._will_glance:
            self.loop.call_later(GLANCE if self._fd >= 0 else SHORT_GLANCE, self._glance)
            self._will_glance = True

    def _glance(self) -> None:
        """Where there is a descriptor: for the log's lines, and for what somebody left halfway."""
        self._will_glance = False
        if self._is_watching:
            self._sort()
        if self._is_watching:
            self._glance_later()

    def _sort(self) -> None:
        if self._client is None:
            self._unwatch()
            return
        try:
            self._inbox.sort(self._client, BATCH)
        except Error:
            # Closed, most often. Whoever waits is told the same when he asks himself.
            self._unwatch()
            for box in list(self._waiting):
                box.wake()
            self._ending.clear()
        if self._ending:
            # Of a copy: a collector that comes by here may let one more leave.
            self._ending.difference_update([box for box in list(self._ending) if not box.ops])
        self._rest()

    def _rest(self) -> None:
        """Lets the client go when nobody waits. The descriptor is given back by the next glance."""
        if not self._waiting and not self._ending:
            self._client = None

    def _unwatch(self) -> None:
        self._is_watching = False
        if self._fd >= 0:
            self.loop.remove_reader(self._fd)
        self._close()

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __del__(self) -> None:
        self._close()


class Waiter:
    """One who awaits the events of jobs on a loop. He leaves, or is forgotten with the coroutine that holds him."""

    def __init__(self, inbox: Inbox, client: ClientHandle, reader: LoopReader, box: LoopBox) -> None:
        #: Where the events are.
        self.box = box
        self._inbox = inbox
        self._client = client
        self._reader = reader

    def take(self) -> Optional[Event]:
        """The next event, if one is there."""
        return self._inbox.take_now(self._client, self.box, BATCH)

    async def next(self) -> Event:
        """The next event. Raises `Cancelled` when `interrupt` ended the waiting."""
        interrupts = self._inbox.interrupts
        while True:
            event = self.take()
            if event is not None:
                return event
            if self._inbox.interrupts != interrupts:
                raise interrupted()
            await self.changed()

    async def changed(self) -> None:
        """Waits until an event may be there."""
        await self._reader.changed(self.box)

    def stop(self) -> None:
        """Ends his jobs soon; he is told how they end."""
        self._reader.stop(self._client, self.box)

    def leave(self) -> None:
        """Ends his jobs; their last events are taken out of the library and forgotten."""
        if not self.box.left:
            self._inbox.leave(self._client, self.box)
        self._reader.left(self.box)

    def __del__(self) -> None:
        # A coroutine that ran on a loop which was closed did not get to its end.
        if not self.box.left:
            self.leave()


def reader_of(inbox: Inbox) -> LoopReader:
    """The reader of the loop that runs here."""
    loop = asyncio.get_running_loop()
    found: List[LoopReader] = inbox.readers()
    for reader in found:
        if reader.loop is loop:
            return reader
    reader = LoopReader(inbox, loop)
    inbox.add_reader(reader)
    return reader
