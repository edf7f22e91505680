"""Finding the native library, checking it, and binding its functions."""

import ctypes
import ctypes.util
import os
import re
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterator, List, Optional, Tuple, Union

from . import _abi

PathLike = Union[str, "os.PathLike[str]"]

#: The variable that names the library's file.
VARIABLE = "IMGTASK_LIBRARY"

#: The oldest library this package works with: the one it was made for.
OLDEST = (_abi.VERSION_MAJOR, _abi.VERSION_MINOR, _abi.VERSION_PATCH)


class LibraryNotFound(ImportError):
    """The native library is missing, cannot be loaded, or does not fit this package.

    The message tells every place that was tried and what was wrong there.
    """


# Every look or event makes these calls. ctypes takes half of such a call's time to check each argument against its declared
# type, so they are bound a second time, as `quick_...`, for callers whose arguments are ctypes values or bytes already:
# handles, `byref(struct)`, `c_size_t`, `c_uint32`. Never a bare int, which would be cut to 32 bits.
QUICK = (
    "imgtask_client_fetch",
    "imgtask_client_next_event",
    "imgtask_task_get",
    "imgtask_task_get_image",
    "imgtask_task_free",
)


class Library:
    """A loaded library with one attribute per function of the header, and those of `QUICK`."""

    #: The file it came from, or the name the system resolved.
    origin: str
    #: Its version: `"0.1.0"`.
    version: str

    def __init__(self, cdll: ctypes.CDLL, origin: str) -> None:
        self.origin = origin
        self.version = check(cdll)
        for name, (result, parameters) in _abi.FUNCTIONS.items():
            setattr(self, name, bind(cdll, name, result, parameters))
        for name in QUICK:
            # Not getattr, which gives the same function object again.
            quick = cdll[name]
            quick.restype = _abi.FUNCTIONS[name][0]
            setattr(self, name.replace("imgtask_", "quick_", 1), quick)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...


class Unfit(Exception):
    """Why a file is not the library this package needs, and what helps."""


UPDATE_LIBRARY = "install the library that belongs to this package, or name another file"
UPDATE_PACKAGE = "update this package (pip install --upgrade imgtask), or name an older library"


def bind(cdll: ctypes.CDLL, name: str, result: Any, parameters: Tuple[Any, ...]) -> Any:
    """One function with its types."""
    try:
        function = getattr(cdll, name)
    except AttributeError:
        raise Unfit(f"it has no {name}: it is too old for this package, or not imgtask; {UPDATE_LIBRARY}") from None
    function.restype = result
    function.argtypes = parameters
    return function


def check(cdll: ctypes.CDLL) -> str:
    """The library's version, if it fits."""
    abi = bind(cdll, "imgtask_abi_version", *_abi.FUNCTIONS["imgtask_abi_version"])()
    version = bind(cdll, "imgtask_version", *_abi.FUNCTIONS["imgtask_version"])().decode("ascii", "replace")
    if abi != _abi.ABI_VERSION:
        age, cure = ("old", UPDATE_LIBRARY) if abi < _abi.ABI_VERSION else ("new", UPDATE_PACKAGE)
        raise Unfit(
            f"version {version} is too {age}: it has ABI {abi}, this package needs ABI {_abi.ABI_VERSION}; {cure}"
        )
    if numbers(version) < OLDEST:
        needed = ".".join(map(str, OLDEST))
        raise Unfit(f"version {version} is too old: this package needs {needed} or newer; {UPDATE_LIBRARY}")
    return str(version)


def numbers(version: str) -> Tuple[int, ...]:
    """`"1.2.3-rc1"` as `(1, 2, 3)`."""
    return tuple(int(part) if part.isdigit() else 0 for part in version.split("-")[0].split("."))


def file_names(platform: str = sys.platform) -> Tuple[str, ...]:
    """What the library's file is called on this system."""
    if platform == "win32":
        return ("imgtask.dll",)
    if platform == "darwin":
        return ("libimgtask.dylib", f"libimgtask.{_abi.ABI_VERSION}.dylib")
    return ("libimgtask.so", f"libimgtask.so.{_abi.ABI_VERSION}")


def system_names() -> Iterator[str]:
    """What the system's loader may know the library by."""
    # The versioned name needs no other program's help; find_library starts a compiler, ldconfig and more.
    yield from reversed(file_names())
    found = ctypes.util.find_library("imgtask")
    if found and found not in file_names():
        yield found


def open_library(place: str) -> Library:
    """Loads one file, or says why not."""
    try:
        # Never PyDLL: a call that blocks must not hold Python's lock.
        return Library(ctypes.CDLL(place), place)
    except OSError as error:
        raise Unfit(f"it cannot be loaded: {foreign(place) or old_system(str(error)) or error}") from None


#: Processors by their numbers in the head of an ELF file.
MACHINES = {3: "x86", 40: "ARM", 62: "x86-64", 183: "AArch64", 243: "RISC-V"}


def machine(file: str) -> Optional[str]:
    """For which processor an ELF file is, with its bits; "" for another kind of file, `None` when that is not known."""
    try:
        with open(file, "rb") as opened:
            head = opened.read(20)
    except OSError:
        return None
    if head[:4] != b"\x7fELF" or len(head) < 20:
        return ""
    number = int.from_bytes(head[18:20], "big" if head[5] == 2 else "little")
    return f"{MACHINES.get(number, f'processor {number}')} ({64 if head[4] == 2 else 32} bit)"


def foreign(place: str) -> str:
    """That a file is for another machine. Of such a one the system's loader may say that it does not exist."""
    # A bare name is looked for by the loader, and not in this folder.
    here, there = machine("/proc/self/exe"), machine(place) if os.path.dirname(place) else None
    if not here or there is None or here == there:
        return ""
    if not there:
        return "it is no library of this system; build it here (make lib), or install the wheel for this machine"
    return f"it is for {there}, and this Python for {here}; build it here (make lib), or install the wheel for this machine"


def old_system(told: str) -> str:
    """That the system's C library is older than the one that the library was built with."""
    needed = re.search(r"version `GLIBC_([0-9.]+)' not found", told)
    if needed is None:
        return ""
    return f"it needs glibc {needed[1]} or newer, and this system has an older one; build it here (make lib)"


def find(path: Optional[PathLike] = None, *, package: Optional[Path] = None) -> Library:
    """Looks for the library: `path`, then the variable, then beside the package, then the system.

    A place that was named (path or variable) is the only one tried.
    """
    named = (os.fspath(path), "the path given") if path is not None else None
    if named is None and os.environ.get(VARIABLE):
        named = (os.environ[VARIABLE], VARIABLE)
    if named is not None:
        place, source = named
        try:
            if not os.path.isfile(place):
                raise Unfit("there is no such file; build it (make lib), or leave it unsaid and install imgtask's wheel")
            return open_library(os.path.abspath(place))
        except Unfit as why:
            raise LibraryNotFound(
                f"the imgtask library cannot be used: {place} (from {source}): {why}", name="imgtask", path=place
            ) from None

    tried: List[str] = [f"{VARIABLE}: not set"]
    # Where the package is installed to be edited it has two folders: that of the sources, and that of what was built.
    packages = [package] if package is not None else [Path(each) for each in sys.modules[__name__.rpartition(".")[0]].__path__]
    for folder in [place for each in packages for place in (each, each / "lib")]:
        for name in file_names():
            file = folder / name
            try:
                if file.is_file():
                    return open_library(str(file))
                tried.append(f"{file}: there is no such file")
            except Unfit as why:
                tried.append(f"{file}: {why}")
    for name in system_names():
        try:
            return open_library(name)
        except Unfit as why:
            tried.append(f"the system's {name}: {why}")
    raise LibraryNotFound(
        "the imgtask library was not found; name its file in the variable "
        f"{VARIABLE} or with imgtask.load(path). Tried:\n  " + "\n  ".join(tried),
        name="imgtask",
    )


class Loaded:
    """The one library of this process, once it is loaded."""

    library: Any = None


loaded = Loaded()
_loading = threading.Lock()


def _after_fork() -> None:
    """In a child nobody gives a lock back that another thread of the parent had."""
    global _loading
    _loading = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def load(path: Optional[PathLike] = None) -> Library:
    """Loads the native library now, from `path` if given.

    Called by the first `Client` if nobody did before. Once a library is loaded it stays: another `path` is then
    a `LibraryNotFound` that says so.

    Raises `LibraryNotFound` when it is missing, cannot be loaded or does not fit this package.

    >>> load().version == library_version()
    True
    >>> load("/nowhere/libimgtask.so")
    Traceback (most recent call last):
    imgtask.LibraryNotFound: ...
    """
    with _loading:
        if loaded.library is None:
            loaded.library = find(path)
        elif path is not None and os.path.realpath(os.fspath(path)) != os.path.realpath(loaded.library.origin):
            raise LibraryNotFound(
                f"the imgtask library is loaded already, from {loaded.library.origin}; load {os.fspath(path)} before "
                "the first client",
                name="imgtask",
            )
        library: Library = loaded.library
        return library
