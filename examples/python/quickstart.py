"""From a prompt to the image on disk. The key is in the environment: DIMILINKS_API_KEY."""

import sys

import imgtask

with imgtask.Client("dimilinks") as client:
    task = client.submit(prompt="a lighthouse at dusk")
    picture = client.download(client.wait(task))
    print(picture.save(sys.argv[1] if len(sys.argv) > 1 else f"lighthouse.{picture.extension}"))
