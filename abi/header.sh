#!/bin/sh
# Writes include/imgtask.h and abi/symbols.txt from the sources, and from the header what the bindings declare. Run from anywhere.
set -eu
cd "$(dirname "$0")/.."

# build.rs leaves both in its own folder, which cargo names among its messages.
folder=$(${CARGO:-cargo} check --quiet --lib --features header --message-format=json |
    sed -n '/"reason":"build-script-executed"/ s/.*[#/]imgtask[#@][^"]*".*"out_dir":"\([^"]*\)".*/\1/p')
cp "$folder/imgtask.h" include/imgtask.h
sed -n 's/^\(imgtask_[a-z0-9_]*\);$/\1/p' "$folder/imgtask.sym" | LC_ALL=C sort > abi/symbols.txt

for binding in python lua; do
    ${PYTHON:-python3} "bindings/$binding/tools/generate_abi.py"
done
