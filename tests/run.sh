#!/usr/bin/env bash
# Every test: Rust, the C ABI, C programs, Python, Lua, the examples, and games in their engines. `make test` calls it when library and command are built.
# Ends with one line, "N passed, N failed", and fails when anything did.
set -u
cd "$(dirname "$0")/.."

# What serves the tests is on this machine: no proxy reaches it.
no_proxy=${no_proxy:-${NO_PROXY:-}}
export no_proxy="${no_proxy:+$no_proxy,}127.0.0.1,localhost,::1"
export NO_PROXY=$no_proxy
# Who has no home in the environment has that of the system.
export HOME="${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}"
log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT
passed=0 failed=0 broken=0

count() { # adds up the closing lines of cargo test and of unittest
  local p f
  p=$(sed -n 's/^test result: .* \([0-9]*\) passed; .*/\1/p' "$1" | awk '{n += $1} END {print n + 0}')
  f=$(sed -n 's/^test result: .* \([0-9]*\) failed; .*/\1/p' "$1" | awk '{n += $1} END {print n + 0}')
  local ran bad
  ran=$(sed -n 's/^Ran \([0-9]*\) tests\{0,1\} in .*/\1/p' "$1" | awk '{n += $1} END {print n + 0}')
  bad=$(grep -cE '^(FAIL|ERROR): ' "$1")
  # A test that was left out is none that passed.
  local skipped
  skipped=$(sed -n 's/^\(OK\|FAILED\) (.*skipped=\([0-9]*\).*/\2/p' "$1" | awk '{n += $1} END {print n + 0}')
  passed=$((passed + p + ran - bad - skipped)) failed=$((failed + f + bad))
}

run() { # a name, a time limit in seconds, a command; its end is told by `report`
  local name=$1 limit=$2 start=$SECONDS code=0
  shift 2
  timeout --kill-after=10 "$limit" "$@" >"$log/$name" 2>&1 </dev/null || code=$?
  echo "$code $((SECONDS - start))" >"$log/$name.end"
}

report() { # a name
  local name=$1 code=1 seconds=0
  read -r code seconds <"$log/$name.end"
  if [ "$code" -eq 0 ]; then
    printf '  %-10s ok    %4d s\n' "$name" "$seconds"
  else
    broken=$((broken + 1))
    printf '  %-10s FAILED after %d s\n' "$name" "$seconds"
    # Without the names of tests that passed.
    grep -vE '^test .* \.\.\. ok$|^    [a-z0-9_:]+$|^ *(Compiling|Running|Downloaded|Downloading)|^(successes:)?$' "$log/$name" | tail -n 120
  fi
  count "$log/$name"
}

step() { # as `run`
  run "$@"
  report "$1"
}

# What waits more than it works goes on beside the steps that follow, until `gather`.
besides=()
beside() { # as `run`
  run "$@" &
  besides+=("$1")
}
gather() {
  wait
  for name in "${besides[@]}"; do report "$name"; done
  besides=()
}

missing=()
# What tests/packaging/tools.sh fetches.
export PATH=$PATH:${XDG_CACHE_HOME:-$HOME/.cache}/imgtask-tools/bin
for tool in cmake cargo-cinstall cargo-deny pyspdxtools valgrind luajit clang c++ love Xvfb pkg-config bash zsh fish mandoc groff jq; do
  command -v "$tool" >/dev/null || missing+=("$tool")
done
unshare --map-root-user --net --mount true 2>/dev/null && command -v ip >/dev/null || missing+=("network namespaces")
pkg-config --exists sdl2 2>/dev/null || missing+=(SDL2)
# numpy, PIL and tqdm, in the first interpreter that has them: a system's packages are often not those of the first python3.
interop=
for python in "${PYTHON:-python3}" /usr/bin/python3; do
  "$python" -c "import numpy, PIL, tqdm" 2>/dev/null && interop=$python && break
done
[ -n "$interop" ] || missing+=("numpy with PIL and tqdm")
[ -e build/venv/ready ] || missing+=("the tools of the Python wheel: make venv")
[ ${#missing[@]} -eq 0 ] || echo "  left out, not installed: ${#missing[@]} (${missing[*]})"

export IMGTASK_LIB_DIR=$PWD/build/lib IMGTASK_LIBRARY=$PWD/build/lib/libimgtask.so IMGTASK_COMMAND=$PWD/build/bin/imgtask
step rust 1500 "${CARGO:-cargo}" test --quiet --no-fail-fast --features cli,header -- --show-output
beside python 600 env PYTHONPATH=bindings/python "${PYTHON:-python3}" -m unittest discover -s bindings/python/tests -t bindings/python
# The oldest Python that there is here, and the newest.
beside pythons 600 env PYTHONPATH=bindings/python "${PYTHON:-python3}" -m tests.pythons
beside installed 600 bash -c 'cd tests/packaging && "${PYTHON:-python3}" -m unittest test_installed test_inventory'
# What a feature that is off answers.
step lean 600 "${CARGO:-cargo}" test --quiet --lib --test lean -- journal::off a_build_without
# The patience that a gateway needs which fetches an image itself.
beside patience 300 "${CARGO:-cargo}" test --quiet --features cli,header --test bodies -- --ignored twenty_seconds
# The sources as a package manager builds them: vendored, without a network, in a CMake project and by cargo-c.
step sources 900 bash -c 'cd tests/packaging && "${PYTHON:-python3}" -m unittest test_sources'
# Every block of code and every link of the pages.
beside docs 600 bash -c 'cd tests/docs && "${PYTHON:-python3}" -m unittest test_run && "${PYTHON:-python3}" run.py'
step shipped 600 "${CARGO:-cargo}" test --quiet --features cli,header --test abi -- --ignored shipped
# What reading costs in memory is told by the whole process: one test at a time, and no other.
step memory 300 "${CARGO:-cargo}" test --quiet --features cli,header --lib -- --ignored --test-threads=1 a_body_of_14_megabytes a_million_objects bombs_take a_smaller_image_takes
# Fifty thousand tasks through `imgtask watch`, killed halfway: minutes, and both processors.
step watch 900 "${CARGO:-cargo}" test --quiet --features cli,header --test watch -- --ignored fifty_thousand
# Hosts that are killed 200 times at random moments, and one at every step of several orders.
step crash 900 "${CARGO:-cargo}" test --quiet --features cli,header --test crash --test files -- --ignored --show-output
: >"$log/interop"
if [ -n "$interop${IMGTASK_ALL_TOOLS:-}" ]; then
  step interop 120 env PYTHONPATH=bindings/python "${interop:-python3}" -m unittest discover -s bindings/python/tests -t bindings/python -p interop.py
fi
gather
sed -n 's/^the tests ran on /    &/p' "$log/pythons"
# The wheel, built and installed; what type checkers and pytest say of the package.
: >"$log/wheel" >"$log/checks"
if [ -e build/venv/ready ] || [ -n "${IMGTASK_ALL_TOOLS:-}" ]; then
  step wheel 900 bash -c 'make --silent wheel sdist && PYTHONPATH=bindings/python "${PYTHON:-python3}" -m unittest tests.wheel'
  grep '^the wheel runs on ' "$log/wheel" | sed 's/^/    /'
  step checks 600 env PYTHONPATH=bindings/python "${PYTHON:-python3}" -m unittest tests.checks
fi
# Fifty thousand tasks through Python's `client.watch`, killed halfway.
step thousands 900 env PYTHONPATH=bindings/python IMGTASK_MANY_TASKS=50000 "${PYTHON:-python3}" -m unittest discover -s bindings/python/tests -t bindings/python -k many_tasks

# Games on two cores: side by side, but not all at once.
step hosts 600 "${CARGO:-cargo}" test --quiet --features cli,header --test hosts -- --ignored --show-output --test-threads=3
sed -n 's/^\([a-z0-9-]*: [0-9]* frames in .*\)/    \1/p' "$log/hosts"

# The keys that tests and sandbox use, and the queries of signed links: in no output of any test, also of those that pass. Some
# print for it what errors, events, the log, the command and Python's exceptions say of every download that fails (`secrets`).
no_secrets() {
  local secret='sk-[A-Za-z]*-(sandbox|[0-9a-f]{4,})|canary[-_0-9]|canarysig|[?&](sig|exp)=[0-9A-Za-z%]'
  for known in 'Bearer sk-dimilinks-sandbox' 'sk-CANARY-7f3a' '/p/img/a/0?exp=1&sig=0f' '(CANARYSIG)'; do
    grep -qiE "$secret" <<<"$known" || { echo "the search finds nothing"; return 1; }
  done
  # Found is 0; 2 is a log that cannot be read, whatever else was found.
  grep -aiEn "$secret" "$@"
  [ $? -eq 1 ]
}
export -f no_secrets
rm -f "$log"/*.end
step secrets 60 bash -c 'no_secrets "$@"' no_secrets "$log"/*

# A step that broke without a failed test to show for it counts as one.
[ "$broken" -gt 0 ] && [ "$failed" -eq 0 ] && failed=$broken
echo "$passed passed, $failed failed"
[ "$broken" -eq 0 ]
