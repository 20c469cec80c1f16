//! Running one transaction whose fee is already paid.
//!
//! The sequence number is taken as soon as it is found right, and stays taken whatever happens
//! next. The operations then take effect all together or not at all.

use stellar_xdr::{
    ContractEvent, Error, ExtensionPoint, LedgerEntryChanges, OperationMetaV2, OperationResult,
    SequenceNumber, TransactionEvent, TransactionMeta, TransactionMetaV4, VecM,
};

use super::account;
use super::frame::Frame;
use super::operations::{self, Context, Refused};
use super::results::{TxCode, Verdict};
use super::signatures::SignatureChecker;
use super::state::Working;
use super::validity::{self, Moment, Stage};
use crate::keys::Network;

/// What became of the transaction and what it changed.
pub(crate) struct Applied {
    pub(crate) verdict: Verdict,
    /// The bump itself was refused, not what is inside.
    pub(crate) outer: bool,
    changes_before: LedgerEntryChanges,
    operations: Vec<(LedgerEntryChanges, Vec<ContractEvent>)>,
}

impl Applied {
    fn without_effect(verdict: Verdict, changes_before: LedgerEntryChanges) -> Self {
        Self {
            verdict,
            outer: false,
            changes_before,
            operations: Vec::new(),
        }
    }

    /// The metadata of the transaction, its fee event included.
    pub(crate) fn into_meta(
        self,
        fee: TransactionEvent,
    ) -> Result<(Verdict, TransactionMeta), Error> {
        let operations = self
            .operations
            .into_iter()
            .map(|(changes, events)| {
                Ok(OperationMetaV2 {
                    ext: ExtensionPoint::V0,
                    changes,
                    events: events.try_into()?,
                })
            })
            .collect::<Result<Vec<_>, Error>>()?;
        let meta = TransactionMetaV4 {
            ext: ExtensionPoint::V0,
            tx_changes_before: self.changes_before,
            operations: operations.try_into()?,
            tx_changes_after: LedgerEntryChanges::default(),
            soroban_meta: None,
            events: vec![fee].try_into()?,
            diagnostic_events: VecM::default(),
        };
        Ok((self.verdict, TransactionMeta::V4(meta)))
    }
}

/// Applies the transaction. `doomed` makes every payment in it underfunded.
pub(crate) fn apply(
    frame: &Frame,
    working: &mut Working<'_>,
    network: &Network,
    doomed: bool,
) -> Result<Applied, Error> {
    if let Err(code) = validity::bump_signatures(frame, working) {
        let refused = Verdict::Refused(code);
        return Ok(Applied {
            outer: true,
            ..Applied::without_effect(refused, LedgerEntryChanges::default())
        });
    }
    let mut checker = SignatureChecker::inner(frame);
    working.begin();
    let ready = prepare(frame, working, &mut checker);
    let changes_before = working.commit()?;
    if let Err(verdict) = ready? {
        return Ok(Applied::without_effect(verdict, changes_before));
    }
    if doomed {
        let verdict = Verdict::Failed(operations::underfunded(frame));
        return Ok(Applied::without_effect(verdict, changes_before));
    }
    working.begin();
    match run(frame, working, network) {
        Ok((results, operations, true)) => {
            working.commit()?;
            Ok(Applied {
                verdict: Verdict::Success(results),
                outer: false,
                changes_before,
                operations,
            })
        }
        Ok((results, _, false)) => {
            working.rollback();
            let verdict = Verdict::Failed(results);
            Ok(Applied::without_effect(verdict, changes_before))
        }
        Err(error) => {
            tracing::error!(%error, hash = hex::encode(frame.hash), "transaction broke");
            working.rollback();
            let verdict = Verdict::Refused(TxCode::InternalError);
            Ok(Applied::without_effect(verdict, changes_before))
        }
    }
}

/// Checks the transaction once more and takes its sequence number.
fn prepare(
    frame: &Frame,
    working: &mut Working<'_>,
    checker: &mut SignatureChecker<'_>,
) -> Result<Result<(), Verdict>, Error> {
    let fee_on = frame.bump.is_none().then_some(0);
    let common = validity::common(frame, working, checker, Moment::APPLYING, fee_on);
    if !matches!(common, Err((Stage::Stopped, _))) {
        take_sequence(frame, working)?;
    }
    if let Err((_, code)) = common {
        return Ok(Err(Verdict::Refused(code)));
    }
    let signed = validity::operation_signatures(frame, working, checker);
    for operation in &frame.tx.operations {
        let source = frame.operation_source(operation);
        operations::forget_pre_auth(working, &source, frame.inner_hash)?;
    }
    operations::forget_pre_auth(working, &frame.source(), frame.inner_hash)?;
    if let Err(results) = signed {
        return Ok(Err(Verdict::Failed(results)));
    }
    if !checker.all_used() {
        return Ok(Err(Verdict::Refused(TxCode::BadAuthExtra)));
    }
    Ok(Ok(()))
}

fn take_sequence(frame: &Frame, working: &mut Working<'_>) -> Result<(), Error> {
    let Some(mut source) = working.account(&frame.source()) else {
        return Ok(());
    };
    source.seq_num = SequenceNumber(frame.sequence());
    account::note_sequence(&mut source, working.ledger, working.close_time)?;
    working.put_account(source);
    Ok(())
}

type Ran = (
    Vec<OperationResult>,
    Vec<(LedgerEntryChanges, Vec<ContractEvent>)>,
    bool,
);

fn run(frame: &Frame, working: &mut Working<'_>, network: &Network) -> Result<Ran, Error> {
    let mut results = Vec::new();
    let mut effects = Vec::new();
    let mut all = true;
    for operation in &frame.tx.operations {
        working.begin();
        let mut context = Context {
            working: &mut *working,
            network,
            source: frame.operation_source(operation),
            memo: &frame.tx.memo,
            events: Vec::new(),
        };
        let outcome = operations::apply(&operation.body, &mut context);
        let events = context.events;
        match outcome {
            Ok(result) => {
                effects.push((working.commit()?, events));
                results.push(OperationResult::OpInner(result));
            }
            Err(Refused::As(result)) => {
                working.rollback();
                all = false;
                results.push(*result);
            }
            Err(Refused::Broken(error)) => {
                working.rollback();
                return Err(error);
            }
        }
    }
    Ok((results, effects, all))
}
