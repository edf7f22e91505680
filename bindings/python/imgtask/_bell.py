"""Waking a thread that waits for a descriptor."""

import contextlib
import os


class Bell:
    """A descriptor that is readable once somebody has rung, until it is quieted."""

    _reader = _writer = -1

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    def fileno(self) -> int:
        return self._reader

    def ring(self) -> None:
        # Full of rings it is readable, too.
        with contextlib.suppress(BlockingIOError):
            os.write(self._writer, b"!")

    def quiet(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._reader, 4096)

    def __del__(self) -> None:
        for fd in (self._reader, self._writer):
            if fd >= 0:
                os.close(fd)
