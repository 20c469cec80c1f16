#!/usr/bin/env bash
# Runs every test with one throwaway PostgreSQL, and ends with the runner's summary.
# Arguments go to the runner, for example: scripts/test.sh -p tranche-domain
set -euo pipefail
cd "$(dirname "$0")/.."

if [ $# = 0 ]; then
    set -- --workspace
    # Suites start the binary: have it before they do, and the one with failpoints beside it.
    cargo build --locked --workspace
    bash scripts/failpoints.sh
    cargo test --locked --workspace --doc --quiet
fi

with=()
if [ -e tests/support/with-postgres.sh ]; then
    with=(bash tests/support/with-postgres.sh)
fi
if cargo nextest --version >/dev/null 2>&1; then
    exec ${with[@]+"${with[@]}"} cargo nextest run --locked "$@"
fi

# cargo test says how each suite went; add them up.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
${with[@]+"${with[@]}"} cargo test --locked --no-fail-fast "$@" 2>&1 | tee "$log" || status=$?
awk '
    $1 == "test" && $2 == "result:" { suites++; passed += $4; failed += $6; ignored += $8 }
    END { printf "Summary: %d suites, %d passed, %d failed, %d ignored\n", suites, passed, failed, ignored }
' "$log"
exit $status
