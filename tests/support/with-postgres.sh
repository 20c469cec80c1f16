#!/usr/bin/env bash
# Runs a command with a throwaway PostgreSQL and always takes it away again:
#
#   tests/support/with-postgres.sh cargo nextest run
#
# The command finds the server's administrator URL in TRANCHE_TEST_POSTGRES_URL. Where that is set
# already, the server it names is used and none is started. TRANCHE_TEST_POSTGRES_FSYNC=off trades
# durability, which most tests don't need, for speed.
#
# The server is reachable on a loopback port and on a socket in its own folder, and by everybody on
# this machine: it holds nothing but what tests put there.
set -euo pipefail

if [ $# = 0 ]; then
    echo "usage: $0 COMMAND [ARGUMENT…]" >&2
    exit 2
fi
if [ -n "${TRANCHE_TEST_POSTGRES_URL:-}" ]; then
    exec "$@"
fi

# PGBIN, else what is on the path, else the newest that Debian installed.
find_bin() {
    local candidate
    if candidate=$(command -v initdb); then
        candidate=$(dirname "$(readlink -f "$candidate")")
    else
        candidate=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
    fi
    candidate=${PGBIN:-$candidate}
    if [ ! -x "$candidate/initdb" ] || [ ! -x "$candidate/postgres" ]; then
        echo "PostgreSQL's server programs were not found: run make setup, or set PGBIN" >&2
        return 1
    fi
    echo "$candidate"
}

bin=$(find_bin)
home=$(mktemp -d "${TMPDIR:-/tmp}/tranche-pg.XXXXXX")
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

(cd "$home" && ${run_as[@]+"${run_as[@]}"} "$bin/initdb" --pgdata="$home/data" --username=postgres \
    --auth=trust --encoding=UTF8 --locale=C --no-sync --no-instructions >"$home/initdb.log" 2>&1) || {
    cat "$home/initdb.log" >&2
    exit 1
}

# If this script is killed outright, the kernel stops the server.
leash=()
if setpriv --pdeathsig=QUIT true 2>/dev/null; then
    leash=(setpriv)
    if [ ${#run_as[@]} != 0 ]; then
        leash=("${run_as[@]}")
    fi
    leash+=(--pdeathsig=QUIT)
fi

# Nobody hands out free ports race-free: try until one is.
start() {
    local port=$1 waited=0
    (cd "$home" && exec ${leash[@]+"${leash[@]}"} "$bin/postgres" -D "$home/data" -p "$port" \
        -c listen_addresses=127.0.0.1 \
        -c unix_socket_directories="$home" \
        -c max_connections=200 \
        -c fsync="${TRANCHE_TEST_POSTGRES_FSYNC:-on}" \
        -c full_page_writes="${TRANCHE_TEST_POSTGRES_FSYNC:-on}" \
        -c log_min_messages=warning) >"$home/server.log" 2>&1 </dev/null &
    server=$!
    while kill -0 "$server" 2>/dev/null && [ $waited -lt 600 ]; do
        if "$bin/pg_isready" --quiet --host="$home" --port="$port"; then
            return 0
        fi
        sleep 0.05
        waited=$((waited + 1))
    done
    kill -QUIT "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=
    return 1
}

port=
for _ in 1 2 3 4 5 6 7 8; do
    try=$((20000 + RANDOM % 12000))
    if start "$try"; then
        port=$try
        break
    fi
done
if [ -z "$port" ]; then
    cat "$home/server.log" >&2
    exit 1
fi

export TRANCHE_TEST_POSTGRES_URL="postgres://postgres@127.0.0.1:$port/postgres"
# In the background, so that a signal to this script is not held up until the command is done.
"$@" <&0 &
command=$!
status=0
wait "$command" || status=$?
command=
exit "$status"
