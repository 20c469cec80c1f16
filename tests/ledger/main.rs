//! The rules of the ledger's door on a second, tiny ledger: `docs/how-to-add-a-ledger.md` walks
//! through it. If this one can be written in two short files, so can yours.
#![expect(clippy::expect_used, reason = "what cannot go on has failed its test")]

mod burner;
mod chain;

use async_trait::async_trait;
use tranche_application::ports::burner::LedgerBurner;
use tranche_domain::Amount;
use tranche_domain::disbursement::PreparedBurn;
use tranche_tests::ledger_contract::LedgerUnderTest;

use burner::NonceBurner;
use chain::Chain;

/// The tiny ledger, wound by hand.
struct Tiny {
    chain: Chain,
    burner: NonceBurner,
}

async fn fresh() -> Tiny {
    let chain = Chain::default();
    Tiny {
        burner: NonceBurner::new(chain.clone()),
        chain,
    }
}

#[async_trait]
impl LedgerUnderTest for Tiny {
    fn burner(&self) -> &dyn LedgerBurner {
        &self.burner
    }

    async fn wallet(&self, balance: Amount) -> String {
        self.chain.open(balance)
    }

    async fn channel(&self) -> String {
        self.chain.open(Amount::ZERO)
    }

    async fn include(&self) {
        self.chain.close_block(1);
    }

    async fn outlive(&self, _: &PreparedBurn) {
        self.chain.close_block(burner::LIFE_SECONDS + 1);
        self.chain.close_block(1);
    }

    async fn fail_next(&self) {
        self.chain.fail_next();
    }

    async fn take_slot(&self, burn: &PreparedBurn) {
        self.chain.take(&burn.slot.account, burn.slot.sequence);
        self.chain.close_block(1);
    }

    async fn balance(&self, wallet: &str) -> Amount {
        self.chain.balance(wallet)
    }
}

tranche_tests::ledger_contract!(fresh);
