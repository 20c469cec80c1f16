//! Making an account, merging it away, and raising its sequence number.

use stellar_xdr::{
    AccountFlags, AccountId, AccountMergeResult as Merge, Asset, BumpSequenceOp,
    BumpSequenceResult as Bump, CreateAccountOp, CreateAccountResult as Create, MuxedAccount,
    OperationResult, OperationResultTr as Tr,
};

use super::{Context, Outcome, Refused, inner};
use crate::events;
use crate::ledger::account;
use crate::xdr;

fn create_result(result: Create) -> Refused {
    Tr::CreateAccount(result).into()
}

fn merge_result(result: Merge) -> Refused {
    Tr::AccountMerge(result).into()
}

pub(super) fn check_create(
    op: &CreateAccountOp,
    source: &AccountId,
) -> Result<(), Box<OperationResult>> {
    if op.starting_balance < 0 || op.destination == *source {
        return Err(inner(Tr::CreateAccount(Create::Malformed)));
    }
    Ok(())
}

pub(super) fn create(op: &CreateAccountOp, context: &mut Context<'_, '_>) -> Outcome {
    let working = &mut *context.working;
    if working.has_account(&op.destination) {
        return Err(create_result(Create::AlreadyExist));
    }
    if op.starting_balance < account::reserve(0) {
        return Err(create_result(Create::LowReserve));
    }
    let mut payer = working
        .account(&context.source)
        .ok_or(OperationResult::OpNoAccount)?;
    if account::available(&payer) < op.starting_balance {
        return Err(create_result(Create::Underfunded));
    }
    payer.balance = payer.balance.saturating_sub(op.starting_balance);
    working.put_account(payer);
    let made = account::new_account(op.destination.clone(), op.starting_balance, working.ledger);
    working.put_account(made);
    context.events.push(events::transfer(
        context.network,
        &Asset::Native,
        (&context.source, &xdr::muxed(&op.destination)),
        op.starting_balance,
        context.memo,
    )?);
    Ok(Tr::CreateAccount(Create::Success))
}

pub(super) fn check_merge(
    destination: &MuxedAccount,
    source: &AccountId,
) -> Result<(), Box<OperationResult>> {
    if xdr::unmuxed(destination) == *source {
        return Err(inner(Tr::AccountMerge(Merge::Malformed)));
    }
    Ok(())
}

pub(super) fn merge(destination: &MuxedAccount, context: &mut Context<'_, '_>) -> Outcome {
    let working = &mut *context.working;
    let mut heir = working
        .account(&xdr::unmuxed(destination))
        .ok_or_else(|| merge_result(Merge::NoAccount))?;
    let leaving = working
        .account(&context.source)
        .ok_or(OperationResult::OpNoAccount)?;
    if account::has_flag(&leaving, AccountFlags::ImmutableFlag) {
        return Err(merge_result(Merge::ImmutableSet));
    }
    let signers = u32::try_from(leaving.signers.len()).unwrap_or(u32::MAX);
    if leaving.num_sub_entries != signers {
        return Err(merge_result(Merge::HasSubEntries));
    }
    if leaving.seq_num.0 >= account::starting_sequence(working.ledger) {
        return Err(merge_result(Merge::SeqnumTooFar));
    }
    heir.balance = heir
        .balance
        .checked_add(leaving.balance)
        .ok_or_else(|| merge_result(Merge::DestFull))?;
    working.put_account(heir);
    working.remove(xdr::account_key(&context.source));
    context.events.push(events::transfer(
        context.network,
        &Asset::Native,
        (&context.source, destination),
        leaving.balance,
        context.memo,
    )?);
    Ok(Tr::AccountMerge(Merge::Success(leaving.balance)))
}

pub(super) fn check_bump(op: &BumpSequenceOp) -> Result<(), Box<OperationResult>> {
    if op.bump_to.0 < 0 {
        return Err(inner(Tr::BumpSequence(Bump::BadSeq)));
    }
    Ok(())
}

/// Bumping to a number already passed changes nothing but is recorded as the last change.
pub(super) fn bump(op: &BumpSequenceOp, context: &mut Context<'_, '_>) -> Outcome {
    let working = &mut *context.working;
    let mut entry = working
        .account(&context.source)
        .ok_or(OperationResult::OpNoAccount)?;
    if op.bump_to.0 > entry.seq_num.0 {
        entry.seq_num = op.bump_to.clone();
    }
    account::note_sequence(&mut entry, working.ledger, working.close_time)?;
    working.put_account(entry);
    Ok(Tr::BumpSequence(Bump::Success))
}
