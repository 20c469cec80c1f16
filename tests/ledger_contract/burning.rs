//! Signing and sending: named before it is sent, at most once whatever is sent.

use tranche_application::ports::burner::LedgerError;
use tranche_domain::Amount;
use tranche_domain::disbursement::verdict::Wait;
use tranche_domain::disbursement::{BurnOrder, Verdict};

use super::{BALANCE, LEFT, LedgerUnderTest, amount, decided, failed_with, order, prepared};

/// A prepared burn has left no trace on the ledger, and everything by which it will be known.
pub async fn preparing_sends_nothing_and_names_the_burn(ledger: &impl LedgerUnderTest) {
    let (wallet, burn) = prepared(ledger).await;
    ledger.include().await;
    assert_eq!(ledger.balance(&wallet).await, amount(BALANCE));
    let verdict = ledger.burner().verdict(&burn).await.expect("a verdict");
    assert_eq!(verdict, Verdict::Undecided(Wait::MayStillHappen));
    assert!(!burn.id.0.is_empty() && !burn.envelope.is_empty());
    assert_eq!(burn.memo, [7; 32]);
    assert_eq!(burn.slot.network, ledger.burner().network());
    assert_eq!(burn.slot.account, wallet);
    assert!(burn.replacements.is_empty());
}

/// Sending again, before and after it is included, changes nothing.
pub async fn a_burn_happens_once_however_often_it_is_sent(ledger: &impl LedgerUnderTest) {
    let (wallet, burn) = prepared(ledger).await;
    for _ in 0..3 {
        drop(ledger.burner().submit(&burn).await);
    }
    ledger.include().await;
    let verdict = decided(ledger, &burn).await;
    let Verdict::Burned { burn: id, .. } = &verdict else {
        panic!("it did not burn: {verdict:?}");
    };
    assert_eq!(*id, burn.id);
    for _ in 0..3 {
        drop(ledger.burner().submit(&burn).await);
        ledger.include().await;
    }
    assert_eq!(ledger.balance(&wallet).await, amount(LEFT));
    assert_eq!(decided(ledger, &burn).await, verdict);
}

/// Two orders signed for one slot: the ledger takes one, and the other is proven never to happen.
pub async fn one_slot_burns_once_whatever_was_signed_for_it(ledger: &impl LedgerUnderTest) {
    let (wallet, first) = prepared(ledger).await;
    let second = ledger.burner().prepare(&order(&wallet, 8)).await;
    let second = second.expect("a second burn for the same slot");
    assert_eq!(first.slot, second.slot);
    assert_ne!(first.id, second.id);
    drop(ledger.burner().submit(&first).await);
    ledger.include().await;
    let verdict = decided(ledger, &first).await;
    assert!(matches!(verdict, Verdict::Burned { .. }), "{verdict:?}");
    drop(ledger.burner().submit(&second).await);
    ledger.include().await;
    failed_with(decided(ledger, &second).await);
    assert_eq!(ledger.balance(&wallet).await, amount(LEFT));
    let next = ledger.burner().prepare(&order(&wallet, 9)).await;
    assert!(next.expect("the next slot").slot.sequence > first.slot.sequence);
}

/// A channel's sequence number and the wallet's own burn side by side.
pub async fn a_channel_lends_its_sequence_number(ledger: &impl LedgerUnderTest) {
    let (wallet, own) = prepared(ledger).await;
    let channel = ledger.channel().await;
    let by_channel = BurnOrder {
        sequence_account_id: channel.clone(),
        ..order(&wallet, 8)
    };
    let lent = ledger.burner().prepare(&by_channel).await;
    let lent = lent.expect("a burn by a channel");
    assert_eq!(lent.slot.account, channel);
    for burn in [&own, &lent] {
        drop(ledger.burner().submit(burn).await);
    }
    ledger.include().await;
    for burn in [&own, &lent] {
        let verdict = decided(ledger, burn).await;
        assert!(matches!(verdict, Verdict::Burned { .. }), "{verdict:?}");
    }
    assert_eq!(ledger.balance(&wallet).await, amount("499"));
}

/// A further envelope, for a higher fee, takes the same slot: both are sent and one burns.
pub async fn a_higher_fee_takes_the_same_slot(ledger: &impl LedgerUnderTest) {
    let (wallet, mut burn) = prepared(ledger).await;
    drop(ledger.burner().submit(&burn).await);
    let further = ledger.burner().outbid(&burn, 150_000).await;
    let further = further
        .expect("an answer")
        .expect("a higher fee is offered");
    assert_ne!(further.envelope, burn.envelope);
    burn.replacements.push(further);
    drop(ledger.burner().submit(&burn).await);
    ledger.include().await;
    let verdict = decided(ledger, &burn).await;
    let Verdict::Burned { burn: id, .. } = verdict else {
        panic!("it did not burn: {verdict:?}");
    };
    assert!(burn.ids().any(|known| *known == id), "{id}");
    assert_eq!(ledger.balance(&wallet).await, amount(LEFT));
    let again = ledger.burner().outbid(&burn, 150_000).await;
    assert_eq!(
        again.expect("an answer"),
        None,
        "it offers that fee already"
    );
}

/// More than the wallet holds, nothing at all, and a wallet that is none.
pub async fn what_the_ledger_would_refuse_is_not_signed(ledger: &impl LedgerUnderTest) {
    let wallet = ledger.wallet(amount(BALANCE)).await;
    let too_much = BurnOrder {
        amount: amount("1000.0000001"),
        ..order(&wallet, 7)
    };
    let nothing = BurnOrder {
        amount: Amount::ZERO,
        ..order(&wallet, 7)
    };
    for refused in [too_much, nothing, order("nobody", 7)] {
        let outcome = ledger.burner().prepare(&refused).await;
        assert!(
            matches!(outcome, Err(LedgerError::Refused { .. })),
            "{outcome:?}"
        );
    }
}

/// A burn that was signed for another network gets no verdict from this one.
pub async fn a_burn_of_another_network_is_not_judged(ledger: &impl LedgerUnderTest) {
    let (_, mut burn) = prepared(ledger).await;
    burn.slot.network.push_str(" elsewhere");
    let verdict = ledger.burner().verdict(&burn).await;
    assert!(
        matches!(verdict, Err(LedgerError::Misconfigured(_))),
        "{verdict:?}"
    );
    let sent = ledger.burner().submit(&burn).await;
    assert!(
        matches!(sent, Err(LedgerError::Misconfigured(_))),
        "{sent:?}"
    );
}
