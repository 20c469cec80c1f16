#!/usr/bin/env bash
# Measures approving and settling through the application service against the same transactions in
# pgbench, on a throwaway PostgreSQL that flushes every commit to the disk. Takes less than five
# minutes once it is built. docs/performance.md says what it measures and what came of it.
#
#   scripts/bench-critical.sh                           as make bench-critical
#   scripts/bench-critical.sh --rounds 1 --percent 20   a look in half a minute
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/bench-server.sh
needs initdb postgres pg_isready pgbench

cargo build --locked --release --package tranche-benches --bin bench-critical

start_server
measure 300 "${CARGO_TARGET_DIR:-target}/release/bench-critical" \
    --socket "$home" --port "$port" --pgbench "$bin/pgbench" "$@"
