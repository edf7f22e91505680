"""Calls that the library makes on the calling thread only, made from asyncio."""

import asyncio
import threading
from collections import deque
from typing import Callable, Deque, Tuple, TypeVar

Result = TypeVar("Result")


class Aside:
    """A few threads, which end when there is nothing to do. A program may end while they wait for an answer."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._threads = 0
        self._lock = threading.Lock()
        self._calls: "Deque[Tuple[asyncio.Future[object], Callable[[], object]]]" = deque()

    async def run(self, call: Callable[[], Result]) -> Result:
        """Makes a call on one of the threads. Who stops waiting for it does not stop it, unless it has not begun."""
        future: "asyncio.Future[Result]" = asyncio.get_running_loop().create_future()
        with self._lock:
            if self._threads < self._most:
                try:
                    threading.Thread(target=self._work, name="imgtask-aside", daemon=True).start()
                    self._threads += 1
                except RuntimeError:
                    # The system has no more. Those that are there do it, only later.
                    if not self._threads:
                        raise
            self._calls.append((future, call))  # type: ignore[arg-type]
        return await future

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._calls:
                    self._threads -= 1
                    return
                future, call = self._calls.popleft()
            if not future.cancelled():
                make(future, call)
            # The last reference may be this thread's, which waits for nothing.
            del future, call


def make(future: "asyncio.Future[object]", call: Callable[[], object]) -> None:
    """Makes a call and tells who waits for it."""
    try:
        result = call()
    except BaseException as error:
        tell(future, lambda failed=error: future.set_exception(failed))  # type: ignore[misc]
    else:
        tell(future, lambda: future.set_result(result))


def tell(future: "asyncio.Future[object]", finish: Callable[[], object]) -> None:
    """Ends a future on its loop, if somebody waits for it still."""
    try:
        future.get_loop().call_soon_threadsafe(lambda: None if future.done() else finish())
    except RuntimeError:
        # The loop was closed.
        pass
