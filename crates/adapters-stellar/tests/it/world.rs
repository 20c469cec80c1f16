//! A burner in front of a scripted server, and hand-made ledger state to script it with.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use stellar_xdr::{
    AccountEntry, AccountEntryExt, LedgerEntryData, Limits, OperationResult, OperationResultTr,
    PaymentResult, SequenceNumber, String32, Thresholds, TransactionResult, TransactionResultExt,
    TransactionResultResult, TrustLineEntry, TrustLineEntryExt, VecM, WriteXdr,
};
use tranche_adapters_stellar::{Asset, StellarBurner, StellarConfig, account};
use tranche_application::ports::burner::{LedgerBurner, LedgerError};
use tranche_domain::disbursement::{BurnOrder, PreparedBurn, Verdict};
use tranche_domain::{Amount, Failure};

use crate::fake::{Fake, Reply};
use crate::keys::{CHANNEL_SEED, ISSUER, WALLET, WALLET_SEED, custody_of};

pub const PASSPHRASE: &str = "Test SDF Network ; September 2015";
/// The ledger at signing, and when it closed.
pub const SIGNED: u32 = 100;
pub const NOW: i64 = 1_795_000_000;
pub const MAX_TIME: i64 = NOW + 180;
/// The last sequence number used at signing.
pub const USED: i64 = 41;
pub const MEMO: [u8; 32] = [0xab; 32];

pub struct World {
    pub fake: Fake,
    pub burner: StellarBurner,
}

pub fn asset() -> Asset {
    format!("NGNTS:{ISSUER}").parse().unwrap()
}

pub fn config(url: String) -> StellarConfig {
    StellarConfig {
        timeout: Duration::from_secs(2),
        ..StellarConfig::new(vec![url], PASSPHRASE.to_owned(), asset())
    }
}

pub fn order() -> BurnOrder {
    BurnOrder {
        amount: "1250.5".parse::<Amount>().unwrap(),
        wallet_account_id: WALLET.to_owned(),
        sequence_account_id: WALLET.to_owned(),
        memo: MEMO,
    }
}

impl World {
    /// A healthy server and a funded wallet.
    pub async fn new() -> Self {
        let fake = Fake::start().await;
        fake.on("getHealth", [Reply::Result(json!({ "status": "healthy" }))]);
        fake.on("getNetwork", [network(PASSPHRASE)]);
        fake.on("getTransaction", [not_found(SIGNED, NOW)]);
        fake.on("getLedgerEntries", [wallet(SIGNED, USED)]);
        let custody = custody_of(&[WALLET_SEED, CHANNEL_SEED]);
        let burner = StellarBurner::try_new(config(fake.url()), custody).unwrap();
        Self { fake, burner }
    }

    /// The same, with a burn prepared at ledger [`SIGNED`].
    pub async fn with_burn() -> (Self, PreparedBurn) {
        let world = Self::new().await;
        let burn = world.burner.prepare(&order()).await.unwrap();
        (world, burn)
    }

    /// Another process: it has seen no ledger yet.
    pub fn restart(&mut self) {
        let custody = custody_of(&[WALLET_SEED]);
        self.burner = StellarBurner::try_new(config(self.fake.url()), custody).unwrap();
    }

    pub async fn verdict(&self, burn: &PreparedBurn) -> Verdict {
        self.burner.verdict(burn).await.unwrap()
    }

    /// The code of a verdict of failure.
    pub async fn failure(&self, burn: &PreparedBurn) -> Failure {
        match self.verdict(burn).await {
            Verdict::Failed(failure) => failure,
            other => panic!("{other:?}"),
        }
    }

    pub async fn unavailable(&self, burn: &PreparedBurn) -> String {
        match self.burner.verdict(burn).await {
            Err(LedgerError::Unavailable(why)) => why,
            other => panic!("{other:?}"),
        }
    }
}

/// Burned under its first name.
pub fn burned(burn: &PreparedBurn, ledger: u32) -> Verdict {
    Verdict::Burned {
        burn: burn.id.clone(),
        ledger,
    }
}

pub fn burner_for(url: String) -> StellarBurner {
    let custody: Arc<_> = custody_of(&[WALLET_SEED]);
    StellarBurner::try_new(config(url), custody).unwrap()
}

pub fn network(passphrase: &str) -> Reply {
    Reply::Result(json!({ "passphrase": passphrase, "protocolVersion": 30 }))
}

pub fn base64(value: &impl WriteXdr) -> String {
    value.to_xdr_base64(Limits::none()).unwrap()
}

fn range(ledger: u32, closed: i64) -> Value {
    json!({
        "latestLedger": ledger, "latestLedgerCloseTime": closed.to_string(),
        "oldestLedger": 2, "oldestLedgerCloseTime": "1",
    })
}

/// `NOT_FOUND` as the real server says it, at a ledger that closed then.
pub fn not_found(ledger: u32, closed: i64) -> Reply {
    let mut answer = range(ledger, closed);
    answer["status"] = "NOT_FOUND".into();
    answer["ledger"] = 0.into();
    answer["createdAt"] = "0".into();
    answer["events"] = json!({});
    Reply::Result(answer)
}

/// The same from a server that keeps nothing before `oldest`.
pub fn not_found_since(oldest: u32, ledger: u32, closed: i64) -> Reply {
    let Reply::Result(mut answer) = not_found(ledger, closed) else {
        panic!("a result");
    };
    answer["oldestLedger"] = oldest.into();
    Reply::Result(answer)
}

/// An included transaction.
pub fn included(
    status: &str,
    ledger: u32,
    envelope: &impl WriteXdr,
    result: &TransactionResult,
) -> Reply {
    let mut answer = range(ledger + 1, NOW + 10);
    answer["status"] = status.into();
    answer["ledger"] = ledger.into();
    answer["createdAt"] = (NOW + 5).to_string().into();
    answer["envelopeXdr"] = base64(envelope).into();
    answer["resultXdr"] = base64(result).into();
    Reply::Result(answer)
}

pub fn result(result: TransactionResultResult) -> TransactionResult {
    TransactionResult {
        fee_charged: 100,
        result,
        ext: TransactionResultExt::V0,
    }
}

pub fn payments(outcome: PaymentResult) -> VecM<OperationResult> {
    vec![OperationResult::OpInner(OperationResultTr::Payment(
        outcome,
    ))]
    .try_into()
    .unwrap()
}

pub fn success() -> TransactionResult {
    result(TransactionResultResult::TxSuccess(payments(
        PaymentResult::Success,
    )))
}

pub fn underfunded() -> TransactionResult {
    result(TransactionResultResult::TxFailed(payments(
        PaymentResult::Underfunded,
    )))
}

pub fn account_entry(id: &str, sequence: i64) -> LedgerEntryData {
    LedgerEntryData::Account(AccountEntry {
        account_id: account::parse(id).unwrap(),
        balance: 100_000_000,
        seq_num: SequenceNumber(sequence),
        num_sub_entries: 1,
        inflation_dest: None,
        flags: 0,
        home_domain: String32::default(),
        thresholds: Thresholds([1, 0, 0, 0]),
        signers: VecM::default(),
        ext: AccountEntryExt::V0,
    })
}

pub fn trustline_entry(id: &str, stroops: i64) -> LedgerEntryData {
    LedgerEntryData::Trustline(TrustLineEntry {
        account_id: account::parse(id).unwrap(),
        asset: asset().to_trustline_xdr(),
        balance: stroops,
        limit: i64::MAX,
        flags: 1,
        ext: TrustLineEntryExt::V0,
    })
}

pub fn entries(ledger: u32, entries: &[LedgerEntryData]) -> Reply {
    let entries: Vec<Value> = entries
        .iter()
        .map(|entry| json!({ "key": "", "xdr": base64(entry), "lastModifiedLedgerSeq": 3 }))
        .collect();
    Reply::Result(json!({ "entries": entries, "latestLedger": ledger }))
}

/// The wallet with its tokens, at this ledger and with this last sequence number.
pub fn wallet(ledger: u32, used: i64) -> Reply {
    let line = trustline_entry(WALLET, 1_000_000_000_000);
    entries(ledger, &[account_entry(WALLET, used), line])
}
