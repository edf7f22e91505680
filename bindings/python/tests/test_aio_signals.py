"""A thousand waits on one event loop, in a process of their own: its threads, and Ctrl-C."""

import signal
import time

from .support import WithSandbox
from .test_interrupt import Child

#: How many wait at once.
MANY = 1_000

# Waits for the tasks it reads, and says how it goes. The options are the defaults: the pace of a service far away.
WAITS = """
import asyncio
ids = sys.stdin.read().split()
del client

async def main():
    async with imgtask.Client("dimilinks").aio as client:
        began = time.monotonic()
        waits = [asyncio.ensure_future(client.wait(ref)) for ref in ids]
        await asyncio.sleep(0)
        seconds, most = time.monotonic() - began, 0
        # Until all have been looked at as often as the service lets one in this time.
        until = time.monotonic() + 2
        while time.monotonic() < until:
            most = max(most, len(os.listdir("/proc/self/task")))
            await asyncio.sleep(0.01)
        told = "waiting", len([wait for wait in waits if not wait.done()]), most, round(seconds, 3)
        # When all of this program does is to wait.
        asyncio.get_running_loop().call_later(0.05, say, *told)
        try:
            await asyncio.gather(*waits)
        finally:
            await asyncio.wait(waits)
            say("ended", time.monotonic(), len([wait for wait in waits if wait.cancelled()]), client._client.pending)

asyncio.run(main())
"""


class Thousand(WithSandbox):
    def test_a_thousand_waits_take_eight_threads_and_ctrl_c_ends_them_at_once(self) -> None:
        # Looks that get no answer keep as many threads busy as there may be.
        ids = self.sandbox.make(50, "a cat [poll.silent]") + self.sandbox.make(MANY - 50, "a cat [never]")
        child = Child(WAITS, self.sandbox.environment(), stdin="\n".join(ids))
        self.addCleanup(child.close)
        word, waiting, threads, began = child.hear(60)
        self.assertEqual((word, int(waiting)), ("waiting", MANY))
        self.assertLessEqual(int(threads), 8)
        self.assertLess(float(began), 2)
        at = child.signal(signal.SIGINT)
        word, when, cancelled, pending = child.hear()
        self.assertEqual((word, int(cancelled), int(pending)), ("ended", MANY, 0))
        ended = float(when) - at
        self.assertEqual(child.end(), -signal.SIGINT)
        exited = time.monotonic() - at
        print(f"\n{threads} threads; begun in {began} s; ended in {ended:.3f} s, the process in {exited:.3f} s")
        self.assertLess(ended, 0.3)
