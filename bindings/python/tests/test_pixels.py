"""Images as pixels: decoded by the caller and by jobs, and how long their memory lasts."""

import copy
import gc
import pickle
import struct
import subprocess
import sys
import threading
import time
import zlib
from typing import Any, Callable, List, Tuple

import imgtask
from imgtask import EventKind, Goal, Pixels, Status

from .support import PACKAGE, WithSandbox


def rows(pixels: Pixels) -> List[bytes]:
    data, size = pixels.tobytes(), pixels.row_bytes
    return [data[at : at + size] for at in range(0, len(data), size)]


def unpacked(png: bytes) -> Tuple[int, int, bytes]:
    """Width, height and bytes of a PNG of RGBA without filters; every part is checked."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, parts = 8, {}
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        parts[kind] = png[at + 8 : at + 8 + length]
        assert png[at + 8 + length : at + 12 + length] == struct.pack(">I", zlib.crc32(kind + parts[kind]))
        at += 12 + length
    assert list(parts) == [b"IHDR", b"IDAT", b"IEND"]
    width, height, *rest = struct.unpack(">IIBBBBB", parts[b"IHDR"])
    assert rest == [8, 6, 0, 0, 0]
    lines = zlib.decompress(parts[b"IDAT"])
    assert len(lines) == height * (1 + 4 * width) and not any(lines[:: 1 + 4 * width])
    return width, height, b"".join(lines[at + 1 : at + 1 + 4 * width] for at in range(0, len(lines), 1 + 4 * width))


class Pictures(WithSandbox):
    def picture(self, size: str = "96x64", form: str = "png", **options: Any) -> imgtask.Picture:
        """An image whose client is gone."""
        with self.sandbox.client(**options) as client:
            return client.download(client.wait(client.submit(prompt="a cup [duration:0]", size=size, output_format=form)))


class Decoding(Pictures):
    def test_every_format_becomes_pixels(self) -> None:
        for form, media_type in (("png", "image/png"), ("jpeg", "image/jpeg"), ("webp", "image/webp")):
            picture = self.picture(form=form)
            self.assertEqual(picture.media_type, media_type)
            pixels = picture.rgba()
            self.assertEqual((pixels.width, pixels.height, pixels.format, pixels.row_bytes), (96, 64, "rgba8", 384))
            self.assertEqual((pixels.data.nbytes, pixels.data.format, pixels.data.ndim), (96 * 64 * 4, "B", 1))
            self.assertEqual(set(pixels.data[3::4]), {255})
            # A picture, and no plain sheet.
            self.assertGreater(len(set(rows(pixels))), 10)

    def test_rows_and_channels_lie_as_they_were_asked_for(self) -> None:
        picture = self.picture()
        upright, flipped, swapped = picture.rgba(), picture.rgba(flip_y=True), picture.rgba(bgra=True, premultiply=True)
        self.assertEqual(rows(flipped), rows(upright)[::-1])
        self.assertNotEqual(flipped, upright)
        self.assertEqual((swapped.format, swapped.width, swapped.height), ("bgra8", 96, 64))
        ours, theirs = upright.tobytes(), swapped.tobytes()
        self.assertEqual([ours[n::4] for n in (0, 1, 2, 3)], [theirs[n::4] for n in (2, 1, 0, 3)])

    def test_a_side_limits_the_size_and_makes_nothing_larger(self) -> None:
        picture = self.picture()
        for side, size in ((24, (24, 16)), (96, (96, 64)), (5000, (96, 64)), (0, (96, 64))):
            pixels = picture.rgba(side)
            self.assertEqual((pixels.width, pixels.height), size)
            self.assertEqual(len(pixels.data), pixels.width * pixels.height * 4)

    def test_what_cannot_be_decoded_says_why(self) -> None:
        picture = self.picture()
        for wrong in (-1, 2.5, 1 << 32, "24"):
            with self.assertRaisesRegex(imgtask.InvalidArgument, "max_side"):
                picture.rgba(wrong)  # type: ignore[arg-type]
        with self.assertRaisesRegex(imgtask.InvalidArgument, "pickled or rebuilt: download it again"):
            pickle.loads(pickle.dumps(picture)).rgba()
        with self.assertRaisesRegex(imgtask.TooLarge, "96 x 64"):
            self.picture(max_image_pixels=96 * 64 - 1).rgba()
        self.assertEqual(self.picture(max_image_pixels=96 * 64).rgba().width, 96)

    def test_several_threads_decode_one_picture(self) -> None:
        picture = self.picture("512x512")
        wanted, got = picture.rgba(), []
        threads = [threading.Thread(target=lambda: got.append(picture.rgba())) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        self.assertEqual([pixels == wanted for pixels in got], [True] * 4)

    def test_other_threads_go_on_while_one_decodes(self) -> None:
        picture = self.picture("2048x2048")
        turns: List[None] = []
        ended = threading.Event()

        def turn() -> None:
            while not ended.is_set():
                turns.append(None)
                time.sleep(0)

        thread = threading.Thread(target=turn)
        thread.start()
        try:
            before = len(turns)
            picture.rgba()
            during = len(turns) - before
        finally:
            ended.set()
            thread.join(30)
        self.assertGreater(during, 100)


class Memory(Pictures):
    def test_pixels_are_the_library_s_memory_until_the_last_view_of_them_is_gone(self) -> None:
        before = imgtask.live_handles()
        picture = self.picture()
        wanted = picture.rgba().tobytes()
        pixels = picture.rgba()
        del picture
        self.assertEqual(imgtask.live_handles(), before + 1)
        part = pixels.data[384:768]
        del pixels
        self.assertEqual(imgtask.live_handles(), before + 1)
        # Memory that was given back would be written over by now.
        others = [self.picture("128x96").rgba() for _ in range(8)]
        self.assertEqual(bytes(part), wanted[384:768])
        del part, others
        self.assertEqual(imgtask.live_handles(), before)

    def test_pixels_are_read_only(self) -> None:
        pixels = self.picture().rgba()
        self.assertTrue(pixels.data.readonly)
        with self.assertRaises(TypeError):
            pixels.data[0] = 0
        with self.assertRaises(AttributeError):
            pixels.width = 3  # type: ignore[misc]

    def test_pixels_outlive_event_and_client(self) -> None:
        client = self.sandbox.client()
        client.start(goal="pixels", prompt="a cup", size="96x64")
        event = client.next_event(20)
        assert event is not None and event.pixels is not None
        pixels, wanted = event.pixels, event.pixels.tobytes()
        client.close()
        del event, client
        gc.collect()
        self.picture()
        self.assertEqual(pixels.tobytes(), wanted)

    def test_pixels_and_pictures_can_be_pickled_and_copied(self) -> None:
        picture = self.picture(form="webp")
        pixels = picture.rgba()
        for thing in (picture, pixels):
            self.assertEqual(pickle.loads(pickle.dumps(thing)), thing)
            self.assertIs(copy.deepcopy(thing), thing)
        again = pickle.loads(pickle.dumps(pixels))
        self.assertEqual((again.data, again.__array_interface__["shape"]), (pixels.data, (64, 96, 4)))
        self.assertEqual(pickle.loads(pickle.dumps(picture)).data, picture.data)

    def test_the_bytes_of_a_picture_are_read_once(self) -> None:
        picture = self.picture()
        self.assertNotIn("data", vars(picture))
        self.assertIs(picture.data, picture.data)
        self.assertEqual(picture.data[:4], b"\x89PNG")


class Jobs(Pictures):
    def test_a_job_goes_to_the_pixels(self) -> None:
        client = self.client()
        task = client.wait(client.submit(prompt="a cup", size="96x64"))
        wanted = client.download(task).rgba(48, flip_y=True, bgra=True)
        client.start(task, Goal.PIXELS, max_side=48, flip_y=True, bgra=True)
        event = client.next_event(20)
        assert event is not None
        self.assertEqual((event.kind, event.goal, event.status), (EventKind.FINAL, Goal.PIXELS, Status.OK))
        self.assertEqual((event.picture, event.saved, event.error), (None, None, None))
        self.assertEqual(event.pixels, wanted)
        self.assertEqual(pickle.loads(pickle.dumps(event)), event)

    def test_all_images_of_a_task_become_pixels(self) -> None:
        client = self.client()
        client.start(None, "pixels", index="all", prompt="cups", n=3, resolution="2k", size="32x32")
        events = list(client.events(20))
        self.assertEqual([event.kind for event in events], [EventKind.IMAGE] * 3 + [EventKind.FINAL])
        self.assertEqual([event.image_index for event in events[:3]], [0, 1, 2])
        self.assertEqual(len({event.pixels.tobytes() for event in events[:3] if event.pixels}), 3)
        self.assertIsNone(events[-1].pixels)

    def test_watch_brings_pixels(self) -> None:
        client = self.client()
        request = {"prompt": "cups", "n": 2, "resolution": "2k", "size": "64x48"}
        for done in client.watch([request], goal="pixels", index="all", max_side=32, premultiply=True):
            self.assertEqual((done.error, done.pictures, done.files), (None, (), ()))
            self.assertEqual([(each.width, each.height) for each in done.all_pixels], [(32, 24)] * 2)
            self.assertIs(done.pixels, done.all_pixels[0])

    def test_an_image_with_too_many_pixels_is_an_error_and_not_lost(self) -> None:
        client = self.client(max_image_pixels=96 * 64 - 1)
        client.start(goal="pixels", prompt="a cup", size="96x64")
        event = client.next_event(20)
        assert event is not None and event.task is not None
        self.assertIsInstance(event.error, imgtask.TooLarge)
        self.assertIsNone(event.pixels)
        self.assertEqual(client.download(event.task).width, 96)

    def test_a_shape_without_the_goal_is_refused(self) -> None:
        client = self.client()
        calls: List[Callable[[], object]] = [
            lambda: client.start("img_0", max_side=8),
            lambda: client.start("img_0", "bytes", flip_y=True),
            lambda: client.start("img_0", path="a.png", bgra=True),
            lambda: client.start("img_0", premultiply=True),
        ]
        for call in calls:
            with self.assertRaisesRegex(imgtask.InvalidArgument, "only the goal pixels"):
                call()
        with self.assertRaisesRegex(imgtask.InvalidArgument, "max_side"):
            client.start("img_0", "pixels", max_side=-1)
        self.assertEqual(client.pending, 0)


class Showing(Pictures):
    def test_notebooks_show_a_picture_of_every_type(self) -> None:
        png, jpeg, webp = (self.picture(form=form) for form in ("png", "jpeg", "webp"))
        self.assertEqual((png._repr_png_(), png._repr_jpeg_(), png._repr_html_()), (png.data, None, None))
        self.assertEqual((jpeg._repr_png_(), jpeg._repr_jpeg_(), jpeg._repr_html_()), (None, jpeg.data, None))
        self.assertEqual((webp._repr_png_(), webp._repr_jpeg_()), (None, None))
        self.assertRegex(webp._repr_html_() or "", r'^<img src="data:image/webp;base64,UklGR[A-Za-z0-9+/]+=*">$')

    def test_notebooks_show_pixels(self) -> None:
        picture = self.picture()
        upright = picture.rgba()
        self.assertEqual(unpacked(upright._repr_png_()), (96, 64, upright.tobytes()))
        self.assertEqual(unpacked(picture.rgba(bgra=True)._repr_png_()), (96, 64, upright.tobytes()))

    def test_a_repr_shows_no_bytes(self) -> None:
        self.assertEqual(repr(self.picture().rgba()), "Pixels(width=96, height=64, format='rgba8', row_bytes=384)")
        self.assertLess(len(repr(self.picture())), 300)


class Neighbours(Pictures):
    def test_arrays_can_be_made_of_pixels(self) -> None:
        pixels = self.picture().rgba()
        told = pixels.__array_interface__
        self.assertEqual((told["version"], told["shape"], told["typestr"]), (3, (64, 96, 4), "|u1"))
        self.assertEqual((told["strides"], told["data"]), ((384, 4, 1), pixels.data))

    def test_nothing_is_imported_for_it(self) -> None:
        code = "import sys, imgtask; sys.exit(sorted({'numpy', 'PIL'} & set(sys.modules)) or 0)"
        done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(PACKAGE)}, capture_output=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
