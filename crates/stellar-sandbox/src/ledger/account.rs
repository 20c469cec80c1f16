//! What an account entry can spend, owes as reserve and remembers of its sequence number.
//!
//! Liabilities come from offers, which this ledger does not know: they are always zero, so the
//! balance above the reserve is what can be spent.

use stellar_xdr::{
    AccountEntry, AccountEntryExt, AccountEntryExtensionV1, AccountEntryExtensionV1Ext,
    AccountEntryExtensionV2, AccountEntryExtensionV2Ext, AccountEntryExtensionV3, AccountFlags,
    AccountId, Error, ExtensionPoint, Liabilities, SequenceNumber, SponsorshipDescriptor, String32,
    Thresholds, TimePoint, TrustLineEntry, TrustLineFlags, VecM,
};

use super::BASE_RESERVE;

/// Sub-entries one account may have.
const MOST_SUB_ENTRIES: u32 = 1000;

/// Why an account cannot take a further sub-entry.
pub(crate) enum NoRoom {
    LowReserve,
    TooManySubentries,
}

/// An account as `CreateAccount` makes it.
pub(crate) fn new_account(account: AccountId, balance: i64, ledger: u32) -> AccountEntry {
    AccountEntry {
        account_id: account,
        balance,
        seq_num: SequenceNumber(starting_sequence(ledger)),
        num_sub_entries: 0,
        inflation_dest: None,
        flags: 0,
        home_domain: String32::default(),
        thresholds: Thresholds([1, 0, 0, 0]),
        signers: VecM::default(),
        ext: AccountEntryExt::V0,
    }
}

/// The sequence number of an account made in this ledger. Accounts made again after a merge
/// therefore start above every number they used before.
pub(crate) fn starting_sequence(ledger: u32) -> i64 {
    i64::from(ledger) << 32
}

/// What an account with so many sub-entries must keep, in stroops.
pub(crate) fn reserve(sub_entries: u32) -> i64 {
    i64::from(sub_entries)
        .saturating_add(2)
        .saturating_mul(BASE_RESERVE)
}

/// What the account can spend; negative when fees took it below its reserve.
pub(crate) fn available(entry: &AccountEntry) -> i64 {
    entry.balance.saturating_sub(reserve(entry.num_sub_entries))
}

/// Counts one more sub-entry if the reserve allows.
pub(crate) fn add_sub_entry(entry: &mut AccountEntry) -> Result<(), NoRoom> {
    let count = entry.num_sub_entries.saturating_add(1);
    if count > MOST_SUB_ENTRIES {
        return Err(NoRoom::TooManySubentries);
    }
    if entry.balance < reserve(count) {
        return Err(NoRoom::LowReserve);
    }
    entry.num_sub_entries = count;
    Ok(())
}

pub(crate) fn drop_sub_entry(entry: &mut AccountEntry) {
    entry.num_sub_entries = entry.num_sub_entries.saturating_sub(1);
}

pub(crate) fn has_flag(entry: &AccountEntry, flag: AccountFlags) -> bool {
    entry.flags & flag_bits(flag) != 0
}

pub(crate) fn flag_bits(flag: AccountFlags) -> u32 {
    (flag as i32).unsigned_abs()
}

pub(crate) fn line_bits(flag: TrustLineFlags) -> u32 {
    (flag as i32).unsigned_abs()
}

pub(crate) fn is_authorized(line: &TrustLineEntry) -> bool {
    line.flags & line_bits(TrustLineFlags::AuthorizedFlag) != 0
}

/// The ledger and close time at which the sequence number last changed, zero if never recorded.
pub(crate) fn sequence_age(entry: &AccountEntry) -> (u32, u64) {
    match v2(entry).map(|v2| &v2.ext) {
        Some(AccountEntryExtensionV2Ext::V3(v3)) => (v3.seq_ledger, v3.seq_time.0),
        _ => (0, 0),
    }
}

fn v2(entry: &AccountEntry) -> Option<&AccountEntryExtensionV2> {
    match &entry.ext {
        AccountEntryExt::V1(AccountEntryExtensionV1 {
            ext: AccountEntryExtensionV1Ext::V2(v2),
            ..
        }) => Some(v2),
        _ => None,
    }
}

/// Records that the sequence number was set in this ledger.
pub(crate) fn note_sequence(
    entry: &mut AccountEntry,
    ledger: u32,
    close_time: u64,
) -> Result<(), Error> {
    let v3 = AccountEntryExtensionV3 {
        ext: ExtensionPoint::V0,
        seq_ledger: ledger,
        seq_time: TimePoint(close_time),
    };
    entry.ext = extension(entry, AccountEntryExtensionV2Ext::V3(v3))?;
    Ok(())
}

/// Keeps the list of signer sponsors as long as the list of signers; no signer is sponsored.
pub(crate) fn match_signer_sponsors(entry: &mut AccountEntry) -> Result<(), Error> {
    if let Some(v2) = v2(entry) {
        let ext = v2.ext.clone();
        entry.ext = extension(entry, ext)?;
    }
    Ok(())
}

fn extension(
    entry: &AccountEntry,
    ext: AccountEntryExtensionV2Ext,
) -> Result<AccountEntryExt, Error> {
    let sponsors = vec![SponsorshipDescriptor(None); entry.signers.len()];
    Ok(AccountEntryExt::V1(AccountEntryExtensionV1 {
        liabilities: Liabilities {
            buying: 0,
            selling: 0,
        },
        ext: AccountEntryExtensionV1Ext::V2(AccountEntryExtensionV2 {
            num_sponsored: 0,
            num_sponsoring: 0,
            signer_sponsoring_i_ds: sponsors.try_into()?,
            ext,
        }),
    }))
}
