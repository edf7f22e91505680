"""The checks of the pages tell of everything that is wrong in a page."""

import subprocess
import sys
import unittest
from pathlib import Path

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


if __name__ == "__main__":
    unittest.main()
