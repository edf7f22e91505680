#!/usr/bin/env bash
# Watches the C stress programs with ThreadSanitizer: start, stop, interrupt, close, free and events from eight threads. Library
# and Rust's own library are built for it, with nightly Rust. Exit code 77, and words: it cannot be had here, so nothing ran.
set -u
cd "$(dirname "$0")/.."

cannot() {
  echo "ThreadSanitizer did NOT run: $1"
  exit 77
}

toolchain=${IMGTASK_NIGHTLY:-nightly}
command -v rustup >/dev/null || cannot "rustup is missing"
command -v clang >/dev/null || cannot "clang is missing"
rustup run "$toolchain" rustc --version >/dev/null 2>&1 ||
  timeout 600 rustup toolchain install "$toolchain" --profile minimal || cannot "there is no $toolchain toolchain"
sysroot=$(rustup run "$toolchain" rustc --print sysroot)
[ -d "$sysroot/lib/rustlib/src/rust/library" ] ||
  timeout 600 rustup component add rust-src --toolchain "$toolchain" || cannot "there is no source of Rust's own library"
host=$(rustup run "$toolchain" rustc -vV | sed -n 's/^host: //p')
runtime=$(ls "$sysroot/lib/rustlib/$host/lib/"*_rt.tsan.a 2>/dev/null) || cannot "$toolchain has no runtime of it for $host"

target=${CARGO_TARGET_DIR:-target}/tsan
RUSTFLAGS="-Zsanitizer=thread" CARGO_TARGET_DIR=$target rustup run "$toolchain" cargo rustc --quiet --lib --crate-type staticlib \
  --profile tsan --features decode,journal -Zbuild-std=std,panic_unwind --target "$host" || exit 1

run() { # a program, and how much of it: a report of the sanitizer is an error
  local name=$1 program=$target/$1
  clang -std=c11 -D_GNU_SOURCE -g -O1 -fsanitize=thread -Iinclude -Itests/c -c "tests/c/$name.c" -o "$program.o" &&
    clang "$program.o" -o "$program" "$target/$host/tsan/libimgtask.a" -Wl,--whole-archive "$runtime" -Wl,--no-whole-archive \
      -pthread -ldl -lm -lrt -lgcc_s || return 1
  (cd "$target" && TSAN_OPTIONS="second_deadlock_stack=1 exitcode=66" IMGTASK_TEST_SLOWNESS=10 IMGTASK_TEST_ROUNDS=30 \
    timeout 120 "./$name") || { echo "$name: exit code $?"; return 1; }
  echo "$name: clean"
}

run stress && run racing && run stopped_jobs
