"""What a service tells of a task: its state, its images, its failure."""

import ctypes
import json
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any, ClassVar, Dict, List, Optional, Tuple, Type, Union

from . import _abi
from ._handles import TaskHandle
from ._library import Library, loaded


class Word(str, Enum):
    """An enum whose members are their words: `State.FAILED == "failed"`."""

    def __str__(self) -> str:
        return str(self.value)

    def __format__(self, form: str) -> str:
        return format(str(self), form)


class State(Word):
    """Where a task stands."""

    #: Not seen yet, or the service used a word nobody knows; a wait goes on looking.
    UNKNOWN = "unknown"
    #: Accepted, waiting.
    QUEUED = "queued"
    #: In work.
    RUNNING = "running"
    #: Done; the images may be downloaded.
    SUCCEEDED = "succeeded"
    #: Ended in an error of the task's own.
    FAILED = "failed"
    #: Ended because somebody asked for it.
    CANCELLED = "cancelled"
    #: The service no longer keeps it.
    EXPIRED = "expired"


class FailureAction(Word):
    """What helps after a task failed."""

    #: Nothing: the task did not fail.
    NONE = "none"
    #: Submit the same request again.
    RESUBMIT = "resubmit"
    #: The request itself was refused: change it first.
    CHANGE_REQUEST = "change_request"
    #: The account, its balance or its rights: look there first.
    CHECK_ACCOUNT = "check_account"


# An enum's members and hashes are slow to come by.
_UNKNOWN = State.UNKNOWN
_SUCCEEDED = int(_abi.TaskState.SUCCEEDED)
_STATES: Dict[int, State] = {int(number): State[number.name] for number in _abi.TaskState}
_ACTIONS: Dict[int, FailureAction] = {int(number): FailureAction[number.name] for number in _abi.TaskFailureAction}


_new = object.__new__
_set = object.__setattr__


@dataclass(frozen=True)
class Failure:
    """Why a task failed, in the service's words."""

    #: The service's code, "" when it gave none.
    code: str
    #: The service's class of error, "" when it gave none.
    type: str
    #: The service's words, "the service gave no reason" when it gave none.
    message: str
    #: What helps.
    action: FailureAction


@dataclass(frozen=True)
class Image:
    """One image of a task, as the service describes it. `Client.download` gets its bytes.

    >>> task = client.wait(client.submit(prompt="two lighthouses", n=2))
    >>> for image in task.images:
    ...     client.download(image).save(f"lighthouse-{image.source_index}.png")
    PosixPath('lighthouse-0.png')
    PosixPath('lighthouse-1.png')
    """

    #: Its absolute address, "" when the image is in the task's body. May be signed: treat it as a secret.
    url: str = field(repr=False)
    #: Its place in the service's own list.
    source_index: int
    #: The service's id of the file, "" when it gave none.
    file_id: str
    #: The prompt as the service rewrote it, "" when it gave none.
    revised_prompt: str
    #: When the address expires, Unix seconds.
    expires_at: Optional[int]
    #: Pixels across.
    width: Optional[int]
    #: Pixels down.
    height: Optional[int]
    #: Length of the encoded image.
    byte_size: Optional[int]
    #: Whether the bytes are in the task's body instead of at an address.
    is_inline: bool

    # Not fields: the task that it is downloaded with, and its place there.
    _handle: ClassVar[Optional[TaskHandle]] = None
    _place: ClassVar[int] = 0

    # A handle belongs to its process.
    def __getstate__(self) -> Dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name[0] != "_"}

    def __setstate__(self, state: Dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __copy__(self) -> "Image":
        return self

    def __deepcopy__(self, memo: Dict[int, Any]) -> "Image":
        return self


@dataclass(frozen=True)
class Task:
    """What was known of a task when it was looked at. It never changes: fetch it again for news.

    Texts are "" and numbers `None` where the service said nothing.

    >>> task = client.wait(client.submit(prompt="a lighthouse at dusk"))
    >>> task.state, task.progress, len(task.images)
    (<State.SUCCEEDED: 'succeeded'>, 100, 1)
    """

    #: The service's id, "" for a synchronous answer without one.
    id: str
    #: Where it stands.
    state: State
    #: Whether it has ended: nothing the service does will change it.
    is_final: bool
    #: 0 to 100; 100 only when it succeeded; `None` when unknown or failed.
    progress: Optional[int]
    #: The usable images, in the service's order.
    images: Tuple[Image, ...]
    #: Why it failed; `None` unless it ended without success.
    failure: Optional[Failure]
    #: Unix seconds.
    created_at: Optional[int]
    #: Unix seconds; `None` while it is not finished.
    completed_at: Optional[int]
    #: When this was seen, Unix seconds by this machine's clock; `None` when no look has seen it.
    looked_at: Optional[float]
    #: The service's own word for the state.
    provider_status: str
    #: What to pass to look at it again: the service's own poll address where it gave one, else the id.
    poll_ref: str
    #: The prompt as the service rewrote it, also while pending.
    revised_prompt: str
    #: The model that works on it.
    model: str
    #: The upstream conversation (DimiLinks legacy).
    conversation_id: str
    #: The id of the charge (LemonData).
    billing_id: str
    #: The service's credits (DimiLinks legacy).
    credit_cost: Optional[int]

    # Not a field: it is how the task is held, not what is known of it.
    _handle: ClassVar[Optional[TaskHandle]] = None

    @property
    def json(self) -> str:
        """The body as the service sent it; "" for a task that no look has seen."""
        kept = self.__dict__.get("_json")
        if kept is None:
            kept = read_json(self._handle) if self._handle is not None else ""
            self.__dict__["_json"] = kept
        return str(kept)

    @property
    def raw(self) -> Any:
        """The body parsed: what the service's documentation shows; `{}` for a task that no look has seen.

        >>> client.wait(client.submit(prompt="a lighthouse at dusk")).raw["status"]
        'succeeded'
        """
        kept = self.__dict__.get("_raw")
        if kept is None:
            kept = json.loads(self.json or "{}")
            self.__dict__["_raw"] = kept
        return kept

    def to_dict(self) -> Dict[str, Any]:
        """Everything but the body as plain data, ready for `json.dumps`. Holds the images' signed addresses.

        >>> import json
        >>> known = client.wait(client.submit(prompt="a lighthouse", size="64x48")).to_dict()
        >>> json.loads(json.dumps(known)) == known, known["state"], len(known["images"])
        (True, 'succeeded', 1)
        """
        return {name: plain(getattr(self, name)) for name in PUBLIC}

    def __repr__(self) -> str:
        parts = [f"id={self.id!r}", f"state={str(self.state)!r}"]
        if self.progress is not None:
            parts.append(f"progress={self.progress}")
        if self.images:
            parts.append(f"images={len(self.images)}")
        if self.failure is not None:
            parts.append(f"failure={self.failure.message!r}")
        return f"Task({', '.join(parts)})"

    def _repr_html_(self) -> str:
        """What notebooks show."""
        from ._display import task_html

        return task_html(self)

    # A handle belongs to its process: a pickled task keeps the body, and must be fetched again for a download.
    def __getstate__(self) -> Dict[str, Any]:
        return {**{name: getattr(self, name) for name in PUBLIC}, "_json": self.json}

    def __setstate__(self, state: Dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __copy__(self) -> "Task":
        return self

    def __deepcopy__(self, memo: Dict[int, Any]) -> "Task":
        return self


#: The fields of a task that `to_dict` shows.
PUBLIC = tuple(each.name for each in fields(Task))


class Later:
    """A field of a task that is read from its handle when it is asked for first: see `read_task`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, task: Optional[Task], kind: Type[Task]) -> Any:
        handle = task.__dict__.get("_handle") if task is not None else None
        if handle is None:
            raise AttributeError(f"a Task has no {self.name}")
        rest = read_rest(handle)
        task.__dict__.update(rest)
        return rest[self.name]


def plain(value: Union[Word, Tuple[Image, ...], Image, Failure, str, float, None]) -> Any:
    """A field of a task as JSON can hold it."""
    if isinstance(value, Word):
        return str(value)
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    if isinstance(value, (Image, Failure)):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    return value


# Structs that the library fills, with their addresses, kept for the next task. Threads share the lists: a pop or an append
# is one step, a look at the length and then a pop would be two.
_task_infos: List[Tuple[Any, Any]] = []
_image_infos: List[Tuple[Any, Any]] = []

# The places of the images that tasks have.
_PLACES = [ctypes.c_size_t(index) for index in range(16)]


def new_info(kind: Type[Any]) -> Tuple[Any, Any]:
    """A struct for the library to fill, and its address."""
    info = kind()
    info.struct_size = ctypes.sizeof(info)
    return info, ctypes.byref(info)


# Looks are many and most of what they tell is never read. So a task begins with what a loop asks for; the rest is read
# from the handle when somebody wants it. And `__dict__` is filled at once: a frozen dataclass would set every field by a
# call of its own.


def read_task(library: Library, handle: TaskHandle) -> Task:
    """A task out of a handle that is then the task's own."""
    try:
        pair = _task_infos.pop()
    except IndexError:
        pair = new_info(_abi.imgtask_task_info)
    info, address = pair
    library.quick_task_get(handle, address)
    number = info.state
    progress = info.progress
    known: Dict[str, Any] = {
        "_handle": handle,
        "id": info.id.decode(),
        "state": _STATES.get(number, _UNKNOWN),
        "is_final": info.is_final != 0,
        "progress": progress if progress >= 0 else None,
        "created_at": info.created_at or None,
    }
    count = info.image_count
    known["images"] = read_images(library, handle, count) if count else ()
    if number <= _SUCCEEDED:
        known["failure"] = None
    _task_infos.append(pair)
    task = _new(Task)
    _set(task, "__dict__", known)
    return task


def read_rest(handle: TaskHandle) -> Dict[str, Any]:
    """What `read_task` leaves."""
    info, address = new_info(_abi.imgtask_task_info)
    loaded.library.quick_task_get(handle, address)
    return {
        "failure": read_failure(info) if info.is_final and _STATES.get(info.state) is not State.SUCCEEDED else None,
        "completed_at": info.completed_at or None,
        "looked_at": info.looked_at_ms / 1000 if info.looked_at_ms else None,
        "provider_status": info.provider_status.decode(),
        "poll_ref": info.poll_ref.decode(),
        "revised_prompt": info.revised_prompt.decode(),
        "model": info.model.decode(),
        "conversation_id": info.conversation_id.decode(),
        "billing_id": info.billing_id.decode(),
        "credit_cost": info.credit_cost if info.credit_cost >= 0 else None,
    }


def read_images(library: Library, handle: TaskHandle, count: int) -> Tuple[Image, ...]:
    """The images of a task."""
    try:
        pair = _image_infos.pop()
    except IndexError:
        pair = new_info(_abi.imgtask_image_info)
    info, address = pair
    images: List[Image] = []
    for place in _PLACES[:count] if count <= len(_PLACES) else map(ctypes.c_size_t, range(count)):
        library.quick_task_get_image(handle, place, address)
        image = _new(Image)
        _set(
            image,
            "__dict__",
            {
                "url": info.url.decode(),
                "source_index": info.source_index,
                "file_id": info.file_id.decode(),
                "revised_prompt": info.revised_prompt.decode(),
                "expires_at": info.expires_at or None,
                "width": info.width or None,
                "height": info.height or None,
                "byte_size": info.byte_size or None,
                "is_inline": info.is_inline != 0,
                "_handle": handle,
                "_place": place.value,
            },
        )
        images.append(image)
    _image_infos.append(pair)
    return tuple(images)


for _name in (
    "failure",
    "completed_at",
    "looked_at",
    "provider_status",
    "poll_ref",
    "revised_prompt",
    "model",
    "conversation_id",
    "billing_id",
    "credit_cost",
):
    setattr(Task, _name, Later(_name))
del _name


def read_failure(info: Any) -> Failure:
    """The failure of a task that ended without success."""
    return Failure(
        code=info.failure_code.decode(),
        type=info.failure_type.decode(),
        message=info.failure_message.decode(),
        action=_ACTIONS.get(info.failure_action, FailureAction.RESUBMIT),
    )


def read_json(handle: TaskHandle) -> str:
    """The body of a task."""
    length = ctypes.c_size_t()
    start = loaded.library.imgtask_task_json(handle, length)
    return start[: length.value].decode() if start else ""
