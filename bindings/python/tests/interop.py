"""Pixels in numpy and PIL, and bars of tqdm. They are no dependency, so that this runs by itself, where they are installed:

    python3 -m unittest tests.interop
"""

import asyncio
import contextlib
import gc
import io
import os
import pickle
import subprocess
import sys
from typing import Callable, List

import imgtask
import numpy
from PIL import Image
from tqdm.auto import tqdm

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


class WithTqdm(WithSandbox):
    def shown(self, call: Callable[[], object]) -> str:
        """What a call shows at the end."""
        told = io.StringIO()
        with contextlib.redirect_stderr(told):
            call()
        return told.getvalue()

    def test_a_wait_shows_its_task_s_way(self) -> None:
        client = self.sandbox.client()
        task = client.submit(prompt="a cat [duration:60]")
        seen: List[imgtask.Task] = []
        told = self.shown(lambda: client.wait(task, 20, progress=True, on_progress=seen.append))
        self.assertTrue(seen)
        self.assertIn(f"{task.id}, {seen[0].state}", told)
        self.assertRegex(told.splitlines()[-1].split("\r")[-1], f"{task.id}, succeeded: 100%")
        # One that is done, too.
        self.assertIn("succeeded: 100%", self.shown(lambda: client.wait(client.fetch(task), progress=True)))

    def test_a_wait_that_is_awaited_shows_it_too(self) -> None:
        client = self.sandbox.client()
        task = client.submit(prompt="a cat [duration:40]")
        told = self.shown(lambda: asyncio.run(client.aio.wait(task, 20, progress=True)))
        self.assertIn(f"{task.id}, succeeded: 100%", told)
        gc.collect()

    def test_a_bar_stays_where_a_task_failed(self) -> None:
        client = self.sandbox.client()
        task = client.submit(prompt="a cat [fail]")

        def wait() -> None:
            with self.assertRaises(imgtask.TaskFailed):
                client.wait(task, 20, progress=True)

        told = self.shown(wait)
        self.assertIn(f"{task.id}, failed:", told)
        self.assertNotIn("100%", told)

    def test_a_watch_is_an_iterator_like_any_other(self) -> None:
        client = self.sandbox.client()
        ids = self.sandbox.make(5)
        self.assertIn("5/5", self.shown(lambda: list(tqdm(client.watch(ids), total=len(ids)))))

        async def watched() -> int:
            return len([done async for done in tqdm(client.aio.watch(ids), total=len(ids))])

        self.assertIn("5/5", self.shown(lambda: asyncio.run(watched())))
        gc.collect()
