"""Checks the audit log from outside, knowing its verifier key alone.

usage: python_log.py URL VERIFIER_KEY [API_KEY [EVENT_ID…]] [--former FILE]

Written from C2SP (tlog-tiles, tlog-checkpoint, signed-note) and RFC 6962, and nothing else. Fetches the
checkpoint and checks its signature; fetches every tile and computes the root from them; with an API key
fetches every record and hashes it, and checks the inclusion proof of each event named. With --former it
checks that the tree extends the checkpoint in FILE. Prints what it found as JSON; the first thing that is
wrong ends it with exit code 1 and a line on stderr.
"""

import base64
import hashlib
import json
import sys
import urllib.error
import urllib.request

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

WIDTH = 256


class Wrong(Exception):
    """What an outsider would raise the alarm for."""


def need(holds, what):
    if not holds:
        raise Wrong(what)


class Log:
    def __init__(self, url, api_key):
        self.url = url.rstrip("/")
        self.api_key = api_key

    def get(self, path, credential=False):
        request = urllib.request.Request(self.url + path)
        if credential:
            request.add_header("Authorization", "Bearer " + self.api_key)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise Wrong(f"{path}: {error.code} {error.read().decode()}") from error

    def tile(self, kind, number, width, credential=False):
        """`kind` is a level, or `entries`."""
        groups = []
        rest = number
        while True:
            rest, group = divmod(rest, 1000)
            groups.insert(0, f"{group:03}")
            if rest == 0:
                break
        name = "/".join(["x" + group for group in groups[:-1]] + groups[-1:])
        part = "" if width == WIDTH else f".p/{width}"
        return self.get(f"/tile/{kind}/{name}{part}", credential)


def leaf_hash(record):
    return hashlib.sha256(b"\x00" + record).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def split(size):
    """The largest power of two smaller than the size."""
    return 1 << ((size - 1).bit_length() - 1)


def tree_hash(hashes):
    """MTH of RFC 6962, 2.1, over leaf hashes."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    at = split(len(hashes))
    return node_hash(tree_hash(hashes[:at]), tree_hash(hashes[at:]))


def root_of_path(index, size, leaf, path):
    """PATH of RFC 6962, 2.1.1, from the top down: the last hash is the root's other child."""
    if size == 1:
        need(not path, "an inclusion proof is too long")
        return leaf
    need(path, "an inclusion proof is too short")
    at = split(size)
    if index < at:
        return node_hash(root_of_path(index, at, leaf, path[:-1]), path[-1])
    return node_hash(path[-1], root_of_path(index - at, size - at, leaf, path[:-1]))


def roots_of_proof(former, size, is_whole, former_root, proof):
    """SUBPROOF of RFC 6962, 2.1.2, from the top down: the roots of the former tree and of this one."""
    if former == size:
        if is_whole:
            need(not proof, "a consistency proof is too long")
            return former_root, former_root
        need(len(proof) == 1, "a consistency proof has the wrong length")
        return proof[0], proof[0]
    need(proof, "a consistency proof is too short")
    at = split(size)
    if former <= at:
        was, left = roots_of_proof(former, at, is_whole, former_root, proof[:-1])
        return was, node_hash(left, proof[-1])
    was, right = roots_of_proof(former - at, size - at, False, former_root, proof[:-1])
    return node_hash(proof[-1], was), node_hash(proof[-1], right)


def check_note(note, verifier):
    """Size and root of a checkpoint that the key has signed."""
    name, key_id, key = verifier.split("+", 2)
    key = base64.b64decode(key, validate=True)
    need(len(key) == 33 and key[0] == 1, "the verifier key is no Ed25519 key")
    expected = hashlib.sha256(name.encode() + b"\n" + key).digest()[:4]
    need(bytes.fromhex(key_id) == expected, "the verifier key's id is not its own")
    text, blank, signatures = note.rpartition("\n\n")
    need(blank and signatures.endswith("\n"), "the checkpoint is no signed note")
    text += "\n"
    signed = False
    for line in signatures.splitlines():
        need(line.startswith("\u2014 "), "a signature does not begin with a dash")
        signer, signature = line[2:].split(" ", 1)
        signature = base64.b64decode(signature, validate=True)
        if signer != name or signature[:4] != expected:
            continue
        try:
            VerifyKey(key[1:]).verify(text.encode(), signature[4:])
        except (BadSignatureError, ValueError) as error:
            raise Wrong("the checkpoint's signature is wrong") from error
        signed = True
    need(signed, "the log's key has not signed the checkpoint")
    origin, size, root = text.split("\n")[:3]
    need(origin == name, "the checkpoint is of another log")
    need(str(int(size)) == size, "the size is not written as a number is")
    root = base64.b64decode(root, validate=True)
    need(len(root) == 32, "the root is no SHA-256 hash")
    return int(size), root


def check_tiles(log, size):
    """The leaf hashes, from every tile; each level is made of the one below."""
    below, level, leaves = None, 0, None
    count = size
    while count:
        hashes = []
        for number in range((count + WIDTH - 1) // WIDTH):
            width = min(WIDTH, count - number * WIDTH)
            tile = log.tile(level, number, width)
            need(len(tile) == 32 * width, f"tile {number} of level {level} has the wrong length")
            hashes += [tile[at : at + 32] for at in range(0, len(tile), 32)]
        if below is None:
            leaves = hashes
        else:
            for number, made in enumerate(hashes):
                under = below[number * WIDTH : (number + 1) * WIDTH]
                need(made == tree_hash(under), f"hash {number} of level {level} is not of those below")
        below, level, count = hashes, level + 1, count // WIDTH
    return leaves or []


def check_records(log, leaves):
    """Every record, each hashed; in JSON as RFC 8785 writes it, which needs no more than this here."""
    records = []
    for number in range((len(leaves) + WIDTH - 1) // WIDTH):
        width = min(WIDTH, len(leaves) - number * WIDTH)
        tile = log.tile("entries", number, width, credential=True)
        for _ in range(width):
            length = int.from_bytes(tile[:2], "big")
            record, tile = tile[2 : 2 + length], tile[2 + length :]
            need(len(record) == length, f"the records of tile {number} are cut off")
            records.append(record)
        need(not tile, f"the records of tile {number} go on")
    for index, (record, leaf) in enumerate(zip(records, leaves, strict=True)):
        need(leaf_hash(record) == leaf, f"record {index} is not what was hashed")
        value = json.loads(record)
        written = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        need(written.encode() == record, f"record {index} is not written canonically")
    return [json.loads(record) for record in records]


def check_event(log, verifier, event):
    proof = json.loads(log.get(f"/v1/audit/events/{event}/proof", credential=True))
    size, root = check_note(proof["checkpoint"], verifier)
    need(size == proof["tree_size"], "the proof is of another tree than its checkpoint")
    record = proof["leaf_record"].encode()
    need(json.loads(record)["id"] == event, "the record is of another event")
    path = [base64.b64decode(hash, validate=True) for hash in proof["path"]]
    index = proof["leaf_index"]
    need(0 <= index < size, "the leaf is outside of the tree")
    made = root_of_path(index, size, leaf_hash(record), path)
    need(made == root, f"the proof of {event} leads to another root")
    return index


def check_former(log, former, now):
    (former_size, former_root), (size, root) = former, now
    need(former_size <= size, "the tree is smaller than it was")
    path = f"/v1/audit/consistency?from={former_size}&to={size}"
    proof = json.loads(log.get(path, credential=True))
    hashes = [base64.b64decode(hash, validate=True) for hash in proof["hashes"]]
    if former_size == 0:
        need(not hashes and former_root == tree_hash([]), "the empty tree had another root")
        return
    was, made = roots_of_proof(former_size, size, True, former_root, hashes)
    need(was == former_root and made == root, "the tree does not extend the former one")


def main(arguments):
    former = None
    if "--former" in arguments:
        at = arguments.index("--former")
        with open(arguments[at + 1], encoding="utf-8", newline="") as file:
            former = file.read()
        del arguments[at : at + 2]
    url, verifier, *rest = arguments
    log = Log(url, rest[0] if rest else None)
    note = log.get("/checkpoint").decode()
    size, root = check_note(note, verifier)
    leaves = check_tiles(log, size)
    need(tree_hash(leaves) == root, "the tiles do not give the signed root")
    found = {"size": size, "root": root.hex(), "records": None, "events": {}}
    if former is not None:
        check_former(log, check_note(former, verifier), (size, root))
    if rest:
        records = check_records(log, leaves)
        found["records"] = len(records)
        for event in rest[1:]:
            index = check_event(log, verifier, event)
            if index < size:
                need(records[index]["id"] == event, f"{event} is not in its place")
            found["events"][event] = index
    print(json.dumps(found))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Wrong as wrong:
        print(wrong, file=sys.stderr)
        sys.exit(1)
