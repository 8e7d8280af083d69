# Elwood's front door. `make help` lists what there is.
#
# The order of a build: programs -> build/root.tar -> build/root.packed -> the kernel, which embeds that. cargo decides
# what is up to date; a file in build/ is replaced only when it changes.

SHARE   ?= $(CURDIR)
MACHINE ?= q35
MEM     ?= 512
SMP     ?= 1
ACCEL   ?= auto
ARGS    ?=
CASES   ?=
JOBS    ?= 2
# Other versions of QEMU that test-qemus tests with: what boot/qemu takes.
QEMUS   ?= trixie sid
# Of 'make attack', 'make soak' and 'make fuzz': seconds. A seed and a number of machines repeat what was seen.
TIME    ?= 60
SEED    ?=
MACHINES ?=
TARGETS ?=
# Of 'make test-exec-many': machines.
IN_A_ROW ?= 1000
AT_ONCE ?= 20
# Of 'make bench': words of rows' names, and how often each takes its turn. Of 'make profile': one row.
ROWS    ?=
ROUNDS  ?= 3
ROW     ?=
# Where 'make install' puts things.
PREFIX  ?= /usr/local
DESTDIR ?=
# Of the kernel: release, or checked, which looks after itself (lock order, arithmetic).
PROFILE ?= release

# Where cargo puts things; the environment's choice counts, as it does for cargo itself.
export CARGO_TARGET_DIR ?= $(CURDIR)/target
# Another QEMU than the one in PATH, for all that starts one. A path counts from here, wherever it is used.
ifdef QEMU
ifeq (,$(filter /%,$(QEMU)))
override QEMU := $(if $(findstring /,$(QEMU)),$(CURDIR)/)$(QEMU)
endif
export QEMU
endif
# The Rust that is used, whichever of those on this machine is new enough.
CARGO = boot/cargo
EXECUTABLE = sed -n 's/.*"executable":"\([^"]*\)".*/\1/p'
JSON = --message-format=json-render-diagnostics
BENCH = $(CARGO) run --quiet -p bench --
# Of the programs, those that are to be small.
SMALL = -p cmd --bin more --bin fsrules -p tls --bin tlsclient -p usertests --bin usertests
# Of the root, what the kernel's image has as it is: what runs as the machine starts, and all the time (bin/cat is the
# program with all of cmds). The rest is compressed.
PLAIN = bin/cat bin/rc rc lib usr adm/users adm/timezone/local
# Of the programs, what can run on the host.
PROGRAMS = -p lib9 -p cmd -p tls
FUZZED := $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))
CHOSEN = $(or $(foreach word,$(TARGETS),$(foreach name,$(FUZZED),$(if $(findstring $(word),$(name)),$(name)))),$(FUZZED))
NEXTEST := $(shell command -v cargo-nextest 2>/dev/null)

.PHONY: build run test test-host test-exec test-exec-many test-boot test-checked test-many test-qemus go-test attack attack-tools soak fuzz bench bench-insn test-insn profile check lint install uninstall clean deps help
.DEFAULT_GOAL := build

build: deps ## everything: build/kernel.elf, build/elwood, build/root.tar (what plain 'make' does)
	@mkdir -p build
	boot/kcargo build --profile fast -p cmd -p rc --bin cmds --bin rc $(JSON) >build/programs.json
	boot/kcargo build --profile small $(SMALL) $(JSON) >>build/programs.json
	@$(CARGO) run --quiet -p timezones -- build/timezone
	@boot/mkroot build/programs.json build/root.tar build/timezone
	@$(CARGO) run --quiet -p pack -- build/root.tar build/root.packed $(PLAIN)
	ELWOOD_ROOT=$(CURDIR)/build/root.packed boot/kcargo build --profile $(PROFILE) -p pc64 $(JSON) >build/kernel.json
	@boot/mksymbols "$$($(EXECUTABLE) build/kernel.json)" build/kernel.elf.new
	@cmp -s build/kernel.elf.new build/kernel.elf && rm build/kernel.elf.new || mv build/kernel.elf.new build/kernel.elf
	$(CARGO) build --release -p elwood $(JSON) >build/elwood.json
	@strip -o build/elwood.new "$$($(EXECUTABLE) build/elwood.json)"
	@cmp -s build/elwood.new build/elwood && rm build/elwood.new || mv build/elwood.new build/elwood

run: build ## boot it with SHARE (this folder) on /n/host; MACHINE=q35 MEM=512 SMP=1 ACCEL=auto ARGS=... QEMU=...
	@build/elwood run --share '$(SHARE):host' --machine $(MACHINE) -m $(MEM) --smp $(SMP) --accel $(ACCEL) $(ARGS)

test: test-host test-exec test-boot test-insn ## everything that can be tested; QEMU=/path/to/qemu-system-x86_64 for another one

test-host: deps ## the portable kernel, the programs' library and the tools, on the host
ifdef NEXTEST
	$(CARGO) nextest run --no-fail-fast
	$(CARGO) nextest run --no-fail-fast --lib $(PROGRAMS)
	$(CARGO) test --quiet --doc
else
	$(CARGO) test --no-fail-fast
	$(CARGO) test --no-fail-fast --lib $(PROGRAMS)
endif

test-boot: build ## boot real machines; CASES='words of their names' JOBS=2 SMP=4 for all (else 1, and 2 on microvm)
	@$(CARGO) build --quiet -p boottest
	@$(CARGO) run --quiet -p boottest -- --jobs $(JOBS) $(if $(filter-out file,$(origin SMP)),--smp $(SMP)) $(CASES)

test-insn: build ## fail if a system call, or other work of 'make bench', takes 5 % more instructions than are kept
	@$(BENCH) insn --short --rust "$$(boot/kcargo -V)"

# The checked kernel stays in build/, until plain 'make' builds the other one again. The attack's seed is one that takes
# all kinds of rounds.
test-checked: ## usertests and a short attack with the kernel that checks itself: locks, arithmetic, what calls take
	@$(MAKE) test-boot PROFILE=checked CASES='usertests/ smp/usertests'
	@$(MAKE) attack PROFILE=checked SEED=31 MACHINES=2 ARGS='-m 64 --smp 2 --rounds 4 --seconds 4'

test-exec: build ## 'elwood exec' with real machines, and tests of a few Go packages if Go is here
	@qemu=$${QEMU:-qemu-system-x86_64}; version=$$("$$qemu" --version) || { echo "QEMU=$$qemu is no QEMU"; exit 1; }; \
		echo "$$version" | sed 's/^/test-exec: /; q'
	$(CARGO) test --quiet -p elwood --test exec -- --ignored --test-threads=$(JOBS)
	@$(CARGO) run --quiet -p gotest -- --few --options '--accel $(ACCEL)'

# Binds and processes are at least as many as a program of a day's work makes; memory is scarce on purpose.
test-many: build ## 20,000 processes, 10,000 binds and mounts in 64 MiB; then test-exec-many
	build/elwood exec --accel $(ACCEL) -m 64 usertests -n 20 many.processes
	build/elwood exec --accel $(ACCEL) -m 64 usertests -n 5 many.binds
	build/elwood exec --accel $(ACCEL) -m 64 usertests -n 10 many.mounts
	@$(MAKE) test-exec-many

# It takes as long as so many machines take to boot: four minutes on a quiet host, and ten times that beside others.
test-exec-many: build ## IN_A_ROW=1000 'elwood exec' one after the other, then AT_ONCE=20
	IN_A_ROW=$(IN_A_ROW) AT_ONCE=$(AT_ONCE) $(CARGO) test --quiet -p elwood --test exec again_and_again -- --ignored

test-qemus: build ## test-exec and test-boot with each of QEMUS='trixie sid', which boot/qemu fetches
	@failed=; for name in $(QEMUS); do \
		qemu=$$(boot/qemu "$$name") && $(MAKE) -k test-exec test-boot QEMU="$$qemu" || failed="$$failed $$name"; \
	done; test -z "$$failed" || { echo "test-qemus: failed with QEMU of$$failed" >&2; exit 1; }

go-test: build ## tests of Go's standard library in Elwood; GO=1.24.11 PKGS='os io' JOBS=2; fetches Go at first
	@$(CARGO) run --quiet -p gotest -- $(if $(GO),--go '$(GO)') $(if $(PKGS),--packages '$(PKGS)') --jobs $(JOBS) \
		--options '--accel $(ACCEL)'

attack: attack-tools ## do the worst to machines by seed: TIME=60 SEED=... MACHINES=... ARGS='--only calls -m 64 --smp 2'
	@$(CARGO) run --quiet -p attack -- --time $(TIME) $(if $(SEED),--seed $(SEED)) \
		$(if $(MACHINES),--machines $(MACHINES)) $(ARGS)

soak: attack-tools ## honest work for a long time, results compared: TIME=60 SEED=... ARGS='-m 64 --smp 2'
	@$(CARGO) run --quiet -p attack -- --soak --time $(TIME) $(if $(SEED),--seed $(SEED)) $(ARGS)

# The program that attacks from inside is not in the root.
attack-tools: build ## what attack and soak need, without running it
	boot/kcargo build --release -p attack9 $(JSON) >build/attack9.json
	@strip -o build/attack9 "$$($(EXECUTABLE) build/attack9.json)"
	@$(CARGO) build --quiet -p attack

fuzz: deps ## fuzz all that reads bytes from outside, each TIME=60; TARGETS='words of their names'; SEED=... ARGS=...
	@if command -v cargo-fuzz >/dev/null && rustup toolchain list 2>/dev/null | grep -q nightly; then \
		for target in $(CHOSEN); do \
			cargo +nightly fuzz run $$target -- -max_total_time=$(TIME) || exit 1; \
		done; \
	else \
		CARGO_PROFILE_RELEASE_PANIC=unwind $(CARGO) run --quiet --release -p fuzzer -- --time $(TIME) $(if $(SEED),--seed $(SEED)) $(ARGS) $(TARGETS); \
	fi

bench: build ## time it beside a Linux guest and QEMU alone: ROUNDS=3 SMP=1 MACHINE=q35 ROWS='words of names' ARGS=...
	@boot/deps bench
	@$(BENCH) time --rounds $(ROUNDS) --smp $(SMP) --machine $(MACHINE) --rows '$(ROWS)' $(ARGS)

bench-insn: build ## count its instructions, which no load changes: ROWS='words of names'; ARGS=--keep keeps them
	@boot/deps bench
	@$(BENCH) insn --rows '$(ROWS)' --rust "$$(boot/kcargo -V)" $(ARGS)

profile: build ## instructions of a row by the kernel's functions: ROW=cpu.getppid, or words; ARGS='--most 30'
	@boot/deps bench
	@$(BENCH) profile $(ARGS) '$(ROW)'

check: lint test ## fmt, clippy and test: what CI does

lint: ## the source's form: fmt, clippy and the width of lines, without changing anything
	@boot/deps lint
	$(CARGO) fmt --all --check
	$(CARGO) clippy --all-targets -- -D warnings
	ELWOOD_ROOT=/dev/null boot/kcargo clippy -p pc64 -p cmd -p rc -p tls -p usertests -p attack9 -- -D warnings
	$(CARGO) test --quiet -p boottest --test papers no_line_is_wide

install: ## what 'make' has built, below PREFIX=/usr/local: the command elwood, its kernel, its manual page, completions
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' tools/elwood/install build/elwood build/kernel.elf

uninstall: ## remove what 'make install' put below PREFIX
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' tools/elwood/install -u

clean: ## remove all that was built
	rm -rf build target

deps: ## install what is missing on Debian or Ubuntu
	@boot/deps

help: ## this list
	@sed -n 's/^\([a-z][a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12
