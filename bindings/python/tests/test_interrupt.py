"""Ctrl-C and other signals while the library blocks: real signals to a real process."""

import os
import select
import signal
import subprocess
import sys
import time
import unittest.mock
from typing import Any, Callable, List

from imgtask._inbox import Inbox

from .support import PACKAGE, WithSandbox, library_file

# What every child begins with: a client, and a thread that says when a call is under way.
HEAD = """
import os, signal, sys, threading, time
import imgtask

client = imgtask.Client("dimilinks", poll_interval=0.02, max_requests_per_minute=1_000_000)

def say(*words):
    print(*words, flush=True)

def watch():
    while client.stats().in_flight == 0:
        time.sleep(0.002)
    say("in flight")

def watch_for_waiting():
    while not client._inbox._leader:
        time.sleep(0.002)
    say("in flight")

def interrupted(call):
    threading.Thread(target=watch, daemon=True).start()
    try:
        say("returned", call())
    except KeyboardInterrupt as stop:
        say("interrupted", time.monotonic(), type(stop.__cause__).__name__, getattr(stop.__cause__, "task_id", "") or "-")
"""


class Child:
    """A Python process that the test talks with."""

    def __init__(self, script: str, environment: "dict[str, str]", *arguments: str, stdin: str = "") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HEAD + script, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **environment, "PYTHONPATH": str(PACKAGE), "IMGTASK_LIBRARY": str(library_file())},
            text=True,
            bufsize=1,
        )
        assert self.process.stdin is not None
        with self.process.stdin as pipe:
            pipe.write(stdin)

    def hear(self, seconds: float = 20) -> List[str]:
        """The next line, as words."""
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        if not ready:
            raise AssertionError(f"the child said nothing within {seconds} s")
        line = self.process.stdout.readline()
        if not line:
            assert self.process.stderr is not None
            raise AssertionError(f"the child ended: {self.process.stderr.read()}")
        return line.split()

    def signal(self, number: int) -> float:
        """Sends a signal; gives when."""
        at = time.monotonic()
        self.process.send_signal(number)
        return at

    def end(self) -> int:
        code = self.process.wait(20)
        self.close()
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


class CtrlC(WithSandbox):
    def child(self, script: str) -> Child:
        child = Child(script, self.sandbox.environment())
        self.addCleanup(child.close)
        return child

    def assert_ends_at_once(self, script: str, cause: str, arrived: Callable[[], bool] = lambda: True) -> str:
        """Ctrl-C during the call, when its request has arrived, ends it within 0.3 s, the client goes on, and no handle is left.

        The ended call's error is the cause; gives the task that it knows.
        """
        child = self.child(
            script
            + """
say("again", client.submit(prompt="a cat").state)
client.close()
client = None
say("handles", imgtask.live_handles())
"""
        )
        self.assertEqual(child.hear(), ["in", "flight"])
        deadline = time.monotonic() + 20
        while not arrived():
            self.assertLess(time.monotonic(), deadline)
        at = child.signal(signal.SIGINT)
        word, when, why, task = child.hear()
        self.assertEqual((word, why), ("interrupted", cause))
        self.assertLess(float(when) - at, 0.3)
        self.assertEqual(child.hear()[0], "again")
        self.assertEqual(child.hear(), ["handles", "0"])
        self.assertEqual(child.end(), 0)
        return task

    def test_ctrl_c_ends_a_wait(self) -> None:
        task = self.assert_ends_at_once(
            """
ref = client.submit(prompt="a cat [never]").id
interrupted(lambda: client.wait(ref, timeout=60))
""",
            "Cancelled",
        )
        self.assertRegex(task, "^img_")

    def test_ctrl_c_ends_a_look_that_gets_no_answer(self) -> None:
        self.assert_ends_at_once(
            """
ref = client.submit(prompt="a cat [poll.silent]").id
interrupted(lambda: client.fetch(ref))
""",
            "Cancelled",
        )

    def test_ctrl_c_ends_a_submit_that_gets_no_answer(self) -> None:
        known = self.sandbox.control("stats")["faults"]
        # One that was not sent yet is `Cancelled`.
        self.assert_ends_at_once(
            'interrupted(lambda: client.submit(prompt="a cat [create.silent]"))',
            "SubmitUnknown",
            lambda: bool(self.sandbox.control("stats")["faults"] != known),
        )

    def test_ctrl_c_ends_a_download_that_gets_no_answer(self) -> None:
        self.assert_ends_at_once(
            """
task = client.wait(client.submit(prompt="a cat [image.silent]"), timeout=20)
interrupted(lambda: client.download(task))
task = None
""",
            "Cancelled",
        )

    def test_ctrl_c_ends_a_wait_that_tells_its_progress(self) -> None:
        task = self.assert_ends_at_once(
            """
ref = client.submit(prompt="a cat [never]").id
seen = []
def wait():
    client.wait(ref, timeout=60, on_progress=seen.append)
    return seen
def watch():
    while not seen:
        time.sleep(0.002)
    say("in flight")
interrupted(wait)
del seen[:]
""",
            "Cancelled",
        )
        self.assertRegex(task, "^img_")

    def test_ctrl_c_ends_a_wait_for_an_event(self) -> None:
        self.assert_ends_at_once(
            """
client.start(prompt="a cat [never]")
watch = watch_for_waiting
interrupted(lambda: client.next_event(60))
""",
            "NoneType",
        )

    def test_ctrl_c_ends_a_loop_over_events(self) -> None:
        self.assert_ends_at_once(
            """
client.start(prompt="a cat [never]", label="never", progress=True)
watch = watch_for_waiting
interrupted(lambda: list(client.events()))
""",
            "NoneType",
        )

    def test_ctrl_c_ends_a_watch_and_its_jobs(self) -> None:
        self.assert_ends_at_once(
            """
refs = [client.submit(prompt="a cat [never]").id for _ in range(5)]
watch = watch_for_waiting
interrupted(lambda: list(client.watch(refs)))
if client.pending:
    say("pending", client.pending)
""",
            "NoneType",
        )

    def test_ctrl_c_ends_a_loop_that_waits_behind_another_thread(self) -> None:
        child = self.child(
            """
op = client.start(prompt="a cat [never]")
ref = client.submit(prompt="a cat [never]").id
thread = threading.Thread(target=lambda: [say("event", event.op == op) for event in client.events()])
thread.start()
while not client._inbox._leader:
    time.sleep(0.002)
def watch():
    while not client._inbox._changed._waiters:
        time.sleep(0.0005)
    say("in flight")
interrupted(lambda: list(client.watch([ref])))
client.stop(op)
thread.join(10)
say("ended", not thread.is_alive())
"""
        )
        self.assertEqual(child.hear(), ["in", "flight"])
        at = child.signal(signal.SIGINT)
        word, when, *_ = child.hear()
        self.assertEqual(word, "interrupted")
        self.assertLess(float(when) - at, 0.3)
        self.assertEqual(child.hear(), ["event", "True"])
        self.assertEqual(child.hear(), ["ended", "True"])
        self.assertEqual(child.end(), 0)

    def test_ctrl_c_ends_the_program_as_it_should(self) -> None:
        child = self.child(
            """
ref = client.submit(prompt="a cat [never]").id
threading.Thread(target=watch, daemon=True).start()
client.wait(ref, timeout=60)
"""
        )
        self.assertEqual(child.hear(), ["in", "flight"])
        child.signal(signal.SIGINT)
        self.assertEqual(child.end(), -signal.SIGINT)

    def test_ctrl_c_ends_the_waits_of_other_threads_on_the_client(self) -> None:
        child = self.child(
            """
ref = client.submit(prompt="a cat [never]").id
def other():
    try:
        client.wait(ref, timeout=60)
    except imgtask.Cancelled:
        say("cancelled")
thread = threading.Thread(target=other)
thread.start()
while client.stats().in_flight == 0:
    time.sleep(0.002)
def both():
    while client.stats().in_flight < 2:
        time.sleep(0.002)
    say("in flight")
threading.Thread(target=both, daemon=True).start()
try:
    client.wait(ref, timeout=60)
except KeyboardInterrupt:
    thread.join(5)
    say("interrupted")
"""
        )
        self.assertEqual(child.hear(), ["in", "flight"])
        child.signal(signal.SIGINT)
        self.assertEqual(child.hear(), ["cancelled"])
        self.assertEqual(child.hear(), ["interrupted"])
        self.assertEqual(child.end(), 0)

    def test_another_signal_is_handled_at_once_and_the_wait_goes_on(self) -> None:
        child = self.child(
            """
signal.signal(signal.SIGUSR1, lambda *_: say("handled", time.monotonic()))
ref = client.submit(prompt="a cat [duration:100]").id
interrupted(lambda: client.wait(ref, timeout=60).state)
"""
        )
        self.assertEqual(child.hear(), ["in", "flight"])
        at = child.signal(signal.SIGUSR1)
        word, when = child.hear()
        self.assertEqual(word, "handled")
        self.assertLess(float(when) - at, 0.3)
        self.assertEqual(child.hear(), ["returned", "succeeded"])
        self.assertEqual(child.end(), 0)

    def test_a_handler_that_raises_ends_the_wait_with_its_own_error(self) -> None:
        child = self.child(
            """
class Alarm(Exception):
    pass
def ring(*_):
    raise Alarm
signal.signal(signal.SIGALRM, ring)
ref = client.submit(prompt="a cat [never]").id
signal.setitimer(signal.ITIMER_REAL, 0.2)
started = time.monotonic()
try:
    client.wait(ref, timeout=60)
except Alarm:
    say("alarm", time.monotonic() - started)
"""
        )
        word, took = child.hear()
        self.assertEqual(word, "alarm")
        self.assertLess(float(took), 0.5)
        self.assertEqual(child.end(), 0)

    def test_ctrl_c_inside_the_log_function_is_not_lost(self) -> None:
        child = self.child(
            """
struck = False
def log(level, line):
    global struck
    if threading.current_thread() is threading.main_thread() and not struck:
        struck = True
        # It strikes here.
        os.kill(os.getpid(), signal.SIGINT)
def strike(call):
    global struck
    struck = False
    try:
        call()
        say("lost" if struck else "not called")
    except KeyboardInterrupt:
        say("interrupted", struck)
logged = imgtask.Client("dimilinks", poll_interval=0.02, max_requests_per_minute=1_000_000, log=log, log_level=4)
ref = client.submit(prompt="a cat [never]").id
def events():
    logged.start(ref)
    list(logged.events(10))
def watch():
    list(logged.watch([ref]))
def looks():
    logged._near = True
    logged.fetch(ref)
for call in (events, watch, looks):
    strike(call)
"""
        )
        for _ in range(3):
            self.assertEqual(child.hear(), ["interrupted", "True"])
        self.assertEqual(child.end(), 0)

    def test_ctrl_c_is_not_lost_while_something_is_freed(self) -> None:
        child = self.child(
            """
from imgtask import _handles
class Library:
    def free(self, handle):
        os.kill(os.getpid(), signal.SIGINT)
    imgtask_client_free = quick_task_free = imgtask_bytes_free = imgtask_error_free = imgtask_event_clear = free
library, _handles.loaded.library = _handles.loaded.library, Library()
kinds = [getattr(_handles, name) for name in dir(_handles) if name.endswith("Handle")]
say(len(kinds))
for kind in kinds:
    handle = kind()
    if kind is _handles.EventHandle:
        handle.op = 7
    else:
        handle.value = 7
    try:
        del handle
        say("lost")
    except KeyboardInterrupt:
        say("interrupted")
_handles.loaded.library = library
"""
        )
        self.assertEqual(child.hear(), ["5"])
        for _ in range(5):
            self.assertEqual(child.hear(), ["interrupted"])
        self.assertEqual(child.end(), 0)

    def test_signals_at_any_moment_leave_no_job_and_no_handle(self) -> None:
        child = Child(
            """
import gc, random
class Alarm(Exception):
    pass
arrived = False
def ring(number, frame):
    global arrived
    # One a turn arrives, and none behind its end, where nobody would catch it.
    while frame is not None and frame.f_code is not under_alarms.__code__:
        frame = frame.f_back
    if frame is not None and not arrived:
        arrived = True
        raise Alarm
lost = []
def lose(hook):
    # Python was destroying something: the next one is to arrive.
    global arrived
    lost.append(hook.object)
    arrived = False
sys.unraisablehook = lose
signal.signal(signal.SIGALRM, ring)
gc.disable()
refs = sys.argv[1].split()
never = refs[-1]
def under_alarms(turn):
    if turn % 3 == 0:
        for done in client.watch(refs, goal="bytes", on_progress=lambda task, ref: None): pass
    elif turn % 3 == 1:
        for ref in refs[:20]: client.start(ref, label="cat", progress=True)
        for event in client.events(0.5): pass
    else:
        client.wait(never, on_progress=lambda task: None)
struck = 0
for turn in range(90):
    arrived = False
    # Again and again, until one arrives.
    signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0005, 0.05), 0.03)
    try:
        under_alarms(turn)
    except Alarm:
        struck += 1
    signal.setitimer(signal.ITIMER_REAL, 0)
for event in client.events(20): pass
done = event = None
# A look under way ends before the stopped job that made it. Nobody reads that end.
deadline = time.monotonic() + 10
while client._inbox._claims and time.monotonic() < deadline:
    if client.next_event(0.01) is not None:
        say("an event that nobody asked for")
say("struck", struck > 40)
say("pending", client.pending, len(client._inbox._claims))
say("watched", len(list(client.watch(refs[:20]))))
left = imgtask.live_handles() - 1
# What it was destroying may stay: an event holds a task and an image or an error.
most = sum(2 if "EventHandle" in str(each) else 1 for each in lost)
say("left", left if sys.version_info >= (3, 11) and left > most else 0)
""",
            self.sandbox.environment(),
            " ".join(self.sandbox.make(100) + self.sandbox.make(10, "a cat [never]")),
        )
        self.addCleanup(child.close)
        self.assertEqual(child.hear(60), ["struck", "True"])
        self.assertEqual(child.hear(), ["pending", "0", "0"])
        self.assertEqual(child.hear(), ["watched", "20"])
        self.assertEqual(child.hear(), ["left", "0"])
        self.assertEqual(child.end(), 0)

    def test_the_jobs_of_a_loop_end_however_often_ctrl_c_strikes(self) -> None:
        client = self.client()
        watching = client.watch([*self.sandbox.make(1), *self.sandbox.make(5, "a cat [never]")])
        next(watching)
        strikes = [KeyboardInterrupt()] * 5
        stop = Inbox.stop

        def struck(*arguments: Any) -> None:
            if strikes:
                raise strikes.pop()
            stop(*arguments)

        with unittest.mock.patch.object(Inbox, "stop", struck), self.assertRaises(KeyboardInterrupt):
            watching.close()
        deadline = time.monotonic() + 10
        while client._inbox._claims and time.monotonic() < deadline:
            self.assertIsNone(client.next_event(0.01))
        self.assertEqual((len(strikes), len(client._inbox._claims), client.pending), (0, 0, 0))

    def test_looks_leave_the_signals_of_the_program_as_they_were(self) -> None:
        child = self.child(
            """
ref = client.submit(prompt="a cat [never]").id
client.fetch(ref)
say(signal.set_wakeup_fd(-1), signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""
        )
        self.assertEqual(child.hear(), ["-1", "True"])
        self.assertEqual(child.end(), 0)


class Exit(WithSandbox):
    def assert_ends(self, script: str, code: int = 0) -> None:
        """The program ends by itself, soon and without a word."""
        child = Child(script, self.sandbox.environment())
        self.addCleanup(child.close)
        at = time.monotonic()
        self.assertEqual(child.process.wait(20), code)
        self.assertLess(time.monotonic() - at, 10)
        assert child.process.stderr is not None
        self.assertEqual(child.process.stderr.read(), "")

    def test_a_program_may_end_while_jobs_run(self) -> None:
        self.assert_ends(
            """
for n in range(50):
    client.start(prompt="a cat [never]", label="cat", progress=True)
event = client.next_event(10)
"""
        )

    def test_a_program_may_end_in_the_middle_of_a_watch(self) -> None:
        self.assert_ends(
            """
refs = [client.submit(prompt="a cat").id] + [client.submit(prompt="a cat [never]").id for _ in range(5)]
watching = client.watch(refs)
done = next(watching)
"""
        )

    def test_a_program_may_exit_in_the_body_of_a_loop(self) -> None:
        self.assert_ends(
            """
refs = [client.submit(prompt="a cat").id] + [client.submit(prompt="a cat [never]").id for _ in range(5)]
for done in client.watch(refs):
    sys.exit(3)
""",
            3,
        )

    def test_a_program_with_a_log_may_end_while_threads_are_in_calls(self) -> None:
        # Python ends the threads where they come back to it, in the log function most often.
        self.assert_ends(
            """
class Leaf:
    def __del__(self): pass
# Their end takes Python a while.
leaves = [Leaf() for _ in range(300_000)]
lines = []
logged = imgtask.Client(
    "dimilinks", poll_interval=0.02, max_requests_per_minute=1_000_000, log=lambda *line: lines.append(line), log_level=4
)
ref = client.submit(prompt="a cat [never]").id
def again_and_again():
    while True:
        try:
            logged.wait(ref, timeout=60)
        except imgtask.Error:
            pass
def looks():
    while True:
        logged.fetch(ref)
def follow():
    logged.start(ref)
    for event in logged.events(): pass
    say("its events ended")
def watch():
    for done in logged.watch([ref]): pass
def loop():
    import asyncio
    asyncio.run(logged.aio.wait(ref))
for call in (logged.wait, again_and_again, looks, follow, watch, loop):
    threading.Thread(target=call, args=(ref,) if call == logged.wait else (), daemon=True).start()
while len(lines) < 100 or logged.stats().in_flight < 3:
    time.sleep(0.01)
"""
        )

    def test_a_log_function_that_never_ends_does_not_keep_the_program(self) -> None:
        child = Child(
            """
inside = threading.Event()
def log(level, line):
    inside.set()
    while True: time.sleep(60)
logged = imgtask.Client("dimilinks", log=log, log_level=4)
ref = client.submit(prompt="a cat [never]").id
threading.Thread(target=logged.fetch, args=(ref,), daemon=True).start()
inside.wait(10)
say("inside")
""",
            self.sandbox.environment(),
        )
        self.addCleanup(child.close)
        self.assertEqual(child.hear(), ["inside"])
        at = time.monotonic()
        child.process.wait(20)
        self.assertLess(time.monotonic() - at, 5)

    def test_a_program_may_end_while_a_thread_follows_events(self) -> None:
        self.assert_ends(
            """
client.start(prompt="a cat [never]")
threading.Thread(target=lambda: list(client.events()), daemon=True).start()
time.sleep(0.2)
"""
        )


class Fork(WithSandbox):
    def test_a_client_belongs_to_its_process_and_a_new_one_works(self) -> None:
        child = Child(
            """
ref = client.submit(prompt="a cat").id
client.fetch(ref)
sys.stdout.flush()
pid = os.fork()
if pid == 0:
    try:
        client.fetch(ref)
    except imgtask.WrongProcess:
        say("wrong process")
    say(imgtask.Client("dimilinks").fetch(ref).id == ref)
    os._exit(0)
os.waitpid(pid, 0)
say(client.fetch(ref).id == ref)
""",
            self.sandbox.environment(),
        )
        self.addCleanup(child.close)
        self.assertEqual(child.hear(), ["wrong", "process"])
        self.assertEqual(child.hear(), ["True"])
        self.assertEqual(child.hear(), ["True"])
        self.assertEqual(child.end(), 0)

    def test_a_child_cannot_follow_the_jobs_of_its_parent_and_the_parent_goes_on(self) -> None:
        # The thread that waits for events holds the lock now and then: a child must not wait for it.
        child = Child(
            """
refs = [client.submit(prompt="a cat [duration:100]").id for _ in range(5)]
op = client.start(refs[0], label="mine")
events = []
thread = threading.Thread(target=lambda: events.extend(client.events()))
thread.start()
watching = client.watch(refs)
first = next(watching)
pids = []
for _ in range(20):
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        pids.append(pid)
        continue
    refused = 0
    for call in (
        lambda: client.start(refs[0]), lambda: client.stop(op), client.next_event, lambda: list(client.events()),
        lambda: client.pending, client.fileno, client.resume, lambda: client.forget(refs[0]), lambda: next(watching),
        lambda: list(client.watch(refs)), client.stats, lambda: client.wait(refs[0], on_progress=print),
    ):
        try:
            call()
        except imgtask.WrongProcess:
            refused += 1
    client.close()
    watching.close()
    os._exit(refused)
say(*[os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids])
say(len(list(watching)))
thread.join(20)
say(*[event.label for event in events])
""",
            self.sandbox.environment(),
        )
        self.addCleanup(child.close)
        self.assertEqual(child.hear(30), ["12"] * 20)
        self.assertEqual(child.hear(), ["4"])
        self.assertEqual(child.hear(), ["mine"])
        self.assertEqual(child.end(), 0)
