"""Follows every link of the built book and of the C reference beside it: `make docs` calls it with the book's folder."""

import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Dict, List, Set, Tuple
from urllib.parse import unquote, urlsplit


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: List[str] = []
        self.names: Set[str] = set()

    def handle_starttag(self, tag: str, attributes: List[Tuple[str, "str | None"]]) -> None:
        for name, value in attributes:
            if name in ("href", "src") and value:
                self.links.append(value)
            elif name in ("id", "name") and value:
                self.names.add(value)


def main() -> int:
    book = Path(sys.argv[1]).resolve()
    pages: Dict[Path, Reader] = {}
    for file in sorted(book.rglob("*.html")):
        pages[file] = Reader()
        pages[file].feed(file.read_text(encoding="utf-8"))
    faults = 0
    followed = 0
    for file, page in pages.items():
        if file.name in ("print.html", "toc.html"):
            continue  # all pages in one, and the frame of a template that is not ours
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or link == "#" or link.startswith("javascript:"):
                continue
            followed += 1
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            if target.is_dir():
                target /= "index.html"
            if not target.is_relative_to(book) or not target.exists():
                fault = "leads nowhere"
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].names:
                fault = "names nothing there"
            else:
                continue
            faults += 1
            print(f"{file.relative_to(book)}: {link} {fault}")
    print(f"{len(pages)} pages, {followed} links followed, {faults} wrong")
    return 1 if faults or not followed else 0


if __name__ == "__main__":
    sys.exit(main())
