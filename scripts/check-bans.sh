#!/usr/bin/env bash
# Refuses crates that must not be in the tree, for every target the lock file knows. The same bans
# stand in deny.toml; this needs nothing but cargo.
set -euo pipefail
cd "$(dirname "$0")/.."

# TLS is rustls with aws-lc-rs: a second provider (ring) makes rustls panic unless one is installed,
# and OpenSSL needs a system library.
banned=(ring openssl openssl-sys native-tls)
# The domain takes no time, no randomness and no I/O, not even through somebody else.
banned_in_domain=(tokio sqlx sqlx-core serde_json axum reqwest rand getrandom iana-time-zone)

# crates ARGUMENT…: the names of the crates in a tree.
crates() {
    cargo tree --locked --quiet --prefix none --format '{p}' "$@" | cut -d ' ' -f 1 | sort -u
}

# refuse WHERE TREE NAME…: says which of the names are in the tree.
refuse() {
    local where=$1 tree=$2 found
    shift 2
    found=$(printf '%s\n' "$@" | grep -Fxf - <(printf '%s\n' "$tree") || true)
    if [ -n "$found" ]; then
        printf 'banned in %s: %s\n' "$where" "$(paste -sd ' ' <<<"$found")" >&2
        return 1
    fi
}

status=0
tree=$(crates --workspace --target all)
refuse "the workspace" "$tree" "${banned[@]}" || status=1
tree=$(crates --package tranche-domain --edges normal)
refuse "the domain" "$tree" "${banned_in_domain[@]}" || status=1
if [ $status = 0 ]; then
    echo "no banned crate"
fi
exit $status
