//! The `LedgerBurner` port on Stellar.
//!
//! **Preparing** asks four things and sends nothing: is the server healthy and of the right network,
//! what time is it on the ledger, and, in one reading, what do the accounts hold. Then it signs.
//!
//! *Which time.* `getLedgerEntries` names the ledger of its state but not when that closed, so the
//! time comes from a `getTransaction` answer just before. It may belong to a ledger slightly before
//! or after the state's: either is safe, because the time only sets how long the burn stays valid.
//! `valid_until` is the `maxTime` in the signed bytes themselves, and the proof of expiry compares
//! that with later ledgers; it never uses when the state's ledger closed. What would hurt is a time
//! from another age (a burn that lives for years), so the two ledgers may be at most
//! `SAME_MOMENT` apart.
//!
//! **Judging** is in `judge`, searching the ledger in `search`.

mod judge;
mod search;

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use stellar_xdr::{AccountId, Limits, TransactionResult, WriteXdr};
use tranche_application::ports::burner::{LedgerBurner, LedgerError, SubmitHint};
use tranche_application::ports::custody::{Custody, CustodyError};
use tranche_domain::disbursement::verdict::ClosedLedger;
use tranche_domain::disbursement::{BurnId, BurnOrder, LedgerSlot, PreparedBurn, Verdict};

use crate::asset::Asset;
use crate::classify::{codes, decode};
use crate::config::{ConfigError, StellarConfig};
use crate::entries::Snapshot;
use crate::envelope::{Burn, Draft, EnvelopeError};
use crate::http::Endpoint;
use crate::network::Network;
use crate::preflight::Parties;
use crate::rpc::Rpc;

/// How many ledgers the time and the state of one preparation may lie apart: five minutes on a public
/// network, and a second or so on a sandbox that hurries.
const SAME_MOMENT: u32 = 60;
/// How many ledgers a node may lie behind the newest one seen before its answers are refused: ten
/// minutes, which no load balancer should hide and every reset of a network exceeds.
const TOLERATED_LAG: u32 = 120;
/// Asked for to learn the ledger's time: no transaction has this hash.
const NOBODY: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Burns an asset on Stellar by paying it to its issuer.
pub struct StellarBurner {
    rpc: Rpc,
    network: Network,
    asset: Asset,
    burn_ttl: Duration,
    max_fee: u32,
    custody: Arc<dyn Custody>,
    /// The newest ledger any answer showed.
    newest: AtomicU32,
}

impl StellarBurner {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// [`ConfigError`] for a setting that cannot work.
    pub fn try_new(config: StellarConfig, custody: Arc<dyn Custody>) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self {
            rpc: Rpc::new(Endpoint::try_new(&config.rpc_url, config.timeout)?),
            network: Network::new(config.network_passphrase),
            asset: config.asset,
            burn_ttl: config.burn_ttl,
            max_fee: config.max_fee,
            custody,
            newest: AtomicU32::new(0),
        })
    }

    /// # Errors
    /// [`LedgerError::Misconfigured`] when the server belongs to another network.
    async fn check_network(&self) -> Result<(), LedgerError> {
        let served = self.rpc.get_network().await?.passphrase;
        if served == self.network.passphrase() {
            return Ok(());
        }
        Err(LedgerError::Misconfigured(format!(
            "the RPC server belongs to {served:?}, not to {:?}",
            self.network.passphrase()
        )))
    }

    /// # Errors
    /// [`LedgerError::Misconfigured`] when the burn was signed for another network.
    fn check_slot(&self, burn: &PreparedBurn) -> Result<(), LedgerError> {
        if burn.slot.network == self.network.passphrase() {
            return Ok(());
        }
        Err(LedgerError::Misconfigured(format!(
            "burn {} was signed for {:?}, not for {:?}",
            burn.id,
            burn.slot.network,
            self.network.passphrase()
        )))
    }

    /// The newest closed ledger, and when it closed.
    async fn ledger_time(&self) -> Result<ClosedLedger, LedgerError> {
        let answer = self.rpc.get_transaction(NOBODY).await?;
        self.witness(answer.latest_ledger)?;
        answer.closed().ok_or_else(|| {
            LedgerError::Unavailable("the server does not say when a ledger closed".to_owned())
        })
    }

    /// Reads ledger entries together.
    async fn read(
        &self,
        keys: Result<Vec<String>, stellar_xdr::Error>,
    ) -> Result<Snapshot, LedgerError> {
        let keys = keys.map_err(|error| LedgerError::Misconfigured(error.to_string()))?;
        let answer = self.rpc.get_ledger_entries(&keys).await?;
        self.witness(answer.latest_ledger)?;
        Snapshot::of(&answer).map_err(LedgerError::Unavailable)
    }

    /// Remembers that a ledger was seen, and refuses one from long before: ledgers never run
    /// backwards, so the node is stuck, or the network was reset and nothing it says concerns our
    /// burns. Lasts until a restart, and then the burns' own `signed_at_ledger` keeps watch.
    fn witness(&self, ledger: u32) -> Result<(), LedgerError> {
        let newest = self.newest.fetch_max(ledger, Ordering::Relaxed);
        if ledger.saturating_add(TOLERATED_LAG) >= newest {
            return Ok(());
        }
        Err(LedgerError::Unavailable(format!(
            "the ledger runs backwards: {ledger} after {newest}; the node lags, or the network was reset"
        )))
    }

    async fn signatures(
        &self,
        parties: &Parties,
        digest: [u8; 32],
    ) -> Result<Vec<(AccountId, [u8; 64])>, LedgerError> {
        let mut signatures = Vec::with_capacity(2);
        for signer in parties.signers() {
            let signature = self
                .custody
                .sign(&signer.to_string(), digest)
                .await
                .map_err(|error| custody_error(&error))?;
            signatures.push((signer.clone(), signature));
        }
        Ok(signatures)
    }

    fn max_time(&self, closed: ClosedLedger) -> Result<(NonZeroU64, DateTime<Utc>), LedgerError> {
        let ttl = i64::try_from(self.burn_ttl.as_secs()).unwrap_or(i64::MAX);
        let seconds = closed.closed_at.timestamp().saturating_add(ttl);
        u64::try_from(seconds)
            .ok()
            .and_then(NonZeroU64::new)
            .zip(DateTime::from_timestamp(seconds, 0))
            .ok_or_else(|| {
                LedgerError::Unavailable(format!("{seconds} s is not a time for a ledger"))
            })
    }
}

fn custody_error(error: &CustodyError) -> LedgerError {
    match error {
        CustodyError::Unavailable(_) => LedgerError::Unavailable(error.to_string()),
        _ => LedgerError::Misconfigured(error.to_string()),
    }
}

impl From<EnvelopeError> for LedgerError {
    fn from(error: EnvelopeError) -> Self {
        Self::Misconfigured(error.to_string())
    }
}

#[async_trait]
impl LedgerBurner for StellarBurner {
    async fn prepare(&self, order: &BurnOrder) -> Result<PreparedBurn, LedgerError> {
        let parties = Parties::of(order, &self.asset)?;
        self.ready().await?;
        let closed = self.ledger_time().await?;
        let snapshot = self.read(parties.keys(&self.asset)).await?;
        if snapshot.ledger.abs_diff(closed.sequence) > SAME_MOMENT {
            return Err(LedgerError::Unavailable(format!(
                "the server's answers are of different ages: ledgers {} and {}",
                closed.sequence, snapshot.ledger
            )));
        }
        let sequence = parties.check(order, self.max_fee, &self.asset, &snapshot)?;
        let (max_time, valid_until) = self.max_time(closed)?;
        let burn = Burn {
            source: parties.sequence.clone(),
            wallet: parties.other_wallet().cloned(),
            sequence,
            fee: self.max_fee,
            min_time: 0,
            max_time,
            ledgers: None,
            memo: order.memo,
            asset: self.asset.clone(),
            amount: order.amount.stroops(),
        };
        let draft = Draft::burn(&burn, &self.network)?;
        let hash = draft.hash();
        let signatures = self.signatures(&parties, hash).await?;
        let envelope = draft
            .sign(&signatures)
            .and_then(|envelope| Ok(envelope.to_xdr(Limits::none())?))?;
        Ok(PreparedBurn {
            id: BurnId(hex::encode(hash)),
            envelope,
            memo: order.memo,
            slot: LedgerSlot {
                network: self.network.passphrase().to_owned(),
                account: order.sequence_account_id.clone(),
                sequence,
            },
            valid_until,
            signed_at_ledger: snapshot.ledger,
        })
    }

    async fn submit(&self, burn: &PreparedBurn) -> Result<SubmitHint, LedgerError> {
        use base64::Engine as _;
        self.check_slot(burn)?;
        let envelope = base64::engine::general_purpose::STANDARD.encode(&burn.envelope);
        let answer = self.rpc.send_transaction(&envelope).await?;
        let reason = answer
            .error_result_xdr
            .and_then(|xdr| decode::<TransactionResult>(&xdr).ok())
            .and_then(|result| codes::of_result(&result));
        let hint = match reason {
            Some(code) => format!("{} {code}", answer.status),
            None => answer.status,
        };
        tracing::debug!(burn = %burn.id, hint, "sent");
        Ok(SubmitHint(hint))
    }

    async fn verdict(&self, burn: &PreparedBurn) -> Result<Verdict, LedgerError> {
        self.judge(burn).await
    }

    async fn ready(&self) -> Result<(), LedgerError> {
        let health = self.rpc.get_health().await?;
        if health.status != "healthy" {
            return Err(LedgerError::Unavailable(format!(
                "the RPC server says it is {:?}",
                health.status
            )));
        }
        self.check_network().await
    }
}
