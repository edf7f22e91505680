"""What happened to a job."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Dict, Optional

from . import _abi
from ._abi import Status
from ._errors import Error, read_error, task_failed
from ._handles import BytesHandle, ErrorHandle, EventHandle, TaskHandle
from ._library import Library, loaded
from ._picture import Picture, SavedPicture, picture_of, read_info, saved_of
from ._pixels import Pixels, pixels_of
from ._task import State, Task, Word, read_task


class Goal(Word):
    """How far a job goes. Each goal holds the ones before it, as far as they are needed."""

    #: The service has accepted the request and named a task.
    SUBMITTED = "submitted"
    #: The task was looked at once.
    LOOKED = "looked"
    #: The task is final.
    FINISHED = "finished"
    #: The image's bytes are here.
    BYTES = "bytes"
    #: The image's pixels are here.
    PIXELS = "pixels"
    #: The image is in a file.
    FILE = "file"


class EventKind(Word):
    """What an event tells."""

    #: The job is over; exactly one comes for each job, and nothing of the job after it.
    FINAL = "final"
    #: The task moved on. What was not read yet is merged: the event tells of the last look.
    PROGRESS = "progress"
    #: One image of several is here.
    IMAGE = "image"
    #: A job of the journal goes on; its other events follow.
    RESUMED = "resumed"


GOAL_NUMBERS: Dict[Goal, int] = {Goal[number.name]: int(number) for number in _abi.Goal}
_GOALS: Dict[int, Optional[Goal]] = {number: goal for goal, number in GOAL_NUMBERS.items()}
_KINDS: Dict[int, EventKind] = {int(number): EventKind[number.name] for number in _abi.EventKind}
_OK = Status.OK
FINAL = int(_abi.EventKind.FINAL)
PROGRESS = int(_abi.EventKind.PROGRESS)
_FINISHED = int(_abi.Goal.FINISHED)
_ENCODED = int(_abi.BytesFormat.ENCODED)
# A job that wants the image of a task without one ends so.
_WITHOUT_SUCCESS = (int(Status.OK), int(Status.NO_IMAGE))


@dataclass(frozen=True)
class Event:
    """Something that happened to a job that `Client.start` started or `Client.resume` brought back.

    >>> op = client.start(prompt="a lighthouse at dusk", label="lighthouse")
    >>> for event in client.events():
    ...     print(event.kind, event.label, event.task.state)
    final lighthouse succeeded
    """

    #: The job's number.
    op: int
    #: What it tells.
    kind: EventKind
    #: The job's label.
    label: str
    #: How far the job has come; `None` nowhere yet.
    goal: Optional[Goal]
    #: What the job, or this image of it, came to; OK when it reached its goal. OK in all other events.
    status: Status
    #: Which image it tells of, where it brings one.
    image_index: int
    #: The task as it is known.
    task: Optional[Task]
    #: The image's bytes, where the goal is those.
    picture: Optional[Picture]
    #: The image's pixels, where the goal is those.
    pixels: Optional[Pixels]
    #: The image's file, where the goal is that.
    saved: Optional[SavedPicture]
    #: Why the job, or this image of it, failed: what a call would have raised. A `TaskFailed` where the task ended
    #: without success.
    error: Optional[Error]

    # Not a field: what the journal waits for.
    _receipt: ClassVar[Optional[EventHandle]] = None

    @property
    def is_final(self) -> bool:
        """Whether the job is over."""
        return self.kind is EventKind.FINAL

    def acknowledge(self) -> None:
        """Tells the journal that a final event was dealt with: its job does not come back after a restart.

        `Client.events` does so when it is asked for the next event. An event that nobody acknowledged comes again after a
        restart, also when it is not referred to any more. The disk has it within a quarter of a second: after a crash before
        then the event comes once more. May be called again; without a journal it does nothing.
        """
        receipt = self.__dict__.pop("_receipt", None)
        if receipt is not None:
            loaded.library.imgtask_event_clear(receipt)

    # A receipt belongs to its process.
    def __getstate__(self) -> Dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_receipt"}

    def __setstate__(self, state: Dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __copy__(self) -> "Event":
        return self

    def __deepcopy__(self, memo: Dict[int, Any]) -> "Event":
        return self


_new = object.__new__
_set = object.__setattr__


def read_event(library: Library, handle: EventHandle, has_journal: bool) -> Event:
    """An event out of a handle, which is then empty or the event's own."""
    # Signals strike at calls. So each owner is there before it gets what the handle loses, and no call is made in between.
    task, error = None, None
    number: int = handle.status
    address = handle.task.value
    if address:
        its_task = TaskHandle()
        handle.task = None
        its_task.value = address
        task = read_task(library, its_task)
    address = handle.error.value
    if address:
        its_error = ErrorHandle()
        handle.error = None
        its_error.value = address
        error = read_error(library, number, its_error, task)
    delivery = take_delivery(library, handle)
    kind: int = handle.kind
    goal: int = handle.goal
    if kind == FINAL and task is not None and task.is_final and number in _WITHOUT_SUCCESS and goal >= _FINISHED:
        if task.state is not State.SUCCEEDED:
            error = task_failed(task)
    known: Dict[str, Any] = {
        "op": handle.op,
        "kind": _KINDS.get(kind, EventKind.PROGRESS),
        "label": handle.label.decode(),
        "goal": _GOALS.get(goal),
        "status": _OK if number == 0 else Status(number),
        "image_index": handle.image_index,
        "task": task,
        "picture": None,
        "pixels": None,
        "saved": None,
        "error": error,
        **delivery,
    }
    if kind == FINAL and has_journal:
        known["_receipt"] = handle
    event = _new(Event)
    _set(event, "__dict__", known)
    return event


def take_delivery(library: Library, handle: EventHandle) -> Dict[str, Any]:
    """The image of an event, out of its handle, as the event's field that it is."""
    address = handle.bytes.value
    if not address:
        return {}
    its_bytes = BytesHandle()
    handle.bytes = None
    its_bytes.value = address
    info = read_info(library, its_bytes)
    if info.path:
        return {"saved": saved_of(info, Path(info.path.decode()))}
    if info.format != _ENCODED:
        return {"pixels": pixels_of(info, its_bytes)}
    return {"picture": picture_of(info, its_bytes)}
