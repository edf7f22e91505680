"""Pages of Markdown as the checks see them: blocks of code with their marks, headings, links."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, Iterator, List, Tuple

MARK = re.compile(r"<!-- (file|with|check|not run|needs|numbers vary|port)(?:: (.*?))? -->", re.DOTALL)


@dataclass
class Block:
    """A fenced block of code."""

    page: str
    line: int  # of its first line of code, from 1
    language: str
    text: str
    marks: Dict[str, str] = field(default_factory=dict)
    checks: List[Tuple[int, str]] = field(default_factory=list)  # commands that must succeed behind it

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def last(self) -> int:
        return self.line + self.text.count("\n")


@dataclass
class Page:
    """A page: its blocks, its headings and where it points."""

    name: str
    blocks: List[Block]
    anchors: List[str]
    headings: List[Tuple[int, str]]
    links: List[Tuple[int, str]]
    faults: List[Tuple[int, str]]


def anchor(heading: str) -> str:
    """The name under which a heading can be linked to, as GitHub and mdBook make it."""
    words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
    return "".join(c for c in words.lower().replace(" ", "-") if c.isalnum() or c in "-_")


def read(root: Path, name: str) -> Page:
    page = Page(name, [], [], [], [], [])
    lines = (root / name).read_text(encoding="utf-8").split("\n")
    marks: Dict[str, str] = {}
    prose: List[str] = []
    number = 0
    while number < len(lines):
        line = lines[number]
        fence = re.match(r"( *)(`{3,}|~{3,})(.*)$", line)
        if fence:
            indent, ticks, info = fence.groups()
            start = number + 1
            end = start
            while end < len(lines) and lines[end].strip() != ticks:
                end += 1
            if end == len(lines):
                page.faults.append((start, "a block that never ends"))
            text = "".join(f"{code[len(indent):]}\n" for code in lines[start:end])
            language = re.split(r"[ ,{]", info.strip())[0]
            page.blocks.append(Block(name, start + 1, language, text, marks))
            marks = {}
            prose.extend([""] * (end + 1 - number))
            number = end + 1
            continue
        if line.lstrip().startswith("<!--"):
            comment = line.strip()
            while "-->" not in comment and number + 1 < len(lines):
                number += 1
                comment += "\n" + lines[number]
                prose.append("")
            found = MARK.fullmatch(comment.strip())
            if found and found.group(1) == "check":
                if page.blocks:
                    page.blocks[-1].checks.append((number + 1, found.group(2)))
            elif found:
                marks[found.group(1)] = found.group(2) or ""
            elif re.match(r"<!-- (file|with|check|not run|needs|numbers|port|only|run|skip)", comment):
                page.faults.append((number + 1, f"a mark that says nothing: {comment}"))
            prose.append("")
        elif line.startswith("    ") and not lines[number - 1].strip() and not any(p.startswith(("-", "*", "1")) for p in prose[-8:]):
            page.faults.append((number + 1, "code by indentation has no language: fence it"))
            prose.append("")
        else:
            if marks and line.strip():
                page.faults.append((number + 1, f"a mark without a block behind it: {', '.join(marks)}"))
                marks = {}
            prose.append(line)
        number += 1
    outline(page, prose)
    return page


def outline(page: Page, prose: List[str]) -> None:
    seen: Dict[str, int] = {}
    for number, line in enumerate(prose, 1):
        heading = re.match(r"(#{1,6}) +(.*?) *$", line)
        if heading:
            page.headings.append((number, heading.group(2)))
            name = anchor(heading.group(2))
            count = seen.get(name, 0)
            seen[name] = count + 1
            page.anchors.append(f"{name}-{count}" if count else name)
        page.anchors.extend(re.findall(r'<a (?:id|name)="([^"]+)">', line))
        page.links.extend((number, target) for target in links(line))


def links(line: str) -> Iterator[str]:
    without_code = re.sub(r"`[^`]*`", lambda code: "`" * len(code.group()), line)
    for found in re.finditer(r"\]\(", without_code):
        rest = line[found.end() :]
        yield rest[: rest.index(")")] if ")" in rest else rest
    yield from re.findall(r"^\[[^]]+\]: +(\S+)", without_code)
