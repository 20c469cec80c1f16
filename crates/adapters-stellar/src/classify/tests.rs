use stellar_xdr::{InnerTransactionResultResult as Inner, TransactionResultResult as Outer, VecM};

use super::*;
use crate::classify::held::used_its_sequence;
use crate::testing::{base64, bumped, burn, inner, key, network, payment, result, signed};

fn operations<T: TryFrom<Vec<OperationResult>>>(results: Vec<OperationResult>) -> T {
    results.try_into().ok().unwrap()
}

fn success() -> VecM<OperationResult> {
    operations(vec![payment(PaymentResult::Success)])
}

fn underfunded() -> VecM<OperationResult> {
    operations(vec![payment(PaymentResult::Underfunded)])
}

/// What an answer means that is understood.
fn classify(status: Status, envelope: &stellar_xdr::TransactionEnvelope, outcome: Outer) -> Lookup {
    try_classify(status, envelope, outcome).unwrap()
}

/// What is made of an answer about the burn with sequence 8.
fn try_classify(
    status: Status,
    envelope: &stellar_xdr::TransactionEnvelope,
    outcome: Outer,
) -> Result<Lookup, Garbled> {
    let (_, hash) = signed(&burn(8));
    let ours = Ours {
        hash,
        network_id: network().id(),
    };
    ours.included(&Included {
        status,
        envelope: &base64(envelope),
        result: &base64(&result(outcome)),
        ledger: 42,
    })
}

fn succeeded(as_ordered: bool) -> Lookup {
    Lookup::Succeeded {
        burn: BurnId(hex::encode(signed(&burn(8)).1)),
        ledger: 42,
        as_ordered,
    }
}

fn failed(code: &str) -> Lookup {
    Lookup::Failed {
        ledger: 42,
        code: code.to_owned(),
    }
}

#[test]
fn every_transaction_code_has_a_name() {
    let rows: [(&str, Outer, Inner); 18] = [
        ("tx_too_early", Outer::TxTooEarly, Inner::TxTooEarly),
        ("tx_too_late", Outer::TxTooLate, Inner::TxTooLate),
        (
            "tx_missing_operation",
            Outer::TxMissingOperation,
            Inner::TxMissingOperation,
        ),
        ("tx_bad_seq", Outer::TxBadSeq, Inner::TxBadSeq),
        ("tx_bad_auth", Outer::TxBadAuth, Inner::TxBadAuth),
        (
            "tx_insufficient_balance",
            Outer::TxInsufficientBalance,
            Inner::TxInsufficientBalance,
        ),
        ("tx_no_account", Outer::TxNoAccount, Inner::TxNoAccount),
        (
            "tx_insufficient_fee",
            Outer::TxInsufficientFee,
            Inner::TxInsufficientFee,
        ),
        (
            "tx_bad_auth_extra",
            Outer::TxBadAuthExtra,
            Inner::TxBadAuthExtra,
        ),
        (
            "tx_internal_error",
            Outer::TxInternalError,
            Inner::TxInternalError,
        ),
        (
            "tx_not_supported",
            Outer::TxNotSupported,
            Inner::TxNotSupported,
        ),
        (
            "tx_bad_sponsorship",
            Outer::TxBadSponsorship,
            Inner::TxBadSponsorship,
        ),
        (
            "tx_bad_min_seq_age_or_gap",
            Outer::TxBadMinSeqAgeOrGap,
            Inner::TxBadMinSeqAgeOrGap,
        ),
        ("tx_malformed", Outer::TxMalformed, Inner::TxMalformed),
        (
            "tx_soroban_invalid",
            Outer::TxSorobanInvalid,
            Inner::TxSorobanInvalid,
        ),
        (
            "tx_frozen_key_accessed",
            Outer::TxFrozenKeyAccessed,
            Inner::TxFrozenKeyAccessed,
        ),
        (
            "tx_failed",
            Outer::TxFailed(VecM::default()),
            Inner::TxFailed(VecM::default()),
        ),
        (
            "underfunded",
            Outer::TxFailed(underfunded()),
            Inner::TxFailed(underfunded()),
        ),
    ];
    for (name, outer, within) in rows {
        assert_eq!(codes::of_result(&result(outer)), Some(name));
        let bump = Outer::TxFeeBumpInnerFailed(inner([1; 32], within));
        assert_eq!(
            codes::of_result(&result(bump)),
            Some(name),
            "inside a fee bump"
        );
    }
    assert_eq!(codes::of_result(&result(Outer::TxSuccess(success()))), None);
    let bump = Outer::TxFeeBumpInnerSuccess(inner([1; 32], Inner::TxSuccess(success())));
    assert_eq!(codes::of_result(&result(bump)), None);
}

#[test]
fn every_payment_and_operation_code_has_a_name() {
    for (name, operation) in [
        ("malformed", payment(PaymentResult::Malformed)),
        ("underfunded", payment(PaymentResult::Underfunded)),
        ("no_trustline", payment(PaymentResult::SrcNoTrust)),
        ("not_authorized", payment(PaymentResult::SrcNotAuthorized)),
        ("no_destination", payment(PaymentResult::NoDestination)),
        ("destination_no_trustline", payment(PaymentResult::NoTrust)),
        (
            "destination_not_authorized",
            payment(PaymentResult::NotAuthorized),
        ),
        ("line_full", payment(PaymentResult::LineFull)),
        ("no_issuer", payment(PaymentResult::NoIssuer)),
        ("op_bad_auth", OperationResult::OpBadAuth),
        ("op_no_account", OperationResult::OpNoAccount),
        ("op_not_supported", OperationResult::OpNotSupported),
        (
            "op_too_many_subentries",
            OperationResult::OpTooManySubentries,
        ),
        (
            "op_exceeded_work_limit",
            OperationResult::OpExceededWorkLimit,
        ),
        (
            "op_too_many_sponsoring",
            OperationResult::OpTooManySponsoring,
        ),
    ] {
        let outcome = Outer::TxFailed(operations(vec![payment(PaymentResult::Success), operation]));
        assert_eq!(codes::of_result(&result(outcome)), Some(name));
    }
}

#[test]
fn a_success_is_ours_only_with_our_envelope_and_one_payment() {
    let (ours, hash) = signed(&burn(8));
    let (other, other_hash) = signed(&burn(9));
    let done = |outcome| classify(Status::Success, &ours, outcome);
    assert_eq!(done(Outer::TxSuccess(success())), succeeded(true));
    assert_eq!(done(Outer::TxSuccess(underfunded())), succeeded(false));
    assert_eq!(done(Outer::TxSuccess(VecM::default())), succeeded(false));
    let twice = operations(vec![
        payment(PaymentResult::Success),
        payment(PaymentResult::Success),
    ]);
    assert_eq!(done(Outer::TxSuccess(twice)), succeeded(false));
    assert_eq!(done(Outer::TxFailed(underfunded())), succeeded(false));
    assert_eq!(
        classify(Status::Success, &other, Outer::TxSuccess(success())),
        succeeded(false)
    );

    let bump = |pair| Outer::TxFeeBumpInnerSuccess(inner(pair, Inner::TxSuccess(success())));
    assert_eq!(
        classify(Status::Success, &bumped(&ours), bump(hash)),
        succeeded(true)
    );
    assert_eq!(
        classify(Status::Success, &bumped(&ours), bump(other_hash)),
        succeeded(false)
    );
    assert_eq!(
        classify(Status::Success, &bumped(&other), bump(hash)),
        succeeded(false)
    );
    assert_eq!(
        done(bump(hash)),
        succeeded(false),
        "a plain envelope has no inner result"
    );
    let failed = Outer::TxFeeBumpInnerSuccess(inner(hash, Inner::TxFailed(underfunded())));
    assert_eq!(
        classify(Status::Success, &bumped(&ours), failed),
        succeeded(false)
    );
}

#[test]
fn a_failure_carries_its_code() {
    let (ours, hash) = signed(&burn(8));
    let gone = |envelope: &_, outcome| classify(Status::Failed, envelope, outcome);
    assert_eq!(
        gone(&ours, Outer::TxFailed(underfunded())),
        failed("underfunded")
    );
    assert_eq!(gone(&ours, Outer::TxBadAuth), failed("tx_bad_auth"));
    let bump = Outer::TxFeeBumpInnerFailed(inner(hash, Inner::TxFailed(underfunded())));
    assert_eq!(gone(&bumped(&ours), bump), failed("underfunded"));
    assert_eq!(
        gone(&bumped(&ours), Outer::TxInsufficientBalance),
        Lookup::NotFound,
        "the fee bump stopped before the burn inside it"
    );
    for outcome in [Outer::TxBadSeq, Outer::TxNoAccount] {
        let lookup = gone(&ours, outcome);
        assert_eq!(lookup, Lookup::NotFound, "its number is not used by that");
    }
    let bump = Outer::TxFeeBumpInnerFailed(inner(hash, Inner::TxBadSeq));
    assert_eq!(gone(&bumped(&ours), bump), Lookup::NotFound);
}

#[test]
fn parts_that_do_not_fit_are_not_understood() {
    let (ours, hash) = signed(&burn(8));
    let (other, _) = signed(&burn(9));
    assert!(try_classify(Status::Failed, &other, Outer::TxFailed(underfunded())).is_err());
    assert!(try_classify(Status::Failed, &ours, Outer::TxSuccess(success())).is_err());
    let judge = Ours {
        hash,
        network_id: network().id(),
    };
    let (envelope, outcome) = (base64(&ours), base64(&result(Outer::TxBadSeq)));
    for (envelope, outcome) in [
        (Some("AAAA"), Some(outcome.as_str())),
        (Some("no base64"), Some(outcome.as_str())),
        (Some(envelope.as_str()), Some("AAAA")),
        (Some(envelope.as_str()), None),
        (None, Some(outcome.as_str())),
    ] {
        let answer = GetTransaction {
            status: Status::Success,
            latest_ledger: 50,
            latest_ledger_close_time: None,
            oldest_ledger: 1,
            ledger: 42,
            envelope_xdr: envelope.map(str::to_owned),
            result_xdr: outcome.map(str::to_owned),
        };
        let garbled = judge.lookup(&answer).unwrap_err();
        assert!(garbled.to_string().contains(&hex::encode(hash)));
    }
}

#[test]
fn looks_through_a_fee_bump() {
    let (ours, hash) = signed(&burn(8));
    for (envelope, carried) in [(ours.clone(), false), (bumped(&ours), true)] {
        let held = Held::of(&envelope, network().id()).unwrap();
        assert_eq!(held.hash, hash);
        assert_eq!(held.source, crate::testing::id(&key("wallet")));
        assert_eq!((held.sequence, held.bumped), (8, carried));
    }
}

#[test]
fn failures_use_the_sequence_number_except_where_it_was_the_trouble() {
    let used = |outcome, bumped| used_its_sequence(&result(outcome), bumped);
    assert!(used(Outer::TxSuccess(success()), false));
    assert!(used(Outer::TxFailed(underfunded()), false));
    assert!(used(Outer::TxBadAuth, false));
    assert!(!used(Outer::TxBadSeq, false));
    assert!(!used(Outer::TxNoAccount, false));
    let pair = |outcome| inner([1; 32], outcome);
    assert!(used(
        Outer::TxFeeBumpInnerSuccess(pair(Inner::TxSuccess(success()))),
        true
    ));
    assert!(used(
        Outer::TxFeeBumpInnerFailed(pair(Inner::TxFailed(underfunded()))),
        true
    ));
    assert!(!used(
        Outer::TxFeeBumpInnerFailed(pair(Inner::TxBadSeq)),
        true
    ));
    assert!(
        !used(Outer::TxInsufficientBalance, true),
        "the fee bump's own failure"
    );
}
