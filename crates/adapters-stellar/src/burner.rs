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
//! **Judging** is in `judge`, searching the ledger in `search`, a second opinion in `witness`, a higher
//! fee in `outbid`, everybody's burns in `burns`.

mod burns;
mod judge;
mod outbid;
mod search;
mod witness;

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use stellar_xdr::TransactionResult;
use tranche_application::ports::burner::{BurnsSeen, LedgerBurner, LedgerError, SubmitHint};
use tranche_application::ports::custody::{Custody, CustodyError};
use tranche_domain::disbursement::verdict::ClosedLedger;
use tranche_domain::disbursement::{
    BurnId, BurnOrder, LedgerSlot, PreparedBurn, Replacement, Verdict,
};

use crate::asset::Asset;
use crate::classify::{codes, decode};
use crate::config::{ConfigError, StellarConfig};
use crate::entries::Snapshot;
use crate::envelope::{Burn, Draft, EnvelopeError};
use crate::http::Endpoint;
use crate::network::Network;
use crate::node::{Node, Tip};
use crate::preflight::Parties;
use crate::providers::Providers;
use crate::rpc::wire::SendTransaction;

/// How many ledgers the time and the state of one preparation may lie apart: five minutes on a public
/// network, and a second or so on a sandbox that hurries.
const SAME_MOMENT: u32 = 60;

/// Burns an asset on Stellar by paying it to its issuer.
pub struct StellarBurner {
    providers: Providers,
    witness: Option<Node>,
    network: Arc<Network>,
    asset: Asset,
    burn_ttl: Duration,
    first_fee: u32,
    most_fee: u64,
    custody: Arc<dyn Custody>,
}

impl StellarBurner {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// [`ConfigError`] for a setting that cannot work.
    pub fn try_new(config: StellarConfig, custody: Arc<dyn Custody>) -> Result<Self, ConfigError> {
        config.check()?;
        let network = Arc::new(Network::new(config.network_passphrase.clone()));
        let witness = config.witness_rpc_url.as_ref().map(|url| {
            let endpoint = Endpoint::try_new(url, config.timeout)?;
            // It may lie behind the others for good, and is measured by its own answers only.
            Ok(Node::new(
                endpoint,
                network.clone(),
                Arc::new(Tip::default()),
            ))
        });
        Ok(Self {
            providers: Providers::try_new(&config, &network)?,
            witness: witness.transpose()?,
            network,
            burn_ttl: config.burn_ttl,
            first_fee: config.first_fee(),
            most_fee: config.most_fee,
            asset: config.asset,
            custody,
        })
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

    /// The ledger's time, and the state of everything the burn depends on.
    async fn survey(
        &self,
        parties: &Parties,
        node: &Node,
    ) -> Result<(ClosedLedger, Snapshot), LedgerError> {
        node.ready().await?;
        let closed = node.ledger_time().await?;
        let snapshot = node.read(parties.keys(&self.asset)).await?;
        if snapshot.ledger.abs_diff(closed.sequence) > SAME_MOMENT {
            return Err(LedgerError::Unavailable(format!(
                "the server's answers are of different ages: ledgers {} and {}",
                closed.sequence, snapshot.ledger
            )));
        }
        Ok((closed, snapshot))
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

/// What an answer to a sending says, and the fee it asks for where that is the trouble.
fn hint(answer: SendTransaction) -> SubmitHint {
    let result = answer
        .error_result_xdr
        .and_then(|xdr| decode::<TransactionResult>(&xdr).ok());
    let code = result.as_ref().and_then(codes::of_result);
    let fee_asked = result
        .filter(|_| code == Some(codes::INSUFFICIENT_FEE))
        .and_then(|result| u64::try_from(result.fee_charged).ok())
        .filter(|fee| *fee > 0);
    SubmitHint {
        said: match code {
            Some(code) => format!("{} {code}", answer.status),
            None => answer.status,
        },
        fee_asked,
    }
}

#[async_trait]
impl LedgerBurner for StellarBurner {
    fn network(&self) -> &str {
        self.network.passphrase()
    }

    async fn prepare(&self, order: &BurnOrder) -> Result<PreparedBurn, LedgerError> {
        let parties = &Parties::of(order, &self.asset)?;
        let survey = |node: Arc<Node>| async move { self.survey(parties, &node).await };
        let (closed, snapshot) = self.providers.ask(survey).await?;
        let sequence = parties.check(order, self.first_fee, &self.asset, &snapshot)?;
        let (max_time, valid_until) = self.max_time(closed)?;
        let burn = Burn {
            source: parties.sequence.clone(),
            wallet: parties.other_wallet().cloned(),
            sequence,
            fee: self.first_fee,
            min_time: 0,
            max_time,
            ledgers: None,
            memo: order.memo,
            asset: self.asset.clone(),
            amount: order.amount.stroops(),
        };
        let draft = Draft::burn(&burn, &self.network)?;
        let signers: Vec<_> = parties.signers().collect();
        Ok(PreparedBurn {
            id: BurnId(hex::encode(draft.hash())),
            envelope: self.sign(draft, &signers).await?,
            memo: order.memo,
            slot: LedgerSlot {
                network: self.network.passphrase().to_owned(),
                account: order.sequence_account_id.clone(),
                sequence,
            },
            valid_until,
            signed_at_ledger: snapshot.ledger,
            replacements: Vec::new(),
        })
    }

    async fn submit(&self, burn: &PreparedBurn) -> Result<SubmitHint, LedgerError> {
        self.check_slot(burn)?;
        let envelope = &STANDARD.encode(burn.newest_envelope());
        // The next server gets the same bytes, even if they arrived at the one before.
        let answer = self
            .providers
            .ask(|node| async move { Ok(node.rpc.send_transaction(envelope).await?) });
        let hint = hint(answer.await?);
        tracing::debug!(burn = %burn.id, said = hint.said, fee_asked = hint.fee_asked, "sent");
        Ok(hint)
    }

    async fn outbid(
        &self,
        burn: &PreparedBurn,
        fee_asked: u64,
    ) -> Result<Option<Replacement>, LedgerError> {
        self.check_slot(burn)?;
        self.offer_more(burn, fee_asked).await
    }

    async fn verdict(&self, burn: &PreparedBurn) -> Result<Verdict, LedgerError> {
        self.check_slot(burn)?;
        let several = self.providers.have_several();
        let judgement = |node: Arc<Node>| async move {
            let verdict = judge::judge(&node, burn).await?;
            if several && matches!(verdict, Verdict::Undecided(_)) {
                // A node that fell behind its network would never decide.
                node.check_health().await?;
            }
            Ok(verdict)
        };
        let verdict = self.providers.ask(judgement).await?;
        match &self.witness {
            Some(witness) => witness::confirm(witness, burn, verdict).await,
            None => Ok(verdict),
        }
    }

    async fn burns_since(
        &self,
        from: Option<u32>,
        wallets: &[String],
    ) -> Result<BurnsSeen, LedgerError> {
        let asset = &self.asset;
        let seen = |node: Arc<Node>| async move { burns::since(&node, asset, from, wallets).await };
        // Whoever remembers further back is asked before a gap is admitted.
        let gap = |seen: &BurnsSeen| from.map_or(0, |from| seen.from.saturating_sub(from));
        let seen = self.providers.ask_for_least(seen, gap).await?;
        match &self.witness {
            Some(witness) => {
                let answer = burns::since(witness, asset, from, wallets);
                burns::union(&seen, witness::ask(witness, answer).await?)
            }
            None => Ok(seen),
        }
    }

    async fn ready(&self) -> Result<(), LedgerError> {
        self.providers
            .ask(|node| async move { node.ready().await })
            .await
    }
}
