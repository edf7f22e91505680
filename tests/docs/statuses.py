"""The page of errors has a section for every status that the library returns, and none besides."""

import re
from typing import List

from pages import Page
from place import ROOT


def faults(page: Page) -> List[str]:
    returned = re.findall(r"^(IMGTASK_STATUS_\w+) ", (ROOT / "abi" / "enums.txt").read_text(), re.MULTILINE)
    sections = re.findall(r"`(IMGTASK_STATUS_\w+)`", "\n".join(heading for _, heading in page.headings))
    missing = [f"{page.name}: no section `{name}`" for name in returned if name not in sections]
    extra = [f"{page.name}: a section of no status, or twice: {name}" for name in sections if sections.count(name) != 1 or name not in returned]
    return missing + extra + ([] if returned else ["abi/enums.txt names no status"])
