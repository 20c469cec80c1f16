//! Channel accounts: opened once, whatever happens on the way, and fit to lend their numbers.

use std::sync::Arc;

use serde_json::{Value, json};
use stellar_xdr::{LedgerEntryData, LedgerKey, LedgerKeyAccount, Limits, ReadXdr, WriteXdr};
use tranche_adapters_stellar::{ConfigError, FunderAccount, SandboxChannels, StellarConfig};
use tranche_application::ports::burner::{LedgerBurner, LedgerError};
use tranche_application::ports::channels::ChannelFunder;
use tranche_application::ports::custody::{Custody as _, SecretSeed};
use tranche_domain::disbursement::Verdict;

use crate::keys::{CHANNEL as FUNDER, CHANNEL_SEED as FUNDER_SEED};
use crate::keys::{Counting, WALLET, WALLET_SEED};
use crate::sandbox::{Ledger, SOON};
use crate::world::config;

fn seed(text: &str) -> SecretSeed {
    SecretSeed::new(text.to_owned())
}

/// The code of a refusal.
fn code(error: LedgerError) -> &'static str {
    match error {
        LedgerError::Refused { code, .. } => code,
        other => panic!("{other}"),
    }
}

impl Ledger {
    /// A funder with friendbot's 10,000 XLM.
    async fn funder(&self) -> FunderAccount {
        self.friendbot(FUNDER).await;
        let entropy = Arc::new(Counting::default());
        FunderAccount::try_new(&self.config, &seed(FUNDER_SEED), None, entropy).unwrap()
    }

    async fn friendbot(&self, account: &str) {
        let url = format!("{}/friendbot?addr={account}", self.sandbox.url());
        let answer = reqwest::get(url).await.unwrap();
        answer.error_for_status().unwrap();
    }

    /// Fresh accounts, their keys in custody.
    fn draw(&self, funder: &dyn ChannelFunder, count: usize) -> Vec<String> {
        // The first key of a test's entropy is the wallet's.
        funder.draw();
        let draw = || {
            let sealed = self.custody.seal(&funder.draw()).unwrap();
            let id = sealed.account_id.clone();
            self.rows.keep(sealed);
            id
        };
        (0..count).map(|_| draw()).collect()
    }

    /// Burns with this account's number.
    async fn burns_with(&self, channel: &str) {
        let mut order = self.order("1");
        channel.clone_into(&mut order.sequence_account_id);
        let burn = self.burner.prepare(&order).await.unwrap();
        self.burner.submit(&burn).await.unwrap();
        let verdict = self.decided(&burn, true).await;
        assert!(matches!(verdict, Verdict::Burned { .. }), "{verdict:?}");
    }

    /// The account's XLM, in stroops.
    async fn lumens(&self, account: &str) -> i64 {
        let account_id = account.parse().unwrap();
        let key = LedgerKey::Account(LedgerKeyAccount { account_id });
        let key = key.to_xdr_base64(Limits::none()).unwrap();
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "getLedgerEntries",
            "params": { "keys": [key] } });
        let request = reqwest::Client::new()
            .post(self.sandbox.url())
            .json(&request);
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        let xdr = answer["result"]["entries"][0]["xdr"].as_str().unwrap();
        match LedgerEntryData::from_xdr_base64(xdr, Limits::none()).unwrap() {
            LedgerEntryData::Account(account) => account.balance,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn the_sandbox_gives_channels_away() {
    let ledger = Ledger::start(StellarConfig::BURN_TTL).await;
    let entropy = Arc::new(Counting::default());
    let url = ledger.sandbox.url();
    let funder = SandboxChannels::try_new(&url, SOON, entropy).unwrap();
    let channels = ledger.draw(&funder, 2);
    funder.fund(&channels).await.unwrap();
    funder.fund(&channels).await.unwrap();
    for channel in &channels {
        ledger.burns_with(channel).await;
    }
    let error = funder.fund(&["G".to_owned()]).await.unwrap_err();
    assert!(matches!(error, LedgerError::Misconfigured(_)), "{error}");
}

#[tokio::test]
async fn an_operators_account_opens_what_is_missing_once() {
    let ledger = Ledger::start(StellarConfig::BURN_TTL).await;
    let funder = ledger.funder().await;
    let channels = ledger.draw(&funder, 4);
    ledger.friendbot(&channels[1]).await;
    let before = ledger.lumens(FUNDER).await;
    funder.fund(&channels[..3]).await.unwrap();
    let paid = before - ledger.lumens(FUNDER).await;
    assert_eq!(paid, 2 * (FunderAccount::STARTING_BALANCE + 100));
    assert_eq!(ledger.lumens(&channels[0]).await, 50_000_000);
    let given = ledger.lumens(&channels[1]).await;
    assert_eq!(given, 100_000_000_000, "left as it is");
    // The answer is lost on the way, the node says to come again.
    for fault in ["lose_answer", "try_again_later"] {
        ledger.fault(fault, 1).await;
    }
    funder.fund(&channels).await.unwrap();
    assert_eq!(ledger.lumens(&channels[3]).await, 50_000_000);
    funder.fund(&channels).await.unwrap();
    let paid = before - ledger.lumens(FUNDER).await;
    assert_eq!(paid, 3 * (FunderAccount::STARTING_BALANCE + 100));
    ledger.burns_with(&channels[3]).await;
}

#[tokio::test]
async fn a_hundred_fit_and_two_users_of_one_funder_both_get_theirs() {
    let ledger = Ledger::start(StellarConfig::BURN_TTL).await;
    let funder = ledger.funder().await;
    let channels = ledger.draw(&funder, 102);
    let (some, others) = channels.split_at(100);
    let (first, second) = tokio::join!(funder.fund(some), funder.fund(others));
    first.unwrap();
    second.unwrap();
    for channel in [&channels[0], &channels[99], &channels[101]] {
        assert_eq!(ledger.lumens(channel).await, 50_000_000);
    }
    let refusal = funder.fund(&channels).await.unwrap_err();
    assert_eq!(code(refusal), "too_many_channels");
}

#[tokio::test]
async fn what_cannot_be_paid_is_said_before_anything_is_sent() {
    let ledger = Ledger::start(StellarConfig::BURN_TTL).await;
    let rich = Some("9999".parse().unwrap());
    let entropy = Arc::new(Counting::default());
    let made = FunderAccount::try_new(&ledger.config, &seed(FUNDER_SEED), rich, entropy);
    let funder = made.unwrap();
    let nobody = funder.fund(&[WALLET.to_owned()]).await.unwrap_err();
    assert!(matches!(nobody, LedgerError::Misconfigured(_)), "{nobody}");
    ledger.friendbot(FUNDER).await;
    for (account, expected) in [(WALLET, "underfunded"), ("G", "malformed_account")] {
        let refusal = funder.fund(&[account.to_owned()]).await.unwrap_err();
        assert_eq!(code(refusal), expected);
    }
    assert_eq!(ledger.lumens(FUNDER).await, 100_000_000_000);
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let config = config("http://127.0.0.1:1".to_owned());
    let made = |text, balance: Option<&str>| {
        let balance = balance.map(|balance| balance.parse().unwrap());
        let entropy = Arc::new(Counting::default());
        FunderAccount::try_new(&config, &seed(text), balance, entropy).err()
    };
    assert_eq!(made(WALLET, None), Some(ConfigError::Funder));
    let little = made(WALLET_SEED, Some("0.9999999"));
    assert_eq!(little, Some(ConfigError::StartingBalance));
    assert_eq!(made(WALLET_SEED, Some("1")), None);
}
