# Sourced by the benchmarks: a throwaway PostgreSQL that flushes every commit to the disk, and a
# command beside it. Both are gone when the script that sourced this ends.
# shellcheck shell=bash

# PGBIN, else the newest that Debian installed, else what is on the path.
bin=${PGBIN:-$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)}
if [ -z "$bin" ]; then
    bin=$(dirname "$(readlink -f "$(command -v initdb || echo /none/initdb)")")
fi

# needs TOOL…: fails unless PostgreSQL has them.
needs() {
    local tool
    for tool in "$@"; do
        if [ ! -x "$bin/$tool" ]; then
            echo "PostgreSQL's $tool was not found: run make setup, or set PGBIN to the folder that holds it" >&2
            exit 1
        fi
    done
}

home=
port=5432
server=
command=

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
    if [ -n "$home" ]; then
        rm -rf "$home"
    fi
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
    cat "$1" >&2
    exit 1
}

# start_server OPTION…: starts it in $home, with these options of postgres besides the usual ones.
start_server() {
    local account waited=0 run_as=()
    home=$(mktemp -d "${TMPDIR:-/tmp}/tranche-bench.XXXXXX")
    # PostgreSQL refuses to run as root.
    if [ "$(id -u)" = 0 ]; then
        account=${TRANCHE_TEST_POSTGRES_USER:-postgres}
        if ! id "$account" >/dev/null 2>&1; then
            echo "PostgreSQL cannot run as root and there is no user $account: run make setup" >&2
            exit 1
        fi
        run_as=(setpriv "--reuid=$account" "--regid=$(id -gn "$account")" --init-groups)
        chown "$account" "$home"
    fi
    (cd "$home" && ${run_as[@]+"${run_as[@]}"} "$bin/initdb" --pgdata="$home/data" --username=postgres \
        --auth=trust --encoding=UTF8 --locale=C.UTF-8 --no-instructions >"$home/initdb.log" 2>&1) ||
        fail "$home/initdb.log"
    # A socket in its own folder and no port on the network, so that nobody can be in the way.
    (cd "$home" && exec ${run_as[@]+"${run_as[@]}"} "$bin/postgres" -D "$home/data" -p "$port" \
        -c listen_addresses= \
        -c unix_socket_directories="$home" \
        -c shared_buffers=1GB \
        -c max_wal_size=4GB \
        -c min_wal_size=4GB \
        -c fsync=on \
        -c synchronous_commit=on \
        "$@") >"$home/server.log" 2>&1 </dev/null &
    server=$!
    until "$bin/pg_isready" --quiet --host="$home" --port="$port"; do
        if ! kill -0 "$server" 2>/dev/null || [ $waited -ge 600 ]; then
            fail "$home/server.log"
        fi
        sleep 0.05
        waited=$((waited + 1))
    done
}

# measure SECONDS COMMAND…: runs it beside the server and ends with its status. It ends by itself;
# the limit is for a machine that has come to a halt.
measure() {
    local status=0
    timeout "$@" <&0 &
    command=$!
    wait "$command" || status=$?
    command=
    if [ $status != 0 ]; then
        tail -n 20 "$home/server.log" >&2
    fi
    exit "$status"
}
