"""Arguments as the library takes them. No message shows a value that may be a secret."""

import json
import math
import numbers
import os
from typing import Any, Dict, Mapping, Optional, Tuple, Union

from . import _abi
from ._errors import InvalidArgument
from ._handles import TaskHandle
from ._library import PathLike
from ._task import Image, Task

#: A task, its id, or the poll address the service gave.
TaskRef = Union[Task, str]


def text(name: str, value: Optional[str]) -> Optional[bytes]:
    """A text as the library takes it. The message never shows the value: it may be a key."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}")
    try:
        encoded = value.encode()
    except UnicodeEncodeError:
        raise InvalidArgument(f"{name} is not text that UTF-8 can hold") from None
    if 0 in encoded:
        raise InvalidArgument(f"{name} holds a NUL character")
    return encoded


def path_text(name: str, value: Optional[PathLike]) -> Optional[bytes]:
    """A path as the library takes it: UTF-8 on every system."""
    if value is None:
        return None
    path = os.fspath(value)
    return text(name, path.decode() if isinstance(path, bytes) else path)


#: A dialect: a document as a dict or as JSON text, or the path of a file that holds one.
Dialect = Union[Mapping[str, Any], PathLike]


def dialect_text(dialect: Optional[Dialect]) -> Optional[bytes]:
    """A dialect as the library takes it: a document, or a path. A str is a document if it begins with a brace."""
    if isinstance(dialect, Mapping):
        return json_text("dialect", dialect)
    if dialect is None or isinstance(dialect, str):
        return text("dialect", dialect)
    if not isinstance(dialect, (bytes, os.PathLike)):
        raise TypeError(f"dialect must be a dict, JSON text or a path, not {type(dialect).__name__}")
    path = os.fsdecode(dialect)
    # A path stays one, whatever its file is called.
    return path_text("dialect", os.path.join(os.curdir, path) if path.lstrip().startswith("{") else path)


def request_text(request: Union[str, Mapping[str, Any], None], members: Dict[str, Any]) -> bytes:
    """A request as JSON."""
    if isinstance(request, str):
        if not members:
            return text("request", request) or b""
        try:
            request = json.loads(request)
        except ValueError:
            raise InvalidArgument("request is not JSON") from None
    if request is None:
        request = {}
    if not isinstance(request, Mapping):
        raise InvalidArgument("request must be a JSON object: a dict, or text that holds one")
    return json_text("request", {**request, **members})


def json_text(name: str, value: Mapping[str, Any]) -> bytes:
    """A value as JSON; ASCII, so that every str can be held."""
    try:
        return json.dumps(dict(value), allow_nan=False).encode("ascii")
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"{name} cannot be written as JSON: {error}") from None


def ref_text(ref: TaskRef) -> bytes:
    """What to look at."""
    if isinstance(ref, str):
        encoded = text("ref", ref)
        if not encoded:
            raise InvalidArgument("task reference: it is empty")
        return encoded
    if not isinstance(ref, Task):
        raise TypeError(f"ref must be a Task, an id or a poll address, not {type(ref).__name__}")
    if not (ref.poll_ref or ref.id):
        raise InvalidArgument("this task has no id to look at: the service answered without one")
    return text("ref", ref.poll_ref or ref.id) or b""


def image_of(task: Union[Task, Image], index: int) -> Tuple[TaskHandle, int]:
    """The library's own task, which knows where the images are, and the place of one, counted from the front only."""
    if not isinstance(task, (Task, Image)):
        raise TypeError(f"task must be a Task or an Image of one, not {type(task).__name__}: fetch it first")
    if not isinstance(index, int) or index < 0 or index >= 1 << 31:
        raise InvalidArgument(f"index must be 0 or more, not {index!r}")
    if task._handle is None:
        what = "task" if isinstance(task, Task) else "image's task"
        raise InvalidArgument(f"this {what} was pickled or rebuilt: fetch it again before a download")
    if isinstance(task, Task):
        return task._handle, index
    if index:
        raise InvalidArgument("an image has its own place: leave index out")
    return task._handle, task._place


def milliseconds(name: str, seconds: Optional[float]) -> int:
    """Seconds of an option as the library takes them; 0 there means the default."""
    if seconds is None:
        return 0
    seconds_only(name, seconds)
    if not 0 < seconds <= (_abi.TIMEOUT_DEFAULT - 1) / 1000:
        raise InvalidArgument(f"{name} must be more than 0 seconds and less than 49 days, not {seconds!r}")
    return math.ceil(seconds * 1000)


def wait_milliseconds(seconds: Optional[float]) -> int:
    """Seconds of a wait as the library takes them; more than it can count is as long as it can count."""
    if seconds is None:
        return _abi.TIMEOUT_DEFAULT
    seconds_only("timeout", seconds)
    if not seconds >= 0:
        raise InvalidArgument(f"timeout must be 0 seconds or more, not {seconds!r}")
    return math.ceil(min(seconds * 1000, _abi.TIMEOUT_DEFAULT - 1))


def wait_seconds(seconds: Optional[float]) -> Optional[float]:
    """Seconds of a wait that Python does itself."""
    if seconds is not None:
        wait_milliseconds(seconds)
    return seconds


def seconds_only(name: str, seconds: float) -> None:
    """Refuses what is no number; a text that was read from somewhere, most often."""
    if not isinstance(seconds, numbers.Real):
        raise TypeError(f"{name} must be a number of seconds, not {type(seconds).__name__}")


def number(name: str, value: Optional[int], bits: int) -> int:
    """A limit as the library takes it; 0 there means the default."""
    if value is None:
        return 0
    if not isinstance(value, int) or not 0 <= value < 1 << bits:
        raise InvalidArgument(f"{name} must be a whole number of 0 or more, not {value!r}")
    return value
