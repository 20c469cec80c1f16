#!/usr/bin/env bash
# Measures ingest end to end: over HTTP into the built service and on to rows in a throwaway
# PostgreSQL that flushes every commit to the disk; in the same run COPY into the same table, and
# the usual design in Node (a row a request, and a Redis list with a worker). Takes less than ten
# minutes once it is built. docs/performance.md says what it measures and what came of it.
#
#   scripts/bench-ingest.sh                              as make bench-ingest
#   scripts/bench-ingest.sh --quick                      a look in a minute
#   scripts/bench-ingest.sh --only COPY --rounds 1       some cells, by their names in the table
#   scripts/bench-ingest.sh --queue redis                with Redis Streams as the queue
#   scripts/bench-ingest.sh --sustain 600 --rate 10000   a rate held for ten minutes, watched
#   scripts/bench-ingest.sh --set TRANCHE_LOG=info       a setting of the service
#
# Needs, besides PostgreSQL: Node.js with npm, and redis-server (Debian: apt-get install redis-server).
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/bench-server.sh
needs initdb postgres pg_isready
for tool in node npm redis-server; do
    if ! command -v "$tool" >/dev/null; then
        echo "$tool was not found: run make setup, or on Debian apt-get install nodejs npm redis-server" >&2
        exit 1
    fi
done

cargo build --locked --release --package tranche-benches --bin bench-ingest
cargo build --locked --release --package tranche-api --bin tranche
release=$(realpath "${CARGO_TARGET_DIR:-target}/release")

reference=benches/reference
if ! cmp -s $reference/package-lock.json $reference/node_modules/installed.json; then
    (cd $reference && npm ci --silent --ignore-scripts --no-audit --no-fund)
    cp $reference/package-lock.json $reference/node_modules/installed.json
fi

# A row's time of commit is the database's own word on when it was there.
start_server -c track_commit_timestamp=on
export TMPDIR=$home
measure 3600 "$release/bench-ingest" --socket "$home" --port "$port" \
    --tranche "$release/tranche" --reference $reference "$@"
