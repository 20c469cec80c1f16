//! Whether a transaction may enter the queue, and whether an included one may run.
//!
//! The order of the checks is the protocol's: shape, time and ledger bounds, fee, source account,
//! sequence number, sequence age, signatures, balance, operations, unused signatures. Where the
//! check stops decides whether an included transaction still takes its sequence number: from
//! [`Stage::TakesSequence`] on it does.

use stellar_xdr::{OperationBody, OperationResult, Signer, SignerKey};

use super::account;
use super::frame::Frame;
use super::operations;
use super::results::{TxCode, Verdict};
use super::signatures::{Level, SignatureChecker, master_signer};
use super::state::Working;
use crate::xdr;

/// How the moment of the check differs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// The transaction is in a ledger and its fee is paid.
    pub(crate) applying: bool,
    /// Seconds added to the close time before it is held against `maxTime`; 0 when applying.
    pub(crate) close_time_offset: u64,
}

impl Moment {
    pub(crate) const APPLYING: Self = Self {
        applying: true,
        close_time_offset: 0,
    };
    /// Choosing what goes into the next ledger, whose close time is known.
    pub(crate) const NOMINATING: Self = Self {
        applying: false,
        close_time_offset: 0,
    };
}

/// Where the checks stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Before the sequence number was found right.
    Stopped,
    /// After: the sequence number is taken.
    TakesSequence,
}

/// Why a transaction was refused at submission.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) verdict: Verdict,
    /// The inner transaction of a fee bump was at fault, not the bump.
    pub(crate) inner: bool,
}

/// The complete check made at submission and again when choosing what goes into a ledger.
pub(crate) fn check(
    frame: &Frame,
    working: &Working<'_>,
    moment: Moment,
    spoken_for: i64,
) -> Result<(), Refusal> {
    let refuse = |inner| move |verdict| Refusal { verdict, inner };
    if frame.bump.is_some() {
        check_bump(frame, working, spoken_for)
            .map_err(Verdict::Refused)
            .map_err(refuse(false))?;
        return check_inner(frame, working, moment, None).map_err(refuse(true));
    }
    check_inner(frame, working, moment, Some(spoken_for)).map_err(refuse(false))
}

fn check_inner(
    frame: &Frame,
    working: &Working<'_>,
    moment: Moment,
    fee_on: Option<i64>,
) -> Result<(), Verdict> {
    let mut checker = SignatureChecker::inner(frame);
    common(frame, working, &mut checker, moment, fee_on)
        .map_err(|(_, code)| Verdict::Refused(code))?;
    operation_signatures(frame, working, &mut checker).map_err(Verdict::Failed)?;
    operation_shapes(frame).map_err(Verdict::Failed)?;
    if !checker.all_used() {
        return Err(Verdict::Refused(TxCode::BadAuthExtra));
    }
    Ok(())
}

/// The bump's own half: its fee, its payer and the payer's signatures.
fn check_bump(frame: &Frame, working: &Working<'_>, spoken_for: i64) -> Result<(), TxCode> {
    let Some(bump) = &frame.bump else {
        return Ok(());
    };
    let inner_operations = frame.fee_operations().saturating_sub(1).max(1);
    let inner_bid = (i64::from(frame.tx.fee), inner_operations);
    if bump.fee < frame.least_fee()
        || super::fees::rate_below((bump.fee, frame.fee_operations()), inner_bid)
    {
        return Err(TxCode::InsufficientFee);
    }
    let payer = working.account(&bump.fee_source).ok_or(TxCode::NoAccount)?;
    let signed = bump_signatures(frame, working);
    if signed == Err(TxCode::BadAuth) {
        return signed;
    }
    if account::available(&payer) < bump.fee.saturating_add(spoken_for) {
        return Err(TxCode::InsufficientBalance);
    }
    signed
}

/// Whether the payer of a bump signed it, and nobody else; also asked when it is applied, as the
/// payer's signers may have changed earlier in the ledger.
pub(crate) fn bump_signatures(frame: &Frame, working: &Working<'_>) -> Result<(), TxCode> {
    let Some(bump) = &frame.bump else {
        return Ok(());
    };
    let payer = working.account(&bump.fee_source).ok_or(TxCode::NoAccount)?;
    let mut checker = SignatureChecker::outer(frame, &bump.signatures);
    if !checker.account(&payer, Level::Low) {
        return Err(TxCode::BadAuth);
    }
    if !checker.all_used() {
        return Err(TxCode::BadAuthExtra);
    }
    Ok(())
}

/// The checks common to submission and application. `fee_on` carries what the payer already owes
/// to other queued transactions, and is absent where someone else pays.
pub(crate) fn common(
    frame: &Frame,
    working: &Working<'_>,
    checker: &mut SignatureChecker<'_>,
    moment: Moment,
    fee_on: Option<i64>,
) -> Result<(), (Stage, TxCode)> {
    let stopped = |code| (Stage::Stopped, code);
    shape(frame).map_err(stopped)?;
    bounds(frame, working, moment).map_err(stopped)?;
    if fee_on.is_some() && frame.fee_bid() < frame.least_fee() {
        return Err(stopped(TxCode::InsufficientFee));
    }
    let source = working
        .account(&frame.source())
        .ok_or(stopped(TxCode::NoAccount))?;
    if is_bad_sequence(frame, source.seq_num.0, working.ledger) {
        return Err(stopped(TxCode::BadSeq));
    }

    let takes = |code| (Stage::TakesSequence, code);
    if is_too_young(frame, account::sequence_age(&source), working) {
        return Err(takes(TxCode::BadMinSeqAgeOrGap));
    }
    if !checker.account(&source, Level::Low) || !extra_signers(frame, checker) {
        return Err(takes(TxCode::BadAuth));
    }
    if let Some(spoken_for) = fee_on {
        let owed = if moment.applying {
            0
        } else {
            frame.fee_bid().saturating_add(spoken_for)
        };
        if account::available(&source) < owed {
            return Err(takes(TxCode::InsufficientBalance));
        }
    }
    Ok(())
}

fn shape(frame: &Frame) -> Result<(), TxCode> {
    if frame.tx.operations.is_empty() {
        return Err(TxCode::MissingOperation);
    }
    let is_contract_call = |body: &OperationBody| {
        matches!(
            body,
            OperationBody::InvokeHostFunction(_)
                | OperationBody::ExtendFootprintTtl(_)
                | OperationBody::RestoreFootprint(_)
        )
    };
    if frame.tx.operations.len() > 1
        && frame
            .tx
            .operations
            .iter()
            .any(|operation| is_contract_call(&operation.body))
    {
        return Err(TxCode::Malformed);
    }
    if let Some(v2) = frame.preconditions()
        && let [first, second] = v2.extra_signers.as_slice()
        && first == second
    {
        return Err(TxCode::Malformed);
    }
    Ok(())
}

fn bounds(frame: &Frame, working: &Working<'_>, moment: Moment) -> Result<(), TxCode> {
    let latest = working.close_time.saturating_add(moment.close_time_offset);
    if let Some(time) = frame.time_bounds()
        && time.min_time.0 > working.close_time
    {
        return Err(TxCode::TooEarly);
    }
    if let Some(ledgers) = frame.ledger_bounds()
        && ledgers.min_ledger > working.ledger
    {
        return Err(TxCode::TooEarly);
    }
    if let Some(time) = frame.time_bounds()
        && time.max_time.0 != 0
        && time.max_time.0 < latest
    {
        return Err(TxCode::TooLate);
    }
    if let Some(ledgers) = frame.ledger_bounds()
        && ledgers.max_ledger != 0
        && ledgers.max_ledger <= working.ledger
    {
        return Err(TxCode::TooLate);
    }
    Ok(())
}

fn is_bad_sequence(frame: &Frame, current: i64, ledger: u32) -> bool {
    // A number an account made in this very ledger could start with would let it run twice.
    if frame.sequence() == account::starting_sequence(ledger) {
        return true;
    }
    match frame.preconditions().and_then(|v2| v2.min_seq_num.as_ref()) {
        Some(least) => current < least.0 || current >= frame.sequence(),
        None => current.checked_add(1) != Some(frame.sequence()),
    }
}

fn is_too_young(frame: &Frame, (ledger, time): (u32, u64), working: &Working<'_>) -> bool {
    frame.preconditions().is_some_and(|v2| {
        v2.min_seq_age.0 > working.close_time.saturating_sub(time)
            || v2.min_seq_ledger_gap > working.ledger.saturating_sub(ledger)
    })
}

fn extra_signers(frame: &Frame, checker: &mut SignatureChecker<'_>) -> bool {
    let wanted: Vec<Signer> = frame
        .preconditions()
        .map(|v2| v2.extra_signers.iter().map(one_vote).collect())
        .unwrap_or_default();
    let Ok(needed) = u32::try_from(wanted.len()) else {
        return false;
    };
    wanted.is_empty() || checker.reaches(wanted, needed)
}

fn one_vote(key: &SignerKey) -> Signer {
    Signer {
        key: key.clone(),
        weight: 1,
    }
}

/// Whether every operation's source signed at the level the operation asks; the results otherwise.
pub(crate) fn operation_signatures(
    frame: &Frame,
    working: &Working<'_>,
    checker: &mut SignatureChecker<'_>,
) -> Result<(), Vec<OperationResult>> {
    let mut results = untouched(frame);
    let mut valid = true;
    for (operation, result) in frame.tx.operations.iter().zip(results.iter_mut()) {
        if operations::is_supported(&operation.body) {
            let source = frame.operation_source(operation);
            let signed = match working.account(&source) {
                Some(entry) => checker.account(&entry, operations::level(&operation.body)),
                None if operation.source_account.is_none() => {
                    *result = OperationResult::OpNoAccount;
                    valid = false;
                    continue;
                }
                None => checker.reaches(vec![master_signer(xdr::public_key(&source), 1)], 0),
            };
            if signed {
                continue;
            }
            *result = OperationResult::OpBadAuth;
        } else {
            *result = OperationResult::OpNotSupported;
        }
        valid = false;
    }
    if valid { Ok(()) } else { Err(results) }
}

/// Whether every operation is well formed; the results otherwise.
fn operation_shapes(frame: &Frame) -> Result<(), Vec<OperationResult>> {
    let mut results = untouched(frame);
    for (operation, result) in frame.tx.operations.iter().zip(results.iter_mut()) {
        if let Err(refused) = operations::check(&operation.body, &frame.operation_source(operation))
        {
            *result = *refused;
            return Err(results);
        }
    }
    Ok(())
}

/// The results before any operation ran: each operation's zero code.
pub(crate) fn untouched(frame: &Frame) -> Vec<OperationResult> {
    frame
        .tx
        .operations
        .iter()
        .map(|operation| operations::zero_result(&operation.body))
        .collect()
}
