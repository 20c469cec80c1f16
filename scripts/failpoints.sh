#!/usr/bin/env bash
# Builds the binary with failpoints, for the crash tests, and keeps it beside the normal one as
# tranche-failpoints; then puts the normal one back. Cargo keeps what it compiled for both.
set -euo pipefail
cd "$(dirname "$0")/.."

built=${CARGO_TARGET_DIR:-target}/debug
# As the rest of the workspace is built, so that the two differ in nothing else.
cargo build --locked --workspace --bin tranche --features tranche-api/failpoints
# Through a name of this run's own: the copy may be running, and another run may make one.
cp "$built/tranche" "$built/tranche-failpoints.$$"
mv "$built/tranche-failpoints.$$" "$built/tranche-failpoints"
cargo build --locked --workspace --bin tranche
