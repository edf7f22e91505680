#!/usr/bin/env bash
# Says where mdBook is: in the PATH, or in the folder into which `mdbook.sh fetch` unpacks Debian's package (7 MB).
set -eu
HOME=${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}
folder=${XDG_CACHE_HOME:-$HOME/.cache}/imgtask-mdbook

if [ "${1:-}" = fetch ]; then
  command -v mdbook >/dev/null || [ -x "$folder/mdbook" ] || bash "$(dirname "$0")/../unpacked.sh" "$folder" trixie mdbook
elif command -v mdbook; then
  :
elif [ -x "$folder/mdbook" ]; then
  echo "$folder/mdbook"
else
  echo "mdbook is not installed: \`cargo install mdbook\`, or on Debian \`bash tests/docs/mdbook.sh fetch\`" >&2
  exit 1
fi
