# The commands of the README. Needed: cargo, a C compiler, python3. Everything else is fetched by cargo.

CARGO   ?= cargo
CC      ?= cc
CXX     ?= c++
PYTHON  ?= python3
STRIP   ?= strip
BUILD   := build
VENV    := $(BUILD)/venv
comma   := ,

# Who installs may have another environment than who built: sudo drops what was built for.
ifeq ($(origin CARGO_BUILD_TARGET)$(filter-out uninstall,$(MAKECMDGOALS)),undefinedinstall)
CARGO_BUILD_TARGET := $(shell cat $(BUILD)/target 2>/dev/null)
ifneq ($(CARGO_BUILD_TARGET),)
export CARGO_BUILD_TARGET
endif
endif

# As cargo does where nobody says it: what the system knows of the user.
ifeq ($(HOME),)
export HOME := $(shell getent passwd "$$(id -u)" | cut -d: -f6)
endif

# Builds carry no path of the machine that made them.
HOME_OF_CARGO := $(or $(CARGO_HOME),$(HOME)/.cargo)
REMAP   := "--remap-path-prefix=$(HOME_OF_CARGO)=cargo" "--remap-path-prefix=$(CURDIR)=imgtask"
# Parted by a byte that no path holds: folders may have spaces in their names.
GIVEN   := $(if $(CARGO_ENCODED_RUSTFLAGS),"$$CARGO_ENCODED_RUSTFLAGS",$(RUSTFLAGS))
FLAGS   := CARGO_ENCODED_RUSTFLAGS="$$(printf '%s\037' $(GIVEN) $(REMAP) | sed 's/.$$//')"
SHIPPED := $(FLAGS) $(CARGO)
# Cargo's output for another machine has a folder of its own.
TARGET  := $(or $(CARGO_TARGET_DIR),target)$(addprefix /,$(CARGO_BUILD_TARGET))

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
ABI     := 0

# The first build takes minutes, and shows what it is at; those after it are silent.
hush     = $(if $(wildcard $(1)),--quiet)

# A program that uses the old file goes on with it.
place = cp "$(1)" $(2).new && mv -f $(2).new $(2)

.PHONY: demo dev docs test lib lib-lean install uninstall wheel sdist venv notices header schema examples bench lint clean help

help: ## what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 20

demo: tool ## submit, wait and download at every provider of the sandbox
	@$(BUILD)/bin/imgtask demo --out imgtask-demo

test: tool lib dev ## all tests: Rust, C, Python, Lua, examples, games
	@bash tests/run.sh

.PHONY: tool
tool: $(BUILD)/target ## the command line, into build/bin
	@mkdir -p $(BUILD)/bin
	@$(SHIPPED) build $(call hush,$(BUILD)/bin/imgtask) --profile tool --features cli --bin imgtask
	@$(call place,$(TARGET)/tool/imgtask,$(BUILD)/bin/imgtask)

# What `make tool` builds besides: no time of its own, for trying things out. The library that ships is that of `make lib`.
dev: tool ## command and shared library for trying things out, in one quick build: build/bin, build/dev
	@mkdir -p $(BUILD)/dev
	@$(SHIPPED) build --quiet --profile tool --features cli --lib
	@$(call place,$(TARGET)/tool/libimgtask.so,$(BUILD)/dev/libimgtask.so.$(VERSION))
	@ln -sf libimgtask.so.$(VERSION) $(BUILD)/dev/libimgtask.so.$(ABI)
	@ln -sf libimgtask.so.$(ABI) $(BUILD)/dev/libimgtask.so

rustc = $(or $(RUSTC),rustc) $(addprefix --target=,$(CARGO_BUILD_TARGET))

# Identical functions once, where the linker that these flags name can: LLD, which rustc brings, can; GNU ld cannot.
fold = fold=$$(IFS=$$(printf '\037'); set -f; echo 'fn main() {}' | $(rustc) $$CARGO_ENCODED_RUSTFLAGS -C link-arg=-Wl,--icf=all \
  -o $(1)/fold - 2>/dev/null && rm -f $(1)/fold && echo -- -C link-arg=-Wl,--icf=all)

# Two commands: with all crate types in one build cargo silently drops link-time optimisation. Side by side: that takes one processor.
lib: $(BUILD)/target ## the full library, shared and static, into build/lib
	@$(call library,$(BUILD)/lib,--features decode$(comma)journal)

lib-lean: $(BUILD)/target ## the library without optional features, into build/lib-lean
	@$(call library,$(BUILD)/lib-lean,)

# Each leads processes of its own: when one build fails, or make is ended, nothing goes on.
lead := $(if $(shell command -v setsid),setsid)

define library
mkdir -p $(1)
export $(FLAGS); $(call fold,$(1)); \
  $(lead) $(CARGO) rustc $(call hush,$(1)/libimgtask.a) --profile release-static --lib --crate-type staticlib $(2) & archive=$$!; \
  $(lead) $(CARGO) rustc $(call hush,$(1)/libimgtask.so) --release --lib --crate-type cdylib $(2) $$fold & shared=$$!; \
  trap 'kill -- -$$archive -$$shared $$archive $$shared 2>/dev/null' EXIT; trap 'exit 130' INT; trap 'exit 143' HUP TERM; \
  wait $$shared && wait $$archive && trap - EXIT
$(call place,$(TARGET)/release/libimgtask.so,$(1)/libimgtask.so.$(VERSION))
ln -sf libimgtask.so.$(VERSION) $(1)/libimgtask.so.$(ABI)
ln -sf libimgtask.so.$(ABI) $(1)/libimgtask.so
echo | $(rustc) --crate-type staticlib --print native-static-libs -o $(BUILD)/empty.a - 2>&1 | \
  sed -n 's/.*native-static-libs: *//p' | sed 's/ *-lgcc_s\>//; s/ *-lc\>//; s/^ *//' >$(1)/native-static-libs.txt
test -s $(1)/native-static-libs.txt || { echo "rustc does not say what an archive is linked with: --print native-static-libs" >&2; exit 1; }
rm -f $(BUILD)/empty.a
cp "$(TARGET)/release-static/libimgtask.a" $(1)/libimgtask.a.new
# What C compilers note for debuggers holds the paths of this machine, and cargo strips no archive.
$(STRIP) -S $(1)/libimgtask.a.new
mv -f $(1)/libimgtask.a.new $(1)/libimgtask.a
endef

# The backend has CMake call cargo, which finds here what `make lib` has built. auditwheel names the systems that the wheel runs on.
wheel: venv ## the Python wheel, with the library inside, into build/wheels
	@rm -rf $(BUILD)/wheels/raw $(BUILD)/wheels/*.whl
	@CARGO_TARGET_DIR="$(abspath $(or $(CARGO_TARGET_DIR),target))" $(VENV)/bin/python -m build --no-isolation --wheel --outdir $(BUILD)/wheels/raw
	@PATH="$(abspath $(VENV))/bin:$$PATH" $(VENV)/bin/auditwheel repair --wheel-dir $(BUILD)/wheels $(BUILD)/wheels/raw/*.whl

sdist: venv ## the sources of the wheel, into build/wheels
	@rm -f $(BUILD)/wheels/*.tar.gz
	@$(VENV)/bin/python -m build --no-isolation --sdist --outdir $(BUILD)/wheels

venv: $(VENV)/ready ## what builds the wheel and checks the Python package, into build/venv

$(VENV)/ready: bindings/python/requirements-dev.txt
	@$(PYTHON) -m venv --clear $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --requirement $<
	@touch $@

# Where `make install` puts it. Capital letters do, too; DESTDIR is put before all of them.
prefix      ?= $(or $(PREFIX),/usr/local)
exec_prefix ?= $(prefix)
bindir      ?= $(or $(BINDIR),$(exec_prefix)/bin)
libdir      ?= $(or $(LIBDIR),$(exec_prefix)/lib)
includedir  ?= $(or $(INCLUDEDIR),$(prefix)/include)
datarootdir ?= $(prefix)/share
datadir     ?= $(or $(DATADIR),$(datarootdir))
mandir      ?= $(or $(MANDIR),$(datarootdir)/man)
docdir      ?= $(or $(DOCDIR),$(datarootdir)/doc/imgtask)
# LEAN=1 installs what `make lib-lean` builds.
kind        := $(if $(LEAN),lib-lean,lib)
installer    = @prefix='$(prefix)' exec_prefix='$(exec_prefix)' bindir='$(bindir)' libdir='$(libdir)' includedir='$(includedir)' \
  datadir='$(datadir)' mandir='$(mandir)' docdir='$(docdir)' DESTDIR='$(DESTDIR)' ABI=$(ABI) \
  LIBRARY=$(BUILD)/$(kind) TOOL=$(BUILD)/bin/imgtask bash packaging/install.sh

install: $(BUILD)/$(kind)/libimgtask.a $(BUILD)/bin/imgtask ## library, headers and command below PREFIX (/usr/local)
	$(installer) install

uninstall: ## what `make install` put there
	$(installer) uninstall

# What is built is not built again, so that another user can install it, who may have no cargo.
sources := Cargo.toml Cargo.lock build.rs $(shell find src -path src/bin -prune -o -type f -print)

$(BUILD)/$(kind)/libimgtask.a: $(sources) $(BUILD)/target
	@$(MAKE) --no-print-directory $(kind)

$(BUILD)/bin/imgtask: $(sources) $(shell find src/bin -type f) $(BUILD)/target
	@$(MAKE) --no-print-directory tool

# What machine is built for.
$(BUILD)/target: FORCE
	@mkdir -p $(BUILD); echo '$(CARGO_BUILD_TARGET)' | cmp -s - $@ || echo '$(CARGO_BUILD_TARGET)' >$@

.PHONY: FORCE
FORCE:

notices: ## THIRD-PARTY.md and imgtask.spdx.json, what others wrote that is linked in
	@$(PYTHON) packaging/inventory.py

header: ## include/imgtask.h, abi/symbols.txt and the bindings' declarations from the sources
	@bash abi/header.sh

# The tables are the end of their page.
schema: tool ## docs/dialect.schema.json and the tables of docs/dialects.md from the sources
	@$(BUILD)/bin/imgtask dialect schema > docs/dialect.schema.json
	@sed -i '/^<!-- members -->$$/q' docs/dialects.md
	@(echo; $(BUILD)/bin/imgtask dialect schema --table) >> docs/dialects.md

examples: lib ## the C and C++ examples, into build/examples; that of SDL2 where it is installed
	@mkdir -p $(BUILD)/examples
	@for source in examples/c/*.c; do $(call example,$$source,) || exit 1; done
	@if command -v $(firstword $(CXX)) >/dev/null; then \
	  for source in examples/cpp/*.cpp; do $(call example_cpp,$$source) || exit 1; done; \
	else echo "left out, not installed: examples/cpp needs a C++ compiler"; fi
	@if pkg-config --exists sdl2 2>/dev/null; then \
	  $(call example,examples/sdl2/frame_loop.c,$$(pkg-config --cflags --libs sdl2)); \
	else echo "left out, not installed: examples/sdl2 needs pkg-config and sdl2 (libsdl2-dev)"; fi

define example
$(CC) -std=c11 -O2 -Wall -Wextra -Werror -Iinclude $(1) -o $(BUILD)/examples/$$(basename $(1) .c) \
  -L$(BUILD)/lib -limgtask -Wl,-rpath,'$$ORIGIN/../lib' $(2)
endef

# Named apart: some are there in C, too.
define example_cpp
$(CXX) -std=c++17 -O2 -Wall -Wextra -Werror -Iinclude $(1) -o $(BUILD)/examples/$$(basename $(1) .cpp)_cpp \
  -L$(BUILD)/lib -limgtask -Wl,-rpath,'$$ORIGIN/../lib'
endef

bench: tool lib ## cost of a fetch and a download beside libcurl, of reading a body, of thousands of tasks, and of decoding beside frames
	@$(PYTHON) benches/run.py

# The book empties its folder: the reference comes after it. Links between the two are looked at last.
docs: ## the book and the references of C and C++, into build/book
	@mdbook=$$(bash tests/docs/mdbook.sh) && $$mdbook build docs
	@rm -rf $(BUILD)/book/theme $(BUILD)/book/book.toml $(BUILD)/book/*.js $(BUILD)/book/*.css $(BUILD)/book/toc.html $(BUILD)/book/fonts $(BUILD)/book/FontAwesome $(BUILD)/book/css
	@doxygen abi/Doxyfile && doxygen abi/Doxyfile.cpp
	@$(PYTHON) tests/docs/book.py $(BUILD)/book

SECONDS ?= 60
fuzz: ## what anybody may send, made up for SECONDS a target: see fuzz/README.md
	@bash fuzz/run.sh $(SECONDS)

lint: ## formatting and lints, as CI runs them
	@$(CARGO) fmt --check
	@$(CARGO) clippy --quiet --all-targets --features cli,header -- -D warnings
	@$(CARGO) clippy --quiet --lib -- -D warnings

clean: ## everything that was built
	@$(CARGO) clean
	@rm -rf $(BUILD) imgtask-demo
