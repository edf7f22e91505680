"""An image's bytes, in memory or in a file."""

import contextlib
import ctypes
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional, Tuple

try:
    import fcntl
except ImportError:  # There is none on Windows, where an open file cannot be taken for a leftover.
    fcntl = None  # type: ignore[assignment]

from . import _abi
from ._handles import BytesHandle
from ._library import Library, PathLike


@dataclass(frozen=True)
class Picture:
    """One image as the service encoded it, checked to be whole.

    >>> picture = client.download(client.wait(client.submit(prompt="a lighthouse at dusk")))
    >>> picture.media_type, picture.data[:4]
    ('image/png', b'\\x89PNG')
    """

    #: The encoded image.
    data: bytes = field(repr=False)
    #: The type read from the bytes: `image/png`.
    media_type: str
    #: The type the server named, "" when it named none.
    declared_media_type: str
    #: The usual file extension of `media_type`, without a dot: `png`.
    extension: str
    #: Pixels across.
    width: Optional[int]
    #: Pixels down.
    height: Optional[int]
    #: SHA-256 of the bytes, 64 hex digits in lower case.
    sha256: str

    def save(self, path: PathLike) -> Path:
        """Writes the bytes to `path`, which is whole under its name or untouched. Returns the path.

        Raises an `OSError` that names `path` when it cannot be written.
        """
        target = Path(path)
        # Made by open and not by tempfile, so that the file has the rights any new file has.
        part = target.with_name(f".imgtask-{secrets.token_hex(8)}.part")
        try:
            with open(part, "xb") as file:
                # Held while it is written: the library removes parts that killed programs left, and this is none.
                if fcntl is not None:
                    with contextlib.suppress(OSError):
                        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                file.write(self.data)
                # On the disk before the name is: a machine that loses its power leaves no torn file either.
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, target)
        except BaseException as error:
            with contextlib.suppress(OSError):
                part.unlink()
            if isinstance(error, OSError) and error.errno is not None:
                # The name that the caller gave, not the one beside it.
                raise OSError(error.errno, error.strerror, str(target)) from None
            raise
        return target

    # Notebooks show the picture itself; `None` makes them try the next form.
    def _repr_png_(self) -> Optional[bytes]:
        return self.data if self.media_type == "image/png" else None

    def _repr_jpeg_(self) -> Optional[bytes]:
        return self.data if self.media_type == "image/jpeg" else None


@dataclass(frozen=True)
class SavedPicture:
    """One image in a file, as `Client.download_file` leaves it."""

    #: The file.
    path: Path
    #: Its length in bytes.
    size: int
    #: The type read from the bytes: `image/png`.
    media_type: str
    #: The type the server named, "" when it named none.
    declared_media_type: str
    #: The usual file extension of `media_type`, without a dot: `png`.
    extension: str
    #: Pixels across.
    width: Optional[int]
    #: Pixels down.
    height: Optional[int]
    #: SHA-256 of the bytes, 64 hex digits in lower case.
    sha256: str


def read_info(library: Library, handle: BytesHandle) -> Any:
    """What the library tells of the bytes; its texts live as long as the handle."""
    info = _abi.imgtask_bytes_info()
    info.struct_size = ctypes.sizeof(info)
    library.imgtask_bytes_get(handle, info)
    return info


def read_picture(library: Library, handle: BytesHandle) -> Picture:
    """The bytes as Python's own."""
    return picture_of(read_info(library, handle))


def read_delivery(library: Library, handle: BytesHandle) -> Tuple[Optional[Picture], Optional[SavedPicture]]:
    """What a job brought: bytes, or a file."""
    info = read_info(library, handle)
    return (None, saved_of(info, Path(info.path.decode()))) if info.path else (picture_of(info), None)


def picture_of(info: Any) -> Picture:
    """The bytes that `info` tells of, while they are there."""
    return Picture(
        data=ctypes.string_at(info.data, info.len) if info.len else b"",
        media_type=info.media_type.decode(),
        declared_media_type=info.declared_media_type.decode(),
        extension=info.extension.decode(),
        width=info.width or None,
        height=info.height or None,
        sha256=info.sha256.decode(),
    )


def read_saved_picture(library: Library, handle: BytesHandle, path: Path) -> SavedPicture:
    """What was written to `path`."""
    return saved_of(read_info(library, handle), path)


def saved_of(info: Any, path: Path) -> SavedPicture:
    """The file that `info` tells of, under the name that it was given."""
    return SavedPicture(
        path=path,
        size=info.len,
        media_type=info.media_type.decode(),
        declared_media_type=info.declared_media_type.decode(),
        extension=info.extension.decode(),
        width=info.width or None,
        height=info.height or None,
        sha256=info.sha256.decode(),
    )

