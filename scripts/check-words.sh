#!/usr/bin/env bash
# Refuses what belongs to one machine and not to the project: absolute paths of somebody's checkout
# or home, and package sources other than the public registries. Reads tracked files, or the files
# given as arguments.
set -euo pipefail
cd "$(dirname "$0")/.."

files() {
    if [ $# -gt 0 ]; then
        printf '%s\0' "$@"
    else
        git ls-files -z
    fi
}

# Written with brackets, so that this file does not match itself.
paths='(^|[^A-Za-z0-9_.})-])/(wor[k]|roo[t]|far[m]|hom[e]/[a-z][a-z0-9_-]*|User[s]/[A-Za-z][A-Za-z0-9_-]*)/'
sources='(inde[x]-url|replace-wit[h]|extra-inde[x]|npm_config_registr[y]|CARGO_REGISTRIE[S]_)'

status=0
# refuse WHAT LINES
refuse() {
    if [ -n "$2" ]; then
        printf '%s:\n%s\n' "$1" "$2" >&2
        status=1
    fi
}

found=$(files "$@" | xargs -0 -r grep -nIE -- "$paths" /dev/null || true)
refuse "a path of one machine" "$found"

found=$(files "$@" | xargs -0 -r grep -nIE -- "$sources" /dev/null || true)
refuse "a private package source" "$found"

# Lock files name the hosts that packages came from.
found=$(files "$@" | grep -zE '(^|/)Cargo\.lock$' \
    | xargs -0 -r grep -nE '^source = ' /dev/null \
    | grep -vF '"registry+https://github.com/rust-lang/crates.io-index"' || true)
refuse "a crate that is not from crates.io" "$found"
found=$(files "$@" | grep -zE '(^|/)package-lock\.json$' \
    | xargs -0 -r grep -nE '"resolved": ' /dev/null \
    | grep -vF '"https://registry.npmjs.org/' || true)
refuse "a package that is not from npm's own registry" "$found"

if [ $status = 0 ]; then
    echo "no words of one machine"
fi
exit $status
