#!/usr/bin/env bash
# Unpacks programs of another Debian suite into a folder of their own, with the loader that runs them there; nothing of the system
# changes. unpacked.sh FOLDER SUITE PROGRAM [PACKAGE...]: then FOLDER/PROGRAM is it, out of the package of that name or of PACKAGE.
set -eu
folder=$1 suite=$2 program=$3
shift 3
rm -rf "$folder"
mkdir -p "$folder/root" "$folder/state/lists/partial" "$folder/cache/archives/partial"
: >"$folder/state/status"
# From where this machine has its own packages.
mirror=$(cat /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null |
  awk '/^URIs:/ {print $2; exit} /^deb / {for (i = 2; i <= NF; i++) if ($i ~ /:\/\//) {print $i; exit}}')
[ -n "$mirror" ] || { echo "unpacked.sh: apt's sources name no place of packages" >&2; exit 1; }
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$folder/sources.list"
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
apt-get -qq install -y --download-only "${@:-$program}"
for package in "$folder"/cache/archives/*.deb; do
  dpkg-deb --fsys-tarfile "$package" | tar -C "$folder/root" -xf - --exclude='./usr/share/doc/*' --exclude='./usr/share/locale/*'
done
rm -rf "$folder/state" "$folder/cache"
loader=$(find "$folder/root/usr/lib" -name 'ld-linux*' | head -n 1)
[ -n "$loader" ] || { echo "unpacked.sh: $suite has no loader for this machine" >&2; exit 1; }
printf '#!/bin/sh\nexec "%s" --library-path "%s" "%s" "$@"\n' "$loader" "$(dirname "$loader")" "$folder/root/usr/bin/$program" \
  >"$folder/$program.new"
chmod +x "$folder/$program.new"
mv "$folder/$program.new" "$folder/$program"
