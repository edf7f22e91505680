"""Letting Ctrl-C and other signals through while the library blocks.

Python runs a signal's handler on the main thread, between two of its own instructions: never while the main thread
is inside a call of the library. So a call that may last is made on a helper thread, and the main thread waits for it
in a way that signals wake. A handler that returns changes nothing; one that raises, as Ctrl-C does, ends the call first.
On other threads no handler ever runs, and calls are made plainly.
"""

import sys
import threading
import time
from _thread import interrupt_main
from typing import Callable, List

# Windows wakes no lock for Ctrl-C, so the main thread looks up from its wait there.
_GLANCE = 0.05 if sys.platform == "win32" else None

# Between two interrupts of one call: the first can come before the call has begun.
_AGAIN = 0.02


def on_main_thread() -> bool:
    """Whether signals are handled on this thread."""
    return threading.get_ident() == threading.main_thread().ident


class StrikeAgain:
    """Ctrl-C once more, when this is forgotten.

    For functions in which Python would only print what is raised: destructors, and those that the library calls. Kept in
    a variable of such a function it strikes in its caller; a plain call of `interrupt_main` would strike in itself.
    """

    # Nothing of Python's own runs for it, in which it might strike.
    __del__ = staticmethod(interrupt_main)


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
