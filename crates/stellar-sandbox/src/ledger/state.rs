//! Ledger entries, and layers of changes over them.
//!
//! [`State`] holds the entries of the last closed ledger. [`Working`] stacks layers of changes over
//! it: the ledger being closed, the transaction in it, the operation in that. A layer is folded
//! into the one below or thrown away, and says what it changed in the form metadata wants.

use std::collections::{BTreeMap, HashMap};

use stellar_xdr::{
    AccountEntry, AccountId, Asset, Error, LedgerEntry, LedgerEntryChange, LedgerEntryChanges,
    LedgerEntryData, LedgerEntryExt, LedgerKey, TrustLineEntry,
};

use crate::xdr;

/// What a layer changed: the new entry, or `None` where it was removed.
pub(crate) type Delta = BTreeMap<LedgerKey, Option<LedgerEntry>>;

/// The entries of a closed ledger.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    entries: HashMap<LedgerKey, LedgerEntry>,
}

impl State {
    pub(crate) fn get(&self, key: &LedgerKey) -> Option<&LedgerEntry> {
        self.entries.get(key)
    }

    pub(crate) fn insert(&mut self, entry: LedgerEntry) {
        self.entries.insert(entry.to_key(), entry);
    }

    /// Takes over the changes; returns what undoes them.
    pub(crate) fn install(&mut self, delta: &Delta) -> Delta {
        delta
            .iter()
            .map(|(key, entry)| {
                let before = match entry {
                    Some(entry) => self.entries.insert(key.clone(), entry.clone()),
                    None => self.entries.remove(key),
                };
                (key.clone(), before)
            })
            .collect()
    }

    /// Every entry as if it were new.
    pub(crate) fn as_delta(&self) -> Delta {
        self.entries
            .iter()
            .map(|(key, entry)| (key.clone(), Some(entry.clone())))
            .collect()
    }

    #[cfg(test)]
    pub(crate) fn entries(&self) -> impl Iterator<Item = &LedgerEntry> {
        self.entries.values()
    }
}

/// A ledger in the making: a base that does not change and the layers over it.
pub(crate) struct Working<'a> {
    base: &'a State,
    layers: Vec<Delta>,
    /// The ledger being made.
    pub(crate) ledger: u32,
    /// Its close time.
    pub(crate) close_time: u64,
}

impl<'a> Working<'a> {
    pub(crate) fn new(base: &'a State, ledger: u32, close_time: u64) -> Self {
        Self {
            base,
            layers: vec![Delta::new()],
            ledger,
            close_time,
        }
    }

    /// Opens a layer.
    pub(crate) fn begin(&mut self) {
        self.layers.push(Delta::new());
    }

    /// Throws the top layer away.
    pub(crate) fn rollback(&mut self) {
        if self.layers.len() > 1 {
            self.layers.pop();
        }
    }

    /// Folds the top layer into the one below and says what it changed.
    pub(crate) fn commit(&mut self) -> Result<LedgerEntryChanges, Error> {
        if self.layers.len() < 2 {
            return Ok(LedgerEntryChanges::default());
        }
        let top = self.layers.pop().unwrap_or_default();
        let mut changes = Vec::new();
        for (key, after) in top {
            let before = self.get(&key).cloned();
            match (before, &after) {
                (Some(before), Some(after)) => {
                    changes.push(LedgerEntryChange::State(before));
                    changes.push(LedgerEntryChange::Updated(after.clone()));
                }
                (None, Some(after)) => changes.push(LedgerEntryChange::Created(after.clone())),
                (Some(before), None) => {
                    changes.push(LedgerEntryChange::State(before));
                    changes.push(LedgerEntryChange::Removed(key.clone()));
                }
                (None, None) => {}
            }
            if let Some(below) = self.layers.last_mut() {
                below.insert(key, after);
            }
        }
        Ok(LedgerEntryChanges(changes.try_into()?))
    }

    /// All changes since the base, once every other layer is closed.
    pub(crate) fn into_delta(mut self) -> Delta {
        self.layers.truncate(1);
        self.layers.pop().unwrap_or_default()
    }

    pub(crate) fn get(&self, key: &LedgerKey) -> Option<&LedgerEntry> {
        for layer in self.layers.iter().rev() {
            if let Some(changed) = layer.get(key) {
                return changed.as_ref();
            }
        }
        self.base.get(key)
    }

    pub(crate) fn put(&mut self, data: LedgerEntryData) {
        let entry = LedgerEntry {
            last_modified_ledger_seq: self.ledger,
            data,
            ext: LedgerEntryExt::V0,
        };
        if let Some(layer) = self.layers.last_mut() {
            layer.insert(entry.to_key(), Some(entry));
        }
    }

    pub(crate) fn remove(&mut self, key: LedgerKey) {
        if let Some(layer) = self.layers.last_mut() {
            layer.insert(key, None);
        }
    }

    pub(crate) fn account(&self, account: &AccountId) -> Option<AccountEntry> {
        match &self.get(&xdr::account_key(account))?.data {
            LedgerEntryData::Account(entry) => Some(entry.clone()),
            _ => None,
        }
    }

    pub(crate) fn has_account(&self, account: &AccountId) -> bool {
        self.get(&xdr::account_key(account)).is_some()
    }

    pub(crate) fn put_account(&mut self, entry: AccountEntry) {
        self.put(LedgerEntryData::Account(entry));
    }

    pub(crate) fn trustline(&self, account: &AccountId, asset: &Asset) -> Option<TrustLineEntry> {
        let key = xdr::trustline_key(account, xdr::trustline_asset(asset));
        match &self.get(&key)?.data {
            LedgerEntryData::Trustline(entry) => Some(entry.clone()),
            _ => None,
        }
    }

    pub(crate) fn put_trustline(&mut self, entry: TrustLineEntry) {
        self.put(LedgerEntryData::Trustline(entry));
    }
}
