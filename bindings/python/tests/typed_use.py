"""What a type checker tells a user: read by mypy and pyright against the installed wheel, never run.

A line that must be refused carries an ignore, which both report once it is not needed any more.
"""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Optional, Tuple

import imgtask

if TYPE_CHECKING:
    from typing_extensions import assert_type


def one_task(client: imgtask.Client, folder: Path) -> None:
    task = client.submit(prompt="a lighthouse", n=2, metadata={"a": [1, None]})
    assert_type(task, imgtask.Task)
    assert_type(client.submit({"prompt": "a lighthouse"}), imgtask.Task)
    assert_type(client.submit('{"prompt": "a lighthouse"}', n=1), imgtask.Task)
    assert_type(client.fetch(task.id), imgtask.Task)
    assert_type(client.wait(task, timeout=0.5, raise_on_failure=False, on_progress=print), imgtask.Task)
    assert_type(client.cancel(task), imgtask.Task)
    assert_type(task.state, imgtask.State)
    assert_type(task.progress, Optional[int])
    assert_type(task.images, Tuple[imgtask.Image, ...])
    assert_type(task.images[0].expires_at, Optional[int])
    assert_type(task.failure, Optional[imgtask.Failure])
    assert_type(task.raw, Any)
    assert_type(task.to_dict(), Dict[str, Any])
    picture = client.download(task, 1)
    assert_type(picture, imgtask.Picture)
    assert_type(picture.data, bytes)
    assert_type(picture.width, Optional[int])
    assert_type(picture.save(folder / "a.png"), Path)
    pixels = picture.rgba(max_side=512, bgra=True)
    assert_type(pixels, imgtask.Pixels)
    assert_type(pixels.data, memoryview)
    assert_type(pixels.tobytes(), bytes)
    saved = client.download_file(task, "a.png", replace=False)
    assert_type(saved, imgtask.SavedPicture)
    assert_type(saved.path, Path)
    assert_type(client.stats().looks, int)
    assert_type(client.close(), bool)


def many_tasks(client: imgtask.Client, requests: Iterator[Dict[str, str]]) -> None:
    for done in client.watch(["img_1", "img_2"], download_to="images", on_progress=lambda ref, task: None):
        assert_type(done, imgtask.Outcome)
        assert_type(done.task, Optional[imgtask.Task])
        assert_type(done.error, Optional[imgtask.Error])
        assert_type(done.path, Optional[Path])
        assert_type(done.pixels, Optional[imgtask.Pixels])
    client.watch(requests, goal="pixels", index="all")
    client.watch([client.fetch("img_1")], goal=imgtask.Goal.BYTES)


def jobs(client: imgtask.Client) -> None:
    assert_type(client.start(prompt="a lighthouse", label="a", path=Path("{id}.{ext}")), int)
    assert_type(client.start("img_1", goal=imgtask.Goal.PIXELS, max_side=64), int)
    for event in client.events(0.5):
        assert_type(event.kind, imgtask.EventKind)
        assert_type(event.goal, Optional[imgtask.Goal])
        assert_type(event.status, imgtask.Status)
        assert_type(event.saved, Optional[imgtask.SavedPicture])
    assert_type(client.next_event(), Optional[imgtask.Event])
    assert_type(client.pending, int)
    assert_type(client.fileno(), int)


async def awaited(client: imgtask.Client, folder: Path) -> None:
    async with client.aio as aio:
        assert_type(aio, imgtask.Aio)
        task = await aio.submit(prompt="a lighthouse")
        assert_type(task, imgtask.Task)
        assert_type(await aio.wait(task, 60, on_progress=print), imgtask.Task)
        assert_type(await aio.fetch("img_1"), imgtask.Task)
        assert_type(await aio.download(task.images[0]), imgtask.Picture)
        assert_type(await aio.download_file(task, folder / "a.png"), imgtask.SavedPicture)
        async for done in aio.watch(["img_1"], goal="bytes"):
            assert_type(done.picture, Optional[imgtask.Picture])
        first, second = await asyncio.gather(aio.wait("img_1"), aio.wait("img_2"))
        assert_type((first, second), Tuple[imgtask.Task, imgtask.Task])


def going_wrong(client: imgtask.Client) -> None:
    try:
        client.wait("img_1")
    except imgtask.TaskFailed as failed:
        assert_type(failed.task, imgtask.Task)
        assert_type(failed.failure, imgtask.Failure)
        assert_type(failed.failure.action, imgtask.FailureAction)
    except imgtask.Timeout as late:
        assert_type(late.task, Optional[imgtask.Task])
        builtin: TimeoutError = late
        raise builtin
    except imgtask.Error as error:
        assert_type(error.retry_after, Optional[float])
        assert_type(error.http_status, Optional[int])


def the_library(log: imgtask.Log, ref: imgtask.TaskRef) -> None:
    with imgtask.Client("dimilinks", "sk-1", dialect={"name": "mine"}, wait_timeout=60, log=log, ca_file=Path("a")) as client:
        assert_type(client, imgtask.Client)
        client.forget(ref)
    assert_type(imgtask.providers(), Tuple[imgtask.Provider, ...])
    assert_type([each.documented for each in imgtask.providers()], List[bool])
    assert_type(imgtask.__version__, str)
    assert_type(imgtask.library_version(), str)


def what_is_refused(client: imgtask.Client, task: imgtask.Task) -> None:
    client.fetch(1)  # type: ignore[arg-type]
    client.wait(task, timeout="60")  # type: ignore[arg-type]
    client.download("img_1")  # type: ignore[arg-type]
    client.watch("img_1", download=True)  # type: ignore[call-arg]
    client.wait(task, on_progress=lambda: None)  # type: ignore[arg-type, misc]
    client.aio.wait(task).state  # type: ignore[attr-defined]
    imgtask.Client(poll_intervall=1)  # type: ignore[call-arg]
    task.state = imgtask.State.FAILED  # type: ignore[misc]
    task.failure.message  # type: ignore[union-attr]
    imgtask.Klient  # type: ignore[attr-defined]
