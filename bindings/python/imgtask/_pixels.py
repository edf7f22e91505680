"""An image as the pixels that textures and arrays take."""

import ctypes
import struct
import zlib
from dataclasses import dataclass, field
from typing import Any, Dict

from . import _abi
from ._arguments import number
from ._handles import BytesHandle

_FORMATS: Dict[int, str] = {int(_abi.BytesFormat.RGBA8): "rgba8", int(_abi.BytesFormat.BGRA8): "bgra8"}


@dataclass(frozen=True)
class Pixels:
    """An image decoded: four bytes a pixel, sRGB, no gap between rows, the top row first if nothing else was asked for.

    >>> pixels = client.download(client.wait(client.submit(prompt="a lighthouse", size="64x48"))).rgba()
    >>> pixels.width, pixels.height, pixels.format, len(pixels.data)
    (64, 48, 'rgba8', 12288)

    Takes no copy where the other side takes none, and stays good as long as anything made from it:

        numpy.asarray(pixels)                             # (height, width, 4) of uint8, read only
        PIL.Image.fromarray(pixels)                       # of "rgba8"
        pygame.image.frombuffer(pixels.data, (pixels.width, pixels.height), "RGBA")
    """

    #: The rows one after the other, as a buffer of bytes that is read only: the library's own memory, not a copy.
    data: memoryview = field(repr=False)
    #: Pixels across.
    width: int
    #: Pixels down.
    height: int
    #: What the four bytes are: "rgba8" or "bgra8".
    format: str
    #: Bytes from one row to the next.
    row_bytes: int

    def tobytes(self) -> bytes:
        """The rows as bytes of Python's own: a copy."""
        return self.data.tobytes()

    @property
    def __array_interface__(self) -> Dict[str, Any]:
        return {
            "version": 3,
            "shape": (self.height, self.width, 4),
            "typestr": "|u1",
            "data": self.data,
            # PIL asks for bytes where it is given strides, and else for a buffer, which an object is from Python 3.12 on only.
            "strides": (self.row_bytes, 4, 1),
        }

    def _repr_png_(self) -> bytes:
        """What notebooks show."""
        rows = bytearray(self.data)
        if self.format == "bgra8":
            rows[0::4], rows[2::4] = rows[2::4], rows[0::4]
        size = self.row_bytes
        # Each row begins with its filter: none.
        image = zlib.compress(b"".join(b"\0" + rows[at : at + size] for at in range(0, len(rows), size)), 1)
        head = struct.pack(">IIBBBBB", self.width, self.height, 8, 6, 0, 0, 0)
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", image) + chunk(b"IEND", b"")

    # The library's memory belongs to its process: what is pickled is a copy.
    def __getstate__(self) -> Dict[str, Any]:
        return {**self.__dict__, "data": self.tobytes()}

    def __setstate__(self, state: Dict[str, Any]) -> None:
        self.__dict__.update(state, data=memoryview(state["data"]))

    def __copy__(self) -> "Pixels":
        return self

    def __deepcopy__(self, memo: Dict[int, Any]) -> "Pixels":
        return self


def chunk(kind: bytes, data: bytes) -> bytes:
    """One part of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def pixels_of(info: Any, handle: BytesHandle) -> Pixels:
    """The pixels that `info` tells of. Whoever holds a view of them holds the handle."""
    memory = (ctypes.c_ubyte * info.len).from_address(info.data)
    memory.owner = handle
    return Pixels(
        data=memoryview(memory).toreadonly().cast("B"),
        width=info.width,
        height=info.height,
        format=_FORMATS[info.format],
        row_bytes=info.row_bytes,
    )


def side(max_side: int) -> int:
    """The longest side as the library takes it; 0 there leaves the image as it is."""
    return number("max_side", max_side, 32)


def pixel_flags(flip_y: bool, bgra: bool, premultiply: bool) -> int:
    """How pixels lie, as the library takes it."""
    chosen = ((flip_y, _abi.Flag.FLIP_Y), (bgra, _abi.Flag.BGRA), (premultiply, _abi.Flag.PREMULTIPLY))
    return sum(int(flag) for wanted, flag in chosen if wanted)
