"""The checks of the pages tell of everything that is wrong in a page."""

import re
import subprocess
import sys
import tempfile
import unittest
import unittest.mock
from pathlib import Path
from typing import List

import statuses
from console import commands, same
from pages import Block, anchor, read
from place import ROOT, Place
from run import in_folder

HERE = Path(__file__).resolve().parent
PAGE = "tests/docs/broken/page.md"


class ABrokenPage(unittest.TestCase):
    def test_each_of_its_blocks_and_links_is_told_with_its_line(self) -> None:
        ran = subprocess.run([sys.executable, HERE / "run.py", PAGE], capture_output=True, text=True, timeout=300)
        told = {line.split()[1] for line in ran.stdout.split("\n") if line.startswith("FAIL: ")}
        lines = (HERE / "broken" / "page.md").read_text().split("\n")
        wanted, inside = set(), False
        for number, line in enumerate(lines, 1):
            if line.startswith("```"):
                inside = not inside
                if inside:
                    wanted.add(f"{PAGE}:{number + 1}")
            elif not inside and line.startswith(("[", "    ", "<!-- skip")):
                wanted.add(f"{PAGE}:{number}")
        self.assertEqual(ran.returncode, 1, ran.stderr)
        self.assertGreater(len(wanted), 15)
        self.assertEqual(told, wanted, ran.stdout)


class AFolder(unittest.TestCase):
    def test_of_a_page_keeps_what_the_page_makes_and_has_nothing_that_a_reader_made(self) -> None:
        place = Place()
        self.addCleanup(place.close)
        name = f"made-by-{Path(place.scratch).name}"
        readers = [ROOT / name, ROOT / "build" / name]
        for file in readers:
            file.touch()
            self.addCleanup(file.unlink)
        folder = place.folder("docs/page.md")
        self.assertEqual([file for file in folder.rglob(name)], [])
        self.assertTrue((folder / "build/bin/imgtask").exists() and (folder / "include/imgtask.h").exists())
        for file in (folder / name, folder / "build" / name):
            file.write_text("made by the page")
        self.assertEqual([file.read_text() for file in readers], ["", ""])


class ATarball(unittest.TestCase):
    def test_its_pages_are_found_also_below_a_folder_that_is_named_as_one_for_builds(self) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            root = Path(scratch) / "build" / "target"
            for name in ("README.md", "docs/cpp.md", "target/page.md", "bindings/python/build/page.md"):
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).touch()
            self.assertEqual({str(name) for name in in_folder(root)}, {"README.md", "docs/cpp.md"})


class ThePageOfErrors(unittest.TestCase):
    def faults(self, old: str, new: str) -> List[str]:
        real = statuses.text
        changed = re.sub(old, new, real("docs/errors.md"), count=1, flags=re.DOTALL | re.MULTILINE)
        with unittest.mock.patch.object(statuses, "text", lambda file: changed if file == "docs/errors.md" else real(file)):
            return statuses.faults(read(ROOT, "docs/errors.md"))

    def test_is_held_to_every_status_and_to_what_the_sources_say_of_it(self) -> None:
        self.assertEqual(self.faults("Errors", "Errors"), [])
        for name, old, new in [
            ("IMGTASK_STATUS_BLOCKED", r"^### `IMGTASK_STATUS_BLOCKED`$", "### Blocked"),
            ("IMGTASK_STATUS_TLS", r"^42 · `tls`", "41 · `tls`"),
            ("IMGTASK_STATUS_TLS", r"Python `TlsError`", "Python `ConnectError`"),
            ("IMGTASK_STATUS_TIMEOUT", r"(20 · .*?)exit code 4", r"\1exit code 3"),
            ("IMGTASK_STATUS_REJECTED", r"(64 · .*?)fails again", r"\1may help"),
            ("IMGTASK_STATUS_PANIC", r"^250 · ", "251 · "),
            ("IMGTASK_STATUS_FILE", r"^(80 · [^\n]*\n\n)\*\*Caused by\*\*", r"\1Caused by"),
        ]:
            told = self.faults(old, new)
            self.assertTrue(told and all(name in line or "Blocked" in line for line in told), (name, told))


class Reading(unittest.TestCase):
    def test_a_command_goes_on_over_lines_quotes_and_pipes(self) -> None:
        text = "$ one \\\n    two\nsaid\n$ sh -c '\n  three' |\n  four\n$ cat <<END\nfive\nEND\nsaid\n"
        found = commands(Block("page", 1, "console", text))
        self.assertEqual([shown for _, _, shown in found], ["said", "", "said"])
        self.assertEqual([number for number, _, _ in found], [1, 4, 7])

    def test_what_is_said_is_compared_line_by_line(self) -> None:
        self.assertTrue(same("one\n...\nfour", "one\ntwo\nthree\nfour\n", "", False))
        self.assertTrue(same("one", "one\n", "progress\n", False))
        self.assertFalse(same("one", "one\ntwo\n", "", False))
        self.assertFalse(same("12 images", "11 images\n", "", False))
        self.assertTrue(same("12 images", "11  images\n", "", True))
        self.assertFalse(same("12 images\nnever said", "11 images\n", "", True))
        self.assertFalse(same("12 images", "11 images\nmore\n", "", True))

    def test_headings_are_linked_to_as_on_the_pages_that_are_built(self) -> None:
        self.assertEqual(anchor("`IMGTASK_STATUS_OK`"), "imgtask_status_ok")
        self.assertEqual(anchor("Does it read what the service says?"), "does-it-read-what-the-service-says")


if __name__ == "__main__":
    unittest.main()
