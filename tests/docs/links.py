"""Links between pages, to their headings and to files."""

import os
from pathlib import PurePosixPath
from typing import Dict, List
from urllib.parse import unquote

from pages import Page
from place import ROOT

BOOK = "docs"
SUMMARY = f"{BOOK}/SUMMARY.md"
# The C and C++ references are beside the pages when the book is built, where `tests/docs/book.py` looks at its links.
BUILT = ("docs/c/", "docs/cpp/")


def faults(pages: Dict[str, Page]) -> List[str]:
    found: List[str] = []
    for page in pages.values():
        for line, link in page.links:
            target, _, fragment = link.partition("#")
            if target.startswith(("https://", "http://", "mailto:")):
                continue
            file = page.name if not target else os.path.normpath(PurePosixPath(page.name).parent / unquote(target))
            where = f"{page.name}:{line}: {link}"
            if file.startswith("..") or not (ROOT / file).exists() and not f"{file}/".startswith(BUILT):
                found.append(f"{where} leads nowhere")
            elif page.name.startswith(f"{BOOK}/") and not file.startswith(f"{BOOK}/"):
                found.append(f"{where} leads out of the book: say the path as code")
            elif fragment and file.endswith(".md"):
                if file not in pages:
                    found.append(f"{where} leads to a page that is not checked")
                elif fragment not in pages[file].anchors:
                    found.append(f"{where} names no heading of {file}")
    return found


def unlisted(pages: Dict[str, Page]) -> List[str]:
    """Pages of the book that its summary does not know: nobody would find them, and nobody would build them."""
    listed = {f"{BOOK}/{link.partition('#')[0]}" for _, link in pages[SUMMARY].links}
    found = {name for name in pages if name.startswith(f"{BOOK}/") and name != SUMMARY}
    return [f"{SUMMARY}: does not list {name}" for name in sorted(found - listed)]
