//! A ledger in a few lines: accounts with a balance and a nonce, blocks that close when told, one
//! waiting transaction for each account and nonce, the best-paying one wins.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use tranche_domain::Amount;

/// What an account signs: burn `amount` of `wallet`'s tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    pub account: String,
    pub nonce: i64,
    pub wallet: String,
    pub stroops: i64,
    pub memo: [u8; 32],
    pub fee: u64,
    pub valid_until: DateTime<Utc>,
}

impl Transaction {
    pub fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a transaction is JSON")
    }

    /// The id of a transaction: here, its bytes in hex.
    pub fn id(&self) -> String {
        hex::encode(self.bytes())
    }
}

/// A transaction that a block holds.
#[derive(Clone, Debug)]
pub struct Included {
    pub block: u32,
    pub transaction: Transaction,
    pub succeeded: bool,
}

#[derive(Clone, Debug, Default)]
struct Account {
    stroops: i64,
    nonce: i64,
}

#[derive(Default)]
struct State {
    block: u32,
    seconds: i64,
    accounts: BTreeMap<String, Account>,
    waiting: BTreeMap<(String, i64), Transaction>,
    included: Vec<Included>,
    fails_next: bool,
}

/// The ledger; clones share it.
#[derive(Clone, Default)]
pub struct Chain(Arc<Mutex<State>>);

fn time(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(1_800_000_000 + seconds)
}

impl Chain {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn open(&self, balance: Amount) -> String {
        let mut state = self.lock();
        let id = format!("account-{}", state.accounts.len());
        let account = Account {
            stroops: balance.stroops(),
            nonce: 0,
        };
        state.accounts.insert(id.clone(), account);
        id
    }

    pub fn balance(&self, account: &str) -> Amount {
        let stroops = self.lock().accounts[account].stroops;
        Amount::try_from_stroops(stroops).expect("no account is overdrawn")
    }

    /// What the account can burn and the nonce it used last; `None` if there is no such account.
    pub fn account(&self, id: &str) -> Option<(i64, i64)> {
        let state = self.lock();
        let account = state.accounts.get(id)?;
        Some((account.stroops, account.nonce))
    }

    /// The newest block, and when it closed.
    pub fn tip(&self) -> (u32, DateTime<Utc>) {
        let state = self.lock();
        (state.block, time(state.seconds))
    }

    pub fn send(&self, transaction: Transaction) {
        let place = (transaction.account.clone(), transaction.nonce);
        let mut state = self.lock();
        let waiting = state.waiting.get(&place);
        if waiting.is_none_or(|waiting| waiting.fee < transaction.fee) {
            state.waiting.insert(place, transaction);
        }
    }

    pub fn included(&self) -> Vec<Included> {
        self.lock().included.clone()
    }

    pub fn fail_next(&self) {
        self.lock().fails_next = true;
    }

    /// Whoever else has the key uses the nonce for nothing at all.
    pub fn take(&self, account: &str, nonce: i64) {
        self.send(Transaction {
            account: account.to_owned(),
            nonce,
            wallet: account.to_owned(),
            stroops: 0,
            memo: [0; 32],
            fee: u64::MAX,
            valid_until: time(i64::from(u32::MAX)),
        });
    }

    /// A block closes `seconds` after the one before, with everything that waits and may be in it.
    pub fn close_block(&self, seconds: i64) {
        let mut state = self.lock();
        state.block += 1;
        state.seconds += seconds;
        for (_, transaction) in std::mem::take(&mut state.waiting) {
            let is_next = state.accounts[&transaction.account].nonce + 1 == transaction.nonce;
            if !is_next || transaction.valid_until < time(state.seconds) {
                continue;
            }
            let fails = std::mem::take(&mut state.fails_next);
            let succeeded =
                !fails && state.accounts[&transaction.wallet].stroops >= transaction.stroops;
            if let Some(account) = state.accounts.get_mut(&transaction.account) {
                account.nonce = transaction.nonce;
            }
            if let Some(wallet) = state
                .accounts
                .get_mut(&transaction.wallet)
                .filter(|_| succeeded)
            {
                wallet.stroops -= transaction.stroops;
            }
            let block = state.block;
            state.included.push(Included {
                block,
                transaction,
                succeeded,
            });
        }
    }
}
