#!/usr/bin/env bash
# The long crash tests, on a throwaway PostgreSQL: the whole matrix, or ROUNDS of random kills.
# STORE=sqlite|postgres is one store instead of both; SEED=… replays the decisions of a run.
set -euo pipefail
cd "$(dirname "$0")/.."

bash scripts/failpoints.sh
run=long::matrix
if [ -n "${ROUNDS:-}" ]; then
    run=long::random
    sh tests/judges/install.sh
fi
export TRANCHE_TEST_POSTGRES_FSYNC=${TRANCHE_TEST_POSTGRES_FSYNC:-off}
exec bash tests/support/with-postgres.sh \
    cargo test --locked --package tranche-tests --test crash -- \
    --ignored --exact --nocapture "$run"
