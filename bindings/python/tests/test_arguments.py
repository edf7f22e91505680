"""What a client is given: options, arguments, keys; and what it never shows."""

import json
import os
import tempfile
import time
import traceback
import unittest.mock
from pathlib import Path
from typing import Any, List, Tuple

import imgtask
from imgtask import State

from .support import CANARY, WithSandbox

PROVIDERS = ("dimilinks", "dimilinks-legacy", "lemondata")


class Arguments(WithSandbox):
    def test_bad_arguments_are_told_before_anything_is_sent(self) -> None:
        client = self.client()
        for call in (
            lambda: client.fetch("img\0x"),
            lambda: client.fetch("a/b"),
            lambda: client.fetch(""),
            lambda: client.fetch("http://127.0.0.1:1/v1/tasks/x"),
            lambda: client.wait("img_0", timeout=-1),
            lambda: client.wait("img_0", timeout=float("nan")),
            lambda: client.submit("[]"),
            lambda: client.submit("nonsense", n=1),
            lambda: client.submit(prompt=float("nan")),
            lambda: client.submit(prompt=object()),
            lambda: client.set_key("a\r\nb"),
            lambda: client.set_key("a\0b"),
        ):
            with self.assertRaises(imgtask.InvalidArgument) as caught:
                call()
            self.assertIsInstance(caught.exception, ValueError)
        with self.assertRaises(TypeError):
            client.fetch(7)  # type: ignore[arg-type]
        with self.assertRaises(TypeError):
            client.download("img_0")  # type: ignore[arg-type]
        with self.assertRaisesRegex(TypeError, "timeout must be a number of seconds, not str"):
            client.wait("img_0", timeout="5")  # type: ignore[arg-type]
        self.assertEqual(client.stats().requests, 0)

    def test_bad_options_are_told_by_their_name(self) -> None:
        options: List[Tuple[str, Any]] = [
            ("connect_timeout", 0),
            ("wait_timeout", -1),
            ("poll_interval", float("inf")),
            ("max_image_bytes", -1),
            ("max_requests_per_minute", 1.5),
            ("log_level", 9),
        ]
        for name, value in options:
            with self.assertRaisesRegex(imgtask.InvalidArgument, name):
                self.client(**{name: value})
        with self.assertRaises(imgtask.InvalidArgument):
            imgtask.Client("no-such-provider", "key")
        with self.assertRaises(imgtask.InvalidArgument):
            imgtask.Client("dimilinks", "key", "ftp://127.0.0.1")
        with self.assertRaises(imgtask.InvalidArgument):
            imgtask.Client(api_key="key")

    def test_a_missing_key_names_its_variable(self) -> None:
        variable = next(each.key_variable for each in imgtask.providers() if each.name == "dimilinks")
        with unittest.mock.patch.dict(os.environ):
            os.environ.pop(variable, None)
            with self.assertRaisesRegex(imgtask.Error, variable):
                imgtask.Client("dimilinks", base_url=self.sandbox.base_url("dimilinks"))

    def test_every_option_reaches_the_library(self) -> None:
        client = self.client(
            user_agent="test/1",
            connect_timeout=1.5,
            request_timeout=2,
            submit_timeout=3,
            stall_timeout=4,
            wait_timeout=0.2,
            max_requests_per_minute=6000,
            max_workers=2,
            max_pending=10,
            max_response_bytes=1 << 20,
            max_image_bytes=1 << 20,
            max_image_pixels=1 << 20,
            allow_private_images=True,
            allow_plain_http=True,
        )
        task = client.submit(prompt="a cat [never]")
        started = time.monotonic()
        with self.assertRaises(imgtask.Timeout):
            client.wait(task)
        self.assertLess(time.monotonic() - started, 2)

    def test_an_error_in_the_log_function_does_no_harm(self) -> None:
        seen: List[object] = []
        refused: List[object] = []

        def log(level: int, line: str) -> None:
            try:
                client.fetch("img_0")
            except imgtask.Busy as error:
                refused.append(error.status)
            raise RuntimeError("in the log")

        with unittest.mock.patch("sys.unraisablehook", lambda hook: seen.append(hook.exc_type)):
            client = self.client(log=log, log_level=4)
            task = client.submit(prompt="a cat")
            self.assertEqual(client.wait(task, timeout=20).state, State.SUCCEEDED)
        self.assertEqual(set(seen), {RuntimeError})
        self.assertEqual(set(refused), {imgtask.Status.BUSY})
        self.assertEqual(len(seen), len(refused))
        client.close()

    def test_what_is_no_log_function_is_refused(self) -> None:
        with self.assertRaisesRegex(TypeError, "log must be a function .*, not str"):
            self.client(log="logging")

    def test_the_log_function_gets_lines_without_secrets(self) -> None:
        lines: List[Tuple[int, str]] = []
        client = self.client(log=lambda level, line: lines.append((level, line)), log_level=4)
        client.wait(client.submit(prompt="a cat"), timeout=20)
        self.assertTrue(lines)
        self.assertTrue(all(1 <= level <= 4 and line for level, line in lines))
        self.assertNotIn(self.sandbox.key("dimilinks"), repr(lines))
        client.close()
        del client

    def test_the_providers_are_listed_with_their_variables(self) -> None:
        known = {each.name: each for each in imgtask.providers()}
        for name in PROVIDERS:
            self.assertTrue(known[name].documented)
            self.assertTrue(known[name].key_variable)
            self.assertGreater(known[name].wait_timeout, 60)
        self.assertTrue(known["lemondata"].can_cancel)
        self.assertFalse(known["dimilinks"].can_cancel)

    def test_a_dialect_of_ones_own_is_a_dict_a_text_or_a_file(self) -> None:
        own = {"name": "own", "poll": {"paths": ["/t/{id}"]}}
        with tempfile.TemporaryDirectory() as folder:
            plain, braced = Path(folder, "own.json"), Path(folder, "{own}.json")
            for file in (plain, braced):
                file.write_text(json.dumps(own))
            here = os.getcwd()
            os.chdir(folder)
            self.addCleanup(os.chdir, here)
            ways = [own, json.dumps(own), "  \n" + json.dumps(own), plain, str(plain), os.fsencode(plain), Path("{own}.json")]
            for dialect in ways:
                imgtask.Client(dialect=dialect, api_key="key", base_url="http://127.0.0.1:1").close()

            # What is wrong is told with the file, and with every pointer.
            plain.write_text('{"name": "Own", "poll": {"paths": []}, "pol": 1}')
            with self.assertRaises(imgtask.InvalidArgument) as caught:
                imgtask.Client(dialect=plain, api_key="key", base_url="http://127.0.0.1:1")
            told = str(caught.exception)
            for part in (str(plain), "/name: must be", "/pol: unknown member"):
                self.assertIn(part, told)
            with self.assertRaisesRegex(imgtask.InvalidArgument, "gone.json cannot be read: there is no such file"):
                imgtask.Client(dialect="gone.json", api_key="key", base_url="http://127.0.0.1:1")
            os.chdir(here)
        with self.assertRaisesRegex(imgtask.InvalidArgument, "/no: unknown member.*name is missing"):
            imgtask.Client(dialect={"no": "dialect"}, api_key="key", base_url="http://127.0.0.1:1")
        with self.assertRaises(TypeError):
            imgtask.Client(dialect=7, api_key="key", base_url="http://127.0.0.1:1")  # type: ignore[arg-type]
        # A key at the wrong place is not repeated.
        with self.assertRaises(imgtask.InvalidArgument) as caught:
            imgtask.Client(dialect=CANARY, api_key="key", base_url="http://127.0.0.1:1")
        self.assertNotIn(CANARY, str(caught.exception))


class Secrets(WithSandbox):
    def test_the_key_is_in_no_text(self) -> None:
        said: List[str] = []
        client = self.client(api_key=CANARY, log=lambda level, line: said.append(line), log_level=4)
        said += [repr(client), str(vars(client))]
        for call in (
            lambda: client.submit(prompt="a cat"),
            lambda: client.fetch("img_0"),
            lambda: client.wait("img_0", timeout=1),
            lambda: client.set_key(CANARY + "\n"),
            lambda: client.set_key(CANARY + "\0"),
            lambda: imgtask.Client("dimilinks", CANARY + "\n"),
            lambda: imgtask.Client("dimilinks", CANARY, "http://127.0.0.1:99999"),
            lambda: imgtask.Client("dimilinks", "key", f"https://user:{CANARY}@example.com"),
            lambda: imgtask.Client("dimilinks", "key", "http://127.0.0.1:1", proxy_url=f"http://u:{CANARY}@nowhere:x"),
        ):
            with self.assertRaises(imgtask.Error) as caught:
                call()
            error = caught.exception
            said += [str(error), repr(error), repr(vars(error))]
        self.assertNotIn(CANARY, "\n".join(said))

    def test_a_signed_link_is_in_no_repr(self) -> None:
        said: List[str] = []
        client = self.client(log=lambda level, line: said.append(line), log_level=4)
        task = client.wait(client.submit(prompt="a cat [image-html]"), timeout=20)
        self.assertIn("sig=", task.images[0].url)
        said += [repr(task), str(task), repr(task.images), repr(client), repr(vars(client))]
        with self.assertRaises(imgtask.Error) as caught:
            client.download(task)
        said += [str(caught.exception), repr(caught.exception), repr(vars(caught.exception))]
        expired = client.wait(client.submit(prompt="a cat [expired]"), timeout=20)
        with self.assertRaises(imgtask.Error) as caught:
            client.download(expired)
        said += [str(caught.exception), repr(caught.exception), repr(vars(caught.exception))]
        self.assertNotIn("sig=", "\n".join(said))

    def test_no_download_that_fails_tells_a_secret_in_exceptions_events_or_log(self) -> None:
        said: List[str] = []
        client = self.client(
            log=lambda level, line: said.append(line), log_level=4, stall_timeout=0.2, max_workers=64, wait_timeout=60
        )
        faults = (
            "image.http-400 image.http-401 image.http-403 image.http-404 image.html image.empty image.no-content "
            "image.redirect image.redirect-loop image-html image-garbage image-empty image-half image.length-short "
            "image.length:-1 image.huge-header image.many-headers image.gzip-lie image.gzip expired "
            "image.redirect-to:http://u:p@127.0.0.1/?sig=1 address:https://u:p@127.0.0.1/x.png?sig=1 "
            # Tried five times, four at a time.
            "image.http-500 image.silent image.reset image.cut"
        ).split()
        for number, fault in enumerate(faults):
            client.start(prompt=f"a cat [{fault}]", goal="bytes", label=str(number))
        ended = []
        for event in client.events(60):
            error = event.error
            said += [repr(event), str(event), repr(event.task), repr(error), str(error)]
            if error is not None:
                said += [repr(vars(error)), *traceback.format_exception(type(error), error, error.__traceback__)]
                ended.append(faults[int(event.label)])
        for fault in ("image-html", "expired"):
            task = client.wait(client.submit(prompt=f"a cat [{fault}]"), timeout=20)
            try:
                client.download(task)
            except imgtask.Error:
                said.append(traceback.format_exc())
        told = "\n".join(said)
        print(told)
        self.assertEqual(sorted(ended), sorted(faults))
        self.assertNotIn("sig=", told)
        self.assertNotIn(self.sandbox.key("dimilinks"), told)
