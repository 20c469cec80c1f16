#!/usr/bin/env bash
# Keeps a throwaway Redis that has every write on the disk before it answers. Says its port, then
# does what each line of its input says and answers "done":
#
#   kill     as a power cut would         start    again, on what is on the disk
#   stop     as an operator would         pause    alive and silent, until resume
#
# When the input ends, however it ends, the server and its files go. It is reachable on a loopback
# port by everybody on this machine: it holds nothing but what tests put there.
set -euo pipefail

if ! command -v redis-server >/dev/null; then
    echo "redis-server was not found: run make setup" >&2
    exit 1
fi

home=$(mktemp -d "${TMPDIR:-/tmp}/tranche-redis.XXXXXX")
server=

end() {
    if [ -n "$server" ]; then
        kill "-$1" "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
        server=
    fi
}
finish() {
    end KILL
    rm -rf "$home"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# If this script is killed outright, the kernel stops the server.
leash=()
if setpriv --pdeathsig=KILL true 2>/dev/null; then
    leash=(setpriv --pdeathsig=KILL)
fi

start() {
    local waited=0
    ${leash[@]+"${leash[@]}"} redis-server --bind 127.0.0.1 --port "$port" --dir "$home" \
        --appendonly yes --appendfsync always --save '' --daemonize no \
        >>"$home/server.log" 2>&1 </dev/null &
    server=$!
    while kill -0 "$server" 2>/dev/null && [ $waited -lt 600 ]; do
        if [ "$(redis-cli -h 127.0.0.1 -p "$port" ping 2>/dev/null)" = PONG ]; then
            # Somebody else's server may have the port.
            if redis-cli -h 127.0.0.1 -p "$port" info server | grep -q "^process_id:$server"; then
                return 0
            fi
        fi
        sleep 0.05
        waited=$((waited + 1))
    done
    end KILL
    return 1
}

# Nobody hands out free ports race-free: try until one is.
for _ in 1 2 3 4 5 6 7 8; do
    port=$((20000 + RANDOM % 12000))
    if start; then
        break
    fi
done
if [ -z "$server" ]; then
    cat "$home/server.log" >&2
    exit 1
fi
echo "$port"

while read -r order; do
    case $order in
    kill) end KILL ;;
    stop) end TERM ;;
    start) start || { tail -n 20 "$home/server.log" >&2; exit 1; } ;;
    pause) kill -STOP "$server" ;;
    resume) kill -CONT "$server" ;;
    *)
        echo "not an order: $order" >&2
        exit 2
        ;;
    esac
    echo "done"
done
