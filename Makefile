# The project's commands. `make run` and `make test` are all that a newcomer needs; they install libpcap's development
# package and cargo-deny where they are missing, and nothing else.

CARGO ?= $(shell command -v cargo || echo "$$HOME/.cargo/bin/cargo")
CAPTURE ?= pcaps/nginx-ipv4.pcap
MAKEFLAGS += --no-print-directory

.DEFAULT_GOAL := help
SECONDS ?= 60
FUZZ_TARGETS ?= frame capture_file tcp_script http_stream uri defrag signature_file
# Rationale: the sensor's own code has `unsafe` only in sys/ and capture/libpcap_ffi.rs, and without it a run does eight times as much.
SANITIZER ?= none

.PHONY: attack scale help run build test fmt clippy unit doc msrv no-live fuzz fuzz-check bless bench dist deny record setup

help: ## this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## build, replay a bundled capture: alerts (NDJSON) on stdout, the summary on stderr
	@$(CARGO) run --quiet --release --locked -- -r $(CAPTURE)

build: setup ## build target/release/smsentry
	@$(CARGO) build --release --locked

test: setup fmt clippy deny unit doc no-live fuzz-check ## all checks, the same locally and in CI

fmt:
	$(CARGO) fmt --all --check
	$(CARGO) fmt --check --manifest-path tests/fuzz/Cargo.toml

clippy: setup
	$(CARGO) clippy --all-targets --locked -- -D warnings

unit: setup
	$(CARGO) test --locked

doc: setup
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --locked --document-private-items

no-live: setup
	$(CARGO) check --no-default-features --locked

msrv: setup ## check that everything builds; CI runs it with the oldest supported toolchain
	$(CARGO) check --locked --all-targets

# The path only keeps libfuzzer-sys from building libFuzzer, which needs a C++ compiler; nothing is linked here. The
# versions and the directory are those of the main package, so that little is built or fetched a second time.
fuzz-check: setup
	CUSTOM_LIBFUZZER_PATH=/nonexistent/libfuzzer.a $(CARGO) check --manifest-path tests/fuzz/Cargo.toml --locked \
	--target-dir "$${CARGO_TARGET_DIR:-target}"

# RUSTC_BOOTSTRAP: cargo-fuzz needs compiler options that a stable toolchain accepts only with it.
fuzz: setup ## fuzz each target, SECONDS=60 each; FUZZ_TARGETS="uri frame" and SANITIZER=address choose
	@command -v cargo-fuzz >/dev/null || [ -x "$$HOME/.cargo/bin/cargo-fuzz" ] || $(CARGO) install cargo-fuzz --locked
	SMSENTRY_FUZZ_CORPUS="$(CURDIR)/tests/fuzz/corpus" $(CARGO) test --locked --test it fuzz_cases::seeds
	@for target in $(FUZZ_TARGETS); do \
	echo "fuzz: $$target for $(SECONDS) s"; \
	RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run --fuzz-dir tests/fuzz --sanitizer $(SANITIZER) $$target -- \
	-max_total_time=$(SECONDS) -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 || exit 1; done

bless: setup ## rewrite the golden files from the current output; review the diff
	SMSENTRY_BLESS=1 $(CARGO) test --locked golden

attack: setup ## memory under attack in full, a few minutes
	$(CARGO) test --release --locked --test it limits::memory_under_attack_in_full -- --ignored --nocapture

scale: setup ## what a million patterns cost: time, memory, probes
	$(CARGO) test --release --locked --test it signature::scale:: -- --include-ignored --nocapture --test-threads=1

bench: setup ## run the benchmarks of the stages and of very many patterns (the whole program: benches/whole.sh)
	$(CARGO) bench --locked --bench stages --bench scale
	@echo "The whole program beside tcpdump: benches/whole.sh [CAPTURE...]; see benches/README.md."

dist: setup ## release binary with a profile recorded on the spot by cargo-pgo, stripped: target/dist/smsentry
	@scripts/dist.sh "$(CARGO)"

# Rationale: without the network the advisory database can't be fetched; licences and bans are checked all the same.
deny: setup ## check licences, bans, sources and advisories of all dependencies
	@command -v cargo-deny >/dev/null || [ -x "$$HOME/.cargo/bin/cargo-deny" ] || \
	{ echo "deny: installing cargo-deny (some minutes)" >&2; $(CARGO) install cargo-deny --locked --quiet; }
	$(CARGO) deny --locked check licenses bans sources
	@if $(CARGO) deny --locked fetch db >/dev/null 2>&1; then $(CARGO) deny --locked check advisories; \
	else echo "deny: advisories not checked: their database can't be fetched" >&2; fi

record: ## record pcaps/ again from the servers themselves (root; see pcaps/README.md)
	pcaps/record.sh

setup: ## install libpcap's development package if it is missing; check the Rust toolchain
	@scripts/setup.sh "$(CARGO)" >&2
