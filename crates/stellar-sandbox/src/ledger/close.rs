//! Closing a ledger: grants, then every fee, then every transaction, then the header.
//!
//! Nothing here changes the state it starts from. The outcome is a [`Closing`], which is first
//! written down and only then installed.

use std::sync::Arc;

use stellar_xdr::{
    Error, ExtensionPoint, GeneralizedTransactionSet, Hash, LedgerCloseMeta, LedgerCloseMetaExt,
    LedgerCloseMetaV2, LedgerEntryChanges, LedgerHeader, LedgerHeaderExt, LedgerHeaderHistoryEntry,
    LedgerHeaderHistoryEntryExt, StellarValue, StellarValueExt, TimePoint, TransactionMeta,
    TransactionPhase, TransactionResult, TransactionResultMetaV1, TransactionResultPair,
    TransactionResultSet, TransactionSetV1, TxSetComponent, TxSetComponentTxsMaybeDiscountedFee,
    VecM,
};

use super::frame::Frame;
use super::grant::{self, Grant, GrantRefused, Granted};
use super::results::{self, Verdict};
use super::state::{Delta, State, Working};
use super::{BASE_FEE, BASE_RESERVE, PROTOCOL_VERSION, TOTAL_COINS, apply, fees};
use crate::events;
use crate::keys::Network;
use crate::xdr::{self, Digest32};

/// The last closed ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tip {
    pub(crate) ledger: u32,
    pub(crate) close_time: u64,
    pub(crate) hash: Digest32,
    /// Chains every change of state since genesis.
    pub(crate) state_hash: Digest32,
    pub(crate) fee_pool: i64,
}

/// A transaction chosen for the ledger.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) frame: Arc<Frame>,
    /// Its payments are to fail as underfunded.
    pub(crate) doomed: bool,
}

/// A transaction the ledger includes.
#[derive(Clone, Debug)]
pub(crate) struct Included {
    pub(crate) frame: Arc<Frame>,
    /// Its place in the ledger, from 1.
    pub(crate) order: u32,
    pub(crate) result: TransactionResult,
    pub(crate) meta: TransactionMeta,
    fee_changes: LedgerEntryChanges,
}

/// A ledger that is closed but not yet installed.
#[derive(Debug)]
pub(crate) struct Closing {
    pub(crate) tip: Tip,
    pub(crate) header: LedgerHeader,
    pub(crate) delta: Delta,
    pub(crate) included: Vec<Included>,
}

impl Closing {
    /// Nothing happened but time.
    pub(crate) fn is_empty(&self) -> bool {
        self.delta.is_empty() && self.included.is_empty()
    }
}

/// A ledger being closed.
pub(crate) struct Close<'a> {
    pub(crate) working: Working<'a>,
    network: &'a Network,
    before: Tip,
    included: Vec<Included>,
    collected: i64,
}

impl<'a> Close<'a> {
    /// Starts the ledger after `before`; its close time is never earlier. `None` when there is no
    /// further ledger number.
    pub(crate) fn begin(
        state: &'a State,
        before: &Tip,
        network: &'a Network,
        now: u64,
    ) -> Option<Self> {
        let ledger = before.ledger.checked_add(1)?;
        Some(Self {
            working: Working::new(state, ledger, now.max(before.close_time)),
            network,
            before: before.clone(),
            included: Vec::new(),
            collected: 0,
        })
    }

    pub(crate) fn grant(&mut self, grant: &Grant) -> Result<Granted, GrantRefused> {
        grant::apply(&mut self.working, self.network, grant)
    }

    /// Charges all fees, then applies in the order given.
    pub(crate) fn transactions(
        &mut self,
        candidates: &[Candidate],
        rate: i64,
    ) -> Result<(), Error> {
        let mut paid = Vec::with_capacity(candidates.len());
        for candidate in candidates {
            let (charged, changes) = fees::charge(&mut self.working, &candidate.frame, rate)?;
            self.collected = self.collected.saturating_add(charged);
            paid.push((candidate, charged, changes));
        }
        for (candidate, charged, fee_changes) in paid {
            let frame = &candidate.frame;
            let applied = apply::apply(frame, &mut self.working, self.network, candidate.doomed)?;
            let fee = events::fee(self.network, &frame.fee_source(), charged)?;
            let inner = frame.bump.is_some() && !applied.outer;
            let (verdict, meta) = applied.into_meta(fee)?;
            let order = u32::try_from(self.included.len())
                .unwrap_or(u32::MAX)
                .saturating_add(1);
            self.included.push(Included {
                frame: Arc::clone(frame),
                order,
                result: result(frame, verdict, charged, inner)?,
                meta,
                fee_changes,
            });
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<Closing, Error> {
        let Self {
            working,
            before,
            included,
            collected,
            ..
        } = self;
        let (ledger, close_time) = (working.ledger, working.close_time);
        let delta = working.into_delta();
        let state_hash = state_hash(before.state_hash, &delta)?;
        let fee_pool = before.fee_pool.saturating_add(collected);
        let set = transaction_set(before.hash, &included)?;
        let header = LedgerHeader {
            previous_ledger_hash: Hash(before.hash),
            tx_set_result_hash: Hash(result_hash(&included)?),
            scp_value: value(xdr::sha256(&xdr::encode(&set)?), close_time),
            bucket_list_hash: Hash(state_hash),
            ledger_seq: ledger,
            fee_pool,
            ..blank_header()
        };
        let tip = Tip {
            ledger,
            close_time,
            hash: xdr::sha256(&xdr::encode(&header)?),
            state_hash,
            fee_pool,
        };
        Ok(Closing {
            tip,
            header,
            delta,
            included,
        })
    }
}

/// A header for a tip that was read back; what only the ledger's own content tells is zero.
pub(crate) fn header_of(tip: &Tip) -> LedgerHeader {
    LedgerHeader {
        scp_value: value([0; 32], tip.close_time),
        bucket_list_hash: Hash(tip.state_hash),
        ledger_seq: tip.ledger,
        fee_pool: tip.fee_pool,
        ..blank_header()
    }
}

fn value(tx_set_hash: Digest32, close_time: u64) -> StellarValue {
    StellarValue {
        tx_set_hash: Hash(tx_set_hash),
        close_time: TimePoint(close_time),
        upgrades: VecM::default(),
        ext: StellarValueExt::Basic,
    }
}

fn blank_header() -> LedgerHeader {
    let zero = || Hash([0; 32]);
    LedgerHeader {
        ledger_version: PROTOCOL_VERSION,
        previous_ledger_hash: zero(),
        scp_value: value([0; 32], 0),
        tx_set_result_hash: zero(),
        bucket_list_hash: zero(),
        ledger_seq: 0,
        total_coins: TOTAL_COINS,
        fee_pool: 0,
        inflation_seq: 0,
        id_pool: 0,
        base_fee: u32::try_from(BASE_FEE).unwrap_or(u32::MAX),
        base_reserve: u32::try_from(BASE_RESERVE).unwrap_or(u32::MAX),
        max_tx_set_size: 0,
        skip_list: [zero(), zero(), zero(), zero()],
        ext: LedgerHeaderExt::V0,
    }
}

fn result(
    frame: &Frame,
    verdict: Verdict,
    charged: i64,
    inner: bool,
) -> Result<TransactionResult, Error> {
    if inner {
        results::bumped(verdict, charged, frame.inner_hash)
    } else {
        results::plain(verdict, charged)
    }
}

fn state_hash(before: Digest32, delta: &Delta) -> Result<Digest32, Error> {
    if delta.is_empty() {
        return Ok(before);
    }
    let mut bytes = before.to_vec();
    for (key, entry) in delta {
        bytes.extend(xdr::encode(key)?);
        if let Some(entry) = entry {
            bytes.extend(xdr::encode(entry)?);
        }
    }
    Ok(xdr::sha256(&bytes))
}

fn pair(included: &Included) -> TransactionResultPair {
    TransactionResultPair {
        transaction_hash: Hash(included.frame.hash),
        result: included.result.clone(),
    }
}

fn result_hash(included: &[Included]) -> Result<Digest32, Error> {
    let pairs: Vec<_> = included.iter().map(pair).collect();
    let set = TransactionResultSet {
        results: pairs.try_into()?,
    };
    Ok(xdr::sha256(&xdr::encode(&set)?))
}

fn transaction_set(
    previous: Digest32,
    included: &[Included],
) -> Result<GeneralizedTransactionSet, Error> {
    let envelopes: Vec<_> = included
        .iter()
        .map(|included| included.frame.envelope.clone())
        .collect();
    let classic =
        TxSetComponent::TxsetCompTxsMaybeDiscountedFee(TxSetComponentTxsMaybeDiscountedFee {
            base_fee: Some(BASE_FEE),
            txs: envelopes.try_into()?,
        });
    let components = if included.is_empty() {
        Vec::new()
    } else {
        vec![classic]
    };
    Ok(GeneralizedTransactionSet::V1(TransactionSetV1 {
        previous_ledger_hash: Hash(previous),
        phases: vec![TransactionPhase::V0(components.try_into()?)].try_into()?,
    }))
}

/// The metadata of a closed ledger as `getLatestLedger` gives it.
pub(crate) fn close_meta(
    hash: Digest32,
    header: &LedgerHeader,
    included: &[Included],
) -> Result<LedgerCloseMeta, Error> {
    let processing: Vec<_> = included
        .iter()
        .map(|included| TransactionResultMetaV1 {
            ext: ExtensionPoint::V0,
            result: pair(included),
            fee_processing: included.fee_changes.clone(),
            tx_apply_processing: included.meta.clone(),
            post_tx_apply_fee_processing: LedgerEntryChanges::default(),
        })
        .collect();
    Ok(LedgerCloseMeta::V2(LedgerCloseMetaV2 {
        ext: LedgerCloseMetaExt::V0,
        ledger_header: LedgerHeaderHistoryEntry {
            hash: Hash(hash),
            header: header.clone(),
            ext: LedgerHeaderHistoryEntryExt::V0,
        },
        tx_set: transaction_set(header.previous_ledger_hash.0, included)?,
        tx_processing: processing.try_into()?,
        upgrades_processing: VecM::default(),
        scp_info: VecM::default(),
        total_byte_size_of_live_soroban_state: 0,
        evicted_keys: VecM::default(),
    }))
}
