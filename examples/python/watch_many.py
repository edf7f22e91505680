"""Downloads the images of many tasks. Run it again after a crash, and it goes on where it was.

    python3 watch_many.py FOLDER < ids.txt

One id a line. What is done stands in FOLDER/manifest.jsonl, a line each: the id with its file, or with what went wrong. A
second run does not ask for it again. The key is in the environment: DIMILINKS_API_KEY.
"""

import json
import sys
from pathlib import Path
from typing import Any, Iterable, Set, TextIO, Union

import imgtask


def watch_many(ids: Iterable[str], folder: Union[str, Path], **options: Any) -> None:
    """Watches `ids`, which may be a generator; `options` are the client's."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with imgtask.Client("dimilinks", **options) as client, open(folder / "manifest.jsonl", "a+") as manifest:
        done = read(manifest)
        left = (ref for ref in ids if ref not in done)
        for outcome in client.watch(left, download_to=folder):
            if outcome.error is None:
                line = {"id": outcome.ref, "file": outcome.files[0].path.name}
            elif outcome.error.retryable:
                print(outcome.error, file=sys.stderr)
                continue  # the next run tries it again
            else:
                line = {"id": outcome.ref, "error": str(outcome.error)}
            # In one write, after the image is whole under its name.
            print(json.dumps(line), file=manifest, flush=True)


def read(manifest: TextIO) -> Set[str]:
    """The ids that an earlier run has written down."""
    done: Set[str] = set()
    line = "\n"
    manifest.seek(0)
    for line in manifest:
        try:
            done.add(json.loads(line)["id"])
        except ValueError:
            pass  # cut short by a crash
    if not line.endswith("\n"):
        print(file=manifest)
    return done


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: watch_many.py FOLDER < ids.txt")
    watch_many(filter(None, map(str.strip, sys.stdin)), sys.argv[1])
