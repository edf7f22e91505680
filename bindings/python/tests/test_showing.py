"""What notebooks show, and progress bars: escaped, without secrets, and nothing imported for it."""

import html.parser
import subprocess
import sys
import unittest.mock
from dataclasses import replace
from typing import List, Optional, Set, Tuple

import imgtask
from imgtask import State

from .support import PACKAGE, WithSandbox

#: What a hostile service may say.
HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>&lt;b&gt;</td></table><!--"

#: All that is built here.
TAGS = {"table", "tr", "th", "td", "code", "b", "small", "progress", "img"}
ATTRIBUTES = {("th", "style"), ("td", "style"), ("progress", "value"), ("progress", "max"), ("img", "src")}


class Page(html.parser.HTMLParser):
    """A page as a browser reads it: its tags, their attributes, its words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.opened: List[str] = []
        self.tags: Set[str] = set()
        self.attributes: Set[Tuple[str, str]] = set()
        self.words = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: List[Tuple[str, Optional[str]]]) -> None:
        self.tags.add(tag)
        self.attributes.update((tag, name) for name, _ in attributes)
        if tag not in ("img",):
            self.opened.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.opened.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        self.words += data + " "

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")


def hostile_task(state: State, **known: object) -> imgtask.Task:
    """A task of which every text is hostile."""
    image = imgtask.Image(
        url="https://images.example/a.png?sig=canarysig",
        source_index=0,
        file_id=HOSTILE,
        revised_prompt=HOSTILE,
        expires_at=1_900_000_000,
        width=64,
        height=48,
        byte_size=1234,
        is_inline=False,
    )
    task = imgtask.Task(
        id=HOSTILE,
        state=state,
        is_final=True,
        progress=43,
        images=(image,),
        failure=imgtask.Failure(HOSTILE, HOSTILE, HOSTILE, imgtask.FailureAction.CHANGE_REQUEST),
        created_at=1_700_000_000,
        completed_at=10**30,
        looked_at=None,
        provider_status=HOSTILE,
        poll_ref=f"https://api.example/?key=canarysig{HOSTILE}",
        revised_prompt=HOSTILE,
        model=HOSTILE,
        conversation_id=HOSTILE,
        billing_id=HOSTILE,
        credit_cost=None,
    )
    return replace(task, **known)  # type: ignore[arg-type]


class Notebooks(WithSandbox):
    def page(self, thing: "imgtask.Task | imgtask.Outcome") -> Page:
        """What is shown, which holds nothing but what this package put there."""
        text = thing._repr_html_()
        self.assertNotIn("canarysig", text)
        page = Page(text)
        self.assertEqual((page.opened, page.tags - TAGS, page.attributes - ATTRIBUTES), ([], set(), set()))
        return page

    def test_a_task_shows_its_state_its_progress_and_its_images(self) -> None:
        client = self.client()
        running = client.submit(prompt="a cat [never]")
        self.assertIn(running.id, self.page(running).words)
        done = client.wait(client.submit(prompt="cats", n=2), 20)
        page = self.page(done)
        for word in (done.id, "succeeded", "100 %", "image 0", "image 1"):
            self.assertIn(word, page.words)
        self.assertIn("progress", page.tags)
        self.assertNotIn("?", page.words)
        failed = client.wait(client.submit(prompt="a cat [fail]"), 20, raise_on_failure=False)
        assert failed.failure is not None
        self.assertIn(failed.failure.message, self.page(failed).words)

    def test_what_a_service_says_stays_words(self) -> None:
        for state in State:
            task = hostile_task(state)
            page = self.page(task)
            self.assertIn(HOSTILE, page.words)
            self.assertIn("change request", page.words)
            self.assertIn("64 x 48, 1234 bytes, address good until 20", page.words)
            error = imgtask.TaskFailed(HOSTILE, task_id=HOSTILE, task=task)
            self.assertIn(HOSTILE, self.page(imgtask.Outcome({HOSTILE: HOSTILE}, task, error)).words)

    def test_long_texts_are_cut(self) -> None:
        page = self.page(hostile_task(State.RUNNING, revised_prompt="x" * 10_000))
        self.assertIn("x" * 299 + "\u2026", page.words)
        self.assertNotIn("x" * 300, page.words)

    def test_an_outcome_shows_its_images(self) -> None:
        client = self.client()
        ids = self.sandbox.make(1)
        for options, count in (({"goal": "bytes"}, 1), ({"goal": "pixels"}, 1), ({"download_to": self.folder}, 0)):
            (done,) = client.watch(ids, **options)  # type: ignore[arg-type]
            self.assertEqual(done._repr_html_().count('<img src="data:image/png;base64,iVBORw0KGgo'), count)
            self.assertIn(ids[0], self.page(done).words)
        self.assertIn(str(done.path), self.page(done).words)
        (lost,) = client.watch(["img_000000000000000000000000"])
        self.assertIn("NotFound", self.page(lost).words)

    def test_an_outcome_shows_nothing_of_its_ref_that_may_be_signed(self) -> None:
        secret = "https://me:canarysig@api.example/tasks/7?sig=canarysig&more"
        for ref, words in (
            (secret, "'https://...@api.example/tasks/7?...'"),
            ("img_0", "'img_0'"),
            ({"prompt": "a cat", "image_urls": [secret]}, "{'prompt': 'a cat', ...}"),
            ({"prompt": "a cat"}, "{'prompt': 'a cat'}"),
            ({"model": "canarysig", "image_urls": [secret]}, "{'model': ..., 'image_urls': ...}"),
        ):
            done = imgtask.Outcome(ref, None, None)
            self.assertEqual(repr(done), f"Outcome(ref={words}, task=None, error=None)")
            self.assertIn(words, self.page(done).words)

    def test_a_type_that_is_none_shows_no_image(self) -> None:
        for media_type in (HOSTILE, 'image/x"onerror="alert(1)', "text/html", ""):
            picture = imgtask.Picture(b"x", media_type, "", "", None, None, "")
            self.assertIsNone(picture._repr_html_())
            self.page(imgtask.Outcome("x", None, None, (picture,)))


class Bars(WithSandbox):
    def test_nothing_is_imported_that_nobody_asked_for(self) -> None:
        code = "import sys, imgtask; sys.exit(sorted({'tqdm', 'asyncio', 'html'} & set(sys.modules)) or 0)"
        done = subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONPATH": str(PACKAGE)}, capture_output=True, timeout=60
        )
        self.assertEqual((done.returncode, done.stderr), (0, b""))

    def test_a_bar_without_tqdm_says_what_is_missing(self) -> None:
        client = self.client()
        task = client.submit(prompt="a cat")
        with unittest.mock.patch.dict(sys.modules, {"tqdm": None, "tqdm.auto": None}):
            with self.assertRaisesRegex(ImportError, "tqdm, which is not installed"):
                client.wait(task, progress=True)
        self.assertEqual(client.pending, 0)
