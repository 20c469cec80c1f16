#!/usr/bin/env bash
# The long runs of the audit pipeline, on a throwaway PostgreSQL and Redis: ROUNDS kills (100) on each
# queue, then the store away for OUTAGE_SECONDS (60), refusing and silent.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --locked --package tranche-api --bin tranche
exec bash tests/support/with-postgres.sh \
    cargo test --locked --package tranche-tests --test pipeline -- \
    --ignored --nocapture --test-threads 1 long
