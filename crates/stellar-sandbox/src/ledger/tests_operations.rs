//! What single operations do and refuse.

use stellar_xdr::{
    AccountMergeResult, Asset, ChangeTrustAsset, ChangeTrustOp, ChangeTrustResult,
    ContractEventBody, CreateAccountOp, CreateAccountResult, ManageDataOp, OperationBody,
    OperationResult, OperationResultTr as Tr, PaymentResult, ScVal, SetOptionsOp,
    SetTrustLineFlagsOp, TransactionMeta, TransactionResultResult as Code,
};

use super::grant::Grant;
use super::testing::*;
use super::{BASE_RESERVE, account as accounts, state::Working};
use crate::keys::account_of;
use crate::xdr::{self, UNIT};

fn first(code: Code) -> OperationResult {
    match code {
        Code::TxSuccess(results) | Code::TxFailed(results) => results[0].clone(),
        other => panic!("{other:?}"),
    }
}

fn run(rig: &mut Rig, source: u8, body: OperationBody) -> OperationResult {
    let frame = draft(source, rig.sequence(source) + 1, vec![body]).sign(&[source]);
    first(rig.run(&frame))
}

fn payment(result: PaymentResult) -> OperationResult {
    OperationResult::OpInner(Tr::Payment(result))
}

fn trust(result: ChangeTrustResult) -> OperationResult {
    OperationResult::OpInner(Tr::ChangeTrust(result))
}

fn line(limit: i64) -> OperationBody {
    let Asset::CreditAlphanum12(asset) = network().asset() else {
        panic!("NGNTS has five letters");
    };
    OperationBody::ChangeTrust(ChangeTrustOp {
        line: ChangeTrustAsset::CreditAlphanum12(asset),
        limit,
    })
}

fn poor(rig: &mut Rig, number: u8, lumens: i64) {
    rig.grant(&Grant {
        account: account(number),
        credit: None,
        lumens,
    });
}

#[test]
fn a_payment_to_the_issuer_burns_and_says_so() {
    let mut rig = Rig::new();
    let frame = draft(1, rig.sequence(1) + 1, vec![burn(7 * UNIT)]).sign(&[1]);
    let included = rig.close(std::slice::from_ref(&frame)).remove(0);
    assert_eq!(rig.held(1), 43 * UNIT);
    let TransactionMeta::V4(meta) = included.meta else {
        panic!("not V4");
    };
    let event = &meta.operations[0].events[0];
    let ContractEventBody::V0(body) = &event.body;
    assert_eq!(body.topics.len(), 3);
    assert!(matches!(&body.topics[0], ScVal::Symbol(name) if name.0.as_slice() == b"burn"));
    assert!(matches!(&body.data, ScVal::I128(parts) if parts.lo == 70_000_000));
    let contract = crate::events::asset_contract(&rig.network, &rig.network.asset()).unwrap();
    assert_eq!(event.contract_id, Some(contract));
}

#[test]
fn a_burn_needs_no_issuer_account() {
    let mut rig = Rig::new();
    let asset = xdr::parse_credit(&format!("NGNTS:{}", account(200))).unwrap();
    rig.grant(&Grant {
        account: account(1),
        credit: Some((asset.clone(), 5)),
        lumens: 0,
    });
    assert_eq!(
        run(&mut rig, 1, pay(200, asset, 5)),
        payment(PaymentResult::Success)
    );
}

#[test]
fn the_issuer_mints_without_a_balance() {
    let mut rig = Rig::new();
    let asset = xdr::parse_credit(&format!("EUR:{}", account(3))).unwrap();
    rig.grant(&Grant {
        account: account(1),
        credit: Some((asset.clone(), 0)),
        lumens: 0,
    });
    let minted = run(&mut rig, 3, pay(1, asset.clone(), 9));
    assert_eq!(minted, payment(PaymentResult::Success));
    let working = Working::new(&rig.state, 1, 1);
    assert_eq!(working.trustline(&account(1), &asset).unwrap().balance, 9);
}

#[test]
fn payments_fail_with_the_protocols_codes() {
    let mut rig = Rig::new();
    poor(&mut rig, 4, 10 * UNIT);
    let asset = network().asset();
    for (source, body, code) in [
        (1, pay(2, asset.clone(), 0), PaymentResult::Malformed),
        (1, burn(50 * UNIT + 1), PaymentResult::Underfunded),
        (4, burn(1), PaymentResult::SrcNoTrust),
        (1, pay(99, asset.clone(), 1), PaymentResult::NoDestination),
        (1, pay(99, Asset::Native, 1), PaymentResult::NoDestination),
        (1, pay(4, asset.clone(), 1), PaymentResult::NoTrust),
    ] {
        let found = run(&mut rig, source, body);
        assert_eq!(found, payment(code));
    }
    assert_eq!(run(&mut rig, 4, line(5)), trust(ChangeTrustResult::Success));
    let full = run(&mut rig, 1, pay(4, asset, 6));
    assert_eq!(full, payment(PaymentResult::LineFull));
}

#[test]
fn an_issuer_can_take_the_right_to_pay_away() {
    let mut rig = Rig::new();
    let asset = xdr::parse_credit(&format!("EUR:{}", account(3))).unwrap();
    rig.grant(&Grant {
        account: account(1),
        credit: Some((asset.clone(), 10)),
        lumens: 0,
    });
    let flags = OperationBody::SetTrustLineFlags(SetTrustLineFlagsOp {
        trustor: account(1),
        asset: asset.clone(),
        clear_flags: 1,
        set_flags: 2,
    });
    assert!(matches!(
        run(&mut rig, 3, flags.clone()),
        OperationResult::OpInner(Tr::SetTrustLineFlags(
            stellar_xdr::SetTrustLineFlagsResult::CantRevoke
        ))
    ));
    let revocable = OperationBody::SetOptions(SetOptionsOp {
        inflation_dest: None,
        clear_flags: None,
        set_flags: Some(2),
        master_weight: None,
        low_threshold: None,
        med_threshold: None,
        high_threshold: None,
        home_domain: None,
        signer: None,
    });
    run(&mut rig, 3, revocable);
    run(&mut rig, 3, flags);
    let burnt = run(&mut rig, 1, pay(3, asset, 1));
    assert_eq!(burnt, payment(PaymentResult::SrcNotAuthorized));
}

#[test]
fn trustlines_need_reserve_and_go_only_when_empty() {
    let mut rig = Rig::new();
    poor(&mut rig, 4, 2 * BASE_RESERVE + 1000);
    assert_eq!(
        run(&mut rig, 4, line(5)),
        trust(ChangeTrustResult::LowReserve)
    );
    poor(&mut rig, 4, 3 * BASE_RESERVE + 1000);
    assert_eq!(run(&mut rig, 4, line(5)), trust(ChangeTrustResult::Success));
    assert_eq!(rig.entry(4).num_sub_entries, 1);
    assert_eq!(
        run(&mut rig, 1, line(0)),
        trust(ChangeTrustResult::InvalidLimit)
    );
    assert_eq!(run(&mut rig, 4, line(0)), trust(ChangeTrustResult::Success));
    assert_eq!(rig.entry(4).num_sub_entries, 0);
}

#[test]
fn accounts_are_made_above_every_old_sequence_number() {
    let mut rig = Rig::new();
    let make = |starting_balance| {
        OperationBody::CreateAccount(CreateAccountOp {
            destination: account(5),
            starting_balance,
        })
    };
    let code = |result| OperationResult::OpInner(Tr::CreateAccount(result));
    let low = run(&mut rig, 1, make(2 * BASE_RESERVE - 1));
    assert_eq!(low, code(CreateAccountResult::LowReserve));
    let created = run(&mut rig, 1, make(2 * BASE_RESERVE));
    assert_eq!(created, code(CreateAccountResult::Success));
    assert_eq!(rig.sequence(5), accounts::starting_sequence(rig.tip.ledger));
    let again = run(&mut rig, 1, make(2 * BASE_RESERVE));
    assert_eq!(again, code(CreateAccountResult::AlreadyExist));
}

#[test]
fn merging_moves_everything_and_refuses_a_sequence_number_from_the_future() {
    let mut rig = Rig::new();
    poor(&mut rig, 4, 10 * UNIT);
    let merge = || OperationBody::AccountMerge(xdr::muxed(&account(1)));
    let before = rig.lumens(1);
    let merged = run(&mut rig, 4, merge());
    assert_eq!(
        merged,
        OperationResult::OpInner(Tr::AccountMerge(AccountMergeResult::Success(
            10 * UNIT - 100
        )))
    );
    assert_eq!(rig.lumens(1), before + 10 * UNIT - 100);
    assert!(!rig.has(&xdr::account_key(&account(4))));

    poor(&mut rig, 4, 10 * UNIT);
    let far = OperationBody::BumpSequence(stellar_xdr::BumpSequenceOp {
        bump_to: stellar_xdr::SequenceNumber(i64::from(rig.tip.ledger + 9) << 32),
    });
    run(&mut rig, 4, far);
    let refused = run(&mut rig, 4, merge());
    assert_eq!(
        refused,
        OperationResult::OpInner(Tr::AccountMerge(AccountMergeResult::SeqnumTooFar))
    );
}

#[test]
fn operations_take_effect_together_or_not_at_all() {
    let mut rig = Rig::new();
    let bodies = vec![burn(UNIT), burn(60 * UNIT), burn(UNIT)];
    let frame = draft(1, rig.sequence(1) + 1, bodies).sign(&[1]);
    let Code::TxFailed(results) = rig.run(&frame) else {
        panic!("not failed");
    };
    assert_eq!(
        results.as_slice(),
        [
            payment(PaymentResult::Success),
            payment(PaymentResult::Underfunded),
            payment(PaymentResult::Success)
        ]
    );
    assert_eq!(rig.held(1), 50 * UNIT);
}

#[test]
fn what_the_ledger_does_not_know_is_not_supported() {
    let rig = Rig::new();
    let data = OperationBody::ManageData(ManageDataOp {
        data_name: stellar_xdr::String64::default(),
        data_value: None,
    });
    let frame = draft(1, rig.sequence(1) + 1, vec![data]).sign(&[1]);
    assert_eq!(first(rig.refusal(&frame)), OperationResult::OpNotSupported);
}

#[test]
fn grants_come_out_of_the_root() {
    let mut rig = Rig::new();
    let root = account_of(&rig.network.root());
    let before = Working::new(&rig.state, 1, 1)
        .account(&root)
        .unwrap()
        .balance;
    poor(&mut rig, 6, 25 * UNIT);
    let after = Working::new(&rig.state, 1, 1)
        .account(&root)
        .unwrap()
        .balance;
    assert_eq!(before - after, 25 * UNIT);
    poor(&mut rig, 6, UNIT);
    assert_eq!(
        rig.lumens(6),
        25 * UNIT,
        "a grant tops up, it takes nothing"
    );
}
