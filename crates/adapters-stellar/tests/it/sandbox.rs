//! From a new wallet to a verdict, on the sandbox ledger.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use stellar_sandbox::{Config, Sandbox};
use tempfile::TempDir;
use tranche_adapters_stellar::{Asset, Custodians, SandboxWallets, StellarBurner, StellarConfig};
use tranche_application::ports::burner::{LedgerBurner, LedgerError};
use tranche_application::ports::custody::Custody;
use tranche_application::ports::wallets::WalletOpener;
use tranche_domain::disbursement::verdict::{SEQUENCE_TAKEN, Wait};
use tranche_domain::disbursement::{BurnOrder, PreparedBurn, Verdict};
use tranche_domain::{Amount, Failure};

use crate::keys::{Counting, Rows, custody};
use crate::world::burned;

pub const PASSPHRASE: &str = "Adapter Test Network ; 2026";
pub const SOON: Duration = Duration::from_secs(15);

pub struct Ledger {
    pub sandbox: Sandbox,
    pub burner: StellarBurner,
    pub wallet: String,
    pub config: StellarConfig,
    pub custody: Arc<Custodians>,
    pub rows: Arc<Rows>,
    _folder: TempDir,
}

impl Ledger {
    /// A sandbox that closes a ledger every 50 ms, and a wallet with 1,000 NGNTS.
    pub async fn start(burn_ttl: Duration) -> Self {
        let folder = TempDir::new().unwrap();
        let sandbox = stellar_sandbox::start(Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            data_dir: folder.path().to_owned(),
            ledger_interval: Duration::from_millis(50),
            network_passphrase: PASSPHRASE.to_owned(),
        })
        .await
        .unwrap();
        let asset: Asset = format!("NGNTS:{}", sandbox.issuer_account())
            .parse()
            .unwrap();
        let (custody, rows) = custody();
        let entropy = Arc::new(Counting::default());
        let wallets =
            SandboxWallets::try_new(&sandbox.url(), asset.clone(), SOON, entropy).unwrap();
        let seed = wallets.open("1000".parse().unwrap()).await.unwrap();
        let sealed = custody.seal(&seed).unwrap();
        let wallet = sealed.account_id.clone();
        rows.keep(sealed);
        let config = StellarConfig {
            burn_ttl,
            timeout: Duration::from_secs(2),
            ..StellarConfig::new(vec![sandbox.url()], PASSPHRASE.to_owned(), asset)
        };
        let custody = Arc::new(custody);
        let burner = StellarBurner::try_new(config.clone(), custody.clone()).unwrap();
        Self {
            sandbox,
            burner,
            wallet,
            config,
            custody,
            rows,
            _folder: folder,
        }
    }

    pub fn order(&self, amount: &str) -> BurnOrder {
        BurnOrder {
            amount: amount.parse::<Amount>().unwrap(),
            wallet_account_id: self.wallet.clone(),
            sequence_account_id: self.wallet.clone(),
            memo: [0x5a; 32],
        }
    }

    pub async fn prepare(&self, amount: &str) -> PreparedBurn {
        self.burner.prepare(&self.order(amount)).await.unwrap()
    }

    /// The next calls misbehave.
    pub async fn fault(&self, fault: &str, calls: u32) {
        let body = json!({ "fault": fault, "calls": calls });
        self.post("/sandbox/faults", &body).await;
    }

    /// Tells the sandbox something.
    pub async fn post(&self, path: &str, body: &Value) {
        let url = format!("{}{path}", self.sandbox.url());
        let answer = reqwest::Client::new().post(url).json(body).send().await;
        answer.unwrap().error_for_status().unwrap();
    }

    /// Asks until the ledger has decided, as the reconciler does, sending again meanwhile if told.
    pub async fn decided(&self, burn: &PreparedBurn, again: bool) -> Verdict {
        let deadline = tokio::time::Instant::now() + SOON;
        loop {
            assert!(
                tokio::time::Instant::now() < deadline,
                "undecided after {SOON:?}"
            );
            match self.burner.verdict(burn).await {
                Ok(Verdict::Undecided(_)) | Err(LedgerError::Unavailable(_)) => {}
                Ok(verdict) => return verdict,
                Err(error) => panic!("{error}"),
            }
            if again {
                let _hint = self.burner.submit(burn).await;
            }
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    }

    /// What the wallet can still burn, by the ledger's own refusal.
    pub async fn can_burn(&self, amount: &str) -> bool {
        match self.burner.prepare(&self.order(amount)).await {
            Ok(_) => true,
            Err(LedgerError::Refused {
                code: "underfunded",
                ..
            }) => false,
            Err(error) => panic!("{error}"),
        }
    }
}

fn failure(verdict: Verdict) -> Failure {
    match verdict {
        Verdict::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn burns_once_however_often_it_is_sent() {
    let ledger = Ledger::start(StellarConfig::BURN_TTL).await;
    ledger.burner.ready().await.unwrap();
    let burn = ledger.prepare("250.5").await;
    assert_eq!(ledger.burner.submit(&burn).await.unwrap().said, "PENDING");
    ledger.burner.submit(&burn).await.unwrap();
    let verdict = ledger.decided(&burn, true).await;
    let Verdict::Burned { ledger: number, .. } = verdict else {
        panic!("{verdict:?}");
    };
    assert!(number > burn.signed_at_ledger);
    ledger.burner.submit(&burn).await.unwrap();
    assert_eq!(ledger.decided(&burn, false).await, burned(&burn, number));
    assert!(ledger.can_burn("749.5").await);
    assert!(!ledger.can_burn("749.5000001").await);
}

#[tokio::test]
async fn two_burns_of_one_wallet_take_one_place_and_one_burns() {
    let ledger = Ledger::start(StellarConfig::BURN_TTL).await;
    let other = BurnOrder {
        memo: [0xee; 32],
        ..ledger.order("2")
    };
    let first = ledger.prepare("1").await;
    let second = ledger.burner.prepare(&other).await.unwrap();
    assert_eq!(first.slot, second.slot);
    assert_ne!(first.id, second.id);
    ledger.burner.submit(&first).await.unwrap();
    let verdict = ledger.decided(&first, false).await;
    assert!(matches!(verdict, Verdict::Burned { .. }), "{verdict:?}");
    let hint = ledger.burner.submit(&second).await.unwrap();
    assert!(
        matches!(hint.said.as_str(), "ERROR tx_bad_seq" | "TRY_AGAIN_LATER"),
        "{hint:?}"
    );
    let failure = failure(ledger.decided(&second, false).await);
    assert_eq!(failure.code, SEQUENCE_TAKEN);
    assert!(failure.detail.contains(&first.id.0), "{}", failure.detail);
    assert!(ledger.can_burn("999").await);
    let third = ledger.prepare("3").await;
    assert_eq!(third.slot.sequence, first.slot.sequence + 1);
}

#[tokio::test]
async fn a_burn_that_is_not_sent_expires_and_leaves_its_place() {
    let ledger = Ledger::start(Duration::from_secs(2)).await;
    let burn = ledger.prepare("1").await;
    let verdict = ledger.burner.verdict(&burn).await.unwrap();
    assert_eq!(verdict, Verdict::Undecided(Wait::MayStillHappen));
    assert_eq!(failure(ledger.decided(&burn, false).await).code, "expired");
    let hint = ledger.burner.submit(&burn).await.unwrap();
    assert_eq!(hint.said, "ERROR tx_too_late");
    assert_eq!(ledger.prepare("1").await.slot, burn.slot);
}

#[tokio::test]
async fn a_burn_that_the_ledger_refuses_keeps_the_tokens() {
    let ledger = Ledger::start(StellarConfig::BURN_TTL).await;
    let burn = ledger.prepare("1000").await;
    ledger.fault("fail_included", 1).await;
    ledger.burner.submit(&burn).await.unwrap();
    assert_eq!(
        failure(ledger.decided(&burn, false).await).code,
        "underfunded"
    );
    assert!(ledger.can_burn("1000").await);
}

#[tokio::test]
async fn bad_answers_to_sending_change_nothing() {
    let ledger = Ledger::start(StellarConfig::BURN_TTL).await;
    for (fault, hint) in [
        ("lose_answer", None),
        ("try_again_later", Some("TRY_AGAIN_LATER")),
        ("error_500", None),
    ] {
        let burn = ledger.prepare("1").await;
        ledger.fault(fault, 1).await;
        match (ledger.burner.submit(&burn).await, hint) {
            (Ok(said), Some(hint)) => assert_eq!(said.said, hint),
            (Err(LedgerError::Unavailable(_)), None) => {}
            (other, _) => panic!("{fault}: {other:?}"),
        }
        let verdict = ledger.decided(&burn, true).await;
        assert!(
            matches!(verdict, Verdict::Burned { .. }),
            "{fault}: {verdict:?}"
        );
    }
    assert!(ledger.can_burn("997").await);
    assert!(!ledger.can_burn("997.0000001").await);
}

#[tokio::test]
async fn lagging_and_hanging_nodes_only_delay_the_verdict() {
    let ledger = Ledger::start(StellarConfig::BURN_TTL).await;
    let burn = ledger.prepare("1").await;
    ledger.burner.submit(&burn).await.unwrap();
    ledger.fault("lag", 4).await;
    ledger.fault("hang", 1).await;
    let verdict = ledger.decided(&burn, false).await;
    assert!(matches!(verdict, Verdict::Burned { .. }), "{verdict:?}");

    let quick = Ledger::start(Duration::from_secs(1)).await;
    let unsent = quick.prepare("1").await;
    quick.fault("lag", 10).await;
    assert_eq!(failure(quick.decided(&unsent, false).await).code, "expired");
}

#[tokio::test]
async fn a_wallet_the_sandbox_does_not_know_cannot_burn() {
    let ledger = Ledger::start(StellarConfig::BURN_TTL).await;
    let mut order = ledger.order("1");
    crate::keys::WALLET.clone_into(&mut order.wallet_account_id);
    crate::keys::WALLET.clone_into(&mut order.sequence_account_id);
    let error = ledger.burner.prepare(&order).await.unwrap_err();
    assert!(
        matches!(
            error,
            LedgerError::Refused {
                code: "no_account",
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_is_no_sandbox_opens_no_wallet() {
    let other = wiremock::MockServer::start().await;
    let asset: Asset = format!("NGNTS:{}", crate::keys::ISSUER).parse().unwrap();
    let entropy = Arc::new(Counting::default());
    let wallets = SandboxWallets::try_new(&other.uri(), asset, SOON, entropy).unwrap();
    let error = wallets.open("1".parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, LedgerError::Misconfigured(_)), "{error}");
    let asked = &other.received_requests().await.unwrap()[0];
    let body: Value = serde_json::from_slice(&asked.body).unwrap();
    assert_eq!(
        (asked.url.path(), &body["amount"]),
        ("/sandbox/fund", &json!("1.0000000"))
    );
}
