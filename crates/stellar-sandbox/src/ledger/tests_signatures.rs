//! Who must sign, and with what weight.

use stellar_xdr::{
    OperationBody, OperationResult, SetOptionsOp, Signer, SignerKey,
    TransactionResultResult as Code, Uint256,
};

use super::testing::*;
use crate::xdr::UNIT;

fn failed_with(code: Code) -> Vec<OperationResult> {
    match code {
        Code::TxFailed(results) => results.to_vec(),
        other => panic!("not txFAILED but {other:?}"),
    }
}

fn options(change: impl FnOnce(&mut SetOptionsOp)) -> OperationBody {
    let mut op = SetOptionsOp {
        inflation_dest: None,
        clear_flags: None,
        set_flags: None,
        master_weight: None,
        low_threshold: None,
        med_threshold: None,
        high_threshold: None,
        home_domain: None,
        signer: None,
    };
    change(&mut op);
    OperationBody::SetOptions(op)
}

fn signer(number: u8, weight: u32) -> Signer {
    Signer {
        key: SignerKey::Ed25519(Uint256(key(number).verifying_key().to_bytes())),
        weight,
    }
}

#[test]
fn signatures_must_be_the_accounts_own_and_all_be_used() {
    let rig = Rig::new();
    let draft = draft(1, rig.sequence(1) + 1, vec![burn(1)]);
    assert_eq!(rig.refusal(&draft.sign(&[])), Code::TxBadAuth);
    assert_eq!(rig.refusal(&draft.sign(&[2])), Code::TxBadAuth);
    assert_eq!(rig.refusal(&draft.sign(&[1, 2])), Code::TxBadAuthExtra);
    assert_eq!(rig.refusal(&draft.sign(&[1, 1])), Code::TxBadAuthExtra);
}

#[test]
fn a_signature_for_another_network_is_worth_nothing() {
    let rig = Rig::new();
    let frame = draft(1, rig.sequence(1) + 1, vec![burn(1)]).sign(&[1]);
    let elsewhere = super::frame::Frame::new(frame.envelope.clone(), [9; 32]).unwrap();
    assert_eq!(rig.refusal(&elsewhere), Code::TxBadAuth);
}

#[test]
fn channel_and_wallet_both_sign() {
    let mut rig = Rig::new();
    let (channel, wallet) = (rig.sequence(1), rig.sequence(2));
    let draft = draft(1, channel + 1, vec![burn(UNIT)]).operated_by(2);
    let unsigned = rig.refusal(&draft.sign(&[1]));
    assert_eq!(failed_with(unsigned), [OperationResult::OpBadAuth]);
    assert!(matches!(rig.run(&draft.sign(&[1, 2])), Code::TxSuccess(_)));
    assert_eq!((rig.sequence(1), rig.sequence(2)), (channel + 1, wallet));
    assert_eq!(rig.held(2), 49 * UNIT);
}

#[test]
fn thresholds_ask_for_weight() {
    let mut rig = Rig::new();
    let setup = vec![
        options(|op| op.signer = Some(signer(7, 1))),
        options(|op| {
            op.low_threshold = Some(1);
            op.med_threshold = Some(2);
            op.high_threshold = Some(3);
        }),
    ];
    assert!(matches!(
        rig.run(&draft(1, rig.sequence(1) + 1, setup).sign(&[1])),
        Code::TxSuccess(_)
    ));
    let next = rig.sequence(1) + 1;
    let payment = draft(1, next, vec![burn(1)]);
    let alone = rig.refusal(&payment.sign(&[1]));
    assert_eq!(failed_with(alone), [OperationResult::OpBadAuth]);
    assert!(rig.check(&payment.sign(&[1, 7]), 0).is_ok());
    let power = draft(1, next, vec![options(|op| op.master_weight = Some(0))]);
    let both = rig.refusal(&power.sign(&[1, 7]));
    assert_eq!(failed_with(both), [OperationResult::OpBadAuth]);
}

#[test]
fn a_master_key_without_weight_signs_nothing() {
    let mut rig = Rig::new();
    let setup = vec![
        options(|op| op.signer = Some(signer(7, 1))),
        options(|op| op.master_weight = Some(0)),
    ];
    rig.run(&draft(1, rig.sequence(1) + 1, setup).sign(&[1]));
    let payment = draft(1, rig.sequence(1) + 1, vec![burn(1)]);
    assert_eq!(rig.refusal(&payment.sign(&[1])), Code::TxBadAuth);
    assert!(matches!(rig.run(&payment.sign(&[7])), Code::TxSuccess(_)));
}

#[test]
fn signers_changed_earlier_in_the_ledger_fail_what_they_signed() {
    let mut rig = Rig::new();
    let next = rig.sequence(1) + 1;
    let change = options(|op| {
        op.signer = Some(signer(7, 1));
        op.master_weight = Some(0);
    });
    let first = draft(2, rig.sequence(2) + 1, vec![change])
        .operated_by(1)
        .sign(&[1, 2]);
    let second = draft(1, next, vec![burn(1)]).sign(&[1]);
    let included = rig.close(&[first, second]);
    assert_eq!(included[1].result.result, Code::TxBadAuth);
    assert_eq!(rig.sequence(1), next, "the sequence number is taken");
}
