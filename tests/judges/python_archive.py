"""Reads a file that expired events went into with a library that is not ours, and judges it.

usage: python_archive.py FILE.parquet

Written from docs/verify.md and docs/retention.md, and nothing else. The manifest beside the file must tell of
its SHA-256, its rows and its places in the tree; of each row the leaf is computed anew from its columns, and
must be the one beside them. Prints the leaves by their places as JSON; the first thing that is wrong ends it
with exit code 1 and a line on stderr.
"""

import hashlib
import json
import sys
from datetime import timezone
from pathlib import Path

import pyarrow.parquet


def canonical(value):
    """RFC 8785, for texts, integers and what is made of them."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def text(value):
    return None if value is None else str(value)


def time(value):
    return value.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def document(value):
    return None if value is None else json.loads(value)


def leaf(row):
    body = {
        "action": row["action"],
        "actor": {"id": row["actor_id"], "role": row["actor_role"]},
        "changes": document(row["changes"]),
        "details": document(row["details"]),
        "id": text(row["id"]),
        "ip_address": row["ip_address"],
        "metadata": document(row["metadata"]),
        "milestone_id": text(row["milestone_id"]),
        "new_status": row["new_status"],
        "occurred_at": time(row["occurred_at"]),
        "previous_status": row["previous_status"],
        "project_id": text(row["project_id"]),
        "request_id": row["request_id"],
        "resource_id": row["resource_id"],
        "resource_type": row["resource_type"],
        "severity": row["severity"],
        "user_agent": row["user_agent"],
    }
    record = {
        "action": row["action"],
        "body_sha256": hashlib.sha256(row["salt"] + canonical(body)).hexdigest(),
        "id": text(row["id"]),
        "new_status": row["new_status"],
        "previous_status": row["previous_status"],
        "recorded_at": time(row["recorded_at"]),
        "resource_id": row["resource_id"],
        "resource_type": row["resource_type"],
        "severity": row["severity"],
    }
    return hashlib.sha256(b"\x00" + canonical(record)).digest()


def need(holds, what):
    if not holds:
        sys.exit(f"wrong: {what}")


def main():
    path = Path(sys.argv[1])
    manifest = json.loads(path.with_suffix(".json").read_text())
    [told] = manifest["files"]
    need(told["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest(), "the file's SHA-256")
    rows = pyarrow.parquet.read_table(path).to_pylist()
    need(len(rows) == told["rows"] == manifest["rows"], "the number of rows")
    leaves = {}
    for row in rows:
        need(leaf(row) == row["leaf_hash"], f"the leaf of event {row['id']}")
        need(row["severity"] == manifest["severity"], f"the severity of event {row['id']}")
        leaves[row["leaf_index"]] = row["leaf_hash"].hex()
    need(min(leaves) == manifest["first_leaf"], "the first leaf")
    need(max(leaves) == manifest["last_leaf"], "the last leaf")
    print(json.dumps(leaves))


main()
