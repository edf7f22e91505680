#!/usr/bin/env bash
# Fuzzes: fuzz/run.sh [SECONDS [TARGET...]], each of all targets for a minute when nobody says. A finding is kept in fuzz/artifacts
# and is an error. With KEEP=1 what was found on the way goes into fuzz/corpus, as far as it shows anything new.
# Exit code 77, and words: it cannot be had here, so nothing ran.
set -u
cd "$(dirname "$0")/.."

cannot() {
  echo "fuzzing did NOT run: $1"
  exit 77
}

seconds=${1:-60}
[ $# -gt 0 ] && shift
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(body document link pixels)

# The toolchain of tests/tsan.sh.
toolchain=${IMGTASK_NIGHTLY:-nightly}
command -v rustup >/dev/null || cannot "rustup is missing"
rustup run "$toolchain" rustc --version >/dev/null 2>&1 ||
  timeout 600 rustup toolchain install "$toolchain" --profile minimal || cannot "there is no $toolchain toolchain"
host=$(rustup run "$toolchain" rustc -vV | sed -n 's/^host: //p')
ls "$(rustup run "$toolchain" rustc --print sysroot)/lib/rustlib/$host/lib/"*_rt.asan.a >/dev/null 2>&1 ||
  cannot "$toolchain has no AddressSanitizer for $host"
# Clang's own libFuzzer, where it is: to build another takes as long as the library.
[ -n "${CUSTOM_LIBFUZZER_PATH:-}" ] || ! command -v clang >/dev/null || {
  ready=$(clang --print-file-name="libclang_rt.fuzzer-${host%%-*}.a")
  [ ! -f "$ready" ] || export CUSTOM_LIBFUZZER_PATH=$ready
}

mkdir -p "${CARGO_TARGET_DIR:-target}/fuzz"
work=$(cd "${CARGO_TARGET_DIR:-target}/fuzz" && pwd)
coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
coverage+=" -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
bins=()
for target in "${targets[@]}"; do bins+=(--bin "$target"); done
RUSTFLAGS="-Zsanitizer=address $coverage --cfg fuzzing" CARGO_TARGET_DIR=$work rustup run "$toolchain" \
  cargo build --quiet --locked --manifest-path fuzz/Cargo.toml --release --target "$host" "${bins[@]}" || exit 1

export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1
fuzzer() { # a target, then what libFuzzer takes
  local target=$1
  shift
  nice "$work/$host/release/$target" -dict=fuzz/json.dict -max_len=8192 -timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=256 "$@"
}

fuzz() { # a target: its own finds stay beside the build, and are where the next run begins
  local target=$1 found=$work/corpus/$1 seeds=$work/seeds/$1 log=$work/$1.log
  rm -rf "$seeds" && python3 fuzz/seeds.py "$target" "$seeds" && mkdir -p "$found" "fuzz/corpus/$target" "fuzz/artifacts/$target" || return 1
  if ! fuzzer "$target" -max_total_time="$seconds" -artifact_prefix="fuzz/artifacts/$target/" -print_final_stats=1 \
    "$found" "fuzz/corpus/$target" "$seeds" >"$log" 2>&1 </dev/null; then
    tail -n 60 "$log"
    echo "$target: a finding, kept in fuzz/artifacts/$target"
    return 1
  fi
  local runs seen
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  seen=$(grep -oE 'cov: [0-9]+ ft: [0-9]+' "$log" | tail -n 1)
  [ "${runs:-0}" -gt 0 ] || { tail -n 20 "$log"; echo "$target: nothing was executed"; return 1; }
  echo "$target: $runs executions in $seconds s, $seen, no finding"
}

keep() { # a target: what reaches code that neither the seeds nor what is kept already reach
  local target=$1 seeds=$work/seeds/$1 kept=$work/kept/$1 name
  rm -rf "$kept" && mkdir -p "$kept" && cp "$seeds"/* "$kept" &&
    fuzzer "$target" -merge=1 -use_counters=0 "$kept" "fuzz/corpus/$target" "$work/corpus/$target" >"$work/$target.log" 2>&1 </dev/null || return 1
  for name in "$seeds"/*; do rm -f "$kept/${name##*/}"; done
  rm -rf "fuzz/corpus/$target" && cp -r "$kept" "fuzz/corpus/$target"
  echo "$target: $(find "fuzz/corpus/$target" -type f | wc -l) files, $(du -sb "fuzz/corpus/$target" | cut -f 1) bytes kept"
}

# As many side by side as there are processors.
failed=0 running=0
for target in "${targets[@]}"; do
  fuzz "$target" &
  running=$((running + 1))
  if [ "$running" -ge "$(nproc)" ]; then
    wait -n || failed=1
    running=$((running - 1))
  fi
done
while [ "$running" -gt 0 ]; do
  wait -n || failed=1
  running=$((running - 1))
done
if [ -n "${KEEP:-}" ]; then
  for target in "${targets[@]}"; do keep "$target" || failed=1; done
fi
exit "$failed"
