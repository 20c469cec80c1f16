#!/bin/sh
# Installs what others wrote and tests judge by, into .judges/ at the top of the checkout: the official
# Stellar SDKs, an S3 server, a reader of Parquet. Python in .judges/venv, JavaScript in .judges/node.
# Does nothing when what is there was installed from the same lists.
set -eu

judges=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -- "$judges/../.." && pwd)
home=$root/.judges
mkdir -p "$home"

venv=$home/venv
if ! [ -x "$venv/bin/python" ] || ! cmp -s "$judges/requirements.txt" "$venv/installed.txt"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$judges/requirements.txt"
    cp "$judges/requirements.txt" "$venv/installed.txt"
fi

node=$home/node
if ! [ -d "$node/node_modules" ] || ! cmp -s "$judges/package-lock.json" "$node/installed.json"; then
    rm -rf "$node"
    mkdir -p "$node"
    cp "$judges/package.json" "$judges/package-lock.json" "$node/"
    (cd "$node" && npm ci --silent --ignore-scripts --no-audit --no-fund)
    cp "$judges/package-lock.json" "$node/installed.json"
fi
