//! Verdicts without a burn: proven, final, and never too early.

use tranche_domain::disbursement::Verdict;
use tranche_domain::disbursement::verdict::{EXPIRED, SEQUENCE_TAKEN};

use super::{BALANCE, LEFT, LedgerUnderTest, amount, decided, failed_with, order, prepared};

/// After its end an envelope burns nothing, and its slot is free for the next order.
pub async fn what_was_never_sent_expires_and_never_burns(ledger: &impl LedgerUnderTest) {
    let (wallet, burn) = prepared(ledger).await;
    ledger.outlive(&burn).await;
    assert_eq!(failed_with(decided(ledger, &burn).await), EXPIRED);
    drop(ledger.burner().submit(&burn).await);
    ledger.include().await;
    assert_eq!(ledger.balance(&wallet).await, amount(BALANCE));
    let next = ledger.burner().prepare(&order(&wallet, 8)).await;
    assert_eq!(next.expect("the same slot").slot, burn.slot);
}

/// A burn that was included counts, though nobody asked before its end.
pub async fn a_burn_in_time_is_not_expired_however_late_it_is_asked_for(
    ledger: &impl LedgerUnderTest,
) {
    let (wallet, burn) = prepared(ledger).await;
    drop(ledger.burner().submit(&burn).await);
    ledger.include().await;
    ledger.outlive(&burn).await;
    let verdict = decided(ledger, &burn).await;
    assert!(matches!(verdict, Verdict::Burned { .. }), "{verdict:?}");
    assert_eq!(ledger.balance(&wallet).await, amount(LEFT));
}

/// Included and failed: the slot is used, nothing burned, and the code says why.
pub async fn an_included_failure_is_final(ledger: &impl LedgerUnderTest) {
    let (wallet, burn) = prepared(ledger).await;
    ledger.fail_next().await;
    drop(ledger.burner().submit(&burn).await);
    ledger.include().await;
    let code = failed_with(decided(ledger, &burn).await);
    assert!(!code.is_empty() && code != EXPIRED && code != SEQUENCE_TAKEN);
    drop(ledger.burner().submit(&burn).await);
    ledger.include().await;
    assert_eq!(ledger.balance(&wallet).await, amount(BALANCE));
    let next = ledger.burner().prepare(&order(&wallet, 8)).await;
    assert!(next.expect("the next slot").slot.sequence > burn.slot.sequence);
}

/// Whoever else has the key: the burn can never happen, and that is said.
pub async fn a_slot_that_is_used_elsewhere_is_found_out(ledger: &impl LedgerUnderTest) {
    let (wallet, burn) = prepared(ledger).await;
    ledger.take_slot(&burn).await;
    assert_eq!(failed_with(decided(ledger, &burn).await), SEQUENCE_TAKEN);
    drop(ledger.burner().submit(&burn).await);
    ledger.include().await;
    assert_eq!(ledger.balance(&wallet).await, amount(BALANCE));
}

/// Asked again, long after, the ledger says the same.
pub async fn a_verdict_stays(ledger: &impl LedgerUnderTest) {
    let (_, burn) = prepared(ledger).await;
    drop(ledger.burner().submit(&burn).await);
    ledger.include().await;
    let verdict = decided(ledger, &burn).await;
    ledger.outlive(&burn).await;
    for _ in 0..3 {
        ledger.include().await;
        assert_eq!(decided(ledger, &burn).await, verdict);
    }
}
