"""The page of errors has a section for every status that the library returns, and none besides; its facts are those of the sources."""

import re
import sys
from typing import Dict, List

from pages import Page
from place import ROOT


def text(file: str) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


def camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def exit_codes() -> Dict[str, str]:
    """The command's exit codes, as its source says them."""
    source = text("src/bin/imgtask/exit.rs")
    codes = dict(re.findall(r"^    (\w+) = (\d+),", source, re.MULTILINE))
    table = source[source.index("fn of_status") :].split("_ => Exit::Bug")[0]
    found: Dict[str, str] = {}
    for names, code in re.findall(r"((?:Status::\w+[\s|]*)+)=> (?:\{\s*)?Exit::(\w+)", table):
        found.update((name, codes[code]) for name in re.findall(r"Status::(\w+)", names))
    return found


def worth_a_try() -> List[str]:
    source = text("src/error.rs")
    table = source[source.index("pub fn retry") :].split("=> Retry::Now")[0]
    return re.findall(r"Status::(\w+)", table[table.index("match") :])


def facts() -> Dict[str, str]:
    """What stands below the heading of each status."""
    sys.path.insert(0, str(ROOT / "bindings" / "python"))
    from imgtask._errors import error_class

    codes, again = exit_codes(), worth_a_try()
    found: Dict[str, str] = {}
    for name, number in re.findall(r"^IMGTASK_STATUS_(\w+) (\d+)$", text("abi/enums.txt"), re.MULTILINE):
        words = [number, f"`{name.lower()}`"]
        if name != "OK":
            words.append(f"Python `{error_class(int(number)).__name__}`")
        words.append(f"exit code {codes.get(camel(name), '1')}")
        if name != "OK":
            words.append(f"trying again: {'may help' if camel(name) in again else 'fails again'}")
        found[f"IMGTASK_STATUS_{name}"] = " · ".join(words)
    return found


def faults(page: Page) -> List[str]:
    wanted = facts()
    sections = re.split(r"^### ", text(page.name), flags=re.MULTILINE)[1:]
    told: Dict[str, str] = {}
    found: List[str] = []
    for section in sections:
        name, _, rest = section.partition("\n")
        name = name.strip().strip("`")
        if name in told or name not in wanted:
            found.append(f"{page.name}: a section of no status, or twice: {name}")
            continue
        told[name] = rest
        if rest.strip().split("\n")[0] != wanted[name]:
            found.append(f"{page.name}: {name}: the facts are {wanted[name]}")
        if name != "IMGTASK_STATUS_OK" and not ("**Caused by**" in rest and "**Cure**" in rest):
            found.append(f"{page.name}: {name}: the section says no cause or no cure")
    found += [f"{page.name}: no section `{name}`" for name in wanted if name not in told]
    return found if len(wanted) > 30 else [*found, "the sources name hardly a status"]
