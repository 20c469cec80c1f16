//! A further envelope for a burn whose fee the ledger finds too low, in the same slot.
//!
//! While the newest transaction has at least half of its life before it, a fee bump goes around it:
//! the same burn under the same name. After that the burn is signed anew, with the same sequence
//! number, memo, amount and wallet and a later end: another name, and the ledger takes one of them
//! all at most. What is signed anew is read from the stored bytes, and is ours only if building it
//! again gives the very hash by which it is known.

use std::num::NonZeroU64;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use stellar_xdr::{
    AccountId, FeeBumpTransactionInnerTx, Limits, Memo, OperationBody, Preconditions, ReadXdr,
    TransactionEnvelope, TransactionV1Envelope, WriteXdr,
};
use tranche_application::ports::burner::LedgerError;
use tranche_domain::disbursement::{BurnId, PreparedBurn, Replacement};

use super::StellarBurner;
use crate::classify::LIMITS;
use crate::entries::account_key;
use crate::envelope::{Burn, Draft};
use crate::node::Node;

/// Below this many times the rate of a queued transaction a fee bump does not replace it.
const REPLACES: u64 = 10;
/// What a fee bump around one payment is charged for.
const BUMPED_OPERATIONS: u64 = 2;

/// The newest envelope of a burn, read back.
struct Newest {
    inner: TransactionV1Envelope,
    burn: Burn,
    id: BurnId,
    valid_until: DateTime<Utc>,
    /// What it offers, in stroops.
    fee: u64,
    /// For how many operations.
    operations: u64,
}

impl Newest {
    /// What the same rate costs for another number of operations.
    const fn at_rate(&self, fee: u64, operations: u64) -> u64 {
        fee.saturating_mul(operations).div_ceil(self.operations)
    }
}

impl StellarBurner {
    /// See the port.
    pub(super) async fn offer_more(
        &self,
        burn: &PreparedBurn,
        fee_asked: u64,
    ) -> Result<Option<Replacement>, LedgerError> {
        let newest = self.newest(burn)?;
        if newest.fee >= fee_asked {
            return Ok(None);
        }
        let source = &newest.burn.source;
        let look = |node: Arc<Node>| async move {
            let closed = node.ledger_time().await?;
            if closed.sequence < burn.signed_at_ledger {
                return Err(LedgerError::Unavailable(format!(
                    "the ledger stands at {}, and burn {} was signed at {}",
                    closed.sequence, burn.id, burn.signed_at_ledger
                )));
            }
            let state = node.read(account_key(source).map(|key| vec![key])).await?;
            Ok((closed, state.account(source).map(|state| state.spendable)))
        };
        let (closed, spendable) = self.providers.ask(look).await?;
        let affordable = u64::try_from(spendable.unwrap_or(0)).unwrap_or(0);
        let most = self.most_fee.min(affordable);
        let left = (newest.valid_until - closed.closed_at).to_std();
        if left.is_ok_and(|left| left >= self.burn_ttl / 2) {
            let fee = newest.at_rate(fee_asked, BUMPED_OPERATIONS).max(
                newest
                    .at_rate(newest.fee, BUMPED_OPERATIONS)
                    .saturating_mul(REPLACES),
            );
            if fee > most {
                return Ok(None);
            }
            return self.bumped(newest, fee).await.map(Some);
        }
        let fee = newest.at_rate(fee_asked, 1);
        match u32::try_from(fee) {
            Ok(fee) if u64::from(fee) <= most => {
                let (max_time, valid_until) = self.max_time(closed)?;
                let burn = Burn {
                    fee,
                    max_time,
                    ..newest.burn
                };
                self.signed_anew(&burn, valid_until).await.map(Some)
            }
            _ => Ok(None),
        }
    }

    async fn bumped(&self, newest: Newest, fee: u64) -> Result<Replacement, LedgerError> {
        let fee = i64::try_from(fee).unwrap_or(i64::MAX);
        let source = newest.burn.source;
        let draft = Draft::fee_bump(newest.inner, source.clone(), fee, &self.network)?;
        Ok(Replacement {
            id: newest.id,
            envelope: self.sign(draft, &[&source]).await?,
            valid_until: newest.valid_until,
        })
    }

    async fn signed_anew(
        &self,
        burn: &Burn,
        valid_until: DateTime<Utc>,
    ) -> Result<Replacement, LedgerError> {
        let draft = Draft::burn(burn, &self.network)?;
        let id = BurnId(hex::encode(draft.hash()));
        let signers: Vec<_> = std::iter::once(&burn.source).chain(&burn.wallet).collect();
        Ok(Replacement {
            id,
            envelope: self.sign(draft, &signers).await?,
            valid_until,
        })
    }

    /// # Errors
    /// [`LedgerError::Misconfigured`] for bytes that are not the burn that was ordered.
    fn newest(&self, burn: &PreparedBurn) -> Result<Newest, LedgerError> {
        let (id, valid_until) = burn.replacements.last().map_or_else(
            || (&burn.id, burn.valid_until),
            |newest| (&newest.id, newest.valid_until),
        );
        let newest = self.read_back(burn.newest_envelope(), id, valid_until);
        let ours = newest.filter(|newest| {
            newest.burn.source.to_string() == burn.slot.account
                && newest.burn.sequence == burn.slot.sequence
                && newest.burn.memo == burn.memo
        });
        ours.ok_or_else(|| {
            LedgerError::Misconfigured(format!("the stored envelope of burn {id} is not its own"))
        })
    }

    /// The stored envelope, if it is a burn of our asset with this hash.
    fn read_back(&self, bytes: &[u8], id: &BurnId, valid_until: DateTime<Utc>) -> Option<Newest> {
        let (inner, fee, operations) = match TransactionEnvelope::from_xdr(bytes, LIMITS).ok()? {
            TransactionEnvelope::Tx(inner) => {
                let fee = u64::from(inner.tx.fee);
                (inner, fee, 1)
            }
            TransactionEnvelope::TxFeeBump(bump) => {
                let FeeBumpTransactionInnerTx::Tx(inner) = bump.tx.inner_tx;
                (inner, u64::try_from(bump.tx.fee).ok()?, BUMPED_OPERATIONS)
            }
            TransactionEnvelope::TxV0(_) => return None,
        };
        let burn = self.burn_in(&inner)?;
        let rebuilt = Draft::burn(&burn, &self.network).ok()?;
        let as_known = hex::encode(rebuilt.hash()) == id.0
            && i64::try_from(burn.max_time.get()).ok()? == valid_until.timestamp();
        as_known.then(|| Newest {
            inner,
            burn,
            id: id.clone(),
            valid_until,
            fee,
            operations,
        })
    }

    /// What a transaction says of itself, as far as a burn of ours could. Whether it says more shows
    /// in its hash.
    fn burn_in(&self, envelope: &TransactionV1Envelope) -> Option<Burn> {
        let tx = &envelope.tx;
        let [operation] = tx.operations.as_slice() else {
            return None;
        };
        let (OperationBody::Payment(payment), Memo::Hash(memo), Preconditions::Time(time)) =
            (&operation.body, &tx.memo, &tx.cond)
        else {
            return None;
        };
        let account =
            |muxed: &stellar_xdr::MuxedAccount| -> AccountId { muxed.clone().account_id() };
        Some(Burn {
            source: account(&tx.source_account),
            wallet: operation.source_account.as_ref().map(account),
            sequence: tx.seq_num.0,
            fee: tx.fee,
            min_time: time.min_time.0,
            max_time: NonZeroU64::new(time.max_time.0)?,
            ledgers: None,
            memo: memo.0,
            asset: self.asset.clone(),
            amount: payment.amount,
        })
    }

    /// The signed bytes of a draft.
    pub(super) async fn sign(
        &self,
        draft: Draft,
        signers: &[&AccountId],
    ) -> Result<Vec<u8>, LedgerError> {
        let mut signatures = Vec::with_capacity(signers.len());
        for signer in signers {
            let signature = self
                .custody
                .sign(&signer.to_string(), draft.hash())
                .await
                .map_err(|error| super::custody_error(&error))?;
            signatures.push(((*signer).clone(), signature));
        }
        let envelope = draft.sign(&signatures)?;
        envelope
            .to_xdr(Limits::none())
            .map_err(|error| LedgerError::Misconfigured(error.to_string()))
    }
}
