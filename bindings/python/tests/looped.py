"""What the tests of the calls for asyncio stand on."""

import asyncio
import gc
import time
import unittest
from typing import Any, Awaitable, Callable, Tuple

import imgtask

from .support import WithSandbox

#: No task has it.
UNKNOWN = "img_000000000000000000000000"


class Looped(WithSandbox, unittest.IsolatedAsyncioTestCase):
    """Tests that run on a loop, and leave no handle behind while it still runs."""

    def setUp(self) -> None:
        super().setUp()
        # What asyncio leaves behind in rings is not this package's.
        self.addCleanup(gc.collect)

    async def asyncSetUp(self) -> None:
        # Loops of tests tell what takes long; some of these tests do much in one turn.
        asyncio.get_running_loop().slow_callback_duration = 60
        asyncio.get_running_loop().call_later(60, self.give_up)

    def give_up(self) -> None:
        """Nothing waits for ever."""
        for task in asyncio.all_tasks():
            task.cancel()

    async def until(self, true: Callable[[], object]) -> None:
        """Waits for something that other threads bring about."""
        deadline = time.monotonic() + 10
        while not true():
            self.assertLess(time.monotonic(), deadline)
            await asyncio.sleep(0.002)

    async def told(self, call: Callable[[], Awaitable[object]]) -> Tuple[Any, ...]:
        """What a call raises."""
        try:
            await call()
        except imgtask.Error as error:
            state = None if error.task is None else (error.task.id, error.task.state)
            return type(error), str(error), error.status, error.http_status, error.task_id, state
        raise AssertionError("nothing was raised")

    def told_blocking(self, call: Callable[[], object]) -> Tuple[Any, ...]:
        """What a call that blocks raises."""

        async def called() -> object:
            return call()

        coroutine = self.told(called)
        try:
            coroutine.send(None)
        except StopIteration as stop:
            told: Tuple[Any, ...] = stop.value
            return told
        raise AssertionError("it waited")
