"""An image's bytes, in memory or in a file."""

import contextlib
import ctypes
import errno
import os
import secrets
import stat
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Dict, Optional, Type

try:
    import fcntl
except ImportError:  # There is none on Windows, where an open file cannot be taken for a leftover.
    fcntl = None  # type: ignore[assignment]

from . import _abi
from ._errors import InvalidArgument, read_error
from ._handles import BytesHandle, ErrorHandle
from ._library import Library, PathLike, loaded
from ._pixels import Pixels, pixel_flags, pixels_of, side


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

    # Not a field: what is decoded.
    _handle: ClassVar[Optional[BytesHandle]] = None

    def rgba(self, max_side: int = 0, *, flip_y: bool = False, bgra: bool = False, premultiply: bool = False) -> Pixels:
        """The image decoded: PNG, JPEG and WebP; of an animation the first picture. Colour profiles of RGB and EXIF
        orientation are followed.

        `max_side` makes a larger image smaller, with a good filter, until no side is longer; 0 leaves it as it is.
        `flip_y`: bottom row first, as OpenGL counts them. `bgra`: blue, green, red, alpha. `premultiply`: colours
        multiplied by alpha.

        Takes 5 to 50 ms for a million pixels, on this thread but without Python's lock, so that threads may decode side by
        side; Ctrl-C waits for it. `start(goal="pixels")` decodes on a thread of the library. Works after the client is
        closed.

        Raises `TooLarge` for more pixels than the client's `max_image_pixels`, before memory is taken for them;
        `BadImage` for damaged data; `Unsupported` for other formats, and where the library was built without `decode`.

        >>> client.download(client.wait(client.submit(prompt="a lighthouse", size="96x64"))).rgba(max_side=24)
        Pixels(width=24, height=16, format='rgba8', row_bytes=96)
        """
        if self._handle is None:
            raise InvalidArgument("this picture was pickled or rebuilt: download it again to decode it")
        library, out, error = loaded.library, BytesHandle(), ErrorHandle()
        flags = pixel_flags(flip_y, bgra, premultiply)
        status = library.imgtask_bytes_decode(self._handle, side(max_side), flags, out, error)
        if status:
            raise read_error(library, status, error)
        return pixels_of(read_info(library, out), out)

    def save(self, path: PathLike) -> Path:
        """Writes the bytes to `path`, which is whole under its name or untouched. Returns the path.

        A file or link of that name is replaced; what a link names stays. Raises an `OSError` that names `path` when it cannot
        be written, and for a folder, a device or a pipe.

        >>> client.download(client.wait(client.submit(prompt="a lighthouse at dusk"))).save("dusk.png")
        PosixPath('dusk.png')
        """
        target = Path(path)
        part = target.with_name(f".imgtask-{secrets.token_hex(8)}.part")
        try:
            refuse_what_is_no_file(target)
            # Nobody else reads it before it is whole. It gets the rights that any new file has with its name.
            created = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
            with open(created, "wb") as file:
                # Held while it is written: the library removes parts that killed programs left, and this is none.
                if fcntl is not None:
                    with contextlib.suppress(OSError):
                        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                file.write(self.data)
                file.flush()
                make_usual(file.fileno())
                # On the disk before the name is: a machine that loses its power leaves no torn file either.
                os.fsync(file.fileno())
            os.replace(part, target)
            sync_folder(target.parent)
        except BaseException as error:
            with contextlib.suppress(OSError):
                part.unlink()
            if isinstance(error, OSError):
                # The name that the caller gave, not the one beside it.
                error.filename = str(target)
                del error.filename2
            raise
        return target

    # Notebooks show the picture itself; `None` makes them try the next form.
    def _repr_png_(self) -> Optional[bytes]:
        return self.data if self.media_type == "image/png" else None

    def _repr_jpeg_(self) -> Optional[bytes]:
        return self.data if self.media_type == "image/jpeg" else None

    # Not all notebooks know the other types by their names.
    def _repr_html_(self) -> Optional[str]:
        if self.media_type in ("image/png", "image/jpeg"):
            return None
        from ._display import picture_html

        return picture_html(self.media_type, self.data) or None

    # A handle belongs to its process: a pickled picture keeps the bytes, and cannot be decoded.
    def __getstate__(self) -> Dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def __setstate__(self, state: Dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __copy__(self) -> "Picture":
        return self

    def __deepcopy__(self, memo: Dict[int, Any]) -> "Picture":
        return self


def refuse_what_is_no_file(target: Path) -> None:
    """As the library: a device, a pipe or a folder is never replaced, whatever rights the process has."""
    try:
        mode = os.lstat(target).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode) and not stat.S_ISLNK(mode):
        raise OSError(errno.EINVAL, "a device or pipe, not a file")


def make_usual(file: int) -> None:
    """Gives a private file the mode of any new file, where the system tells it without changing it for every thread."""
    with contextlib.suppress(OSError), open("/proc/self/status", "rb") as status:
        for line in status:
            if line.startswith(b"Umask:"):
                os.fchmod(file, 0o666 & ~int(line.split()[1], 8))


def sync_folder(folder: Path) -> None:
    """Has the name on the disk, too, where a folder can be synced."""
    if os.name != "posix":
        return
    with contextlib.suppress(PermissionError):
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise
        finally:
            os.close(opened)


class Data:
    """The bytes of a picture, which become Python's own when they are asked for first."""

    def __get__(self, picture: Optional[Picture], kind: Type[Picture]) -> bytes:
        handle = picture.__dict__.get("_handle") if picture is not None else None
        if picture is None or handle is None:
            raise AttributeError("a Picture has no data")
        info = read_info(loaded.library, handle)
        data = ctypes.string_at(info.data, info.len) if info.len else b""
        picture.__dict__["data"] = data
        return data


Picture.data = Data()  # type: ignore[assignment]


@dataclass(frozen=True)
class SavedPicture:
    """One image in a file, as `Client.download_file` leaves it.

    >>> client.download_file(client.wait(client.submit(prompt="a lighthouse", size="64x48")), "small.png")
    SavedPicture(path=PosixPath('small.png'), size=..., media_type='image/png', ..., width=64, height=48, sha256='...')
    """

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
    """A picture out of a handle that is then the picture's own."""
    return picture_of(read_info(library, handle), handle)


def picture_of(info: Any, handle: BytesHandle) -> Picture:
    """The encoded image that `info` tells of."""
    picture = object.__new__(Picture)
    picture.__dict__.update(_handle=handle, **described(info))
    return picture


def read_saved_picture(library: Library, handle: BytesHandle, path: Path) -> SavedPicture:
    """What was written to `path`."""
    return saved_of(read_info(library, handle), path)


def saved_of(info: Any, path: Path) -> SavedPicture:
    """The file that `info` tells of, under the name that it was given."""
    return SavedPicture(path=path, size=info.len, **described(info))


def described(info: Any) -> Dict[str, Any]:
    """What is known of an encoded image."""
    return {
        "media_type": info.media_type.decode(),
        "declared_media_type": info.declared_media_type.decode(),
        "extension": info.extension.decode(),
        "width": info.width or None,
        "height": info.height or None,
        "sha256": info.sha256.decode(),
    }
