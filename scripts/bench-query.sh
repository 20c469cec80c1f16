#!/usr/bin/env bash
# Measures questions to a log of ten million events over two years, in a throwaway PostgreSQL: through
# the port and over HTTP, beside the same in plain SQL and beside a table of the usual design with the
# same rows. docs/performance.md says what it measures and what came of it.
#
#   scripts/bench-query.sh                  as make bench-query: half an hour, 25 GB of disk, 20 GB of memory
#   scripts/bench-query.sh --quick          two million events: some minutes, 6 GB
#   scripts/bench-query.sh --rows 50000000  as many as you like
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/bench-server.sh
needs initdb postgres pg_isready

cargo build --locked --release --package tranche-benches --bin bench-query
cargo build --locked --release --package tranche-api --bin tranche
release=$(realpath "${CARGO_TARGET_DIR:-target}/release")

# The log fits into the server's cache, and what is made once need not be kept for long. A row's time
# of commit is the database's own word on when it was there.
start_server -c shared_buffers=17GB -c track_commit_timestamp=on -c maintenance_work_mem=512MB \
    -c max_wal_size=3GB -c min_wal_size=256MB -c wal_level=minimal -c max_wal_senders=0
export TMPDIR=$home
measure 14400 "$release/bench-query" --socket "$home" --port "$port" --tranche "$release/tranche" "$@"
