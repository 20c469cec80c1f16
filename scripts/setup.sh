#!/usr/bin/env bash
# Installs what the tests need beyond Rust, and only what is missing: the servers of PostgreSQL and
# Redis, Python with venv, Node.js with npm, and what judges from outside: the official Stellar
# SDKs, an S3 server, a reader of Parquet. Nothing of it is needed to build or to run Tranche.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v cargo >/dev/null; then
    echo "Rust is missing: install it from https://rustup.rs and come back" >&2
    exit 1
fi

has_postgres() {
    [ -n "${PGBIN:-}" ] || command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null
}
has_redis() {
    command -v redis-server >/dev/null && command -v redis-cli >/dev/null
}
has_venv() {
    python3 -c 'import ensurepip, venv' 2>/dev/null
}
has_node() {
    command -v node >/dev/null && command -v npm >/dev/null
}

missing=()
# A server elsewhere will do as well.
if [ -z "${TRANCHE_TEST_POSTGRES_URL:-}" ]; then
    has_postgres || missing+=(postgresql-15)
fi
has_redis || missing+=(redis-server)
has_venv || missing+=(python3-venv)
has_node || missing+=(nodejs npm)

if [ ${#missing[@]} -gt 0 ]; then
    if ! command -v apt-get >/dev/null; then
        cat >&2 <<TEXT
Missing: ${missing[*]} (by their Debian names).
This script installs them on Debian and its relatives. Elsewhere, please install them with your own
package manager; for PostgreSQL either put initdb on the PATH, set PGBIN to the folder that holds
it, or set TRANCHE_TEST_POSTGRES_URL to a server where the tests may create databases.
TEXT
        exit 1
    fi
    as_root=()
    if [ "$(id -u)" != 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "Missing: ${missing[*]}. Install them as root, or install sudo." >&2
            exit 1
        fi
        as_root=(sudo)
    fi
    apt() {
        ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@"
    }
    apt update
    # Another release of the distribution has another PostgreSQL.
    for at in "${!missing[@]}"; do
        if [ "${missing[$at]}" = postgresql-15 ] && ! apt-cache show postgresql-15 >/dev/null 2>&1; then
            missing[at]=postgresql
        fi
    done
    echo "installing: ${missing[*]}"
    had_redis=$(command -v redis-server || true)
    apt install --no-install-recommends "${missing[@]}"
    # Debian starts what it installs; the tests have servers of their own.
    if [ -z "$had_redis" ] && command -v systemctl >/dev/null && [ -d /run/systemd/system ]; then
        ${as_root[@]+"${as_root[@]}"} systemctl disable --now redis-server
    fi
fi

if [ -e tests/judges/install.sh ]; then
    sh tests/judges/install.sh
fi
echo "everything that the tests need is there"
