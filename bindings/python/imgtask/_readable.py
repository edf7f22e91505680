"""A descriptor for event loops."""

import os
import select


class Readable:
    """Readable while the library's queue has events, or while some that it had wait here.

    On Linux it is an epoll of the two. Elsewhere it is the queue's own descriptor.
    """

    def __init__(self, queue: int) -> None:
        self._queue = queue
        self._shown = False
        self._epoll = None
        if hasattr(select, "epoll"):
            self._reader, self._writer = os.pipe()
            self._epoll = select.epoll()
            self._epoll.register(queue, select.EPOLLIN)
            self._epoll.register(self._reader, select.EPOLLIN)

    def fileno(self) -> int:
        return self._queue if self._epoll is None else self._epoll.fileno()

    def show(self, waiting: bool) -> None:
        """Says whether events wait here."""
        if waiting != self._shown and self._epoll is not None:
            # At most one byte is in the pipe, so neither call waits.
            if waiting:
                os.write(self._writer, b"!")
            else:
                os.read(self._reader, 1)
            self._shown = waiting

    def close(self) -> None:
        if self._epoll is not None:
            self._epoll.close()
            self._epoll = None
            os.close(self._reader)
            os.close(self._writer)

    def __del__(self) -> None:
        self.close()
