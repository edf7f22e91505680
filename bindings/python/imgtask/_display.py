"""What notebooks show of a task and of an outcome, as HTML. Texts of a service are escaped; no address of an image is shown."""

import base64
import re
from html import escape
from time import localtime, strftime
from typing import TYPE_CHECKING, Iterable, Iterator, Tuple

from ._task import Image, Task
from ._watch import ref_words

if TYPE_CHECKING:
    from ._watch import Outcome

#: Characters of a text that are shown at most.
LONGEST = 300

#: A row: what it tells, and what that is, as HTML.
Row = Tuple[str, str]


def task_html(task: Task) -> str:
    """A task as a table."""
    return table(task_rows(task))


def outcome_html(outcome: "Outcome") -> str:
    """An outcome as a table, with the images that it brought."""
    rows = [("ref", text(ref_words(outcome.ref)))]
    if outcome.error is not None:
        rows.append(("error", f"<b>{type(outcome.error).__name__}</b>: {text(outcome.error.message)}"))
    if outcome.task is not None:
        rows.extend(task_rows(outcome.task))
    rows.extend(("file", text(str(saved.path))) for saved in outcome.files)
    images = [picture_html(each.media_type, each.data) for each in outcome.pictures]
    images.extend(picture_html("image/png", each._repr_png_()) for each in outcome.all_pixels)
    return table(rows) + "".join(images)


def task_rows(task: Task) -> Iterator[Row]:
    """What is known of a task."""
    yield "task", f"<code>{text(task.id or 'without id')}</code>"
    word = f" <small>({text(task.provider_status)})</small>" if task.provider_status not in ("", task.state) else ""
    yield "state", f"<b>{task.state}</b>{word}"
    if task.progress is not None:
        yield "progress", f'<progress value="{task.progress}" max="100"></progress> {task.progress} %'
    if task.failure is not None:
        code = f" <small>({text(task.failure.code)})</small>" if task.failure.code else ""
        yield "failure", f"{text(task.failure.message)}{code}, {str(task.failure.action).replace('_', ' ')}"
    for place, image in enumerate(task.images):
        yield f"image {place}", text(image_words(image))
    if task.model:
        yield "model", text(task.model)
    if task.revised_prompt:
        yield "revised prompt", text(task.revised_prompt)
    if task.created_at is not None:
        yield "created", clock(task.created_at)
    if task.completed_at is not None:
        yield "completed", clock(task.completed_at)


def image_words(image: Image) -> str:
    """An image in words, without its address."""
    told = [f"{image.width} x {image.height}"] if image.width and image.height else []
    if image.byte_size:
        told.append(f"{image.byte_size} bytes")
    if image.is_inline:
        told.append("in the answer")
    if image.expires_at is not None:
        told.append(f"address good until {clock(image.expires_at)}")
    return ", ".join(told) or "not described"


def table(rows: Iterable[Row]) -> str:
    """Rows as a table."""
    cells = (
        f'<tr><th style="text-align:left">{name}</th><td style="text-align:left">{told}</td></tr>'
        for name, told in rows
    )
    return f"<table>{''.join(cells)}</table>"


def text(words: str) -> str:
    """A text that may hold anything."""
    return escape(words if len(words) <= LONGEST else words[: LONGEST - 1] + "\u2026")


def clock(seconds: int) -> str:
    """A time of this machine's zone."""
    try:
        return strftime("%Y-%m-%d %H:%M:%S", localtime(seconds))
    except (OverflowError, OSError, ValueError):
        return str(seconds)


def picture_html(media_type: str, data: bytes) -> str:
    """An image in the page itself."""
    if not re.fullmatch(r"image/[a-z0-9.+-]+", media_type):
        return ""
    return f'<img src="data:{media_type};base64,{base64.b64encode(data).decode()}">'
