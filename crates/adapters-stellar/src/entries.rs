//! Accounts and trustlines as `getLedgerEntries` shows them, reduced to what a burn depends on.

use stellar_xdr::{
    AccountEntry, AccountEntryExt, AccountEntryExtensionV1Ext, AccountId, LedgerEntryData,
    LedgerKey, LedgerKeyAccount, LedgerKeyTrustLine, Limits, TrustLineEntry, TrustLineEntryExt,
    TrustLineFlags, WriteXdr,
};

use crate::asset::Asset;
use crate::classify::decode;
use crate::rpc::wire::GetLedgerEntries;

/// What every entry of an account locks, in stroops. Validators could vote for another amount and
/// never have; the ledger's own check decides, this one only spares a failed burn.
const BASE_RESERVE: i64 = 5_000_000;

/// The key of an account, in base64.
pub fn account_key(account_id: &AccountId) -> Result<String, stellar_xdr::Error> {
    LedgerKey::Account(LedgerKeyAccount {
        account_id: account_id.clone(),
    })
    .to_xdr_base64(Limits::none())
}

/// The key of a trustline, in base64.
pub fn trustline_key(account_id: &AccountId, asset: &Asset) -> Result<String, stellar_xdr::Error> {
    LedgerKey::Trustline(LedgerKeyTrustLine {
        account_id: account_id.clone(),
        asset: asset.to_trustline_xdr(),
    })
    .to_xdr_base64(Limits::none())
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountState {
    /// The last sequence number used.
    pub sequence: i64,
    /// Native stroops that a fee may take: without the reserve and what backs open offers.
    pub spendable: i64,
    /// What the master key's signature weighs.
    pub master_weight: u8,
    /// What a transaction's source must weigh.
    pub low: u8,
    /// What a payment's source must weigh.
    pub medium: u8,
}

impl AccountState {
    fn of(entry: &AccountEntry) -> Self {
        let (selling, entries) = match &entry.ext {
            AccountEntryExt::V0 => (0, i64::from(entry.num_sub_entries)),
            AccountEntryExt::V1(v1) => {
                let sponsored = match &v1.ext {
                    AccountEntryExtensionV1Ext::V0 => 0,
                    AccountEntryExtensionV1Ext::V2(v2) => {
                        i64::from(v2.num_sponsoring) - i64::from(v2.num_sponsored)
                    }
                };
                (
                    v1.liabilities.selling,
                    i64::from(entry.num_sub_entries) + sponsored,
                )
            }
        };
        let [master_weight, low, medium, _] = entry.thresholds.0;
        Self {
            sequence: entry.seq_num.0,
            spendable: entry
                .balance
                .saturating_sub((entries + 2).saturating_mul(BASE_RESERVE))
                .saturating_sub(selling),
            master_weight,
            low,
            medium,
        }
    }
}

/// A trustline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustlineState {
    /// Stroops of the asset that can move: without what backs open offers.
    pub spendable: i64,
    /// Whether the issuer lets the holder move the asset. Leave to keep open offers is not enough.
    pub authorized: bool,
}

impl TrustlineState {
    fn of(entry: &TrustLineEntry) -> Self {
        let selling = match &entry.ext {
            TrustLineEntryExt::V0 => 0,
            TrustLineEntryExt::V1(v1) => v1.liabilities.selling,
        };
        Self {
            spendable: entry.balance.saturating_sub(selling),
            authorized: entry.flags & TrustLineFlags::AuthorizedFlag as u32 != 0,
        }
    }
}

/// Entries that were read together, and the ledger whose state they are.
#[derive(Debug)]
pub struct Snapshot {
    /// The ledger.
    pub ledger: u32,
    entries: Vec<LedgerEntryData>,
}

impl Snapshot {
    /// Reads an answer.
    ///
    /// # Errors
    /// In words, when an entry is unreadable.
    pub fn of(answer: &GetLedgerEntries) -> Result<Self, String> {
        Ok(Self {
            ledger: answer.latest_ledger,
            entries: answer
                .entries
                .iter()
                .map(|entry| decode(&entry.xdr))
                .collect::<Result<_, _>>()
                .map_err(|error| format!("a ledger entry is unreadable: {error}"))?,
        })
    }

    /// The account, if it was there.
    pub fn account(&self, id: &AccountId) -> Option<AccountState> {
        self.entries.iter().find_map(|entry| match entry {
            LedgerEntryData::Account(account) if account.account_id == *id => {
                Some(AccountState::of(account))
            }
            _ => None,
        })
    }

    /// The account's trustline for the asset, if it was there.
    pub fn trustline(&self, id: &AccountId, asset: &Asset) -> Option<TrustlineState> {
        self.entries.iter().find_map(|entry| match entry {
            LedgerEntryData::Trustline(line)
                if line.account_id == *id && line.asset == asset.to_trustline_xdr() =>
            {
                Some(TrustlineState::of(line))
            }
            _ => None,
        })
    }
}
