# Everything here is a short command or a script in scripts/; read those for the details.
.DEFAULT_GOAL := help
.PHONY: help setup run test lint coverage crash crash-audit bench-critical bench-ingest bench-query bench-trails clean

help: ## What there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install what the tests need and is missing (Debian; fast when all is there)
	@bash scripts/setup.sh

run: ## Build and start a demo on this machine: nothing else is needed
	cargo build --locked --package tranche-api --bin tranche
	target/debug/tranche demo

test: setup ## Build and run every test, on a throwaway PostgreSQL
	bash scripts/test.sh

lint: ## Format, lints, banned crates, stray words
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	bash scripts/check-bans.sh
	bash scripts/check-words.sh
	@if cargo deny --version >/dev/null 2>&1; then \
		cargo deny --locked check bans licenses sources; \
	else \
		echo "cargo-deny is not installed: its licence and source checks were left out"; \
	fi

coverage: ## Which lines of the failsafe and queue code their own tests run
	bash scripts/coverage.sh

crash: ## Kill the service at every step of a burn; ROUNDS=1000 kills at random (STORE=, SEED=)
	bash scripts/crash.sh

crash-audit: ## Kill the audit pipeline ROUNDS=100 times, and take its store away for a minute
	bash scripts/crash-audit.sh

bench-critical: ## Measure the critical path: disburse, settle, audit
	bash scripts/bench-critical.sh

bench-ingest: ## Measure ingest: HTTP to rows, beside COPY and a usual design in Node
	bash scripts/bench-ingest.sh

bench-query: ## Measure questions to a log of ten million events
	bash scripts/bench-query.sh

bench-trails: ## Measure ten million assessment trails
	bash scripts/bench-trails.sh

clean: ## Remove what was built
	cargo clean
