//! One wallet, one burn at a time: preparers of the same wallet take turns, first come first served.
//!
//! This spares the ledger pointless questions within one process. What keeps two burns off one
//! sequence number is the store's unique slot, whichever process they come from.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

/// The turns of every wallet that somebody wants to burn from.
#[derive(Clone, Default)]
pub(super) struct Turns {
    wallets: Arc<Mutex<HashMap<String, Arc<Turn<()>>>>>,
}

impl Turns {
    /// Waits for the wallet's turn, and holds it until dropped.
    pub async fn of(&self, wallet: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut wallets = self.wallets.lock().unwrap_or_else(PoisonError::into_inner);
            wallets.retain(|name, turn| name == wallet || Arc::strong_count(turn) > 1);
            wallets.entry(wallet.to_owned()).or_default().clone()
        };
        turn.lock_owned().await
    }
}
