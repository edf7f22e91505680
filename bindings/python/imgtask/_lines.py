"""The log's lines on their way to whoever wants them."""

import threading
from typing import Any, Callable, List, Optional

from . import _abi
from ._patience import on_main_thread

#: Called with a level (1 error, 2 warning, 3 info, 4 debug) and a line without secrets.
Log = Callable[[int, str], None]

#: Lines of this level tell why a job was refused.
WARN = int(_abi.LogLevel.WARN)


class Lines:
    """Takes the library's lines: hands those on that the log function wants, and keeps why a job was refused.

    The library tells that in its log alone, on the thread that asked.
    """

    def __init__(self, log: Optional[Log], level: int) -> None:
        if log is not None and not callable(log):
            raise TypeError(f"log must be a function of a level and a line, not {type(log).__name__}")
        self._log = log
        self._level = level
        self._kept = threading.local()
        #: What struck in the log function on the main thread and was not let through yet.
        self.struck: List[BaseException] = []
        #: What the library is to tell.
        self.level = max(level, WARN)
        #: The function as the library calls it.
        self.sink = _abi.imgtask_log_sink(self._call)

    def _call(self, user_data: Any, level: int, line: bytes) -> None:
        try:
            if level == WARN and line.startswith(b"start: "):
                self._kept.refusal = line
            if self._log is not None and level <= self._level:
                self._log(level, line.decode("utf-8", "replace"))
        except BaseException as stop:
            # The library knows no exceptions. An error of the log function is printed by Python and stops nothing.
            if isinstance(stop, Exception) or not on_main_thread():
                raise
            self.struck.append(stop)

    def let_through(self) -> None:
        """Raises what struck in the log function, Ctrl-C most often, during a call on this thread."""
        if self.struck and on_main_thread():
            del self.struck[1:]
            raise self.struck.pop()

    def refusal(self) -> str:
        """Why the last job that this thread asked for was refused, "" when nobody said."""
        line: bytes = self._kept.__dict__.pop("refusal", b"")
        # "start: invalid_argument: the label is longer than 256 bytes"
        return line.decode("utf-8", "replace").partition(": ")[2].partition(": ")[2]
