#!/usr/bin/env python3
"""`cargo deny check`, asking no network: deny.py SETTINGS CHECK ... Also by a cargo-deny of before 0.15, put into its own words."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from place import ROOT, environment, tool

OLD_CARGO = ROOT / "tests/packaging/old_cargo.py"


def main() -> int:
    settings, checks = Path(sys.argv[1]).read_text(encoding="utf-8"), sys.argv[2:]
    program, changes = tool("cargo-deny"), {}
    if " 0.14." in subprocess.run([program, "--version"], check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout:
        settings = settings.replace("Unicode-3.0", "Unicode-DFS-2016")
        changes = {"CARGO": OLD_CARGO, "REAL_CARGO": shutil.which(os.environ.get("CARGO", "cargo"))}
    with tempfile.TemporaryDirectory(prefix="imgtask-deny-") as folder:
        config = Path(folder, "deny.toml")
        config.write_text(settings, encoding="utf-8")
        return subprocess.run([program, "--offline", "--manifest-path", ROOT / "Cargo.toml", "--all-features", "check", "--config",
                               config, *checks], env=environment(**changes)).returncode


if __name__ == "__main__":
    sys.exit(main())
