"""Runs the Python blocks of a page, one a line of its input, in one namespace, and answers each with what went wrong."""

import ast
import asyncio
import builtins
import doctest
import inspect
import io
import json
import os
import sys
import traceback
from typing import Any, Callable, Dict


class Names(Dict[str, Any]):
    """A page's names. Those that the pages speak of without making them are made when they are first asked for."""

    def __init__(self) -> None:
        super().__init__(__name__="__main__", __builtins__=builtins)
        self.made: Dict[str, Callable[[], Any]] = {
            "imgtask": lambda: __import__("imgtask"),
            "client": lambda: self["imgtask"].Client("dimilinks"),
            "task": lambda: self["client"].wait(self["client"].submit(prompt="a lighthouse at dusk [fast]", size="64x48")),
            "task_id": lambda: self["task"].id,
            "picture": lambda: self["client"].download(self["task"]),
            "numpy": lambda: __import__("numpy"),
            "PIL": lambda: __import__("PIL.Image"),
        }

        self.own: Dict[str, Any] = {}

    def __missing__(self, name: str) -> Any:
        if name not in self.made:
            raise KeyError(name)
        if name not in self.own:
            self.own[name] = self.made[name]()
        self[name] = self.own[name]
        return self[name]

    def forget(self) -> None:
        """Takes back what a block made of these names: its `with` has closed its client."""
        for name in self.made:
            if name in self and self[name] is not self.own.get(name):
                del self[name]


def run(text: str, page: str, names: Names) -> str:
    if text.lstrip().startswith(">>>"):
        # Examples look names up in a plain dict.
        for name in names.made:
            if name in text:
                names[name]
        told = io.StringIO()
        test = doctest.DocTestParser().get_doctest(text, names, page, page, 0)
        doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=told.write, clear_globs=False)
        names.update(test.globs)
        return told.getvalue()
    code = compile(text, page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if code.co_flags & inspect.CO_COROUTINE:
        asyncio.run(eval(code, names))
    else:
        exec(code, names)
    return ""


def main() -> None:
    names = Names()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what blocks print is not an answer
    sys.stdout = open(os.devnull, "w")
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            said = run(asked["with"], asked["page"], names) if asked["with"] else ""
            said = said or run("\n" * (asked["line"] - 1) + asked["text"], asked["page"], names)
        except BaseException as error:
            said = "".join(traceback.format_exception(type(error), error, error.__traceback__, limit=-8))
        names.forget()
        print(json.dumps(said), file=answers, flush=True)


if __name__ == "__main__":
    main()
