#!/usr/bin/env bash
# Says where mdBook is: in the PATH, or in a private folder with its own loader, into which `mdbook.sh fetch` unpacks Debian's
# package of trixie (7 MB; nothing of the host changes).
set -eu
folder=${XDG_CACHE_HOME:-$HOME/.cache}/imgtask-mdbook

fetch() {
  rm -rf "$folder"
  mkdir -p "$folder/root" "$folder/state/lists/partial" "$folder/cache/archives/partial"
  : >"$folder/state/status"
  mirror=$(cat /etc/apt/sources.list.d/debian.sources 2>/dev/null | awk '/^URIs:/ {print $2; exit}')
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror:-http://deb.debian.org/debian} trixie main" >"$folder/sources.list"
  cat >"$folder/apt.conf" <<APT
Dir::Etc::sourcelist "$folder/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State "$folder/state";
Dir::State::status "$folder/state/status";
Dir::Cache "$folder/cache";
APT::Install-Recommends "false";
Debug::NoLocking "true";
Acquire::Languages "none";
APT
  export APT_CONFIG=$folder/apt.conf
  apt-get -qq update
  apt-get -qq install -y --download-only mdbook libc6 libgcc-s1
  for package in "$folder"/cache/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -C "$folder/root" -xf - --exclude='./usr/share/doc/*' --exclude='./usr/share/locale/*'
  done
  rm -rf "$folder/state" "$folder/cache"
  libraries=$(dirname "$(find "$folder/root/usr/lib" -name 'ld-linux*' | head -n 1)")
  printf '#!/bin/sh\nexec %s --library-path %s %s "$@"\n' "$(find "$libraries" -name 'ld-linux*' | head -n 1)" "$libraries" \
    "$folder/root/usr/bin/mdbook" >"$folder/mdbook"
  chmod +x "$folder/mdbook"
}

if [ "${1:-}" = fetch ]; then
  command -v mdbook >/dev/null || [ -x "$folder/mdbook" ] || fetch
elif command -v mdbook; then
  :
elif [ -x "$folder/mdbook" ]; then
  echo "$folder/mdbook"
else
  echo "mdbook is not installed: \`cargo install mdbook\`, or on Debian \`bash tests/docs/mdbook.sh fetch\`" >&2
  exit 1
fi
