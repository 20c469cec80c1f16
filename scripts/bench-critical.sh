#!/usr/bin/env bash
# Measures approving and settling through the application service against the same transactions in
# pgbench, on a throwaway PostgreSQL that flushes every commit to the disk. Takes less than five
# minutes once it is built. docs/performance.md says what it measures and what came of it.
#
#   scripts/bench-critical.sh                           as make bench-critical
#   scripts/bench-critical.sh --rounds 1 --percent 20   a look in half a minute
set -euo pipefail
cd "$(dirname "$0")/.."

# PGBIN, else the newest that Debian installed, else what is on the path.
bin=${PGBIN:-$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)}
if [ -z "$bin" ]; then
    bin=$(dirname "$(readlink -f "$(command -v initdb || echo /none/initdb)")")
fi
for tool in initdb postgres pg_isready pgbench; do
    if [ ! -x "$bin/$tool" ]; then
        echo "PostgreSQL's $tool was not found: run make setup, or set PGBIN to the folder that holds it" >&2
        exit 1
    fi
done

cargo build --locked --release --package tranche-benches --bin bench-critical
bench=${CARGO_TARGET_DIR:-target}/release/bench-critical

home=$(mktemp -d "${TMPDIR:-/tmp}/tranche-bench.XXXXXX")
server=
command=

# PostgreSQL refuses to run as root.
run_as=()
if [ "$(id -u)" = 0 ]; then
    account=${TRANCHE_TEST_POSTGRES_USER:-postgres}
    if ! id "$account" >/dev/null 2>&1; then
        echo "PostgreSQL cannot run as root and there is no user $account: run make setup" >&2
        exit 1
    fi
    run_as=(setpriv "--reuid=$account" "--regid=$(id -gn "$account")" --init-groups)
    chown "$account" "$home"
fi

finish() {
    trap '' INT TERM
    if [ -n "$command" ]; then
        kill "$command" 2>/dev/null || true
        wait "$command" 2>/dev/null || true
    fi
    if [ -n "$server" ]; then
        # QUIT: no clean shutdown, since nobody will start it again.
        kill -QUIT "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$home"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
    cat "$1" >&2
    exit 1
}

(cd "$home" && ${run_as[@]+"${run_as[@]}"} "$bin/initdb" --pgdata="$home/data" --username=postgres \
    --auth=trust --encoding=UTF8 --locale=C.UTF-8 --no-instructions >"$home/initdb.log" 2>&1) ||
    fail "$home/initdb.log"

# A socket in its own folder and no port on the network, so that nobody can be in the way.
port=5432
(cd "$home" && exec ${run_as[@]+"${run_as[@]}"} "$bin/postgres" -D "$home/data" -p "$port" \
    -c listen_addresses= \
    -c unix_socket_directories="$home" \
    -c shared_buffers=1GB \
    -c max_wal_size=4GB \
    -c min_wal_size=4GB \
    -c fsync=on \
    -c synchronous_commit=on) >"$home/server.log" 2>&1 </dev/null &
server=$!
waited=0
until "$bin/pg_isready" --quiet --host="$home" --port="$port"; do
    if ! kill -0 "$server" 2>/dev/null || [ $waited -ge 600 ]; then
        fail "$home/server.log"
    fi
    sleep 0.05
    waited=$((waited + 1))
done

# It ends by itself; the limit is for a machine that has come to a halt.
timeout 300 "$bench" --socket "$home" --port "$port" --pgbench "$bin/pgbench" "$@" <&0 &
command=$!
status=0
wait "$command" || status=$?
command=
if [ $status != 0 ]; then
    tail -n 20 "$home/server.log" >&2
fi
exit "$status"
