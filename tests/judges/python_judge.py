"""The official Python SDK's verdict on a Stellar RPC server.

usage: python_judge.py URL PASSPHRASE

Plays a client of its own: funds accounts, builds, signs and sends payments, a burn, a fee bump
and payments that must fail, reads them back, and exits non-zero with a message when anything
differs from what the SDK and the protocol lead it to expect.
"""

import sys
import time

import requests
from stellar_sdk import (
    Asset,
    Keypair,
    SorobanServer,
    TransactionBuilder,
    scval,
    xdr,
)
from stellar_sdk.exceptions import SorobanRpcErrorResponse
from stellar_sdk.soroban_rpc import (
    EventFilter,
    EventFilterType,
    GetTransactionStatus,
    SendTransactionStatus,
)


def expect(condition, message):
    if not condition:
        sys.exit(f"python judge: {message}")


class Judge:
    def __init__(self, url, passphrase):
        self.url = url
        self.passphrase = passphrase
        self.server = SorobanServer(url)
        known = requests.get(f"{url}/sandbox/asset", timeout=10).json()
        expect(known["network_passphrase"] == passphrase, f"other passphrase: {known}")
        code, issuer = known["asset"].split(":")
        self.asset = Asset(code, issuer)

    def network(self):
        network = self.server.get_network()
        expect(network.passphrase == self.passphrase, f"getNetwork: {network}")
        self.friendbot = network.friendbot_url
        health = self.server.get_health()
        expect(health.status == "healthy", f"getHealth: {health}")
        expect(health.oldest_ledger <= health.latest_ledger, f"getHealth range: {health}")
        ledger = self.server.get_latest_ledger()
        expect(ledger.sequence >= health.latest_ledger, f"getLatestLedger: {ledger}")
        expect(abs(ledger.close_time - time.time()) < 60, f"close time: {ledger.close_time}")
        header = xdr.LedgerHeader.from_xdr(ledger.header_xdr)
        expect(header.ledger_seq.uint32 == ledger.sequence, "header of another ledger")
        meta = xdr.LedgerCloseMeta.from_xdr(ledger.metadata_xdr)
        closed = meta.v2.ledger_header
        expect(closed.hash.hash.hex() == ledger.id, "metadata of another ledger")
        version = self.server.get_version_info()
        expect(version.protocol_version == network.protocol_version, f"versions: {version}")

    def fund(self):
        wallet, other = Keypair.random(), Keypair.random()
        for key in (wallet, other):
            answer = requests.get(self.friendbot, {"addr": key.public_key}, timeout=10)
            expect(answer.status_code == 200, f"friendbot: {answer.text}")
        again = requests.get(self.friendbot, {"addr": wallet.public_key}, timeout=10)
        expect(again.status_code == 400, f"friendbot twice: {again.status_code}")
        grant = {
            "account": wallet.public_key,
            "asset": f"{self.asset.code}:{self.asset.issuer}",
            "amount": "1000.5",
            "xlm": "50",
        }
        answer = requests.post(f"{self.url}/sandbox/fund", json=grant, timeout=10)
        expect(answer.status_code == 200, f"fund: {answer.text}")
        expect(self.line(wallet).balance.int64 == 10_005_000_000, "the granted balance")
        return wallet, other

    def entry(self, key):
        entries = self.server.get_ledger_entries([key]).entries
        expect(entries is not None, "entries is null")
        return xdr.LedgerEntryData.from_xdr(entries[0].xdr) if entries else None

    def account(self, key):
        account_id = key.xdr_account_id()
        ledger_key = xdr.LedgerKey(
            xdr.LedgerEntryType.ACCOUNT, account=xdr.LedgerKeyAccount(account_id)
        )
        return self.entry(ledger_key).account

    def line(self, key):
        ledger_key = xdr.LedgerKey(
            xdr.LedgerEntryType.TRUSTLINE,
            trust_line=xdr.LedgerKeyTrustLine(
                key.xdr_account_id(), self.asset.to_trust_line_asset_xdr_object()
            ),
        )
        return self.entry(ledger_key).trust_line

    def builder(self, key):
        source = self.server.load_account(key.public_key)
        return TransactionBuilder(source, self.passphrase, base_fee=100).set_timeout(300)

    def send(self, envelope):
        sent = self.server.send_transaction(envelope)
        expect(sent.hash == envelope.hash_hex(), "the server hashes differently")
        expect(sent.status == SendTransactionStatus.PENDING, f"sendTransaction: {sent}")
        found = self.server.get_transaction(sent.hash)
        for _ in range(200):
            if found.status != GetTransactionStatus.NOT_FOUND:
                break
            time.sleep(0.05)
            found = self.server.get_transaction(sent.hash)
        expect(found.status != GetTransactionStatus.NOT_FOUND, f"never included: {sent.hash}")
        expect(found.transaction_hash == sent.hash, f"another hash: {found}")
        return found

    def pays(self, wallet, other):
        before = self.account(wallet)
        tx = (
            self.builder(wallet)
            .append_payment_op(other.public_key, Asset.native(), "12.5")
            .add_text_memo("judged")
            .build()
        )
        tx.sign(wallet)
        found = self.send(tx)
        expect(found.status == GetTransactionStatus.SUCCESS, f"native payment: {found}")
        result = xdr.TransactionResult.from_xdr(found.result_xdr)
        expect(result.fee_charged.int64 == 100, f"fee: {result.fee_charged.int64}")
        after = self.account(wallet)
        spent = before.balance.int64 - after.balance.int64
        expect(spent == 125_000_100, f"native payment cost {spent}")
        expect(
            after.seq_num.sequence_number.int64 == before.seq_num.sequence_number.int64 + 1,
            "the sequence number did not move by one",
        )
        age = after.ext.v1.ext.v2.ext.v3
        expect(age.seq_ledger.uint32 == found.ledger, "seqLedger is another ledger")
        again = self.server.send_transaction(tx)
        expect(again.status == SendTransactionStatus.TRY_AGAIN_LATER, f"sent twice: {again}")
        return found

    def burns(self, wallet):
        tx = (
            self.builder(wallet)
            .append_payment_op(self.asset.issuer, self.asset, "1.0000001")
            .add_hash_memo(bytes(range(32)))
            .build()
        )
        tx.sign(wallet)
        found = self.send(tx)
        expect(found.status == GetTransactionStatus.SUCCESS, f"burn: {found}")
        envelope = xdr.TransactionEnvelope.from_xdr(found.envelope_xdr)
        expect(envelope == tx.to_xdr_object(), "another envelope came back")
        expect(self.line(wallet).balance.int64 == 10_005_000_000 - 10_000_001, "burnt balance")
        meta = xdr.TransactionMeta.from_xdr(found.result_meta_xdr)
        event = meta.v4.operations[0].events[0]
        contract = self.asset.contract_id(self.passphrase)
        topics = event.body.v0.topics
        expect(scval.from_symbol(topics[0]) == "burn", f"event: {topics[0]}")
        expect(scval.from_address(topics[1]).address == wallet.public_key, "who burnt")
        expect(scval.from_int128(event.body.v0.data) == 10_000_001, "how much burnt")
        filters = [
            EventFilter(
                event_type=EventFilterType.CONTRACT,
                contract_ids=[contract],
                topics=[[scval.to_symbol("burn").to_xdr(), topics[1].to_xdr(), "*"]],
            )
        ]
        events = self.server.get_events(found.ledger, filters=filters).events
        expect(
            [event.transaction_hash for event in events] == [tx.hash_hex()],
            f"getEvents: {events}",
        )
        return found

    def bumps(self, wallet, sponsor):
        inner = (
            self.builder(wallet)
            .append_payment_op(self.asset.issuer, self.asset, "2")
            .build()
        )
        inner.sign(wallet)
        bump = TransactionBuilder.build_fee_bump_transaction(
            sponsor, 200, inner, self.passphrase
        )
        bump.sign(sponsor)
        paid_before = self.account(sponsor).balance.int64
        found = self.send(bump)
        expect(found.status == GetTransactionStatus.SUCCESS, f"fee bump: {found}")
        expect(found.fee_bump, "feeBump is false")
        by_inner = self.server.get_transaction(inner.hash_hex())
        expect(by_inner.status == GetTransactionStatus.SUCCESS, f"by inner hash: {by_inner}")
        paid = paid_before - self.account(sponsor).balance.int64
        expect(paid == 200, f"the sponsor paid {paid}")
        result = xdr.TransactionResult.from_xdr(found.result_xdr)
        pair = result.result.inner_result_pair
        expect(pair.transaction_hash.hash == inner.hash(), "inner hash in the result")

    def fails(self, wallet, other):
        tx = (
            self.builder(wallet)
            .append_payment_op(self.asset.issuer, self.asset, "999999")
            .build()
        )
        tx.sign(wallet)
        found = self.send(tx)
        expect(found.status == GetTransactionStatus.FAILED, f"underfunded burn: {found}")
        result = xdr.TransactionResult.from_xdr(found.result_xdr).result
        expect(result.code == xdr.TransactionResultCode.txFAILED, f"code: {result.code}")
        code = result.results[0].tr.payment_result.code
        expect(
            code == xdr.PaymentResultCode.PAYMENT_UNDERFUNDED, f"payment result: {code}"
        )
        stranger = self.builder(wallet).append_payment_op(
            other.public_key, Asset.native(), "1"
        ).build()
        stranger.sign(Keypair.random())
        self.refused(stranger, xdr.TransactionResultCode.txBAD_AUTH)
        late = self.builder(wallet).append_payment_op(other.public_key, Asset.native(), "1")
        late.time_bounds = None
        late.add_time_bounds(0, 1)
        late = late.build()
        late.sign(wallet)
        self.refused(late, xdr.TransactionResultCode.txTOO_LATE)

    def refused(self, envelope, code):
        sent = self.server.send_transaction(envelope)
        expect(sent.status == SendTransactionStatus.ERROR, f"expected {code}: {sent}")
        result = xdr.TransactionResult.from_xdr(sent.error_result_xdr).result
        expect(result.code == code, f"expected {code}, got {result.code}")

    def lists(self, payment, burn):
        cursor, seen = None, []
        for _ in range(100):
            start = None if cursor else payment.ledger
            page = self.server.get_transactions(start, cursor=cursor, limit=2)
            seen += [transaction.result_xdr for transaction in page.transactions]
            cursor = page.cursor
            if len(page.transactions) < 2:
                break
        for found in (payment, burn):
            expect(seen.count(found.result_xdr) >= 1, "getTransactions lost a transaction")
        unknown = self.server.get_transaction("00" * 32)
        expect(unknown.status == GetTransactionStatus.NOT_FOUND, f"unknown: {unknown}")

    def fees(self):
        stats = self.server.get_fee_stats()
        fees = stats.inclusion_fee
        expect(int(fees.min) == 100 and int(fees.max) >= 100, f"getFeeStats: {stats}")
        try:
            self.server.get_transaction("abc")
        except SorobanRpcErrorResponse as error:
            expect(error.code == -32602, f"bad hash: {error.code}")
        else:
            expect(False, "a bad hash was accepted")


def main():
    _, url, passphrase = sys.argv
    judge = Judge(url, passphrase)
    judge.network()
    wallet, other = judge.fund()
    payment = judge.pays(wallet, other)
    burn = judge.burns(wallet)
    judge.bumps(wallet, other)
    judge.fails(wallet, other)
    judge.lists(payment, burn)
    judge.fees()
    print("python judge: accepted")


if __name__ == "__main__":
    main()
