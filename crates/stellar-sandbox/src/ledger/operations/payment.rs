//! Payments: native and credit, minting and burning.
//!
//! A payment from the issuer mints and one to the issuer burns: the issuer has no trustline of its
//! own asset, its side is without limit, and as a destination it need not even exist. The
//! destination is looked at before the source, as the protocol does.

use stellar_xdr::{
    AccountId, Asset, OperationBody, OperationResult, OperationResultTr as Tr, PaymentOp,
    PaymentResult as Pay,
};

use super::{Context, Outcome, Refused, inner, zero_result};
use crate::events;
use crate::ledger::account;
use crate::ledger::frame::Frame;
use crate::xdr;

fn because(result: Pay) -> Refused {
    Tr::Payment(result).into()
}

pub(super) fn check(op: &PaymentOp) -> Result<(), Box<OperationResult>> {
    if op.amount <= 0 || !xdr::is_valid_asset(&op.asset) {
        return Err(inner(Tr::Payment(Pay::Malformed)));
    }
    Ok(())
}

pub(super) fn apply(op: &PaymentOp, context: &mut Context<'_, '_>) -> Outcome {
    let destination = xdr::unmuxed(&op.destination);
    let to_itself = destination == context.source && op.asset == Asset::Native;
    if !to_itself {
        let to_issuer = xdr::issuer(&op.asset) == Some(&destination);
        if !to_issuer && !context.working.has_account(&destination) {
            return Err(because(Pay::NoDestination));
        }
        receive(op, &destination, context)?;
        spend(op, context)?;
    }
    context.events.push(events::transfer(
        context.network,
        &op.asset,
        (&context.source, &op.destination),
        op.amount,
        context.memo,
    )?);
    Ok(Tr::Payment(Pay::Success))
}

fn receive(
    op: &PaymentOp,
    destination: &AccountId,
    context: &mut Context<'_, '_>,
) -> Result<(), Refused> {
    let working = &mut *context.working;
    let Some(issuer) = xdr::issuer(&op.asset) else {
        let mut entry = working
            .account(destination)
            .ok_or_else(|| because(Pay::NoDestination))?;
        entry.balance = entry
            .balance
            .checked_add(op.amount)
            .ok_or_else(|| because(Pay::LineFull))?;
        working.put_account(entry);
        return Ok(());
    };
    if issuer == destination {
        return Ok(());
    }
    let mut line = working
        .trustline(destination, &op.asset)
        .ok_or_else(|| because(Pay::NoTrust))?;
    if !account::is_authorized(&line) {
        return Err(because(Pay::NotAuthorized));
    }
    line.balance = line
        .balance
        .checked_add(op.amount)
        .filter(|balance| *balance <= line.limit)
        .ok_or_else(|| because(Pay::LineFull))?;
    working.put_trustline(line);
    Ok(())
}

fn spend(op: &PaymentOp, context: &mut Context<'_, '_>) -> Result<(), Refused> {
    let working = &mut *context.working;
    let Some(issuer) = xdr::issuer(&op.asset) else {
        let mut entry = working
            .account(&context.source)
            .ok_or(OperationResult::OpNoAccount)?;
        if op.amount > account::available(&entry) {
            return Err(because(Pay::Underfunded));
        }
        entry.balance = entry.balance.saturating_sub(op.amount);
        working.put_account(entry);
        return Ok(());
    };
    if *issuer == context.source {
        return Ok(());
    }
    let mut line = working
        .trustline(&context.source, &op.asset)
        .ok_or_else(|| because(Pay::SrcNoTrust))?;
    if !account::is_authorized(&line) {
        return Err(because(Pay::SrcNotAuthorized));
    }
    if op.amount > line.balance {
        return Err(because(Pay::Underfunded));
    }
    line.balance = line.balance.saturating_sub(op.amount);
    working.put_trustline(line);
    Ok(())
}

/// Results in which every payment of the transaction was underfunded.
pub(crate) fn underfunded(frame: &Frame) -> Vec<OperationResult> {
    frame
        .tx
        .operations
        .iter()
        .map(|operation| match operation.body {
            OperationBody::Payment(_) => OperationResult::OpInner(Tr::Payment(Pay::Underfunded)),
            _ => zero_result(&operation.body),
        })
        .collect()
}
