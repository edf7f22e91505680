"""What the end of the program leaves of calls that daemon threads are in.

Python ends such a thread where it comes back to Python, and that may be the log function: in the midst of the library, which
no thread can be taken out of. The whole process would be aborted. So the calls are ended first, and the threads with them.
"""

import atexit
import sys
import threading
import time
import weakref
from types import FrameType
from typing import TYPE_CHECKING, Optional

from ._lines import Lines
from ._patience import on_main_thread

if TYPE_CHECKING:
    from ._client import Client

#: So long the program's end waits for the calls, seconds.
PATIENCE = 2.0

#: Between two looks at them.
GLANCE = 0.005

#: Those whose calls are ended.
clients: "weakref.WeakSet[Client]" = weakref.WeakSet()

#: Set when the program ends.
over = threading.Event()


def leave_if_over() -> None:
    """Ends a thread without a word whose call was ended or refused because the program ends."""
    if over.is_set() and not on_main_thread():
        raise SystemExit


def is_inside(frame: Optional[FrameType]) -> bool:
    """Whether a thread is in a call of the library, or in a log function that the library has called."""
    package = __name__.rpartition(".")[0] + "."
    if frame is not None and str(frame.f_globals.get("__name__")).startswith(package):
        return True
    while frame is not None and frame.f_code is not Lines._call.__code__:
        frame = frame.f_back
    return frame is not None


def others_inside() -> bool:
    """Whether another thread is."""
    frames = sys._current_frames()
    frames.pop(threading.get_ident(), None)
    return any(map(is_inside, frames.values()))


@atexit.register
def end_calls() -> None:
    """Ends every call of other threads, and those that would make new ones. Jobs and the journal stay as they are."""
    if len(sys._current_frames()) == 1:
        return
    over.set()
    ending = list(clients)
    for client in ending:
        client._abandon()
    until = time.monotonic() + PATIENCE
    while others_inside() and time.monotonic() < until:
        for client in ending:
            client._abandon()
        time.sleep(GLANCE)
