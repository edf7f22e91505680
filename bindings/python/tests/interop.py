"""Pixels in numpy and PIL. They are no dependency, so that this runs by itself, where they are installed:

    python3 -m unittest tests.interop
"""

import io
import os
import pickle
import subprocess
import sys

import imgtask
import numpy
from PIL import Image

from .support import PACKAGE, ROOT, WithSandbox, library_file


class WithNumpyAndPil(WithSandbox):
    def picture(self, form: str = "png") -> imgtask.Picture:
        with self.sandbox.client() as client:
            task = client.submit(prompt="a cup [duration:0]", size="96x64", output_format=form)
            return client.download(client.wait(task))

    def test_numpy_sees_the_library_s_own_memory(self) -> None:
        picture = self.picture()
        pixels = picture.rgba()
        array = numpy.asarray(pixels)
        self.assertEqual((array.shape, str(array.dtype)), ((64, 96, 4), "uint8"))
        self.assertTrue(array.flags.c_contiguous)
        self.assertFalse(array.flags.writeable)
        self.assertEqual(array.ctypes.data, numpy.frombuffer(pixels.data, "u1").ctypes.data)
        # Row, column, channel.
        self.assertEqual(bytes(array[5, 7]), bytes(pixels.data[5 * 384 + 28 : 5 * 384 + 32]))
        self.assertEqual(array.tobytes(), pixels.tobytes())

    def test_an_array_outlives_pixels_and_picture(self) -> None:
        before = imgtask.live_handles()
        array = numpy.asarray(self.picture().rgba())[::2, :, 1]
        wanted = array.copy()
        self.assertEqual(imgtask.live_handles(), before + 1)
        for _ in range(8):
            numpy.asarray(self.picture().rgba()).sum()
        self.assertTrue((array == wanted).all())
        del array
        self.assertEqual(imgtask.live_handles(), before)

    def test_numpy_takes_pixels_of_another_process(self) -> None:
        pixels = self.picture().rgba()
        self.assertTrue((numpy.asarray(pickle.loads(pickle.dumps(pixels))) == numpy.asarray(pixels)).all())

    def test_pil_makes_an_image_of_pixels(self) -> None:
        for form in ("png", "webp"):
            picture = self.picture(form)
            pixels = picture.rgba()
            image = Image.fromarray(pixels)
            self.assertEqual((image.mode, image.size, image.tobytes()), ("RGBA", (96, 64), pixels.tobytes()))
            # What PIL itself decodes.
            theirs = Image.open(io.BytesIO(picture.data)).convert("RGBA")
            self.assertEqual(theirs.tobytes(), image.tobytes())

    def test_pil_reads_what_notebooks_show(self) -> None:
        pixels = self.picture().rgba(bgra=True)
        shown = Image.open(io.BytesIO(pixels._repr_png_()))
        self.assertEqual((shown.mode, shown.size), ("RGBA", (96, 64)))
        self.assertEqual(shown.tobytes("raw", "BGRA"), pixels.tobytes())

    def test_pil_takes_the_other_order_of_channels_by_its_name(self) -> None:
        picture = self.picture()
        pixels = picture.rgba(bgra=True)
        image = Image.frombytes("RGBA", (pixels.width, pixels.height), pixels.tobytes(), "raw", "BGRA")
        self.assertEqual(image.tobytes(), picture.rgba().tobytes())

    def test_the_example_says_the_same_with_them_and_writes_a_thumbnail(self) -> None:
        told = []
        for hidden in ("", "numpy"):
            code = f"import runpy, sys; sys.modules.update(dict.fromkeys({hidden.split()!r})); sys.argv[1:] = ['small.png']\n"
            code += f"runpy.run_path({str(ROOT / 'examples/python/pixels.py')!r}, run_name='__main__')"
            env = {**os.environ, **self.sandbox.environment(), "PYTHONPATH": str(PACKAGE), "IMGTASK_LIBRARY": str(library_file())}
            command = [sys.executable, "-W", "error", "-c", code]
            done = subprocess.run(command, env=env, cwd=self.folder, capture_output=True, text=True, timeout=60)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            told.append(done.stdout)
            with Image.open(self.folder / "small.png") as thumbnail:
                self.assertEqual(thumbnail.size, (64, 64))
        self.assertEqual(told[0], told[1])

    def test_half_the_side_is_what_pil_makes_of_it(self) -> None:
        picture = self.picture()
        ours = numpy.asarray(picture.rgba(48)).astype(int)
        theirs = Image.open(io.BytesIO(picture.data)).convert("RGBA").resize((48, 32), Image.Resampling.LANCZOS)
        self.assertLessEqual(abs(ours - numpy.asarray(theirs).astype(int)).max(), 2)
