#!/usr/bin/env bash
# Known advisories of the crates in Cargo.lock, by a copy of the RustSec database that `cargo deny fetch` left in cargo's home. It
# asks no network. Without a copy nothing is known: it says so, and ends with 77.
set -u
cd "$(dirname "$0")/../.."
HOME=${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}
home=${CARGO_HOME:-$HOME/.cargo}
if ! ls -d "$home"/advisory-db*/*/ >/dev/null 2>&1; then
  echo "advisories did NOT run: no copy of the RustSec database in cargo's home (cargo deny fetch)"
  exit 77
fi
export PATH=$PATH:${XDG_CACHE_HOME:-$HOME/.cache}/imgtask-tools/bin
if ! command -v cargo-deny >/dev/null; then
  echo "advisories did NOT run: no cargo-deny (tests/packaging/tools.sh, or cargo install cargo-deny)"
  exit 77
fi
exec "${PYTHON:-python3}" tests/packaging/deny.py deny.toml advisories
