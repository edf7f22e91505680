"""An image as an array: how bright it is, and a thumbnail of it. The key is in the environment: DIMILINKS_API_KEY.

    python3 pixels.py [THUMBNAIL]

numpy and PIL are used where they are installed; the pixels can be had without.
"""

import sys

import imgtask


def brightness(pixels: imgtask.Pixels) -> float:
    """The mean of red, green and blue, 0 to 255."""
    try:
        import numpy
    except ImportError:
        data = pixels.data
        return (sum(data) - sum(data[3::4])) / (3 * pixels.width * pixels.height)
    return float(numpy.asarray(pixels)[:, :, :3].mean())  # (height, width, 4), without a copy


with imgtask.Client("dimilinks") as client:
    task = client.wait(client.submit(prompt="a lighthouse at dusk"))
    picture = client.download(task)

print(f"{picture.width} x {picture.height}, brightness {brightness(picture.rgba(max_side=256)):.0f}")
if len(sys.argv) > 1:
    try:
        import PIL.Image
    except ImportError:
        sys.exit("a thumbnail needs PIL: pip install pillow")
    # Made small here, with a good filter: PIL writes the file.
    PIL.Image.fromarray(picture.rgba(max_side=64)).save(sys.argv[1])
    print(sys.argv[1])
