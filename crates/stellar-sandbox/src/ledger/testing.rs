//! Accounts, envelopes and signatures for tests.

use std::sync::Arc;

use ed25519_dalek::{Signer as _, SigningKey};
use stellar_xdr::{
    AccountId, Asset, DecoratedSignature, FeeBumpTransaction, FeeBumpTransactionEnvelope,
    FeeBumpTransactionExt, FeeBumpTransactionInnerTx, LedgerKey, Memo, MuxedAccount, Operation,
    OperationBody, PaymentOp, Preconditions, SequenceNumber, Signature, SignatureHint, TimeBounds,
    TimePoint, Transaction, TransactionEnvelope, TransactionExt, TransactionResult,
    TransactionResultResult, TransactionV1Envelope,
};

use super::close::{Candidate, Close, Included, Tip};
use super::frame::Frame;
use super::genesis::genesis;
use super::grant::Grant;
use super::state::{State, Working};
use super::validity::{self, Moment};
use super::{BASE_FEE, results};
use crate::keys::{Network, account_of};
use crate::ledger::signatures::hint;
use crate::xdr::{self, UNIT};

pub(crate) const GENESIS_TIME: u64 = 1_800_000_000;

pub(crate) fn network() -> Network {
    Network::new("a network for tests")
}

pub(crate) fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

pub(crate) fn account(number: u8) -> AccountId {
    account_of(&key(number))
}

/// A transaction under construction.
#[derive(Clone)]
pub(crate) struct Draft(pub(crate) Transaction);

pub(crate) fn draft(source: u8, sequence: i64, operations: Vec<OperationBody>) -> Draft {
    let operations: Vec<_> = operations
        .into_iter()
        .map(|body| Operation {
            source_account: None,
            body,
        })
        .collect();
    Draft(Transaction {
        source_account: xdr::muxed(&account(source)),
        fee: u32::try_from(BASE_FEE).unwrap() * u32::try_from(operations.len().max(1)).unwrap(),
        seq_num: SequenceNumber(sequence),
        cond: Preconditions::None,
        memo: Memo::None,
        operations: operations.try_into().unwrap(),
        ext: TransactionExt::V0,
    })
}

impl Draft {
    pub(crate) fn fee(mut self, fee: u32) -> Self {
        self.0.fee = fee;
        self
    }

    pub(crate) fn cond(mut self, cond: Preconditions) -> Self {
        self.0.cond = cond;
        self
    }

    pub(crate) fn until(self, max_time: u64) -> Self {
        self.cond(Preconditions::Time(TimeBounds {
            min_time: TimePoint(0),
            max_time: TimePoint(max_time),
        }))
    }

    /// Gives every operation this source.
    pub(crate) fn operated_by(mut self, source: u8) -> Self {
        let operations: Vec<_> = self
            .0
            .operations
            .iter()
            .map(|operation| Operation {
                source_account: Some(xdr::muxed(&account(source))),
                body: operation.body.clone(),
            })
            .collect();
        self.0.operations = operations.try_into().unwrap();
        self
    }

    pub(crate) fn sign(&self, signers: &[u8]) -> Arc<Frame> {
        let envelope = TransactionEnvelope::Tx(self.signed(signers));
        Arc::new(Frame::new(envelope, network().id).unwrap())
    }

    fn signed(&self, signers: &[u8]) -> TransactionV1Envelope {
        let hash = self.0.hash(network().id).unwrap();
        TransactionV1Envelope {
            tx: self.0.clone(),
            signatures: decorate(signers, &hash),
        }
    }

    /// Wraps the signed transaction in a fee bump.
    pub(crate) fn bump(&self, signers: &[u8], payer: u8, fee: i64) -> Arc<Frame> {
        let tx = FeeBumpTransaction {
            fee_source: xdr::muxed(&account(payer)),
            fee,
            inner_tx: FeeBumpTransactionInnerTx::Tx(self.signed(signers)),
            ext: FeeBumpTransactionExt::V0,
        };
        let hash = tx.hash(network().id).unwrap();
        let envelope = TransactionEnvelope::TxFeeBump(FeeBumpTransactionEnvelope {
            tx,
            signatures: decorate(&[payer], &hash),
        });
        Arc::new(Frame::new(envelope, network().id).unwrap())
    }
}

fn decorate(signers: &[u8], hash: &[u8; 32]) -> stellar_xdr::VecM<DecoratedSignature, 20> {
    let signatures: Vec<_> = signers
        .iter()
        .map(|number| {
            let key = key(*number);
            DecoratedSignature {
                hint: SignatureHint(hint(&key.verifying_key().to_bytes())),
                signature: Signature(key.sign(hash).to_bytes().to_vec().try_into().unwrap()),
            }
        })
        .collect();
    signatures.try_into().unwrap()
}

pub(crate) fn pay(to: u8, asset: Asset, amount: i64) -> OperationBody {
    pay_account(&account(to), asset, amount)
}

pub(crate) fn pay_account(to: &AccountId, asset: Asset, amount: i64) -> OperationBody {
    OperationBody::Payment(PaymentOp {
        destination: MuxedAccount::from(to.clone()),
        asset,
        amount,
    })
}

/// NGNTS sent back to its issuer.
pub(crate) fn burn(amount: i64) -> OperationBody {
    pay_account(&network().issuer_account(), network().asset(), amount)
}

/// A ledger driven by hand.
pub(crate) struct Rig {
    pub(crate) state: State,
    pub(crate) tip: Tip,
    pub(crate) network: Network,
}

impl Rig {
    /// Accounts 1 to 3 with 100 XLM and 50 NGNTS each.
    pub(crate) fn new() -> Self {
        let network = network();
        let (state, tip) = genesis(&network, GENESIS_TIME);
        let mut rig = Self {
            state,
            tip,
            network,
        };
        for number in 1..=3 {
            rig.grant(&Grant {
                account: account(number),
                credit: Some((rig.network.asset(), 50 * UNIT)),
                lumens: 100 * UNIT,
            });
        }
        rig
    }

    pub(crate) fn grant(&mut self, grant: &Grant) {
        let network = self.network.clone();
        let mut close =
            Close::begin(&self.state, &self.tip, &network, self.tip.close_time).unwrap();
        close.grant(grant).unwrap();
        let closing = close.finish().unwrap();
        self.state.install(&closing.delta);
        self.tip = closing.tip;
    }

    /// Closes a ledger with these transactions, one second later.
    pub(crate) fn close(&mut self, frames: &[Arc<Frame>]) -> Vec<Included> {
        let network = self.network.clone();
        let now = self.tip.close_time + 1;
        let mut close = Close::begin(&self.state, &self.tip, &network, now).unwrap();
        let candidates: Vec<_> = frames
            .iter()
            .map(|frame| Candidate {
                frame: Arc::clone(frame),
                doomed: false,
            })
            .collect();
        close.transactions(&candidates, BASE_FEE).unwrap();
        let closing = close.finish().unwrap();
        self.state.install(&closing.delta);
        self.tip = closing.tip;
        closing.included
    }

    /// Closes a ledger with one transaction and returns its result.
    pub(crate) fn run(&mut self, frame: &Arc<Frame>) -> TransactionResultResult {
        self.close(std::slice::from_ref(frame))
            .remove(0)
            .result
            .result
    }

    /// What submission would say now.
    pub(crate) fn check(&self, frame: &Frame, offset: u64) -> Result<(), TransactionResult> {
        let moment = Moment {
            applying: false,
            close_time_offset: offset,
        };
        let working = Working::new(&self.state, self.tip.ledger + 1, self.tip.close_time);
        validity::check(frame, &working, moment, 0).map_err(|refusal| {
            if refusal.inner {
                results::bumped(refusal.verdict, 0, frame.inner_hash).unwrap()
            } else {
                results::plain(refusal.verdict, 0).unwrap()
            }
        })
    }

    pub(crate) fn refusal(&self, frame: &Frame) -> TransactionResultResult {
        self.check(frame, 0).expect_err("refused").result
    }

    pub(crate) fn entry(&self, number: u8) -> stellar_xdr::AccountEntry {
        self.working().account(&account(number)).unwrap()
    }

    pub(crate) fn sequence(&self, number: u8) -> i64 {
        self.entry(number).seq_num.0
    }

    pub(crate) fn lumens(&self, number: u8) -> i64 {
        self.entry(number).balance
    }

    pub(crate) fn held(&self, number: u8) -> i64 {
        self.working()
            .trustline(&account(number), &self.network.asset())
            .unwrap()
            .balance
    }

    pub(crate) fn has(&self, key: &LedgerKey) -> bool {
        self.state.get(key).is_some()
    }

    fn working(&self) -> Working<'_> {
        Working::new(&self.state, self.tip.ledger, self.tip.close_time)
    }
}
