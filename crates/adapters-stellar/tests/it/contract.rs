//! The rules of the ledger's door, on Stellar and the sandbox.

use std::num::NonZeroU64;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;
use stellar_xdr::{Limits, WriteXdr};
use tranche_adapters_stellar::envelope::{Burn, Draft};
use tranche_adapters_stellar::network::Network;
use tranche_adapters_stellar::{SandboxWallets, StellarConfig, account};
use tranche_application::ports::burner::LedgerBurner;
use tranche_application::ports::custody::Custody;
use tranche_application::ports::entropy::Entropy;
use tranche_application::ports::wallets::WalletOpener;
use tranche_domain::Amount;
use tranche_domain::disbursement::PreparedBurn;
use tranche_tests::ledger_contract::LedgerUnderTest;
use tranche_tests::support::service::LedgerClient;

use crate::keys::Counting;
use crate::sandbox::{Ledger, PASSPHRASE, SOON};

/// More than any wallet here holds, in stroops: paying it is included and fails.
const TOO_MUCH: i64 = i64::MAX;

struct Sandboxed {
    ledger: Ledger,
    entropy: Arc<dyn Entropy>,
}

async fn fresh() -> Sandboxed {
    let entropy = Counting::default();
    // The ledger's own wallet has the first key.
    entropy.secret();
    Sandboxed {
        ledger: Ledger::start(StellarConfig::BURN_TTL).await,
        entropy: Arc::new(entropy),
    }
}

#[async_trait]
impl LedgerUnderTest for Sandboxed {
    fn burner(&self) -> &dyn LedgerBurner {
        &self.ledger.burner
    }

    async fn wallet(&self, balance: Amount) -> String {
        let (url, asset) = (self.ledger.sandbox.url(), self.ledger.config.asset.clone());
        let wallets = SandboxWallets::try_new(&url, asset, SOON, self.entropy.clone()).unwrap();
        let seed = wallets.open(balance).await.unwrap();
        let sealed = self.ledger.custody.seal(&seed).unwrap();
        let wallet = sealed.account_id.clone();
        self.ledger.rows.keep(sealed);
        wallet
    }

    async fn channel(&self) -> String {
        self.wallet(Amount::ZERO).await
    }

    async fn include(&self) {
        self.ledger.sandbox.close_ledger().await.unwrap();
    }

    async fn outlive(&self, _: &PreparedBurn) {
        let past = StellarConfig::BURN_TTL.as_secs() + 10;
        let skip = json!({ "skip_seconds": past });
        self.ledger.post("/sandbox/clock", &skip).await;
        for _ in 0..2 {
            self.ledger.sandbox.close_ledger().await.unwrap();
        }
    }

    async fn fail_next(&self) {
        self.ledger.fault("fail_included", 1).await;
    }

    async fn take_slot(&self, burn: &PreparedBurn) {
        let network = Network::new(PASSPHRASE.to_owned());
        let source = account::parse(&burn.slot.account).unwrap();
        let other = Burn {
            source: source.clone(),
            wallet: None,
            sequence: burn.slot.sequence,
            fee: 10_000,
            min_time: 0,
            max_time: NonZeroU64::MAX,
            ledgers: None,
            memo: [0xee; 32],
            asset: self.ledger.config.asset.clone(),
            amount: TOO_MUCH,
        };
        let draft = Draft::burn(&other, &network).unwrap();
        let signed = self.ledger.custody.sign(&burn.slot.account, draft.hash());
        let envelope = draft.sign(&[(source, signed.await.unwrap())]).unwrap();
        let envelope = envelope.to_xdr_base64(Limits::none()).unwrap();
        let client = LedgerClient::at(&self.ledger.sandbox.url());
        let sent = client.call("sendTransaction", json!({ "transaction": envelope }));
        assert_eq!(sent.await["status"], "PENDING");
        self.include().await;
    }

    async fn balance(&self, wallet: &str) -> Amount {
        let client = LedgerClient::at(&self.ledger.sandbox.url());
        Amount::try_from_stroops(client.balance(wallet).await).unwrap()
    }
}

tranche_tests::ledger_contract!(fresh);
