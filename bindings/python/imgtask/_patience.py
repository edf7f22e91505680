"""Letting Ctrl-C and other signals through while the library blocks.

Python runs a signal's handler on the main thread, between two of its own instructions: never while the main thread
is inside a call of the library. Two ways round that, for calls made on the main thread; on other threads no handler
ever runs, and both make the call plainly.

`patiently` is for calls that may last: a helper thread makes the call and the main thread waits for it in a way that
signals wake. A handler that returns changes nothing; one that raises, as Ctrl-C does, ends the call first.

`briefly` is for a single look, too short and too frequent for a thread of its own: the call is made right here, and a
standing thread, which the interpreter's signal code wakes through a socket, ends it on Ctrl-C. Other signals wait
until the look is over.
"""

import os
import signal
import socket
import sys
import threading
import time
from typing import Callable, List, Optional, Tuple

# Windows wakes no lock for Ctrl-C, so the main thread looks up from its wait there.
_GLANCE = 0.05 if sys.platform == "win32" else None

# Between two interrupts of one call: the first can come before the call has begun.
_AGAIN = 0.02


def on_main_thread() -> bool:
    """Whether signals are handled on this thread."""
    return threading.get_ident() == threading.main_thread().ident


def patiently(call: Callable[[], int], interrupt: Callable[[], object]) -> int:
    """Makes a blocking call; a signal handler that raises ends it through `interrupt` and is then let through.

    The call has ended when this returns or raises, unless a second such signal cuts the end short.
    """
    if not on_main_thread():
        return call()

    results: List[int] = []
    errors: List[BaseException] = []
    begun, done = threading.Event(), threading.Event()

    def helper() -> None:
        begun.set()
        try:
            results.append(call())
        except BaseException as error:  # raised again where the call was asked for
            errors.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=helper, name="imgtask-call", daemon=True)
    try:
        try:
            thread.start()
        except RuntimeError:
            # No thread is given any more: the interpreter is ending, or the system has none.
            if thread.ident is not None:
                raise
            return call()
        while not done.wait(_GLANCE):
            pass
    except BaseException:
        # A thread that has not begun by then never was started.
        patience = time.monotonic() + 1
        while not done.is_set() and (begun.is_set() or time.monotonic() < patience):
            interrupt()
            done.wait(_AGAIN)
        raise
    if errors:
        raise errors.pop()
    return results.pop()


def briefly(call: Callable[[], int], interrupt: Callable[[], object]) -> int:
    """Makes a call that seldom lasts; Ctrl-C ends it through `interrupt`."""
    if not on_main_thread() or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return call()
    watch = _watch or Watch.start()
    try:
        before = signal.set_wakeup_fd(watch.fd, warn_on_full_buffer=False)
    except ValueError:  # an interpreter without signals
        return call()
    if before not in (-1, watch.fd):
        # Somebody else, an event loop perhaps, listens for signals already.
        signal.set_wakeup_fd(before)
        return call()
    watch.interrupt = interrupt
    try:
        return call()
    finally:
        watch.interrupt = None
        signal.set_wakeup_fd(-1)


class Watch:
    """A thread that sleeps until a signal arrives and then interrupts the look under way."""

    #: Ends the look under way; `None` between looks.
    interrupt: Optional[Callable[[], object]]
    #: Where the interpreter writes the numbers of the signals that arrive.
    fd: int

    def __init__(self) -> None:
        self.interrupt = None
        self._ends: Tuple[socket.socket, socket.socket] = socket.socketpair()
        self._ends[1].setblocking(False)
        self.fd = self._ends[1].fileno()
        threading.Thread(target=self._run, name="imgtask-signals", daemon=True).start()

    @staticmethod
    def start() -> "Watch":
        """The one watch of this process."""
        global _watch
        _watch = Watch()
        return _watch

    def _run(self) -> None:
        while True:
            numbers = self._ends[0].recv(64)
            if not numbers:
                return
            if signal.SIGINT in numbers:
                while True:
                    interrupt = self.interrupt
                    if interrupt is None:
                        break
                    interrupt()
                    time.sleep(_AGAIN)


_watch: Optional[Watch] = None


def _forget() -> None:
    # Threads do not cross a fork.
    global _watch
    _watch = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
