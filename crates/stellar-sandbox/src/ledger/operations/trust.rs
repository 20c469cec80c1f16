//! Trustlines: opening, limiting and closing them, and what their issuer allows.

use stellar_xdr::{
    AccountEntry, AccountFlags, AccountId, AllowTrustOp, AllowTrustResult as Allow, Asset,
    ChangeTrustAsset, ChangeTrustOp, ChangeTrustResult as Change, OperationResult,
    OperationResultTr as Tr, SetTrustLineFlagsOp, SetTrustLineFlagsResult as Flags, TrustLineEntry,
    TrustLineEntryExt, TrustLineFlags,
};

use super::{Context, Outcome, Refused, inner};
use crate::events;
use crate::ledger::account::{self, NoRoom, flag_bits, line_bits};
use crate::xdr;

const AUTHORIZED: TrustLineFlags = TrustLineFlags::AuthorizedFlag;
const MAINTAIN: TrustLineFlags = TrustLineFlags::AuthorizedToMaintainLiabilitiesFlag;
const CLAWBACK: TrustLineFlags = TrustLineFlags::TrustlineClawbackEnabledFlag;

fn change_result(result: Change) -> Refused {
    Tr::ChangeTrust(result).into()
}

fn line_of(asset: &ChangeTrustAsset) -> Option<Asset> {
    match asset {
        ChangeTrustAsset::Native => Some(Asset::Native),
        ChangeTrustAsset::CreditAlphanum4(credit) => Some(Asset::CreditAlphanum4(credit.clone())),
        ChangeTrustAsset::CreditAlphanum12(credit) => Some(Asset::CreditAlphanum12(credit.clone())),
        ChangeTrustAsset::PoolShare(_) => None,
    }
}

pub(super) fn check_change(
    op: &ChangeTrustOp,
    source: &AccountId,
) -> Result<(), Box<OperationResult>> {
    let well_formed = line_of(&op.line).is_some_and(|asset| {
        op.limit >= 0
            && xdr::is_valid_asset(&asset)
            && xdr::issuer(&asset).is_some_and(|issuer| issuer != source)
    });
    if well_formed {
        Ok(())
    } else {
        Err(inner(Tr::ChangeTrust(Change::Malformed)))
    }
}

pub(super) fn change(op: &ChangeTrustOp, context: &mut Context<'_, '_>) -> Outcome {
    let asset = line_of(&op.line).ok_or_else(|| change_result(Change::Malformed))?;
    match context.working.trustline(&context.source, &asset) {
        Some(line) => limit(op, line, &asset, context),
        None => open(op, &asset, context),
    }
}

fn limit(
    op: &ChangeTrustOp,
    mut line: TrustLineEntry,
    asset: &Asset,
    context: &mut Context<'_, '_>,
) -> Outcome {
    let working = &mut *context.working;
    if op.limit < line.balance {
        return Err(change_result(Change::InvalidLimit));
    }
    if op.limit == 0 {
        let mut holder = working
            .account(&context.source)
            .ok_or(OperationResult::OpNoAccount)?;
        account::drop_sub_entry(&mut holder);
        working.put_account(holder);
        working.remove(xdr::trustline_key(
            &context.source,
            xdr::trustline_asset(asset),
        ));
        return Ok(Tr::ChangeTrust(Change::Success));
    }
    if !xdr::issuer(asset).is_some_and(|issuer| working.has_account(issuer)) {
        return Err(change_result(Change::NoIssuer));
    }
    line.limit = op.limit;
    working.put_trustline(line);
    Ok(Tr::ChangeTrust(Change::Success))
}

fn open(op: &ChangeTrustOp, asset: &Asset, context: &mut Context<'_, '_>) -> Outcome {
    let working = &mut *context.working;
    if op.limit == 0 {
        return Err(change_result(Change::InvalidLimit));
    }
    let issuer = xdr::issuer(asset)
        .and_then(|issuer| working.account(issuer))
        .ok_or_else(|| change_result(Change::NoIssuer))?;
    let mut holder = working
        .account(&context.source)
        .ok_or(OperationResult::OpNoAccount)?;
    account::add_sub_entry(&mut holder).map_err(|why| match why {
        NoRoom::LowReserve => change_result(Change::LowReserve),
        NoRoom::TooManySubentries => OperationResult::OpTooManySubentries.into(),
    })?;
    working.put_account(holder);
    working.put_trustline(new_line(
        context.source.clone(),
        asset,
        op.limit,
        first_flags(&issuer),
    ));
    Ok(Tr::ChangeTrust(Change::Success))
}

/// A trustline that holds nothing yet.
pub(crate) fn new_line(holder: AccountId, asset: &Asset, limit: i64, flags: u32) -> TrustLineEntry {
    TrustLineEntry {
        account_id: holder,
        asset: xdr::trustline_asset(asset),
        balance: 0,
        limit,
        flags,
        ext: TrustLineEntryExt::V0,
    }
}

/// What the issuer's own flags give a new trustline.
fn first_flags(issuer: &AccountEntry) -> u32 {
    let mut flags = 0;
    if !account::has_flag(issuer, AccountFlags::RequiredFlag) {
        flags |= line_bits(AUTHORIZED);
    }
    if account::has_flag(issuer, AccountFlags::ClawbackEnabledFlag) {
        flags |= line_bits(CLAWBACK);
    }
    flags
}

pub(super) fn check_flags(
    op: &SetTrustLineFlagsOp,
    source: &AccountId,
) -> Result<(), Box<OperationResult>> {
    let settable = line_bits(AUTHORIZED) | line_bits(MAINTAIN);
    let clearable = settable | line_bits(CLAWBACK);
    let well_formed = xdr::is_valid_asset(&op.asset)
        && xdr::issuer(&op.asset) == Some(source)
        && op.trustor != *source
        && op.set_flags & op.clear_flags == 0
        && op.set_flags & !settable == 0
        && op.set_flags != settable
        && op.clear_flags & !clearable == 0;
    if well_formed {
        Ok(())
    } else {
        Err(inner(Tr::SetTrustLineFlags(Flags::Malformed)))
    }
}

pub(super) fn set_flags(op: &SetTrustLineFlagsOp, context: &mut Context<'_, '_>) -> Outcome {
    let because = |result| Refused::from(Tr::SetTrustLineFlags(result));
    let line = context
        .working
        .trustline(&op.trustor, &op.asset)
        .ok_or_else(|| because(Flags::NoTrustLine))?;
    let flags = (line.flags & !op.clear_flags) | op.set_flags;
    let both = line_bits(AUTHORIZED) | line_bits(MAINTAIN);
    if flags & both == both {
        return Err(because(Flags::InvalidState));
    }
    if takes_away(line.flags, flags) && !may_revoke(context)? {
        return Err(because(Flags::CantRevoke));
    }
    store_flags(line, flags, &op.asset, context)?;
    Ok(Tr::SetTrustLineFlags(Flags::Success))
}

pub(super) fn check_allow(
    op: &AllowTrustOp,
    source: &AccountId,
) -> Result<(), Box<OperationResult>> {
    let asset = xdr::credit(op.asset.clone(), source.clone());
    if op.authorize > line_bits(MAINTAIN) || !xdr::is_valid_asset(&asset) || op.trustor == *source {
        return Err(inner(Tr::AllowTrust(Allow::Malformed)));
    }
    Ok(())
}

pub(super) fn allow(op: &AllowTrustOp, context: &mut Context<'_, '_>) -> Outcome {
    let because = |result| Refused::from(Tr::AllowTrust(result));
    let asset = xdr::credit(op.asset.clone(), context.source.clone());
    let line = context
        .working
        .trustline(&op.trustor, &asset)
        .ok_or_else(|| because(Allow::NoTrustLine))?;
    let both = line_bits(AUTHORIZED) | line_bits(MAINTAIN);
    let flags = (line.flags & !both) | op.authorize;
    if takes_away(line.flags, flags) && !may_revoke(context)? {
        return Err(because(Allow::CantRevoke));
    }
    store_flags(line, flags, &asset, context)?;
    Ok(Tr::AllowTrust(Allow::Success))
}

/// Whether the holder may do less afterwards.
fn takes_away(before: u32, after: u32) -> bool {
    let rank = |flags: u32| {
        if flags & line_bits(AUTHORIZED) != 0 {
            2
        } else {
            u32::from(flags & line_bits(MAINTAIN) != 0)
        }
    };
    rank(after) < rank(before)
}

fn may_revoke(context: &Context<'_, '_>) -> Result<bool, Refused> {
    let issuer = context
        .working
        .account(&context.source)
        .ok_or(OperationResult::OpNoAccount)?;
    Ok(issuer.flags & flag_bits(AccountFlags::RevocableFlag) != 0)
}

fn store_flags(
    mut line: TrustLineEntry,
    flags: u32,
    asset: &Asset,
    context: &mut Context<'_, '_>,
) -> Result<(), Refused> {
    let authorized = line_bits(AUTHORIZED);
    if (line.flags ^ flags) & authorized != 0 {
        context.events.push(events::set_authorized(
            context.network,
            asset,
            &line.account_id,
            flags & authorized != 0,
        )?);
    }
    line.flags = flags;
    context.working.put_trustline(line);
    Ok(())
}
