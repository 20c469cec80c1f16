//! The rules every transaction is under, whatever its operations.

use stellar_xdr::{
    Asset, Duration, LedgerBounds, OperationBody, OperationResult, OperationResultTr,
    PaymentResult, Preconditions, PreconditionsV2, SequenceNumber, TimePoint,
    TransactionResultResult as Code, VecM,
};

use super::testing::*;
use super::{BASE_RESERVE, TOTAL_COINS, account as accounts};
use crate::xdr::UNIT;

fn failed_with(code: Code) -> Vec<OperationResult> {
    match code {
        Code::TxFailed(results) => results.to_vec(),
        other => panic!("not txFAILED but {other:?}"),
    }
}

fn v2(change: impl FnOnce(&mut PreconditionsV2)) -> Preconditions {
    let mut v2 = PreconditionsV2 {
        time_bounds: None,
        ledger_bounds: None,
        min_seq_num: None,
        min_seq_age: Duration(0),
        min_seq_ledger_gap: 0,
        extra_signers: VecM::default(),
    };
    change(&mut v2);
    Preconditions::V2(v2)
}

#[test]
fn only_the_next_sequence_number_is_valid() {
    let rig = Rig::new();
    let next = rig.sequence(1) + 1;
    let at = |sequence| draft(1, sequence, vec![burn(1)]).sign(&[1]);
    assert!(rig.check(&at(next), 0).is_ok());
    for wrong in [next - 1, next + 1, 0] {
        assert_eq!(rig.refusal(&at(wrong)), Code::TxBadSeq);
    }
}

#[test]
fn a_failed_transaction_takes_its_sequence_number_and_its_fee() {
    let mut rig = Rig::new();
    let (sequence, lumens) = (rig.sequence(1), rig.lumens(1));
    let frame = draft(1, sequence + 1, vec![burn(51 * UNIT)]).sign(&[1]);
    assert_eq!(
        failed_with(rig.run(&frame)),
        [OperationResult::OpInner(OperationResultTr::Payment(
            PaymentResult::Underfunded
        ))]
    );
    assert_eq!(rig.sequence(1), sequence + 1);
    assert_eq!(rig.lumens(1), lumens - 100);
    assert_eq!(rig.held(1), 50 * UNIT);
    assert_eq!(rig.refusal(&frame), Code::TxBadSeq);
}

#[test]
fn a_sequence_number_bumped_away_in_the_same_ledger_is_not_taken() {
    let mut rig = Rig::new();
    let next = rig.sequence(1) + 1;
    let bump = OperationBody::BumpSequence(stellar_xdr::BumpSequenceOp {
        bump_to: SequenceNumber(next + 5),
    });
    // Account 2 carries the operation of account 1, so both are in one ledger.
    let first = draft(2, rig.sequence(2) + 1, vec![bump])
        .operated_by(1)
        .sign(&[1, 2]);
    let second = draft(1, next, vec![burn(1)]).sign(&[1]);
    let included = rig.close(&[first, second]);
    assert!(matches!(included[0].result.result, Code::TxSuccess(_)));
    assert_eq!(included[1].result.result, Code::TxBadSeq);
    assert_eq!(included[1].result.fee_charged, 100);
    assert_eq!(rig.sequence(1), next + 5);
}

#[test]
fn the_sequence_number_is_recorded_with_its_ledger_and_time() {
    let mut rig = Rig::new();
    rig.run(&draft(1, rig.sequence(1) + 1, vec![burn(1)]).sign(&[1]));
    let age = accounts::sequence_age(&rig.entry(1));
    assert_eq!(age, (rig.tip.ledger, rig.tip.close_time));
}

#[test]
fn a_least_sequence_number_relaxes_the_rule() {
    let rig = Rig::new();
    let current = rig.sequence(1);
    let at = |least, sequence| {
        draft(1, sequence, vec![burn(1)])
            .cond(v2(|v2| v2.min_seq_num = Some(SequenceNumber(least))))
            .sign(&[1])
    };
    assert!(rig.check(&at(0, current + 9), 0).is_ok());
    assert!(rig.check(&at(current, current + 1), 0).is_ok());
    assert_eq!(rig.refusal(&at(current + 1, current + 9)), Code::TxBadSeq);
    assert_eq!(rig.refusal(&at(0, current)), Code::TxBadSeq);
}

#[test]
fn the_last_second_is_still_in_time_and_the_next_is_not() {
    let rig = Rig::new();
    let until = |time| {
        draft(1, rig.sequence(1) + 1, vec![burn(1)])
            .until(time)
            .sign(&[1])
    };
    let now = rig.tip.close_time;
    assert!(rig.check(&until(now), 0).is_ok());
    assert!(rig.check(&until(0), 0).is_ok(), "0 is without end");
    assert_eq!(rig.refusal(&until(now - 1)), Code::TxTooLate);
    let offset = rig.check(&until(now + 1), 2).expect_err("refused ahead");
    assert_eq!(offset.result, Code::TxTooLate);
}

#[test]
fn a_transaction_late_at_apply_time_does_not_take_its_sequence_number() {
    let mut rig = Rig::new();
    let sequence = rig.sequence(1);
    let now = rig.tip.close_time;
    let frame = draft(1, sequence + 1, vec![burn(1)]).until(now).sign(&[1]);
    assert_eq!(rig.run(&frame), Code::TxTooLate);
    assert_eq!(rig.sequence(1), sequence);
}

#[test]
fn ledger_bounds_end_before_the_last_number() {
    let rig = Rig::new();
    let next = rig.tip.ledger + 1;
    let bounded = |min_ledger, max_ledger| {
        draft(1, rig.sequence(1) + 1, vec![burn(1)])
            .cond(v2(|v2| {
                v2.ledger_bounds = Some(LedgerBounds {
                    min_ledger,
                    max_ledger,
                });
            }))
            .sign(&[1])
    };
    assert!(rig.check(&bounded(next, next + 1), 0).is_ok());
    assert!(rig.check(&bounded(0, 0), 0).is_ok());
    assert_eq!(rig.refusal(&bounded(0, next)), Code::TxTooLate);
    assert_eq!(rig.refusal(&bounded(next + 1, 0)), Code::TxTooEarly);
}

#[test]
fn a_young_sequence_number_still_takes_the_next() {
    let mut rig = Rig::new();
    rig.run(&draft(1, rig.sequence(1) + 1, vec![burn(1)]).sign(&[1]));
    let next = rig.sequence(1) + 1;
    let frame = draft(1, next, vec![burn(1)])
        .cond(v2(|v2| v2.min_seq_ledger_gap = 9))
        .sign(&[1]);
    assert_eq!(rig.refusal(&frame), Code::TxBadMinSeqAgeOrGap);
    assert_eq!(rig.run(&frame), Code::TxBadMinSeqAgeOrGap);
    assert_eq!(rig.sequence(1), next);
}

#[test]
fn fees_have_a_floor_and_the_reserve_is_not_for_spending() {
    let mut rig = Rig::new();
    let next = rig.sequence(1) + 1;
    let two = vec![burn(1), burn(1)];
    let cheap = draft(1, next, two.clone()).fee(199).sign(&[1]);
    assert_eq!(rig.refusal(&cheap), Code::TxInsufficientFee);
    assert!(
        rig.check(&draft(1, next, two).fee(200).sign(&[1]), 0)
            .is_ok()
    );

    // 1.5 XLM is the reserve with one trustline; everything above it goes to account 2.
    let spendable = rig.lumens(1) - 3 * BASE_RESERVE - 100;
    let too_much = draft(1, next, vec![pay(2, Asset::Native, spendable + 1)]).sign(&[1]);
    let results = failed_with(rig.run(&too_much));
    assert!(matches!(
        results.as_slice(),
        [OperationResult::OpInner(OperationResultTr::Payment(
            PaymentResult::Underfunded
        ))]
    ));
    let all = draft(1, next + 1, vec![pay(2, Asset::Native, spendable - 100)]).sign(&[1]);
    assert!(matches!(rig.run(&all), Code::TxSuccess(_)));
    assert_eq!(rig.lumens(1), 3 * BASE_RESERVE);
    let broke = draft(1, next + 2, vec![burn(1)]).sign(&[1]);
    assert_eq!(rig.refusal(&broke), Code::TxInsufficientBalance);
}

#[test]
fn a_bump_pays_for_the_inner_transaction_whatever_becomes_of_it() {
    let mut rig = Rig::new();
    let (sequence, sponsor) = (rig.sequence(1), rig.lumens(2));
    let inner = draft(1, sequence + 1, vec![burn(51 * UNIT)]).fee(0);
    assert_eq!(
        rig.refusal(&inner.bump(&[1], 2, 199)),
        Code::TxInsufficientFee
    );
    let frame = inner.bump(&[1], 2, 5000);
    assert!(rig.check(&frame, 0).is_ok());
    match rig.run(&frame) {
        Code::TxFeeBumpInnerFailed(pair) => {
            assert_eq!(pair.transaction_hash.0, frame.inner_hash);
            assert_ne!(frame.inner_hash, frame.hash);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(rig.sequence(1), sequence + 1);
    assert_eq!(
        rig.lumens(2),
        sponsor - 200,
        "two operations at the base fee"
    );
}

#[test]
fn a_bump_whose_payer_was_merged_away_fails_for_itself() {
    let mut rig = Rig::new();
    rig.grant(&super::grant::Grant {
        account: account(4),
        credit: None,
        lumens: 50 * UNIT,
    });
    let sequence = rig.sequence(1);
    let merge = OperationBody::AccountMerge(crate::xdr::muxed(&account(2)));
    let first = draft(4, rig.sequence(4) + 1, vec![merge]).sign(&[4]);
    let second = draft(1, sequence + 1, vec![burn(1)]).bump(&[1], 4, 5000);
    let included = rig.close(&[first, second]);
    assert!(matches!(included[0].result.result, Code::TxSuccess(_)));
    assert_eq!(included[1].result.result, Code::TxNoAccount);
    assert_eq!(rig.sequence(1), sequence);
}

#[test]
fn a_bump_cannot_revive_what_is_too_late() {
    let rig = Rig::new();
    let frame = draft(1, rig.sequence(1) + 1, vec![burn(1)])
        .until(rig.tip.close_time - 1)
        .bump(&[1], 2, 10_000);
    match rig.refusal(&frame) {
        Code::TxFeeBumpInnerFailed(pair) => assert_eq!(
            pair.result.result,
            stellar_xdr::InnerTransactionResultResult::TxTooLate
        ),
        other => panic!("{other:?}"),
    }
}

#[test]
fn lumens_are_neither_made_nor_lost() {
    let mut rig = Rig::new();
    for _ in 0..3 {
        let next = rig.sequence(1) + 1;
        rig.run(&draft(1, next, vec![pay(2, Asset::Native, UNIT)]).sign(&[1]));
    }
    let held: i64 = rig
        .state
        .entries()
        .filter_map(|entry| match &entry.data {
            stellar_xdr::LedgerEntryData::Account(account) => Some(account.balance),
            _ => None,
        })
        .sum();
    assert_eq!(held + rig.tip.fee_pool, TOTAL_COINS);
}

#[test]
fn close_times_never_go_back() {
    let rig = Rig::new();
    let close =
        super::close::Close::begin(&rig.state, &rig.tip, &rig.network, GENESIS_TIME - 100).unwrap();
    assert_eq!(close.finish().unwrap().tip.close_time, rig.tip.close_time);
}

#[test]
fn no_operation_and_no_account_are_refused() {
    let rig = Rig::new();
    let empty = draft(1, rig.sequence(1) + 1, vec![]).sign(&[1]);
    assert_eq!(rig.refusal(&empty), Code::TxMissingOperation);
    let nobody = draft(9, 1, vec![burn(1)]).sign(&[9]);
    assert_eq!(rig.refusal(&nobody), Code::TxNoAccount);
}

#[test]
fn a_time_point_is_compared_as_unsigned() {
    let rig = Rig::new();
    let frame = draft(1, rig.sequence(1) + 1, vec![burn(1)])
        .until(TimePoint(u64::MAX).0)
        .sign(&[1]);
    assert!(rig.check(&frame, 2).is_ok());
}
