"""Many tasks, watched at once."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, Generator, Iterator, List, Mapping, Optional, Tuple, Union

from . import _abi
from ._errors import Busy, Error, InvalidArgument
from ._event import Event, EventKind, Goal
from ._handles import ClientHandle
from ._job import Index, Source, begin, file_pattern, goal_of, job, job_index
from ._library import PathLike
from ._picture import Picture, SavedPicture
from ._pixels import Pixels
from ._task import Task

if TYPE_CHECKING:
    from ._jobs import Jobs

#: Called with the task as it was seen, and the ref as it was given.
OnWatchProgress = Callable[[Task, Any], object]

#: Tasks that a watch has under way at most, when nobody says: more than the services' limits let it look at in some
#: minutes, and some 30 MB.
IN_FLIGHT = 10_000


@dataclass(frozen=True)
class Outcome:
    """What became of one of the refs that were given to `Client.watch`.

    >>> for done in client.watch([{"prompt": "a cat"}, {"prompt": "a dog [fail]"}], goal="bytes"):
    ...     print(done.ref["prompt"], done.task.state, done.picture is not None, type(done.error).__name__)    # as they end
    a ...
    a ...
    """

    #: The ref as it was given.
    ref: Any
    #: The task as it was seen last; `None` when no look has seen it.
    task: Optional[Task]
    #: What went wrong, as `wait` would have raised it; `None` when the goal was reached.
    error: Optional[Error]
    #: The images' bytes, where the goal is those.
    pictures: Tuple[Picture, ...] = field(default=(), repr=False)
    #: The images' pixels, where the goal is those.
    all_pixels: Tuple[Pixels, ...] = field(default=(), repr=False)
    #: The images' files, where the goal is those.
    files: Tuple[SavedPicture, ...] = field(default=(), repr=False)

    def __repr__(self) -> str:
        return f"Outcome(ref={ref_words(self.ref)}, task={self.task!r}, error={self.error!r})"

    def _repr_html_(self) -> str:
        """What notebooks show."""
        from ._display import outcome_html

        return outcome_html(self)

    @property
    def picture(self) -> Optional[Picture]:
        """The first image's bytes."""
        return self.pictures[0] if self.pictures else None

    @property
    def pixels(self) -> Optional[Pixels]:
        """The first image's pixels."""
        return self.all_pixels[0] if self.all_pixels else None

    @property
    def path(self) -> Optional[Path]:
        """The first image's file."""
        return self.files[0].path if self.files else None


def ref_words(ref: Source) -> str:
    """A ref in words: of an address nothing that may be signed, of a request no more than its prompt."""
    if isinstance(ref, str):
        start, mark, _ = re.sub("(?<=//)[^/?#]*@", "...@", ref).partition("?")
        return repr(f"{start}?..." if mark else start)
    return request_words(ref) if isinstance(ref, Mapping) else repr(ref)


def request_words(request: Mapping[str, Any]) -> str:
    """A request's prompt, else the names of its members."""
    prompt = request.get("prompt")
    if isinstance(prompt, str):
        return f"{{'prompt': {prompt!r}{', ...' if len(request) > 1 else ''}}}"
    return f"{{{', '.join(f'{name!r}: ...' for name in request)}}}"


def watch_job(
    refs: object,
    goal: Union[Goal, str, None],
    *,
    index: Index,
    download_to: Optional[PathLike],
    replace: bool,
    progress: bool,
    timeout: Optional[float],
    in_flight: int,
    max_side: int,
    flip_y: bool,
    bgra: bool,
    premultiply: bool,
) -> _abi.imgtask_job:
    """What a watch does with each ref."""
    if isinstance(refs, (str, bytes, Mapping)):
        raise TypeError(f"refs must be many refs, not one {'request' if isinstance(refs, Mapping) else 'text'}: watch([ref])")
    if not isinstance(in_flight, int) or in_flight < 1:
        raise InvalidArgument(f"in_flight must be 1 or more, not {in_flight!r}")
    job_index(index)
    path = None if download_to is None else file_pattern(download_to, index)
    if path is not None and goal_of(goal, path) is not Goal.FILE:
        raise InvalidArgument('download_to means the goal "file"')
    if path is None and goal_of(goal, path) is Goal.FILE:
        raise InvalidArgument('the goal "file" needs download_to')
    return job(
        goal,
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


def begin_ref(wanted: _abi.imgtask_job, ref: Source) -> None:
    """Says what the job of a ref begins with. Of a watch's refs each has an outcome, also one that is of no kind of theirs."""
    try:
        begin(wanted, ref, {})
    except TypeError as error:
        raise InvalidArgument(str(error)) from None


class Under:
    """One ref that is under way, and the images of it that are here."""

    __slots__ = ("ref", "images")

    def __init__(self, ref: Any) -> None:
        self.ref = ref
        self.images: List[Event] = []


def watch(
    jobs: "Jobs",
    client: ClientHandle,
    refs: Iterator[Source],
    wanted: _abi.imgtask_job,
    on_progress: Optional[OnWatchProgress],
    in_flight: int,
) -> Generator[Outcome, None, None]:
    """Starts a job for each ref as there is room, and gives what became of them."""
    inbox = jobs._inbox
    box = inbox.box()
    under_way: Dict[int, Under] = {}
    # A ref that the client had no room for.
    waiting: List[Source] = []
    more = True
    try:
        while True:
            # One at a time, so that what is done never waits for more than one ref.
            room = more and not waiting and len(under_way) < in_flight
            if room:
                try:
                    waiting.append(next(refs))
                except StopIteration:
                    more = room = False
            if waiting:
                refusal = None
                try:
                    begin_ref(wanted, waiting[0])
                    op = jobs._start(wanted, box)
                except InvalidArgument as error:
                    refusal = refused(waiting.pop(), error)
                except Busy:
                    if not under_way:
                        raise
                    room = False
                else:
                    under_way[op] = Under(waiting.pop())
                if refusal is not None:
                    yield refusal
            if not under_way:
                if more:
                    continue
                return
            event = inbox.take(client, box, 0 if room else None)
            if event is None:
                continue
            if event.kind is EventKind.FINAL:
                yield outcome(under_way.pop(event.op), event)
                event.acknowledge()
            elif event.kind is EventKind.IMAGE:
                under_way[event.op].images.append(event)
            elif on_progress is not None and event.task is not None:
                on_progress(event.task, under_way[event.op].ref)
    finally:
        inbox.leave(client, box)


def refused(ref: Any, error: Error) -> Outcome:
    """What became of a ref that could not begin."""
    # Their tracebacks hold the frame that holds the outcome, and nothing would free the two but the collector.
    error.__context__ = None
    return Outcome(ref, None, error.with_traceback(None))


def outcome(under: Under, event: Event) -> Outcome:
    """What became of a ref, by its final event and those of its images."""
    brought = [*under.images, event]
    return Outcome(
        under.ref,
        event.task,
        event.error,
        tuple(each.picture for each in brought if each.picture is not None),
        tuple(each.pixels for each in brought if each.pixels is not None),
        tuple(each.saved for each in brought if each.saved is not None),
    )
