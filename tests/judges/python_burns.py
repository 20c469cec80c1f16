"""What the official Python SDK finds burned on a Stellar RPC server, as JSON on stdout.

usage: python_burns.py URL PASSPHRASE

Reads every transaction the server keeps. For each wallet that paid the sandbox's asset to its issuer:
how many such payments were applied, their sum in stroops, and their memos. The sum is made twice, from
the envelopes and from the burn events in the metadata, and the two must agree.
"""

import json
import sys

import requests
from stellar_sdk import (
    Asset,
    FeeBumpTransactionEnvelope,
    HashMemo,
    Payment,
    SorobanServer,
    TransactionEnvelope,
    scval,
    xdr,
)

PAGE = 200


def transactions(server):
    page = server.get_transactions(server.get_health().oldest_ledger, limit=PAGE)
    while True:
        yield from page.transactions
        if len(page.transactions) < PAGE:
            return
        page = server.get_transactions(cursor=page.cursor, limit=PAGE)


def opened(envelope_xdr, passphrase):
    kind = xdr.TransactionEnvelope.from_xdr(envelope_xdr).type
    if kind == xdr.EnvelopeType.ENVELOPE_TYPE_TX_FEE_BUMP:
        bump = FeeBumpTransactionEnvelope.from_xdr(envelope_xdr, passphrase)
        return bump.transaction.inner_transaction_envelope.transaction
    return TransactionEnvelope.from_xdr(envelope_xdr, passphrase).transaction


def paid_to_issuer(transaction, asset):
    for operation in transaction.operations:
        if (
            isinstance(operation, Payment)
            and operation.asset == asset
            and operation.destination.account_id == asset.issuer
        ):
            source = operation.source or transaction.source
            stroops = xdr_stroops(operation.amount)
            yield source.account_id, stroops


def xdr_stroops(amount):
    whole, _, fraction = amount.partition(".")
    return int(whole) * 10_000_000 + int(fraction.ljust(7, "0"))


def burn_events(meta_xdr):
    meta = xdr.TransactionMeta.from_xdr(meta_xdr)
    for operation in meta.v4.operations:
        for event in operation.events:
            topics = event.body.v0.topics
            if scval.from_symbol(topics[0]) == "burn":
                yield scval.from_address(topics[1]).address, scval.from_int128(event.body.v0.data)


def main():
    _, url, passphrase = sys.argv
    server = SorobanServer(url)
    known = requests.get(f"{url}/sandbox/asset", timeout=10).json()
    code, issuer = known["asset"].split(":")
    asset = Asset(code, issuer)
    wallets, evented = {}, {}
    for found in transactions(server):
        if found.status != "SUCCESS":
            continue
        transaction = opened(found.envelope_xdr, passphrase)
        for account, stroops in paid_to_issuer(transaction, asset):
            if not isinstance(transaction.memo, HashMemo):
                sys.exit(f"python judge: a burn without its order's hash: {found.transaction_hash}")
            wallet = wallets.setdefault(account, {"burns": 0, "stroops": 0, "memos": []})
            wallet["burns"] += 1
            wallet["stroops"] += stroops
            wallet["memos"].append(transaction.memo.memo_hash.hex())
        for account, stroops in burn_events(found.result_meta_xdr):
            evented[account] = evented.get(account, 0) + stroops
    paid = {account: wallet["stroops"] for account, wallet in wallets.items()}
    if paid != evented:
        sys.exit(f"python judge: envelopes say {paid}, events say {evented}")
    print(json.dumps(wallets))


if __name__ == "__main__":
    main()
