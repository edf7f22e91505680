"""Many tasks, watched at once on an event loop."""

import asyncio
import inspect
from collections import deque
from typing import TYPE_CHECKING, AsyncGenerator, AsyncIterable, Deque, Dict, Iterable, Optional, Union

from . import _abi
from ._errors import Busy, InvalidArgument
from ._event import EventKind
from ._handles import ClientHandle
from ._inbox import interrupted
from ._job import Source
from ._loop import LoopBox, reader_of
from ._watch import OnWatchProgress, Outcome, Under, begin_ref, outcome, refused

if TYPE_CHECKING:
    from ._jobs import Jobs

#: Refs that are pulled in one turn of the loop.
BATCH = 64


class Feeder:
    """Starts a job for each ref as there is room."""

    def __init__(self, jobs: "Jobs", box: LoopBox, wanted: _abi.imgtask_job, in_flight: int) -> None:
        #: The refs that are under way.
        self.under_way: Dict[int, Under] = {}
        #: Refs that could not begin.
        self.refused: Deque[Outcome] = deque()
        self._jobs = jobs
        self._box = box
        self._wanted = wanted
        self._in_flight = in_flight
        self._room = asyncio.Event()

    def has_room(self) -> bool:
        """Says whether one more may be under way, and lets it in."""
        if len(self.under_way) + len(self.refused) < self._in_flight:
            self._room.set()
        else:
            self._room.clear()
        return self._room.is_set()

    async def feed(self, refs: AsyncGenerator[Source, None]) -> None:
        """Pulls refs one at a time, until there are no more."""
        try:
            while self.has_room() or await self._room.wait():
                try:
                    ref = await refs.__anext__()
                except StopAsyncIteration:
                    return
                while not self._begins(ref):
                    self._room.clear()
                    await self._room.wait()
        finally:
            await refs.aclose()

    def has_ended(self, feeding: "asyncio.Task[None]") -> None:
        """Tells whoever waits for outcomes that no more will begin."""
        self._box.wake()

    def _begins(self, ref: Source) -> bool:
        """Starts the job of a ref, if the client has room for it."""
        try:
            begin_ref(self._wanted, ref)
            op = self._jobs._start(self._wanted, self._box)
        except InvalidArgument as error:
            self.refused.append(refused(ref, error))
            self._box.wake()
        except Busy:
            if not self.under_way:
                raise
            return False
        else:
            self.under_way[op] = Under(ref)
        return True


async def each(refs: Union[Iterable[Source], AsyncIterable[Source]]) -> AsyncGenerator[Source, None]:
    """Refs of both kinds as one."""
    if isinstance(refs, AsyncIterable):
        async for ref in refs:
            yield ref
        return
    for count, ref in enumerate(refs, 1):
        yield ref
        if count % BATCH == 0:
            await asyncio.sleep(0)


async def watch(
    jobs: "Jobs",
    client: ClientHandle,
    refs: AsyncGenerator[Source, None],
    wanted: _abi.imgtask_job,
    on_progress: Optional[OnWatchProgress],
    in_flight: int,
) -> AsyncGenerator[Outcome, None]:
    """Starts a job for each ref as there is room, and gives what became of them."""
    inbox = jobs._inbox
    loop = asyncio.get_running_loop()
    waiter = reader_of(inbox).open(client)
    feeder = Feeder(jobs, waiter.box, wanted, in_flight)
    feeding = loop.create_task(feeder.feed(refs))
    feeding.add_done_callback(feeder.has_ended)
    try:
        interrupts = inbox.interrupts
        while True:
            while feeder.refused:
                yield feeder.refused.popleft()
                feeder.has_room()
            if feeding.done():
                feeding.result()
                if not feeder.under_way and not feeder.refused:
                    return
            event = waiter.take()
            if event is None:
                if inbox.interrupts != interrupts:
                    raise interrupted()
                if not feeder.refused and not (feeding.done() and not feeder.under_way):
                    await waiter.changed()
                continue
            if event.kind is EventKind.FINAL:
                under = feeder.under_way.pop(event.op)
                feeder.has_room()
                yield outcome(under, event)
                event.acknowledge()
                interrupts = inbox.interrupts
            elif event.kind is EventKind.IMAGE:
                feeder.under_way[event.op].images.append(event)
            elif on_progress is not None and event.task is not None:
                told = on_progress(event.task, feeder.under_way[event.op].ref)
                if inspect.isawaitable(told):
                    await told
    finally:
        waiter.leave()
        if not loop.is_closed():
            feeding.cancel()
            await asyncio.wait({feeding})
        # What it raised holds this frame.
        del feeding
