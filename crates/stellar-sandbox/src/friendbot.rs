//! Friendbot: 10,000 XLM for a new account, by a real transaction of the root account.
//!
//! Several may be asked for in one ledger; they bypass the queue, where the root could have only
//! one transaction, and take consecutive sequence numbers.

use std::collections::BTreeSet;
use std::sync::Arc;

use ed25519_dalek::Signer as _;
use stellar_xdr::{
    AccountId, CreateAccountOp, DecoratedSignature, Error, Memo, Operation, OperationBody,
    Preconditions, SequenceNumber, Signature, SignatureHint, Transaction, TransactionEnvelope,
    TransactionExt, TransactionV1Envelope,
};

use crate::keys::{Network, account_of};
use crate::ledger::BASE_FEE;
use crate::ledger::close::Candidate;
use crate::ledger::frame::Frame;
use crate::ledger::signatures::hint;
use crate::ledger::state::Working;
use crate::xdr::{self, Digest32, UNIT};

/// Stroops of XLM a new account gets.
pub(crate) const FRIENDBOT_BALANCE: i64 = 10_000 * UNIT;

/// Why friendbot gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("account already funded to starting balance (createAccountAlreadyExist)")]
    AlreadyFunded,
}

/// The accounts friendbot makes in one ledger.
pub(crate) struct Creations<'a> {
    network: &'a Network,
    sequence: i64,
    accounts: BTreeSet<AccountId>,
    candidates: Vec<Candidate>,
}

impl<'a> Creations<'a> {
    pub(crate) fn new(network: &'a Network, working: &Working<'_>) -> Self {
        let root = working.account(&account_of(&network.root()));
        Self {
            network,
            sequence: root.map_or(0, |root| root.seq_num.0),
            accounts: BTreeSet::new(),
            candidates: Vec::new(),
        }
    }

    /// Adds an account; answers with the hash of the transaction that will make it.
    pub(crate) fn add(
        &mut self,
        account: &AccountId,
        working: &Working<'_>,
    ) -> Result<Result<Digest32, Refused>, Error> {
        if working.has_account(account) || !self.accounts.insert(account.clone()) {
            return Ok(Err(Refused::AlreadyFunded));
        }
        self.sequence = self.sequence.saturating_add(1);
        let frame = Arc::new(Frame::new(
            envelope(self.network, self.sequence, account)?,
            self.network.id,
        )?);
        let hash = frame.hash;
        self.candidates.push(Candidate {
            frame,
            doomed: false,
        });
        Ok(Ok(hash))
    }

    pub(crate) fn into_candidates(self) -> impl Iterator<Item = Candidate> {
        self.candidates.into_iter()
    }
}

fn envelope(
    network: &Network,
    sequence: i64,
    account: &AccountId,
) -> Result<TransactionEnvelope, Error> {
    let root = network.root();
    let tx = Transaction {
        source_account: xdr::muxed(&account_of(&root)),
        fee: u32::try_from(BASE_FEE).unwrap_or(u32::MAX),
        seq_num: SequenceNumber(sequence),
        cond: Preconditions::None,
        memo: Memo::None,
        operations: vec![Operation {
            source_account: None,
            body: OperationBody::CreateAccount(CreateAccountOp {
                destination: account.clone(),
                starting_balance: FRIENDBOT_BALANCE,
            }),
        }]
        .try_into()?,
        ext: TransactionExt::V0,
    };
    let signature = root.sign(&tx.hash(network.id)?);
    let decorated = DecoratedSignature {
        hint: SignatureHint(hint(&root.verifying_key().to_bytes())),
        signature: Signature(signature.to_bytes().to_vec().try_into()?),
    };
    Ok(TransactionEnvelope::Tx(TransactionV1Envelope {
        tx,
        signatures: vec![decorated].try_into()?,
    }))
}
