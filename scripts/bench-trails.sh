#!/usr/bin/env bash
# Measures assessment trails in a throwaway PostgreSQL that has ten million of them over a year: through
# the port, beside the same in plain SQL and beside a table of the usual design with the same trails.
# docs/performance.md says what it measures and what came of it.
#
#   scripts/bench-trails.sh                  as make bench-trails: half an hour, 25 GB of disk, 20 GB of memory
#   scripts/bench-trails.sh --quick          a million trails: some minutes, 3 GB
#   scripts/bench-trails.sh --rows 50000000  as many as you like
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/bench-server.sh
needs initdb postgres pg_isready

cargo build --locked --release --package tranche-benches --bin bench-trails
release=$(realpath "${CARGO_TARGET_DIR:-target}/release")

# All of it fits into the server's cache, and what is made once need not be kept for long.
start_server -c shared_buffers=16GB -c maintenance_work_mem=512MB -c max_wal_size=3GB \
    -c min_wal_size=256MB -c wal_level=minimal -c max_wal_senders=0
export TMPDIR=$home
measure 14400 "$release/bench-trails" --socket "$home" --port "$port" "$@"
