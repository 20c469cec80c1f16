use stellar_xdr::{
    AccountEntry, AccountEntryExt, AccountEntryExtensionV1, AccountEntryExtensionV1Ext,
    LedgerEntryData, Liabilities, SequenceNumber, String32, Thresholds, TrustLineEntry,
    TrustLineEntryExt, TrustLineEntryV1, TrustLineEntryV1Ext, VecM,
};
use tranche_domain::Amount;

use super::*;
use crate::rpc::wire::{Entry, GetLedgerEntries};
use crate::testing::{ISSUER, base64, id, key};

const FEE: u32 = 10_000;
/// Two base reserves, one trustline, and exactly the fee.
const ENOUGH: i64 = 3 * 5_000_000 + FEE as i64;

fn asset() -> Asset {
    format!("NGNTS:{ISSUER}").parse().unwrap()
}

fn order(wallet: &str, sequence: &str, stroops: i64) -> BurnOrder {
    BurnOrder {
        amount: Amount::try_from_stroops(stroops).unwrap(),
        wallet_account_id: wallet.to_owned(),
        sequence_account_id: sequence.to_owned(),
        memo: [0; 32],
    }
}

fn account(name: &str) -> AccountEntry {
    AccountEntry {
        account_id: id(&key(name)),
        balance: ENOUGH,
        seq_num: SequenceNumber(41),
        num_sub_entries: 1,
        inflation_dest: None,
        flags: 0,
        home_domain: String32::default(),
        thresholds: Thresholds([1, 0, 0, 0]),
        signers: VecM::default(),
        ext: AccountEntryExt::V0,
    }
}

fn trustline() -> TrustLineEntry {
    TrustLineEntry {
        account_id: id(&key("wallet")),
        asset: asset().to_trustline_xdr(),
        balance: 1_000,
        limit: i64::MAX,
        flags: 1,
        ext: TrustLineEntryExt::V0,
    }
}

fn snapshot(accounts: &[&AccountEntry], line: Option<&TrustLineEntry>) -> Snapshot {
    let accounts = accounts
        .iter()
        .map(|entry| LedgerEntryData::Account((*entry).clone()));
    let line = line.map(|line| LedgerEntryData::Trustline(line.clone()));
    let entries = accounts
        .chain(line)
        .map(|data| Entry { xdr: base64(&data) })
        .collect();
    Snapshot::of(&GetLedgerEntries {
        entries,
        latest_ledger: 9,
    })
    .unwrap()
}

/// The sequence number for a burn of 1,000 stroops, or the refusal's code.
fn check(accounts: &[&AccountEntry], line: Option<&TrustLineEntry>) -> Result<i64, &'static str> {
    let wallet = id(&key("wallet")).to_string();
    let source = accounts
        .first()
        .map_or_else(|| wallet.clone(), |entry| entry.account_id.to_string());
    let order = order(&wallet, &source, 1_000);
    Parties::of(&order, &asset())
        .unwrap()
        .check(&order, FEE, &asset(), &snapshot(accounts, line))
        .map_err(code)
}

fn code(error: LedgerError) -> &'static str {
    match error {
        LedgerError::Refused { code, .. } => code,
        LedgerError::UnfitSequenceAccount { .. } => "unfit",
        other => panic!("{other}"),
    }
}

#[test]
fn takes_the_next_sequence_number() {
    assert_eq!(check(&[&account("wallet")], Some(&trustline())), Ok(42));
}

#[test]
fn refuses_orders_that_burn_nothing() {
    let wallet = id(&key("wallet")).to_string();
    let refusal = |order: &BurnOrder| Parties::of(order, &asset()).map_err(code);
    assert_eq!(refusal(&order(ISSUER, ISSUER, 1)), Err("wallet_is_issuer"));
    assert_eq!(refusal(&order(ISSUER, &wallet, 1)), Err("wallet_is_issuer"));
    assert_eq!(refusal(&order(&wallet, &wallet, 0)), Err("malformed"));
    assert_eq!(refusal(&order("G", &wallet, 1)), Err("malformed_account"));
    assert_eq!(refusal(&order(&wallet, "", 1)), Err("malformed_account"));
}

#[test]
fn refuses_a_wallet_that_cannot_move_the_tokens() {
    let wallet = account("wallet");
    assert_eq!(check(&[], Some(&trustline())), Err("no_account"));
    assert_eq!(check(&[&wallet], None), Err("no_trustline"));
    let mut line = trustline();
    line.flags = 2;
    assert_eq!(check(&[&wallet], Some(&line)), Err("not_authorized"));
    line.flags = 5;
    assert_eq!(
        check(&[&wallet], Some(&line)),
        Ok(42),
        "clawback does not matter"
    );
    line.balance = 999;
    assert_eq!(check(&[&wallet], Some(&line)), Err("underfunded"));
}

#[test]
fn what_backs_open_offers_cannot_be_spent() {
    let liabilities = |selling| Liabilities { buying: 0, selling };
    let mut line = trustline();
    line.ext = TrustLineEntryExt::V1(TrustLineEntryV1 {
        liabilities: liabilities(1),
        ext: TrustLineEntryV1Ext::V0,
    });
    assert_eq!(
        check(&[&account("wallet")], Some(&line)),
        Err("underfunded")
    );
    let mut wallet = account("wallet");
    wallet.ext = AccountEntryExt::V1(AccountEntryExtensionV1 {
        liabilities: liabilities(1),
        ext: AccountEntryExtensionV1Ext::V0,
    });
    assert_eq!(
        check(&[&wallet], Some(&trustline())),
        Err("insufficient_fee_balance")
    );
}

#[test]
fn refuses_a_source_that_cannot_pay_or_sign() {
    let mut wallet = account("wallet");
    wallet.balance = ENOUGH - 1;
    assert_eq!(
        check(&[&wallet], Some(&trustline())),
        Err("insufficient_fee_balance")
    );
    for thresholds in [[0, 0, 0, 0], [1, 0, 2, 0], [1, 2, 0, 0]] {
        let mut wallet = account("wallet");
        wallet.thresholds = Thresholds(thresholds);
        let checked = check(&[&wallet], Some(&trustline()));
        assert_eq!(checked, Err("signature_too_weak"), "{thresholds:?}");
    }
    let mut wallet = account("wallet");
    wallet.seq_num = SequenceNumber(i64::MAX);
    assert_eq!(
        check(&[&wallet], Some(&trustline())),
        Err("sequence_exhausted")
    );
}

/// Makes an account unfit.
type Spoil = fn(&mut AccountEntry);

#[test]
fn a_channel_pays_and_counts_and_the_wallet_only_holds_tokens() {
    let mut channel = account("channel");
    channel.seq_num = SequenceNumber(99);
    let mut wallet = account("wallet");
    wallet.balance = 0;
    let line = trustline();
    assert_eq!(check(&[&channel, &wallet], Some(&line)), Ok(100));
    assert_eq!(check(&[&channel], Some(&line)), Err("no_account"));
    let order = order(
        &id(&key("wallet")).to_string(),
        &id(&key("channel")).to_string(),
        1,
    );
    let parties = Parties::of(&order, &asset()).unwrap();
    assert_eq!(parties.keys(&asset()).unwrap().len(), 3);
    let refusal = parties.check(&order, FEE, &asset(), &snapshot(&[&wallet], Some(&line)));
    let unfit = |refusal: Result<i64, LedgerError>| match refusal {
        Err(LedgerError::UnfitSequenceAccount { code, .. }) => code,
        other => panic!("{other:?}"),
    };
    assert_eq!(unfit(refusal), "no_sequence_account");
    let spoilt: [(&str, Spoil); 3] = [
        ("insufficient_fee_balance", |channel| channel.balance = 0),
        ("signature_too_weak", |channel| {
            channel.thresholds = Thresholds([0, 0, 0, 0]);
        }),
        ("sequence_exhausted", |channel| {
            channel.seq_num = SequenceNumber(i64::MAX);
        }),
    ];
    for (code, spoil) in spoilt {
        let mut channel = account("channel");
        spoil(&mut channel);
        let state = snapshot(&[&channel, &wallet], Some(&line));
        assert_eq!(unfit(parties.check(&order, FEE, &asset(), &state)), code);
    }
    wallet.thresholds = Thresholds([0, 0, 0, 0]);
    let checked = check(&[&channel, &wallet], Some(&line));
    assert_eq!(
        checked,
        Err("signature_too_weak"),
        "the wallet's own trouble"
    );
}

#[test]
fn a_trustline_of_another_asset_does_not_count() {
    let mut line = trustline();
    let other: Asset = format!("NGNT:{ISSUER}").parse().unwrap();
    line.asset = other.to_trustline_xdr();
    assert_eq!(
        check(&[&account("wallet")], Some(&line)),
        Err("no_trustline")
    );
}
