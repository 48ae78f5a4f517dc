# The project's commands. `make run` and `make test` are all that a newcomer needs; they install libpcap's development
# package where it is missing, and nothing else.

CARGO ?= $(shell command -v cargo || echo "$$HOME/.cargo/bin/cargo")
CAPTURE ?= pcaps/nginx-ipv4.pcap
MAKEFLAGS += --no-print-directory

.DEFAULT_GOAL := help
.PHONY: help run build test fmt clippy unit doc fuzz-check bless bench record setup

help: ## this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## build, replay a bundled capture: alerts (NDJSON) on stdout, the summary on stderr
	@$(CARGO) run --quiet --release --locked -- -r $(CAPTURE)

build: setup ## build target/release/smsentry
	@$(CARGO) build --release --locked

test: setup fmt clippy unit doc fuzz-check ## the whole gate, the same at hand and in CI

fmt:
	$(CARGO) fmt --check

clippy: setup
	$(CARGO) clippy --all-targets --locked -- -D warnings

unit: setup
	$(CARGO) test --locked

doc: setup
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --locked --document-private-items

# The path only keeps libfuzzer-sys from building libFuzzer, which needs a C++ compiler; nothing is linked here.
fuzz-check: setup
	@if [ -f tests/fuzz/Cargo.toml ]; then set -x; \
	CUSTOM_LIBFUZZER_PATH=/nonexistent/libfuzzer.a $(CARGO) check --manifest-path tests/fuzz/Cargo.toml --locked; fi

bless: setup ## write the golden files anew from what smsentry says now; read the diff
	SMSENTRY_BLESS=1 $(CARGO) test --locked golden

bench: setup ## run the benchmarks of the stages (the whole program: benches/whole.sh)
	$(CARGO) bench --locked --bench stages
	@echo "The whole program beside tcpdump: benches/whole.sh [CAPTURE...]; see benches/README.md."

record: ## record pcaps/ again from nothing (root; see pcaps/README.md)
	pcaps/record.sh

setup: ## install libpcap's development package if it is missing; check the Rust toolchain
	@scripts/setup.sh "$(CARGO)" >&2
