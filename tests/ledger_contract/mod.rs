//! The rules of the ledger's door, as functions that run on any adapter of
//! [`LedgerBurner`](tranche_application::ports::burner::LedgerBurner).
//!
//! An adapter hands in a [`LedgerUnderTest`], a ledger of its kind that it can wind by hand, and
//! expands [`ledger_contract!`](crate::ledger_contract):
//!
//! ```ignore
//! async fn fresh() -> impl tranche_tests::ledger_contract::LedgerUnderTest { … }
//! tranche_tests::ledger_contract!(fresh);
//! ```
//!
//! What the rules come to: a burn is named before it is sent; sending is safe to repeat and proves
//! nothing; of everything that was ever signed for one slot at most one burns; a verdict, once
//! given, is true and stays; and the ledger's burns can be read back whole.
#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::panic,
    reason = "test support: a rule that does not hold fails its test"
)]

pub mod burning;
pub mod ending;
pub mod watching;

use std::time::Duration;

use async_trait::async_trait;
use tranche_application::ports::burner::{LedgerBurner, LedgerError};
use tranche_domain::Amount;
use tranche_domain::disbursement::{BurnOrder, PreparedBurn, Verdict};

/// A ledger that can be wound by hand, with an adapter to it.
#[async_trait]
pub trait LedgerUnderTest: Send + Sync {
    /// The adapter.
    fn burner(&self) -> &dyn LedgerBurner;

    /// A wallet that the adapter can sign for, which holds `balance` and enough for fees.
    async fn wallet(&self, balance: Amount) -> String;

    /// An account that the adapter can sign for and that lends its sequence number.
    async fn channel(&self) -> String;

    /// Closes ledgers until everything that waits is included.
    async fn include(&self);

    /// Lets the ledger's time pass until no envelope of the burn can be included any more.
    async fn outlive(&self, burn: &PreparedBurn);

    /// Makes the next burn that is included fail.
    async fn fail_next(&self);

    /// Uses the burn's slot for something else, with the same key, and includes it.
    async fn take_slot(&self, burn: &PreparedBurn);

    /// What the wallet holds, read past the adapter.
    async fn balance(&self, wallet: &str) -> Amount;
}

/// What every wallet begins with.
pub const BALANCE: &str = "1000";
/// What every burn burns.
pub const AMOUNT: &str = "250.5";
/// What is left after one burn.
pub const LEFT: &str = "749.5";

/// An amount.
pub fn amount(text: &str) -> Amount {
    text.parse().expect("an amount")
}

/// An order to burn [`AMOUNT`] from `wallet`, by its own sequence number.
pub fn order(wallet: &str, memo: u8) -> BurnOrder {
    BurnOrder {
        amount: amount(AMOUNT),
        wallet_account_id: wallet.to_owned(),
        sequence_account_id: wallet.to_owned(),
        memo: [memo; 32],
    }
}

/// A wallet, and a burn from it that is signed and not sent.
pub async fn prepared(ledger: &impl LedgerUnderTest) -> (String, PreparedBurn) {
    let wallet = ledger.wallet(amount(BALANCE)).await;
    let burn = ledger.burner().prepare(&order(&wallet, 7)).await;
    (wallet, burn.expect("a burn that can be signed"))
}

/// Asks until the ledger has decided, sending again meanwhile.
pub async fn decided(ledger: &impl LedgerUnderTest, burn: &PreparedBurn) -> Verdict {
    for _ in 0..200 {
        match ledger.burner().verdict(burn).await {
            Ok(Verdict::Undecided(_)) | Err(LedgerError::Unavailable(_)) => {}
            Ok(verdict) => return verdict,
            Err(error) => panic!("no verdict: {error}"),
        }
        drop(ledger.burner().submit(burn).await);
        ledger.include().await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never decided: {}", burn.id)
}

/// The code of a failure.
pub fn failed_with(verdict: Verdict) -> String {
    match verdict {
        Verdict::Failed(failure) => failure.code,
        other => panic!("it did not fail: {other:?}"),
    }
}

/// One `#[tokio::test]` for each rule of the ledger's door. `$factory` names an
/// `async fn() -> impl LedgerUnderTest` in scope.
#[macro_export]
macro_rules! ledger_contract {
    ($factory:ident) => {
        $crate::ledger_contract! { @each $factory;
            burning: [
                preparing_sends_nothing_and_names_the_burn,
                a_burn_happens_once_however_often_it_is_sent,
                one_slot_burns_once_whatever_was_signed_for_it,
                a_channel_lends_its_sequence_number,
                a_higher_fee_takes_the_same_slot,
                what_the_ledger_would_refuse_is_not_signed,
                a_burn_of_another_network_is_not_judged,
            ];
            ending: [
                what_was_never_sent_expires_and_never_burns,
                a_burn_in_time_is_not_expired_however_late_it_is_asked_for,
                an_included_failure_is_final,
                a_slot_that_is_used_elsewhere_is_found_out,
                a_verdict_stays,
            ];
            watching: [
                the_ledgers_burns_are_read_back_whole,
                without_a_beginning_only_the_tip_is_told,
                a_failed_burn_is_none,
            ];
        }
    };
    (@each $factory:ident; $($module:ident: [$($rule:ident,)*];)*) => {
        $($(
            #[tokio::test]
            async fn $rule() {
                $crate::ledger_contract::$module::$rule(&$factory().await).await;
            }
        )*)*
    };
}
