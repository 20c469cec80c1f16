#!/usr/bin/env bash
# Measures which lines of the failsafe and queue code its own tests run: intake, queues, workers, ring, relay,
# losses, dead letters, meters and alerts of the application, the spool, and the Redis queue. The audit log
# behind them (search, copies, streams, tree, verification, retention, sealed details) is proven by the stores'
# contract and through the API instead, and left out by name: what is new is measured until it is named here.
# Prints a line for each file and fails below the least that is given. docs/requirements.md names the lines
# that no test runs. Our crates are built with counters, beside the others in the target folder.
#
#   scripts/coverage.sh                  as make coverage
#   scripts/coverage.sh --missing        also the lines that no test runs
#   scripts/coverage.sh --least 95       another limit, in per cent of the lines
#
# Needs rustup's llvm-tools (rustup component add llvm-tools) and redis-server.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=
least=99
while [ $# -gt 0 ]; do
    case $1 in
        --missing) missing=yes ;;
        --least)
            least=$2
            shift
            ;;
        *)
            echo "unknown: $1" >&2
            exit 2
            ;;
    esac
    shift
done

tools=$(dirname "$(find "$(rustc --print sysroot)/lib/rustlib" -name llvm-cov -print -quit)")
if [ ! -x "$tools/llvm-profdata" ]; then
    echo "llvm-tools were not found: rustup component add llvm-tools" >&2
    exit 1
fi
packages=(tranche-application tranche-adapters-spool tranche-adapters-redis)
measured=(crates/application/src/audit crates/adapters-spool/src crates/adapters-redis/src)
# Files and folders of the audit log behind the pipeline.
beyond=(erasure export filter follower reads retention search_terms searching sensitive spans tree verify)

home=$(mktemp -d "${TMPDIR:-/tmp}/tranche-coverage.XXXXXX")
trap 'rm -rf "$home"' EXIT
# Only our own crates count. In a fixed place: cargo keeps what each wrapper built apart.
mkdir -p target
printf '#!/bin/sh\nexec "$@" -Cinstrument-coverage\n' >target/rustc-coverage
chmod +x target/rustc-coverage
export RUSTC_WORKSPACE_WRAPPER=$PWD/target/rustc-coverage CARGO_INCREMENTAL=0
export LLVM_PROFILE_FILE=$home/profiles/%p-%m.profraw

selected=()
for package in "${packages[@]}"; do
    selected+=(--package "$package")
done
programs=$(cargo test --locked --no-run --message-format=json "${selected[@]}" |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')
# What the build scripts ran is nothing of ours.
rm -rf "$home/profiles"
cargo test --locked "${selected[@]}"

"$tools/llvm-profdata" merge --sparse --output "$home/merged" "$home"/profiles/*.profraw
# The first program is the tool's first argument, each other one an option.
objects=()
for program in $programs; do
    objects+=(${objects[0]+--object} "$program")
done
"$tools/llvm-cov" export --format=lcov --instr-profile "$home/merged" "${objects[@]}" \
    --ignore-filename-regex "/audit/($(IFS='|' && echo "${beyond[*]}"))(\.rs|/)|/tests\.rs$" \
    "${measured[@]/#/$PWD/}" >"$home/lines"
if [ -n "$missing" ]; then
    awk -F '[:,]' '/^SF:/ { sub(/.*\/crates\//, "crates/"); file = $0 }
        /^DA:/ && $3 == 0 { print file ":" $2 }' "$home/lines"
fi
awk -v least="$least" -F '[:,]' '
    /^SF:/ { sub(/.*\/crates\//, "crates/"); file = $0 }
    /^DA:/ { lines[file]++; if ($3 > 0) run[file]++ }
    END {
        for (file in lines) {
            printf "%6.1f %%  %4d of %4d lines  %s\n", run[file] * 100 / lines[file], run[file],
                lines[file], file | "sort -k 7"
            all += lines[file]
            hit += run[file]
        }
        close("sort -k 7")
        printf "%6.1f %%  %4d of %4d lines\n", hit * 100 / all, hit, all
        exit hit * 100 < least * all
    }' "$home/lines"
