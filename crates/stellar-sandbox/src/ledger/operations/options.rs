//! `SetOptions`: flags, weights, thresholds, home domain and signers.

use stellar_xdr::{
    AccountEntry, AccountFlags, AccountId, Error, OperationResult, OperationResultTr as Tr,
    SetOptionsOp, SetOptionsResult as Set, Signer, SignerKey, Thresholds, Uint256, VecM,
};

use super::{Context, Outcome, Refused, inner};
use crate::ledger::account::{self, NoRoom, flag_bits};
use crate::ledger::signatures::Level;
use crate::ledger::state::Working;
use crate::xdr::{self, Digest32};

const ALL_FLAGS: u32 = 15;
const MOST_SIGNERS: usize = 20;

fn because(result: Set) -> Refused {
    Tr::SetOptions(result).into()
}

/// Whoever can change who may sign needs the highest level.
pub(super) fn level(op: &SetOptionsOp) -> Level {
    let changes_power = op.master_weight.is_some()
        || op.low_threshold.is_some()
        || op.med_threshold.is_some()
        || op.high_threshold.is_some()
        || op.signer.is_some();
    if changes_power {
        Level::High
    } else {
        Level::Medium
    }
}

pub(super) fn check(op: &SetOptionsOp, source: &AccountId) -> Result<(), Box<OperationResult>> {
    check_all(op, source).map_err(|result| inner(Tr::SetOptions(result)))
}

fn check_all(op: &SetOptionsOp, source: &AccountId) -> Result<(), Set> {
    let set = op.set_flags.unwrap_or(0);
    let clear = op.clear_flags.unwrap_or(0);
    if (set | clear) & !ALL_FLAGS != 0 {
        return Err(Set::UnknownFlag);
    }
    if set & clear != 0 {
        return Err(Set::BadFlags);
    }
    let weights = [
        op.master_weight,
        op.low_threshold,
        op.med_threshold,
        op.high_threshold,
    ];
    if weights.into_iter().flatten().any(|weight| weight > 255) {
        return Err(Set::ThresholdOutOfRange);
    }
    if let Some(signer) = &op.signer {
        let is_master = matches!(
            &signer.key,
            SignerKey::Ed25519(Uint256(key)) if key == xdr::public_key(source)
        );
        let is_empty = matches!(
            &signer.key,
            SignerKey::Ed25519SignedPayload(signed) if signed.payload.is_empty()
        );
        if is_master || is_empty || signer.weight > 255 {
            return Err(Set::BadSigner);
        }
    }
    let printable = |byte: &u8| byte.is_ascii() && !byte.is_ascii_control();
    if let Some(domain) = &op.home_domain
        && !domain.0.as_slice().iter().all(printable)
    {
        return Err(Set::InvalidHomeDomain);
    }
    Ok(())
}

pub(super) fn apply(op: &SetOptionsOp, context: &mut Context<'_, '_>) -> Outcome {
    let working = &mut *context.working;
    let mut entry = working
        .account(&context.source)
        .ok_or(OperationResult::OpNoAccount)?;
    if let Some(heir) = &op.inflation_dest {
        if !working.has_account(heir) {
            return Err(because(Set::InvalidInflation));
        }
        entry.inflation_dest = Some(heir.clone());
    }
    flags(op, &mut entry)?;
    if let Some(domain) = &op.home_domain {
        entry.home_domain = domain.clone();
    }
    let [master, low, medium, high] = entry.thresholds.0;
    let changed = |new: Option<u32>, old: u8| {
        new.and_then(|weight| u8::try_from(weight).ok())
            .unwrap_or(old)
    };
    entry.thresholds = Thresholds([
        changed(op.master_weight, master),
        changed(op.low_threshold, low),
        changed(op.med_threshold, medium),
        changed(op.high_threshold, high),
    ]);
    if let Some(change) = &op.signer {
        if change.weight == 0 {
            remove_signer(&mut entry, &change.key)?;
        } else {
            set_signer(&mut entry, change)?;
        }
    }
    working.put_account(entry);
    Ok(Tr::SetOptions(Set::Success))
}

fn flags(op: &SetOptionsOp, entry: &mut AccountEntry) -> Result<(), Refused> {
    let set = op.set_flags.unwrap_or(0);
    let clear = op.clear_flags.unwrap_or(0);
    if set | clear != 0 && account::has_flag(entry, AccountFlags::ImmutableFlag) {
        return Err(because(Set::CantChange));
    }
    entry.flags = (entry.flags & !clear) | set;
    let clawback = flag_bits(AccountFlags::ClawbackEnabledFlag);
    let revocable = flag_bits(AccountFlags::RevocableFlag);
    if entry.flags & clawback != 0 && entry.flags & revocable == 0 {
        return Err(because(Set::AuthRevocableRequired));
    }
    Ok(())
}

fn set_signer(entry: &mut AccountEntry, change: &Signer) -> Result<(), Refused> {
    let mut signers = entry.signers.to_vec();
    if let Some(known) = signers.iter_mut().find(|signer| signer.key == change.key) {
        known.weight = change.weight;
    } else {
        if signers.len() >= MOST_SIGNERS {
            return Err(because(Set::TooManySigners));
        }
        account::add_sub_entry(entry).map_err(|why| match why {
            NoRoom::LowReserve => because(Set::LowReserve),
            NoRoom::TooManySubentries => OperationResult::OpTooManySubentries.into(),
        })?;
        signers.push(change.clone());
        signers.sort_by(|a, b| a.key.cmp(&b.key));
    }
    entry.signers = signers.try_into()?;
    account::match_signer_sponsors(entry)?;
    Ok(())
}

fn remove_signer(entry: &mut AccountEntry, key: &SignerKey) -> Result<(), Error> {
    let mut signers = entry.signers.to_vec();
    let before = signers.len();
    signers.retain(|signer| signer.key != *key);
    if signers.len() < before {
        account::drop_sub_entry(entry);
        entry.signers = VecM::try_from(signers)?;
        account::match_signer_sponsors(entry)?;
    }
    Ok(())
}

/// Takes the one-time signer for this transaction off the account, if it is there.
pub(crate) fn forget_pre_auth(
    working: &mut Working<'_>,
    source: &AccountId,
    hash: Digest32,
) -> Result<(), Error> {
    let key = SignerKey::PreAuthTx(Uint256(hash));
    if let Some(mut entry) = working.account(source)
        && entry.signers.iter().any(|signer| signer.key == key)
    {
        remove_signer(&mut entry, &key)?;
        working.put_account(entry);
    }
    Ok(())
}
