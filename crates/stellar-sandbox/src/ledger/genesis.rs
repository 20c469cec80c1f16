//! The first ledger: the root account with all lumens, and the issuer with its share of them.

use stellar_xdr::{AccountEntry, LedgerEntry, LedgerEntryData, LedgerEntryExt, SequenceNumber};

use super::account;
use super::close::Tip;
use super::state::State;
use super::{TOTAL_COINS, close};
use crate::keys::{Network, account_of};
use crate::xdr::UNIT;

/// The number of the first ledger.
pub(crate) const GENESIS_LEDGER: u32 = 1;
const ISSUER_BALANCE: i64 = 10_000 * UNIT;

/// The state and tip a new sandbox starts with.
pub(crate) fn genesis(network: &Network, close_time: u64) -> (State, Tip) {
    let root = AccountEntry {
        // As on every network, the root's sequence starts at zero.
        seq_num: SequenceNumber(0),
        ..account::new_account(
            account_of(&network.root()),
            TOTAL_COINS - ISSUER_BALANCE,
            GENESIS_LEDGER,
        )
    };
    let issuer = account::new_account(network.issuer_account(), ISSUER_BALANCE, GENESIS_LEDGER);
    let mut state = State::default();
    for account in [root, issuer] {
        state.insert(LedgerEntry {
            last_modified_ledger_seq: GENESIS_LEDGER,
            data: LedgerEntryData::Account(account),
            ext: LedgerEntryExt::V0,
        });
    }
    let tip = close::Tip {
        ledger: GENESIS_LEDGER,
        close_time,
        hash: crate::xdr::sha256(&network.id),
        state_hash: network.id,
        fee_pool: 0,
    };
    (state, tip)
}
