#!/usr/bin/env python3
"""Stands in for cargo before cargo-deny 0.14, which knows the identifiers and the licence names of its own time: `cargo metadata`
in those words. What it checks stays what it was."""

import json
import os
import subprocess
import sys

REAL = os.environ["REAL_CARGO"]
# What SPDX calls the licence since version 3.23, and what it called it before.
RENAMED = ("Unicode-3.0", "Unicode-DFS-2016")

if sys.argv[1:2] != ["metadata"]:
    os.execvp(REAL, [REAL, *sys.argv[1:]])
told = json.loads(subprocess.run([REAL, *sys.argv[1:]], check=True, stdout=subprocess.PIPE).stdout)
names = {
    package["id"]: f"{package['name']} {package['version']} ({package['source'] or package['id'].split('#')[0]})"
    for package in told["packages"]
}


def in_old_words(value):
    if isinstance(value, dict):
        return {name: in_old_words(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [in_old_words(inner) for inner in value]
    return names.get(value, value).replace(*RENAMED) if isinstance(value, str) else value


print(json.dumps(in_old_words(told)))
