// The official JavaScript SDK's verdict on a Stellar RPC server.
//
// usage: node js_judge.mjs URL PASSPHRASE   (in the folder that holds node_modules)
//
// Plays a client of its own and exits non-zero with a message when anything differs from what the
// SDK and the protocol lead it to expect.

import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.cwd(), "judge.js"));
const sdk = require("@stellar/stellar-sdk");
const { Asset, Keypair, Operation, TransactionBuilder, Memo, rpc, xdr } = sdk;

const [url, passphrase] = process.argv.slice(2);
const server = new rpc.Server(url, { allowHttp: true });

function expect(condition, message, seen) {
  if (!condition) {
    throw new Error(seen === undefined ? message : `${message}: ${describe(seen)}`);
  }
}

function describe(value) {
  return JSON.stringify(value, (_, part) => (typeof part === "bigint" ? String(part) : part));
}

function hashOf(transaction) {
  return Buffer.from(transaction.hash()).toString("hex");
}

async function send(transaction) {
  const sent = await server.sendTransaction(transaction);
  expect(sent.hash === hashOf(transaction), "the server hashes differently");
  expect(sent.status === "PENDING", "sendTransaction", sent);
  const found = await server.pollTransaction(sent.hash, {
    attempts: 200,
    sleepStrategy: () => 50,
  });
  expect(found.status !== "NOT_FOUND", "never included", sent);
  return found;
}

async function build(key, operation, memo = Memo.none()) {
  const source = await server.getAccount(key.publicKey());
  const transaction = new TransactionBuilder(source, { fee: "100", networkPassphrase: passphrase })
    .addOperation(operation)
    .addMemo(memo)
    .setTimeout(300)
    .build();
  transaction.sign(key);
  return transaction;
}

async function network() {
  const health = await server.getHealth();
  expect(health.status === "healthy", "getHealth", health);
  const network = await server.getNetwork();
  expect(network.passphrase === passphrase, "getNetwork", network);
  const ledger = await server.getLatestLedger();
  expect(ledger.sequence >= health.latestLedger, "getLatestLedger", ledger.sequence);
  const version = await server.getVersionInfo();
  expect(version.protocolVersion === network.protocolVersion, "getVersionInfo", version);
}

async function fund(asset) {
  const wallet = Keypair.random();
  const other = Keypair.random();
  const made = await server.requestAirdrop(wallet.publicKey());
  const loaded = await server.getAccount(wallet.publicKey());
  expect(made.sequenceNumber() === loaded.sequenceNumber(), "the airdrop's sequence number");
  const again = await server.requestAirdrop(wallet.publicKey());
  expect(again.sequenceNumber() === loaded.sequenceNumber(), "a second airdrop");
  await server.fundAddress(other.publicKey());
  const answer = await fetch(`${url}/sandbox/fund`, {
    method: "POST",
    body: JSON.stringify({
      account: wallet.publicKey(),
      asset: `${asset.getCode()}:${asset.getIssuer()}`,
      amount: "500",
      xlm: "20",
    }),
  });
  expect(answer.status === 200, "fund", await answer.text());
  return [wallet, other];
}

async function balance(wallet, asset) {
  const line = await server.getTrustline(wallet.publicKey(), asset);
  return BigInt(line.balance);
}

async function pays(wallet, other, asset) {
  const payment = await send(
    await build(
      wallet,
      Operation.payment({ destination: other.publicKey(), asset: Asset.native(), amount: "3" }),
      Memo.text("judged"),
    ),
  );
  expect(payment.status === "SUCCESS", "native payment", payment.status);
  const burn = await build(
    wallet,
    Operation.payment({ destination: asset.getIssuer(), asset, amount: "0.5" }),
    Memo.hash("ab".repeat(32)),
  );
  const burnt = await send(burn);
  expect(burnt.status === "SUCCESS", "burn", burnt.status);
  expect(burnt.envelopeXdr.toXdr("base64") === burn.toXDR(), "another envelope came back");
  expect((await balance(wallet, asset)) === 4_995_000_000n, "the balance after the burn");
  expect(burnt.events.contractEventsXdr[0].length === 1, "one event for one burn");
  const repeated = await server.sendTransaction(burn);
  expect(repeated.status === "TRY_AGAIN_LATER", "sent twice", repeated.status);
  return [payment, burnt];
}

async function fails(wallet, asset) {
  const greedy = await send(
    await build(
      wallet,
      Operation.payment({ destination: asset.getIssuer(), asset, amount: "100000" }),
    ),
  );
  expect(greedy.status === "FAILED", "underfunded burn", greedy.status);
  const code = describe(greedy.resultXdr.result);
  expect(code === '{"tx_failed":[{"op_inner":{"payment":"underfunded"}}]}', "result code", code);

  const source = await server.getAccount(wallet.publicKey());
  source.incrementSequenceNumber();
  const ahead = new TransactionBuilder(source, { fee: "100", networkPassphrase: passphrase })
    .addOperation(Operation.bumpSequence({ bumpTo: "0" }))
    .setTimeout(300)
    .build();
  ahead.sign(wallet);
  const refused = await server.sendTransaction(ahead);
  expect(refused.status === "ERROR", "a sequence number ahead", refused.status);
  const why = refused.errorResult.result.type;
  expect(why === "txBadSeq", "the code of a sequence number ahead", why);
}

async function bumps(wallet, sponsor, asset) {
  const inner = await build(
    wallet,
    Operation.payment({ destination: asset.getIssuer(), asset, amount: "1" }),
  );
  const bump = TransactionBuilder.buildFeeBumpTransaction(sponsor, "200", inner, passphrase);
  bump.sign(sponsor);
  const found = await send(bump);
  expect(found.status === "SUCCESS" && found.feeBump === true, "fee bump", found.status);
  const byInner = await server.getTransaction(hashOf(inner));
  expect(byInner.status === "SUCCESS" && byInner.feeBump === true, "fee bump by inner hash");
}

async function lists(found) {
  const first = Math.min(...found.map((transaction) => transaction.ledger));
  const page = await server.getTransactions({ startLedger: first, pagination: { limit: 200 } });
  for (const transaction of found) {
    expect(
      page.transactions.some((listed) => listed.txHash === transaction.txHash),
      "getTransactions lost a transaction",
      transaction.txHash,
    );
  }
  const events = await server.getEvents({
    startLedger: first,
    filters: [{ type: "contract", topics: [[xdr.ScVal.scvSymbol("burn").toXDR("base64"), "**"]] }],
  });
  expect(
    events.events.some((event) => event.txHash === found[1].txHash),
    "getEvents lost the burn",
  );
  const stats = await server.getFeeStats();
  expect(stats.inclusionFee.min === "100", "getFeeStats", stats);
  const unknown = await server.getTransaction("00".repeat(32));
  expect(unknown.status === "NOT_FOUND", "an unknown hash", unknown.status);
}

async function main() {
  const known = await (await fetch(`${url}/sandbox/asset`)).json();
  const [code, issuer] = known.asset.split(":");
  const asset = new Asset(code, issuer);
  await network();
  const [wallet, other] = await fund(asset);
  const found = await pays(wallet, other, asset);
  await fails(wallet, asset);
  await bumps(wallet, other, asset);
  await lists(found);
  console.log("js judge: accepted");
}

main().catch((error) => {
  console.error(`js judge: ${error.stack ?? error}`);
  process.exit(1);
});
