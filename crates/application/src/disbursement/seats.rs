//! Whose sequence number a burn takes: a channel account that nobody has, or the wallet itself when
//! there are no channels. First come, first served.
//!
//! This spares the ledger pointless questions within one process. What keeps two burns off one
//! sequence number is the store's unique slot, and what keeps two disbursements off one account is
//! that only one open disbursement may name it, whichever process they come from.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};
use tokio::time::sleep;

use crate::ports::channels::{Channel, Channels};
use crate::ports::store::StoreError;

/// The pause between two looks for a free channel.
const PAUSE: Duration = Duration::from_millis(50);

/// The accounts of one network that burns may take their sequence numbers from.
#[derive(Clone)]
pub(super) struct Seats {
    channels: Arc<dyn Channels>,
    network: String,
    wallets: Arc<Mutex<HashMap<String, Arc<Turn<()>>>>>,
    held: Arc<Mutex<HashSet<String>>>,
    line: Arc<Turn<()>>,
}

/// A place that is ours until it is dropped.
pub(super) enum Seat {
    /// The wallet's own sequence number, and the turn to use it.
    Wallet(#[expect(dead_code, reason = "held until the burn is kept")] OwnedMutexGuard<()>),
    /// A channel account's.
    Channel(Held),
}

impl Seat {
    /// The channel account, if it is one.
    pub fn channel(&self) -> Option<&str> {
        match self {
            Self::Wallet(_) => None,
            Self::Channel(held) => Some(&held.account_id),
        }
    }
}

/// A channel account that this process has picked.
pub(super) struct Held {
    account_id: String,
    held: Arc<Mutex<HashSet<String>>>,
}

impl Drop for Held {
    fn drop(&mut self) {
        lock(&self.held).remove(&self.account_id);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Seats {
    pub fn new(channels: Arc<dyn Channels>, network: String) -> Self {
        Self {
            channels,
            network,
            wallets: Arc::default(),
            held: Arc::default(),
            line: Arc::default(),
        }
    }

    /// Waits for a seat. Channels that are `unfit` are passed over; when all are, the wallet's own
    /// is given.
    pub async fn take(&self, wallet: &str, unfit: &HashSet<String>) -> Result<Seat, StoreError> {
        let first_in_line = self.line.lock().await;
        loop {
            let channels = self.channels.channels(&self.network).await?;
            let fit: Vec<&Channel> = channels
                .iter()
                .filter(|channel| channel.funded_at.is_some())
                .filter(|channel| !unfit.contains(&channel.account_id))
                .collect();
            if fit.is_empty() {
                drop(first_in_line);
                return Ok(Seat::Wallet(self.turn_of(wallet).await));
            }
            let free = fit.iter().filter(|channel| channel.leased_by.is_none());
            for channel in free {
                if lock(&self.held).insert(channel.account_id.clone()) {
                    return Ok(Seat::Channel(Held {
                        account_id: channel.account_id.clone(),
                        held: self.held.clone(),
                    }));
                }
            }
            sleep(PAUSE).await;
        }
    }

    async fn turn_of(&self, wallet: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut wallets = lock(&self.wallets);
            wallets.retain(|name, turn| name == wallet || Arc::strong_count(turn) > 1);
            wallets.entry(wallet.to_owned()).or_default().clone()
        };
        turn.lock_owned().await
    }
}
