"""What the tests stand on: the built library, the sandbox, the C compiler. A missing one fails, it never skips."""

import functools
import gc
import json
import os
import select
import shutil
import subprocess
import tempfile
import unittest
import urllib.request
from pathlib import Path
from typing import Any, Dict, Iterable, List

import imgtask

PACKAGE = Path(__file__).resolve().parent.parent
ROOT = PACKAGE.parent.parent
INCLUDE = ROOT / "include"

#: A key that must be found in no output.
CANARY = "sk-canary-7f3a9c51e0d24b68"

#: Asks whom it is told to ask, whatever proxy the environment names: no proxy has this machine's sandboxes.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def built(variable: str, places: Iterable[Path]) -> Path:
    """A file of the build: named by the variable, or at one of its usual places."""
    named = os.environ.get(variable)
    for place in [Path(named)] if named else places:
        if place.is_file():
            return place.resolve()
    raise AssertionError(f"build it first (make lib, make cli) or set {variable}: no {named or places}")


def target_folders() -> List[Path]:
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return [ROOT / "build" / "bin", target / "release", target / "debug"]


@functools.lru_cache(maxsize=None)
def library_file() -> Path:
    """The native library under test."""
    places = [ROOT / "build" / "lib" / "libimgtask.so", *(folder / "libimgtask.so" for folder in target_folders())]
    return built("IMGTASK_LIBRARY", places)


@functools.lru_cache(maxsize=None)
def command_file() -> Path:
    """The command line, which holds the sandbox."""
    return built("IMGTASK_COMMAND", [folder / "imgtask" for folder in target_folders()])


def compiler() -> str:
    """The C compiler."""
    found = os.environ.get("CC") or shutil.which("cc")
    if not found:
        raise AssertionError("a C compiler is needed: install one or set CC")
    return found


class Folder(unittest.TestCase):
    """A test with a folder of its own."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="imgtask-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)


class Sandbox:
    """A gateway in a box, as a process of its own."""

    def __init__(self, *arguments: str, speed: float = 100) -> None:
        self.process = subprocess.Popen(
            [str(command_file()), "sandbox", f"--speed={speed}", "--duration=20", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], 20)
        line = self.process.stdout.readline() if ready else b""
        if not line:
            self.stop()
            raise AssertionError("the sandbox said nothing within 20 s")
        self.said: Dict[str, Any] = json.loads(line)

    def base_url(self, provider: str) -> str:
        return str(self.said["providers"][provider]["base_url"])

    def key(self, provider: str) -> str:
        return str(self.said["providers"][provider]["key"])

    def environment(self) -> Dict[str, str]:
        """The variables that point every provider here."""
        variables = {}
        for provider in self.said["providers"]:
            name = provider.upper().replace("-", "_")
            variables[f"{name}_BASE_URL"] = self.base_url(provider)
        for provider in imgtask.providers():
            if provider.name in self.said["providers"]:
                variables[provider.key_variable] = self.key(provider.name)
        return variables

    def client(self, provider: str = "dimilinks", **options: Any) -> imgtask.Client:
        """A client of this sandbox. It looks as often as loopback allows, and knows of no limit that the service has."""
        options.setdefault("max_requests_per_minute", 1_000_000)
        options.setdefault("api_key", self.key(provider))
        options.setdefault("base_url", self.base_url(provider))
        options.setdefault("poll_interval", 0.02)
        return imgtask.Client(provider, **options)

    def control(self, path: str, request: Any = None) -> Any:
        """Asks a control route; with a request it is a POST."""
        body = None if request is None else json.dumps(request).encode()
        with DIRECT.open(f"{self.said['control']}/{path}", body, timeout=60) as answer:
            return json.load(answer)

    def make(self, count: int, prompt: str = "a cat [duration:0]", provider: str = "dimilinks") -> List[str]:
        """The ids of so many tasks, made at once; done already if the prompt does not say otherwise."""
        request = {"provider": provider, "count": count, "prompt": prompt, "size": "8x8"}
        return list(self.control("tasks", request)["ids"])

    def submits(self) -> int:
        """Submits that have arrived."""
        return int(self.control("stats")["submits"])

    def stop(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)


class WithSandbox(Folder):
    """Tests that share one sandbox, and leave no handle behind."""

    sandbox: Sandbox

    @classmethod
    def setUpClass(cls) -> None:
        imgtask.load(library_file())
        cls.sandbox = Sandbox()
        cls.addClassCleanup(cls.sandbox.stop)

    def setUp(self) -> None:
        super().setUp()
        # Freed by the last reference: no collector has to run.
        gc.disable()
        self.addCleanup(gc.enable)
        before = imgtask.live_handles()
        self.addCleanup(lambda: self.assertEqual(imgtask.live_handles(), before, "handles were left behind"))

    def client(self, provider: str = "dimilinks", **options: Any) -> imgtask.Client:
        client = self.sandbox.client(provider, **options)
        self.addCleanup(client.close)
        return client
