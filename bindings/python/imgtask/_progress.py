"""Progress as a bar, by tqdm where it is installed. Nothing imports it before it is asked for."""

import importlib
from contextlib import contextmanager
from typing import Any, Callable, Generator, Optional

from ._task import State, Task

#: Called with the task as it was seen.
OnProgress = Callable[[Task], object]

FORM = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}"


def tqdm() -> Any:
    """The bar that suits: of a notebook, or of a terminal."""
    try:
        return importlib.import_module("tqdm.auto").tqdm
    except ImportError:
        raise ImportError("progress=True shows a bar of tqdm, which is not installed", name="tqdm") from None


@contextmanager
def task_bar() -> Generator[OnProgress, None, None]:
    """A bar for one task: gives what shows it as it was seen."""
    with tqdm()(total=100, desc="waiting", bar_format=FORM) as bar:

        def show(task: Task) -> None:
            done = 100 if task.state is State.SUCCEEDED else task.progress
            bar.n = bar.n if done is None else done
            bar.set_description_str(f"{task.id or 'task'}, {task.state}")

        yield show


def both(show: OnProgress, on_progress: Optional[OnProgress]) -> OnProgress:
    """Shows a task and tells whoever else wants to know."""
    if on_progress is None:
        return show
    tell = on_progress

    def shown(task: Task) -> object:
        show(task)
        return tell(task)

    return shown
