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


# Ctrl-C at any moment of a loop, as asyncio takes it: from Python 3.11 on by itself, before as its documentation tells.
STRUCK = """
import asyncio, gc, random
quick, never = sys.argv[1].split(), sys.argv[2].split()

async def main(seconds):
    if sys.version_info < (3, 11):
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, asyncio.current_task().cancel)
    signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0005, 0.06))
    waits = [asyncio.ensure_future(client.aio.wait(ref, on_progress=lambda task: None)) for ref in quick + never]
    async for done in client.aio.watch(quick, goal="bytes"):
        pass
    await asyncio.wait(waits, timeout=seconds)

signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
struck = 0
for turn in range(40):
    try:
        asyncio.run(main(0.2))
    except (KeyboardInterrupt, asyncio.CancelledError):
        struck += 1
say("struck", struck)
# What asyncio leaves is in rings.
gc.collect()
for event in client.events(0.5): say("event", event)
say("pending", client.pending, len(client._inbox._claims), len(client._inbox._boxes))
say("waited", asyncio.run(client.aio.wait(quick[0])).state)
asyncio.run(client.aio.close())
client = None
gc.collect()
say("left", imgtask.live_handles())
"""


class Struck(WithSandbox):
    def test_ctrl_c_at_any_moment_leaves_no_job_and_no_handle(self) -> None:
        ids = [" ".join(self.sandbox.make(30)), " ".join(self.sandbox.make(20, "a cat [never]"))]
        child = Child(STRUCK, self.sandbox.environment(), *ids)
        self.addCleanup(child.close)
        self.assertEqual(child.hear(60), ["struck", "40"])
        self.assertEqual(child.hear(), ["pending", "0", "0", "1"])
        self.assertEqual(child.hear(), ["waited", "succeeded"])
        self.assertEqual(child.hear(), ["left", "0"])
        self.assertEqual(child.end(), 0)


class Fork(WithSandbox):
    def test_a_child_is_told_and_its_parent_goes_on(self) -> None:
        child = Child(
            """
import asyncio

async def main():
    ref = (await client.aio.submit(prompt="a cat [duration:60]")).id
    waiting = asyncio.ensure_future(client.aio.wait(ref))
    await asyncio.sleep(0.1)
    pid = os.fork()
    if pid:
        say(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        say((await waiting).state)
        return
    # The loop went on in the parent: a child needs one of its own, and a client of its own.
    refused = 0
    for call in (client.aio.wait(ref), client.aio.fetch(ref), client.aio.watch([ref]).__anext__(), client.aio.cancel(ref)):
        try:
            asyncio.run(call)
        except imgtask.WrongProcess:
            refused += 1
    fresh = asyncio.run(imgtask.Client("dimilinks").aio.fetch(ref))
    os._exit(refused if fresh.id == ref else 99)

asyncio.run(main())
""",
            self.sandbox.environment(),
        )
        self.addCleanup(child.close)
        self.assertEqual(child.hear(), ["4"])
        self.assertEqual(child.hear(), ["succeeded"])
        self.assertEqual(child.end(), 0)
