#!/usr/bin/env python3
"""Writes imgtask/_abi.py from include/imgtask.h.

Usage: generate_abi.py [--check]

The header is read by rules, not by a C compiler, so that any machine with Python can run this. A line that the
rules do not know is an error, never skipped: a declaration cannot get lost. `--check` writes nothing and exits
with 1 when the file is not current.
"""

import re
import sys
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Tuple

PACKAGE = Path(__file__).resolve().parent.parent
HEADER = PACKAGE.parent.parent / "include" / "imgtask.h"
TARGET = PACKAGE / "imgtask" / "_abi.py"

# A C type that stands for itself in ctypes.
SCALARS = {
    "int": "c_int",
    "uint8_t": "c_uint8",
    "uint16_t": "c_uint16",
    "uint32_t": "c_uint32",
    "uint64_t": "c_uint64",
    "int32_t": "c_int32",
    "int64_t": "c_int64",
    "size_t": "c_size_t",
    "double": "c_double",
}

# The enums of the header, by the names they have in Python.
ENUMS = {
    "imgtask_status": ("Status", "Number"),
    "imgtask_task_state": ("TaskState", "IntEnum"),
    "imgtask_failure_action": ("TaskFailureAction", "IntEnum"),
    "imgtask_goal": ("Goal", "IntEnum"),
    "imgtask_event_kind": ("EventKind", "IntEnum"),
    "imgtask_bytes_format": ("BytesFormat", "IntEnum"),
    "imgtask_confidence": ("Confidence", "IntEnum"),
    "imgtask_log_level": ("LogLevel", "IntEnum"),
    "imgtask_flag": ("Flag", "IntFlag"),
}

INTEGER = r"(?:0[xX][0-9a-fA-F]+|\d+)"


class Header(NamedTuple):
    """What the header declares, in its order."""

    macros: Dict[str, int]
    enums: Dict[str, List[Tuple[str, int]]]
    opaques: List[str]
    callbacks: Dict[str, Tuple[str, List[str]]]
    structs: Dict[str, List[Tuple[str, str]]]
    functions: Dict[str, Tuple[str, List[str]]]


class Unreadable(Exception):
    """The header says something these rules do not know."""


def read(text: str) -> Header:
    """Reads the header's text."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.S)
    macros: Dict[str, int] = {}
    lines: List[str] = []
    for line in as_c(text.replace("\\\n", " ")):
        macro = re.match(rf"\s*#\s*define\s+IMGTASK_(\w+)\s+({INTEGER})[uUlL]*\s*$", line)
        if macro:
            macros[macro[1]] = int(macro[2], 0)
        elif not line.lstrip().startswith("#"):
            lines.append(line)
    header = Header(macros, {}, [], {}, {}, {})
    for declaration in declarations(" ".join(lines)):
        place(declaration, header)
    return header


def as_c(text: str) -> Iterator[str]:
    """The lines that a C11 compiler sees."""
    # For each open conditional: whether its branch is live, and whether one was.
    open_branches: List[Tuple[bool, bool]] = []
    for line in text.splitlines():
        directive = re.match(r"\s*#\s*(ifdef|ifndef|if|else|elif|endif)\b\s*(.*)", line)
        if not directive:
            if all(live for live, _ in open_branches):
                yield line
            continue
        word, condition = directive[1], directive[2].strip()
        if word in ("ifdef", "ifndef", "if"):
            live = holds(condition, word)
            open_branches.append((live, live))
        elif word in ("elif", "else"):
            _, taken = open_branches.pop()
            live = not taken and (word == "else" or holds(condition, "if"))
            open_branches.append((live, taken or live))
        else:
            open_branches.pop()


def holds(condition: str, word: str) -> bool:
    """Whether a conditional of the header holds for C11. Only C++ and C23 matter; the rest guards `#define`s."""
    newer = re.search(r"__cplusplus|__STDC_VERSION__ >= 2023", condition) is not None
    return newer == (word == "ifndef") if newer else True


def declarations(text: str) -> Iterator[str]:
    """The text cut at every `;` outside braces."""
    depth, start = 0, 0
    for at, sign in enumerate(text):
        depth += {"{": 1, "}": -1}.get(sign, 0)
        if sign == ";" and depth == 0:
            yield " ".join(text[start:at].split())
            start = at + 1
    if text[start:].strip():
        raise Unreadable(f"left over at the end: {text[start:].strip()[:80]!r}")


def place(declaration: str, header: Header) -> None:
    """Puts one declaration where it belongs."""
    if not declaration:
        return
    enum = re.fullmatch(r"(?:typedef )?enum (\w+) ?(?:: ?uint32_t ?)?\{(.*)\} ?\w*", declaration)
    if enum:
        header.enums[enum[1]] = members(enum[1], enum[2])
        return
    if re.fullmatch(r"typedef (?:enum \w+|uint32_t) \w+", declaration):
        return
    opaque = re.fullmatch(r"typedef struct (\w+) \1", declaration)
    if opaque:
        header.opaques.append(opaque[1])
        return
    callback = re.fullmatch(r"typedef (.+?) ?\( ?\* ?(\w+) ?\) ?\((.*)\)", declaration)
    if callback:
        header.callbacks[callback[2]] = (callback[1], [kind for kind, _ in parameters(callback[3])])
        return
    struct = re.fullmatch(r"(?:typedef )?struct (\w+) ?\{(.*)\} ?\w*", declaration)
    if struct:
        fields = [variable(field) for field in struct[2].split(";") if field.strip()]
        header.structs[struct[1]] = fields
        return
    function = re.fullmatch(r"(?:IMGTASK_\w+(?: ?\(\"[^\"]*\"\))? )*(.+?) ?\b(imgtask_\w+) ?\((.*)\)", declaration)
    if function:
        header.functions[function[2]] = (function[1], [kind for kind, _ in parameters(function[3])])
        return
    raise Unreadable(f"not understood: {declaration[:120]!r}")


def members(enum: str, text: str) -> List[Tuple[str, int]]:
    """The members of an enum without their common head, with their numbers."""
    head = enum.upper() + "_"
    out: List[Tuple[str, int]] = []
    following = 0
    for member in filter(None, (part.strip() for part in text.split(","))):
        parts = re.fullmatch(rf"(\w+)(?: ?= ?({INTEGER})[uUlL]*)?", member)
        if not parts or not parts[1].startswith(head):
            raise Unreadable(f"member of {enum}: {member!r}")
        value = int(parts[2], 0) if parts[2] else following
        out.append((parts[1][len(head) :], value))
        following = value + 1
    return out


def parameters(text: str) -> List[Tuple[str, str]]:
    """The parameters of a function: kind and name."""
    if text.strip() in ("", "void"):
        return []
    return [variable(part) for part in text.split(",")]


def variable(text: str) -> Tuple[str, str]:
    """`const char *const name[2]` as its kind and its name."""
    parts = re.fullmatch(r"(.*?[\w*])\s*?(?:(?<=\*)|\s)\s*(\w+) ?(\[\d+\])?", text.strip())
    if not parts:
        raise Unreadable(f"variable: {text!r}")
    return parts[1].strip() + (parts[3] or ""), parts[2]


def python_type(kind: str, header: Header, *, field: bool = False) -> str:
    """The ctypes name of a C type."""
    array = re.fullmatch(r"(.*)\[(\d+)\]", kind)
    if array:
        return f"{python_type(array[1], header, field=field)} * {array[2]}"
    bare = re.sub(r"\b(const|struct|enum)\b", " ", kind)
    stars = bare.count("*")
    name = bare.replace("*", " ").strip()
    if (name, stars) == ("void", 0):
        return "None"
    if stars == 0:
        if name in header.enums:
            return "c_uint32"
        if name in header.callbacks:
            return name
        if name in SCALARS:
            return SCALARS[name]
    if name == "char" and stars == 1:
        return "c_char_p"
    if name in ("void", "uint8_t") and stars == 1:
        return "c_void_p"
    if name in header.opaques and stars in (1, 2):
        return name if stars == 1 else f"POINTER({name})"
    if name in header.structs and stars == 1 and not field:
        return f"POINTER({name})"
    if (name in SCALARS or name in header.enums) and stars == 1 and not field:
        return f"POINTER({python_type(name, header)})"
    raise Unreadable(f"type: {kind!r}")


def write(header: Header) -> str:
    """The text of imgtask/_abi.py."""
    out: List[str] = []
    say = out.append
    say("from enum import IntEnum, IntFlag")
    say("from typing import Any, Dict, Tuple")
    say("")
    say("from ._numbers import Number")
    say("")
    for name, value in header.macros.items():
        if re.fullmatch(r"(VERSION_\w+|ABI_VERSION|TIMEOUT_\w+)", name):
            say(f"{name} = {value:#x}" if value > 0xFFFF else f"{name} = {value}")
    for enum, entries in header.enums.items():
        title, base = ENUMS[enum]
        say("")
        say("")
        say(f"class {title}({base}):")
        say(f'    """`{enum}`."""')
        say("")
        for entry, value in entries:
            say(f"    {entry} = {value}")
    for name in header.opaques:
        if name not in header.structs:
            say("")
            say("")
            say(f"class {name}(c_void_p):")
            say(f'    """`{name} *`: a handle."""')
    for name, (result, kinds) in header.callbacks.items():
        arguments = ", ".join([python_type(result, header), *(python_type(kind, header) for kind in kinds)])
        say("")
        say("")
        say(f"{name} = CFUNCTYPE({arguments})")
    for name, fields in header.structs.items():
        say("")
        say("")
        say(f"class {name}(Structure):")
        say(f'    """`{name}`."""')
        say("")
        say("    _fields_ = [")
        for kind, field in fields:
            say(f'        ("{field}", {python_type(kind, header, field=True)}),')
        say("    ]")
    say("")
    say("")
    say("# Name: result, parameters.")
    say("FUNCTIONS: Dict[str, Tuple[Any, Tuple[Any, ...]]] = {")
    for name, (result, kinds) in header.functions.items():
        types = [python_type(kind, header) for kind in kinds]
        listed = ", ".join(types) + ("," if len(types) == 1 else "")
        say(f'    "{name}": ({python_type(result, header)}, ({listed})),')
    say("}")
    body = "\n".join(out) + "\n"
    used = sorted(set(re.findall(r"\b(?:CFUNCTYPE|POINTER|Structure|c_\w+)\b", body)))
    head = [
        "# Generated by bindings/python/tools/generate_abi.py from include/imgtask.h. Do not edit: run it again.",
        '"""The C ABI as ctypes sees it: constants, structs and the type of every function."""',
        "",
        "from ctypes import (",
        *(f"    {name}," for name in used),
        ")",
    ]
    return "\n".join(head) + "\n" + body


def main() -> int:
    """Writes the file, or says whether it is current."""
    text = write(read(HEADER.read_text(encoding="utf-8")))
    if sys.argv[1:] == ["--check"]:
        if TARGET.read_text(encoding="utf-8") == text:
            return 0
        print(f"{TARGET.name} is not current: run {Path(__file__).name}", file=sys.stderr)
        return 1
    TARGET.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
