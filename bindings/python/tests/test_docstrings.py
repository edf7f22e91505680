"""The examples in the docstrings run and are right, and every call has one."""

import doctest
import gc
import inspect
import os
import textwrap
import unittest.mock
from typing import Any, Dict, Iterator, List, Tuple

import imgtask
from imgtask import _jobs

from .support import WithSandbox

#: What explains itself in one line, or says "as `Client...`".
WITHOUT = ("Event.acknowledge", "Task.json", "Pixels.tobytes", "load", "live_handles", "providers")


def documented() -> Iterator[Tuple[str, Any]]:
    """The names that users read of."""
    for name in imgtask.__all__:
        yield name, getattr(imgtask, name)
    yield "Jobs", _jobs.Jobs


def calls() -> Iterator[Tuple[str, str]]:
    """What users call, with its docstring."""
    for name in ("Client", "Jobs", "Task", "Picture", "Pixels", "Event"):
        kind = getattr(imgtask, name, _jobs.Jobs)
        for member, thing in vars(kind).items():
            thing = thing.fget if isinstance(thing, property) else thing
            if not member.startswith("_") and inspect.isfunction(thing):
                yield f"{name}.{member}", thing.__doc__ or ""


class Docstrings(WithSandbox):
    def failures(self, things: Iterator[Tuple[str, Any]], names: Dict[str, Any]) -> Tuple[str, int]:
        """What is wrong with the examples of things, and how many steps they have."""
        told: List[str] = []
        steps = 0
        for name, thing in things:
            # Not by module: the package shows its classes as its own.
            for test in doctest.DocTestFinder().find(thing, name, module=False, globs={**vars(imgtask), **names}):
                runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
                runner.run(test, out=told.append)
                steps += runner.tries
        return "".join(told), steps

    def test_the_examples_are_true(self) -> None:
        here = os.getcwd()
        os.chdir(self.folder)
        try:
            with unittest.mock.patch.dict(os.environ, self.sandbox.environment()):
                client = imgtask.Client("dimilinks", poll_interval=0.02)
                told, steps = self.failures(documented(), {"client": client, "ids": self.sandbox.make(1)})
                client.close()
        finally:
            os.chdir(here)
        self.assertFalse(told, told)
        self.assertGreater(steps, 70)
        del client
        gc.collect()  # doctest leaves rings behind

    def test_the_program_that_the_package_shows_first_runs(self) -> None:
        lines = (imgtask.__doc__ or "").splitlines()
        program = textwrap.dedent("\n".join(line for line in lines if line.startswith("    ")))
        here = os.getcwd()
        os.chdir(self.folder)
        try:
            with unittest.mock.patch.dict(os.environ, self.sandbox.environment()):
                exec(program, {})
        finally:
            os.chdir(here)
        self.assertEqual((self.folder / "lighthouse.png").read_bytes()[:4], b"\x89PNG")

    def test_an_example_that_is_wrong_is_seen(self) -> None:
        for text in (">>> 1 + 1\n3", ">>> 1 / 0\nTraceback (most recent call last):\nZeroDivisionError: other words"):
            thing = type("Thing", (), {"__doc__": text})
            self.assertIn("Failed example", self.failures(iter([("Thing", thing)]), {})[0])

    def test_every_call_has_an_example(self) -> None:
        found = dict(calls())
        self.assertGreater(len(found), 25)
        missing = [name for name, text in found.items() if ">>> " not in text and not text.startswith("Whether ")]
        self.assertEqual([name for name in missing if name not in WITHOUT], [])
