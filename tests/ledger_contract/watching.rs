//! Reading the ledger's burns back: all of them, with what ties them to their orders.

use tranche_domain::disbursement::Verdict;

use super::{AMOUNT, BALANCE, LedgerUnderTest, amount, decided, order, prepared};

/// Every burn of the wallets asked for, in order, with its memo; none of another wallet.
pub async fn the_ledgers_burns_are_read_back_whole(ledger: &impl LedgerUnderTest) {
    let (wallet, first) = prepared(ledger).await;
    let start = first.signed_at_ledger;
    let stranger = ledger.wallet(amount(BALANCE)).await;
    let mut burned = Vec::new();
    for (of, memo) in [(&wallet, 7), (&stranger, 8), (&wallet, 9)] {
        let burn = ledger.burner().prepare(&order(of, memo)).await;
        let burn = burn.expect("a burn that can be signed");
        drop(ledger.burner().submit(&burn).await);
        ledger.include().await;
        let Verdict::Burned { burn: id, ledger } = decided(ledger, &burn).await else {
            panic!("it did not burn");
        };
        burned.push((id, ledger, [memo; 32]));
    }
    burned.remove(1);
    let wallets = [wallet.clone()];
    let seen = ledger.burner().burns_since(Some(start), &wallets).await;
    let seen = seen.expect("the ledger's burns");
    assert!(
        seen.from <= start,
        "from {} though asked {start}",
        seen.from
    );
    assert!(seen.to >= burned[1].1, "up to {}", seen.to);
    let found: Vec<_> = seen.burns.iter().map(|burn| burn.id.clone()).collect();
    let expected: Vec<_> = burned.iter().map(|(id, ..)| id.clone()).collect();
    assert_eq!(found, expected);
    for (burn, (_, at, memo)) in seen.burns.iter().zip(&burned) {
        assert_eq!(burn.ledger, *at);
        assert_eq!(burn.memo, Some(*memo));
        assert_eq!(burn.amount, amount(AMOUNT));
        assert_eq!(burn.wallet_account_id, wallet);
    }
    let later = Some(burned[0].1 + 1);
    let seen = ledger.burner().burns_since(later, &wallets).await;
    assert_eq!(seen.expect("the later burns").burns.len(), 1);
}

/// Without a beginning there is nothing to read but where the ledger is.
pub async fn without_a_beginning_only_the_tip_is_told(ledger: &impl LedgerUnderTest) {
    let (wallet, burn) = prepared(ledger).await;
    drop(ledger.burner().submit(&burn).await);
    ledger.include().await;
    decided(ledger, &burn).await;
    let seen = ledger.burner().burns_since(None, &[wallet]).await;
    let seen = seen.expect("the tip");
    assert!(seen.to > burn.signed_at_ledger);
    assert!(seen.burns.is_empty());
}

/// A burn that was included and failed did not burn.
pub async fn a_failed_burn_is_none(ledger: &impl LedgerUnderTest) {
    let (wallet, burn) = prepared(ledger).await;
    ledger.fail_next().await;
    drop(ledger.burner().submit(&burn).await);
    ledger.include().await;
    decided(ledger, &burn).await;
    let start = Some(burn.signed_at_ledger);
    let seen = ledger.burner().burns_since(start, &[wallet]).await;
    assert!(seen.expect("the ledger's burns").burns.is_empty());
}
