"""A job as the library takes it."""

import ctypes
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Union

from . import _abi
from ._arguments import milliseconds, path_text, ref_text, request_text, text
from ._errors import InvalidArgument
from ._event import GOAL_NUMBERS, Goal
from ._library import PathLike
from ._pixels import pixel_flags, side
from ._task import Task

#: What a job begins with: a request that is submitted, or a task that exists.
Source = Union[Task, str, Mapping[str, Any]]

#: Which images: one by its place in `task.images`, or `"all"`.
Index = Union[int, str]

#: What the library takes for all images: SIZE_MAX.
ALL_IMAGES: int = ctypes.c_size_t(-1).value

#: What the library fills in in a path.
PLACES = ("{id}", "{index}", "{ext}")


def job(
    goal: Union[Goal, str, None],
    *,
    label: str = "",
    path: Optional[PathLike] = None,
    index: Index = 0,
    progress: bool = False,
    replace: bool = True,
    timeout: Optional[float] = None,
    max_side: int = 0,
    flip_y: bool = False,
    bgra: bool = False,
    premultiply: bool = False,
) -> _abi.imgtask_job:
    """A job that has no beginning yet."""
    goal, flags = goal_of(goal, path), pixel_flags(flip_y, bgra, premultiply)
    if goal is not Goal.PIXELS and (max_side or flags):
        raise InvalidArgument("only the goal pixels takes a size and an order of pixels")
    if progress:
        flags |= int(_abi.Flag.PROGRESS)
    if not replace:
        flags |= int(_abi.Flag.NO_REPLACE)
    return _abi.imgtask_job(
        struct_size=ctypes.sizeof(_abi.imgtask_job),
        path=path_text("path", path),
        label=text("label", label or None),
        image_index=job_index(index),
        goal=GOAL_NUMBERS[goal],
        flags=flags,
        timeout_ms=milliseconds("timeout", timeout),
        max_side=side(max_side),
    )


def begin(job: _abi.imgtask_job, source: Optional[Source], request: Dict[str, Any]) -> None:
    """Says what the job begins with. A task must live until the job is started."""
    job.request_json = job.task_ref = job.task = None
    if source is None or isinstance(source, Mapping):
        if source is None and not request:
            raise InvalidArgument("a job begins with a task, its id, or a request: start(prompt=...)")
        job.request_json = request_text(source, request)
    elif request:
        raise TypeError(f"a task that exists takes no request: {', '.join(sorted(request))}")
    elif isinstance(source, Task) and source._handle is not None:
        job.task = source._handle
    else:
        job.task_ref = ref_text(source)


def goal_of(goal: Union[Goal, str, None], path: Optional[PathLike]) -> Goal:
    """The goal; who names a file wants the image in it."""
    if goal is None:
        return Goal.FINISHED if path is None else Goal.FILE
    try:
        return Goal(goal)
    except ValueError:
        words = ", ".join(str(each) for each in Goal)
        raise InvalidArgument(f"goal must be one of {words}, not {goal!r}") from None


def job_index(index: Index) -> int:
    """Which images."""
    if index == "all":
        return ALL_IMAGES
    if not isinstance(index, int) or not 0 <= index < 1 << 31:
        raise InvalidArgument(f'index must be 0 or more, or "all", not {index!r}')
    return index


def file_pattern(target: PathLike, index: Index) -> Path:
    """Where the images of many tasks go: `target` itself where it is a pattern, else a folder, which is made."""
    path = Path(target)
    if any(place in str(path) for place in PLACES):
        if index == "all" and "{index}" not in str(path):
            raise InvalidArgument("download_to needs {index} in it for several images")
        return path
    path.mkdir(parents=True, exist_ok=True)
    return path / ("{id}-{index}.{ext}" if index == "all" else "{id}.{ext}")
