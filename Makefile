# graphc. `make demo` sets up and shows; `make check` tests; `make help` lists the rest.
#
# BUILD   folder of everything that is made (one a compiler: make CC=clang-14 BUILD=build-clang)
# CROSS   prefix of a cross compiler (make CROSS=aarch64-linux-gnu)
# DATA    folder of real models and tokenizers that some tests read
# N       random graphs of a run (make diff N=10000)
# ONLY    words: of the tests, only those whose path contains one (make unit ONLY=gguf)
# V=1     shows the commands

CROSS ?=
ifneq ($(filter default undefined,$(origin CC)),)
CC := $(if $(CROSS),$(CROSS)-)gcc
endif
PKG_CONFIG ?= $(if $(CROSS),$(CROSS)-)pkg-config
BUILD ?= build$(if $(CROSS),-$(CROSS))
DATA ?= ../shared/data
ONLY ?=
N ?= 300
PREFIX ?= /usr/local
export BUILD DATA ONLY N CC PKG_CONFIG

# Parallel unless told otherwise (an explicit -j wins), but `make clean all` keeps its order.
ifeq ($(MAKELEVEL)$(filter clean,$(MAKECMDGOALS)),0)
MAKEFLAGS += -j$(shell nproc)
endif
MAKEFLAGS += --no-builtin-rules --no-print-directory

OPTIMISE ?= -O2 -g
WARN = -Wall -Wextra -Wshadow -Wconversion $(WERROR)
WERROR ?= -Werror
PACKAGES = lua5.4 libcjson libxxhash libpcre2-8 libutf8proc
SANITIZE ?=
# Fused multiply-adds are written where they are meant: contraction would change bits by compiler.
override CFLAGS += -std=gnu11 $(OPTIMISE) $(WARN) $(SANITIZE) -ffp-contract=off -fno-math-errno -pthread -MMD -MP -I. \
          $(PACKAGE_CFLAGS)
LDLIBS = $(PACKAGE_LIBS) -pthread -lm
RUN_LDLIBS = $(EDIT_LIBS) $(LDLIBS)
# Without the packages these are empty: then `packages` below stops the build, `demo` and `check` install.
PACKAGE_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(PACKAGES) 2>/dev/null)
PACKAGE_LIBS := $(shell $(PKG_CONFIG) --libs $(PACKAGES) 2>/dev/null)
# Optional: graphrun's chat edits lines with it.
EDIT_LIBS := $(shell $(PKG_CONFIG) --libs libedit 2>/dev/null)
CHECK_LIBS := $(shell $(PKG_CONFIG) --libs check 2>/dev/null)
ARCH := $(shell $(CC) -dumpmachine 2>/dev/null | cut -d- -f1)

sources = $(wildcard $(1)/*.c $(1)/*/*.c)
objects = $(patsubst %.c,$(BUILD)/%.o,$(1))

BASE = $(call objects,$(filter-out graph/base/luahost%,$(wildcard graph/base/*.c)))
HOST = $(call objects,$(wildcard graph/base/luahost*.c))
GRAPH = $(call objects,$(wildcard graph/*.c))
KERNELS = $(call objects,$(wildcard kernels/*.c))
RUNTIME = $(call objects,$(call sources,runtime))
PASSES = $(call objects,$(wildcard passes/*.c))
FRONTENDS = $(call objects,$(call sources,frontends))
TOOLS_COMMON = $(call objects,$(wildcard tools/common/*.c))
TOOLS_COMPILER = $(call objects,$(wildcard tools/compiler/*.c))
TOOLS_RUN = $(call objects,$(wildcard tools/run/*.c))
TOOLS_QUANT = $(call objects,$(wildcard tools/quant/*.c))
PROGRAMS = $(BUILD)/graphc $(BUILD)/graphrun $(BUILD)/graphquant

# Programs that compile link everything; graphrun links no passes, no frontends, no graph but its base:
# the link itself shows that every decision was made at compile time.
COMPILER_OBJECTS = $(BASE) $(HOST) $(GRAPH) $(KERNELS) $(RUNTIME) $(PASSES) $(FRONTENDS)
RUNTIME_OBJECTS = $(BASE) $(HOST) $(KERNELS) $(RUNTIME)

UNIT_TESTS = $(patsubst %.c,$(BUILD)/%,$(wildcard tests/unit/test_*.c))
KERNEL_TESTS = $(patsubst %.c,$(BUILD)/%,$(wildcard tests/kernels/test_*.c))
RANDOM_GRAPHS = $(BUILD)/tests/diff/random_graphs
TOKENIZER_CASES = $(BUILD)/tests/diff/tokenizer/cases
TESTS = $(UNIT_TESTS) $(KERNEL_TESTS) $(RANDOM_GRAPHS) $(TOKENIZER_CASES)
BENCH = $(BUILD)/tests/bench/kernels
HARNESS = $(call objects,$(filter-out $(wildcard tests/*/test_*.c),\
                           $(wildcard tests/unit/*.c tests/kernels/*.c)))
# Tests that start threads: those that include a part of the runtime which does.
THREAD_TESTS = $(patsubst %.c,$(BUILD)/%,$(shell grep -lE \
                 '"runtime/(pool|exec|session|weights|weights_file|plan)\.h"' tests/unit/test_*.c 2>/dev/null))
FUZZERS = $(patsubst %.c,$(BUILD)/%,$(wildcard tests/fuzz/fuzz_*.c))

say = $(if $(V),,@printf '%s %s\n' $(1) $(2))
quiet = $(if $(V),,@)

.PHONY: all
all: $(PROGRAMS) ## graphc, graphrun and graphquant (the default)

.PHONY: demo
demo: ## sets up, builds, compiles the small model of the repository and lets it tell a story
	@echo 'demo: 1. packages  2. build  3. compile examples/tiny/tiny.gguf to a plan  4. run the plan'
	@tests/setup.sh
	@$(MAKE) all
	$(BUILD)/graphc examples/models/llama.lua -w examples/tiny/tiny.gguf -o $(BUILD)/tiny.plan
	$(BUILD)/graphrun $(BUILD)/tiny.plan -p "Once upon a time" -n 200 --seed 1 --echo --stats

.PHONY: check
check: ## sets up, builds, runs every test: unit, kernels, golden, diff, e2e and the layer rule
	@tests/setup.sh check
	@$(MAKE) everything
	@tests/run.sh unit kernels golden diff e2e layers

.PHONY: everything
everything: $(PROGRAMS) $(TESTS) ## the programs and all test programs, nothing run

.PHONY: unit kernels golden bless diff e2e
unit: $(UNIT_TESTS) ## the unit tests
	@tests/run.sh unit
kernels: $(KERNEL_TESTS) ## the kernels against their references
	@tests/run.sh kernels
golden: $(PROGRAMS) ## the golden tests (tests/README.md)
	@tests/run.sh golden
bless: $(PROGRAMS) ## writes what the golden tests print now as expected; review the diff
	@tests/run.sh bless
diff: $(PROGRAMS) $(RANDOM_GRAPHS) $(TOKENIZER_CASES) ## whole models against the oracle; N (300) random graphs
	@tests/run.sh diff
e2e: $(PROGRAMS) ## the programs as a user starts them
	@tests/run.sh e2e

.PHONY: bench bench-peers
bench: $(BENCH) $(PROGRAMS) ## kernels against the machine's limits (one thread), then synthetic models (ONLY=q4_0/T1, ONLY=model)
	@$(BENCH)
	@tests/bench/models.sh
bench-peers: $(PROGRAMS) ## the synthetic models against llama-cpp-python (PYTHON) and llama-bench (PEERS), turn by turn
	@tests/bench/models.sh peers

.PHONY: mutate
mutate: everything ## breaks each pass, rule and reference kernel in turn: some test must notice
	@tests/mutate.sh

.PHONY: lint fmt
lint: ## layers, link, text, top level; cppcheck, shellcheck and clang-format where installed
	@tests/lint.sh
fmt: ## formats every C file in place
	clang-format -i $$(find $(wildcard graph passes runtime frontends kernels tools tests) -name '*.[ch]')

# Sanitised compilers warn falsely about what their own code may leave unset: warnings stay warnings.
SANITIZED = OPTIMISE='-O1 -g -fno-omit-frame-pointer' WERROR=
.PHONY: sanitize asan ubsan tsan
sanitize: ## unit, kernels and golden under the address and undefined-behaviour sanitizers
	@$(MAKE) BUILD=build-sanitize $(SANITIZED) \
	    SANITIZE='-fsanitize=address,undefined -fno-sanitize-recover=all' everything
	@BUILD=build-sanitize CK_TIMEOUT_MULTIPLIER=5 tests/run.sh unit kernels golden
asan: ## the same under the address sanitizer alone
	@$(MAKE) BUILD=build-asan $(SANITIZED) SANITIZE=-fsanitize=address everything
	@BUILD=build-asan CK_TIMEOUT_MULTIPLIER=5 tests/run.sh unit kernels golden
ubsan: ## the same under the undefined-behaviour sanitizer alone
	@$(MAKE) BUILD=build-ubsan $(SANITIZED) \
	    SANITIZE='-fsanitize=undefined -fno-sanitize-recover=all' everything
	@BUILD=build-ubsan CK_TIMEOUT_MULTIPLIER=5 tests/run.sh unit kernels golden
tsan: ## the tests of the runtime's threads under the thread sanitizer
ifeq ($(THREAD_TESTS),)
	@echo 'skip: tsan: no test includes a part of the runtime that starts threads'
else
	@$(MAKE) BUILD=build-tsan $(SANITIZED) SANITIZE=-fsanitize=thread thread-tests
	@BUILD=build-tsan CK_TIMEOUT_MULTIPLIER=10 ONLY='$(notdir $(THREAD_TESTS))' tests/run.sh unit
endif

.PHONY: thread-tests
thread-tests: $(THREAD_TESTS)

CLANG ?= $(firstword $(foreach name,clang clang-14,$(shell command -v $(name))))
SECONDS ?= 60
.PHONY: fuzz
ifeq ($(CLANG),)
fuzz:
	@echo 'skip: fuzz: needs clang (apt-get install clang)'
else
fuzz: ## libFuzzer on the readers of models, tokenizers, templates, plans and graph text, SECONDS (60) each; needs clang
	@$(MAKE) all
	@$(MAKE) CC=$(CLANG) BUILD=build-fuzz OPTIMISE='-O1 -g' \
	    SANITIZE='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all' \
	    PLAIN_KERNELS=yes fuzzers
	@SECONDS_EACH=$(SECONDS) tests/fuzz/run.sh build-fuzz
endif

.PHONY: fuzzers
fuzzers: $(FUZZERS)

.PHONY: cov
cov: ## lines that unit, kernels and golden tests run, by file (gcov)
	@find build-cov -name '*.gcda' -delete 2>/dev/null || true
	@$(MAKE) CC=gcc BUILD=build-cov OPTIMISE='-O0 -g --coverage' everything
	@BUILD=build-cov tests/run.sh unit kernels golden
	@find build-cov -name '*.gcda' -not -path '*/tests/*' -exec gcov -n {} + 2>/dev/null | \
	    awk -F "[':% ]+" '/^File/ { file = $$2 } \
	        /^Lines executed/ && file ~ /^[a-z]/ { if (!($$3 < share[file])) share[file] = $$3; \
	            lines[file] = $$5; file = "" } \
	        END { for (file in share) { printf "%6.1f%% of %5d %s\n", share[file], lines[file], file; \
	            all += lines[file]; run += lines[file] * share[file] / 100 } \
	            if (all) printf "%6.1f%% of %5d ~ all\n", 100 * run / all, all }' | sort -k4

.PHONY: install uninstall
install: all ## programs to $(PREFIX)/bin, model scripts to $(PREFIX)/share/graphc/models (DESTDIR)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/graphc/models
	install -m 755 $(PROGRAMS) $(DESTDIR)$(PREFIX)/bin
	install -m 644 $(wildcard examples/models/*.lua) $(DESTDIR)$(PREFIX)/share/graphc/models
uninstall: ## removes what install wrote
	rm -f $(patsubst $(BUILD)/%,$(DESTDIR)$(PREFIX)/bin/%,$(PROGRAMS))
	rm -rf $(DESTDIR)$(PREFIX)/share/graphc

.PHONY: clean
clean: ## removes everything that was made
	rm -rf $(BUILD) build build-*

.PHONY: help
help: ## this list
	@sed -nE 's/^([a-z0-9]+):[^#]*## (.*)/  \1\t\2/p' Makefile | expand -t 14

# --- how things are made

$(BUILD)/%_avx2.o: ISA = $(if $(filter x86_64,$(ARCH)),-mavx2 -mfma -mf16c)
AVX512 = -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni
$(BUILD)/%_avx512.o: ISA = $(if $(filter x86_64,$(ARCH)),$(AVX512))
$(BUILD)/%_avx512bf16.o: ISA = $(if $(filter x86_64,$(ARCH)),$(AVX512) -mavx512bf16)

# The readers that are fuzzed run no kernel, and clang takes minutes to instrument the inlined tiles.
ifdef PLAIN_KERNELS
$(BUILD)/kernels/%.o: override SANITIZE =
endif

.PHONY: packages force
packages:
	@tests/setup.sh --check

# Changes only when compiler or flags do: then everything is made again.
$(BUILD)/flags: force
	@mkdir -p $(@D)
	@echo '$(CC) $(CFLAGS)' | cmp -s - $@ || echo '$(CC) $(CFLAGS)' > $@

$(BUILD)/tools/run/line_reader.o: override CFLAGS += $(if $(EDIT_LIBS),-DGRAPHC_LIBEDIT)

$(BUILD)/%.o: %.c $(BUILD)/flags | packages
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(quiet)$(CC) $(CFLAGS) $(ISA) -c $< -o $@

define link
	$(call say,LINK,$@)
	$(quiet)$(CC) $(CFLAGS) $(filter %.o,$^) -o $@
endef

$(BUILD)/graphc: $(call objects,tools/graphc.c) $(TOOLS_COMMON) $(TOOLS_COMPILER) $(COMPILER_OBJECTS)
	$(link) $(LDLIBS)

$(BUILD)/graphrun: $(call objects,tools/graphrun.c) $(TOOLS_COMMON) $(TOOLS_RUN) $(RUNTIME_OBJECTS)
	$(link) $(RUN_LDLIBS)

$(BUILD)/graphquant: $(call objects,tools/graphquant.c) $(TOOLS_COMMON) $(TOOLS_QUANT) \
                     $(BASE) $(HOST) $(GRAPH) $(KERNELS) $(RUNTIME) $(FRONTENDS)
	$(link) $(LDLIBS)

$(TESTS): %: %.o $(HARNESS) $(TOOLS_COMMON) $(TOOLS_COMPILER) $(COMPILER_OBJECTS)
	$(link) $(CHECK_LIBS) $(LDLIBS)

$(RANDOM_GRAPHS): $(filter-out $(RANDOM_GRAPHS).o,$(call objects,$(wildcard tests/diff/*.c)))

$(BENCH): $(call objects,$(wildcard tests/bench/*.c)) $(HARNESS) $(RUNTIME_OBJECTS)
	$(link) $(CHECK_LIBS) $(LDLIBS)

$(FUZZERS): %: %.o $(COMPILER_OBJECTS)
	$(link) -fsanitize=fuzzer $(LDLIBS)

$(BUILD)/tools/compiler/html.o: tools/compiler/viewer.html
$(BUILD)/runtime/text/chat_template.o: $(wildcard runtime/text/template/*.lua)

.DELETE_ON_ERROR:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
