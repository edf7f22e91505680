"""The loop of LemonData's "get image status" page, replaced by one call.

The page shows a function of this name and signature: it asks for `/v1/images/generations/{task_id}` every `interval`
seconds, returns the answer once its status is "completed", raises when it is "failed", and gives up after `max_wait`
seconds. This one does the same for its callers. Inside, `Client.wait` also survives a broken connection, a 429 with its
Retry-After and a 503 along the way, keeps the key out of redirects and error texts, and lets Ctrl-C through.

The key is in the environment: LEMONDATA_API_KEY.
"""

import sys
from typing import Any

import imgtask


def poll_image_task(task_id: str, max_wait: float = 300, interval: float = 3) -> Any:
    """The service's answer, as a dict, once the task is completed.

    Raises an Exception with the reason when the task failed, and a TimeoutError after `max_wait` seconds.
    """
    with imgtask.Client("lemondata", poll_interval=interval) as client:
        try:
            return client.wait(task_id, timeout=max_wait).raw
        except imgtask.TaskFailed as failed:
            raise Exception(f"Image generation failed: {failed.failure.message}") from failed


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: seed_loop.py TASK_ID")
    for image in poll_image_task(sys.argv[1])["data"]:
        print(image["url"])
