//! The operations this ledger knows, each with its level, its shape check and its effect.
//!
//! | operation | file |
//! |---|---|
//! | `CreateAccount`, `AccountMerge`, `BumpSequence` | `accounts` |
//! | `Payment` | `payment` |
//! | `ChangeTrust`, `SetTrustLineFlags`, `AllowTrust` | `trust` |
//! | `SetOptions` | `options` |
//!
//! Any other is `opNOT_SUPPORTED`. An operation that fails changes nothing; the ones after it still
//! run, so that the result names every failure, and then all of them are undone.

mod accounts;
mod options;
mod payment;
pub(crate) mod trust;

pub(crate) use options::forget_pre_auth;
pub(crate) use payment::underfunded;

use stellar_xdr::{
    AccountId, AccountMergeResult, AllowTrustResult, BumpSequenceResult, ChangeTrustResult,
    ContractEvent, CreateAccountResult, Error, Memo, OperationBody, OperationResult,
    OperationResultTr as Tr, PaymentResult, SetOptionsResult, SetTrustLineFlagsResult,
};

use super::signatures::Level;
use super::state::Working;
use crate::keys::Network;

/// What an operation runs against.
pub(crate) struct Context<'a, 'state> {
    pub(crate) working: &'a mut Working<'state>,
    pub(crate) network: &'a Network,
    pub(crate) source: AccountId,
    pub(crate) memo: &'a Memo,
    pub(crate) events: Vec<ContractEvent>,
}

/// Why an operation had no effect.
pub(crate) enum Refused {
    /// With the result the protocol gives it.
    As(Box<OperationResult>),
    /// A value would not encode: the transaction ends as `txINTERNAL_ERROR`.
    Broken(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Broken(error)
    }
}

impl From<Tr> for Refused {
    fn from(result: Tr) -> Self {
        Self::As(inner(result))
    }
}

impl From<OperationResult> for Refused {
    fn from(result: OperationResult) -> Self {
        Self::As(Box::new(result))
    }
}

impl From<Box<OperationResult>> for Refused {
    fn from(result: Box<OperationResult>) -> Self {
        Self::As(result)
    }
}

/// The result of an operation that was reached.
fn inner(result: Tr) -> Box<OperationResult> {
    Box::new(OperationResult::OpInner(result))
}

/// What an operation comes to.
pub(crate) type Outcome = Result<Tr, Refused>;

pub(crate) fn is_supported(body: &OperationBody) -> bool {
    !matches!(zero_result(body), OperationResult::OpNotSupported)
}

/// The weight an operation asks of its source.
pub(crate) fn level(body: &OperationBody) -> Level {
    match body {
        OperationBody::SetOptions(op) => options::level(op),
        OperationBody::AccountMerge(_) => Level::High,
        OperationBody::AllowTrust(_)
        | OperationBody::SetTrustLineFlags(_)
        | OperationBody::BumpSequence(_) => Level::Low,
        _ => Level::Medium,
    }
}

/// The result with code 0, as the protocol leaves operations that were not reached.
pub(crate) fn zero_result(body: &OperationBody) -> OperationResult {
    OperationResult::OpInner(match body {
        OperationBody::CreateAccount(_) => Tr::CreateAccount(CreateAccountResult::Success),
        OperationBody::Payment(_) => Tr::Payment(PaymentResult::Success),
        OperationBody::SetOptions(_) => Tr::SetOptions(SetOptionsResult::Success),
        OperationBody::ChangeTrust(_) => Tr::ChangeTrust(ChangeTrustResult::Success),
        OperationBody::AllowTrust(_) => Tr::AllowTrust(AllowTrustResult::Success),
        OperationBody::SetTrustLineFlags(_) => {
            Tr::SetTrustLineFlags(SetTrustLineFlagsResult::Success)
        }
        OperationBody::AccountMerge(_) => Tr::AccountMerge(AccountMergeResult::Success(0)),
        OperationBody::BumpSequence(_) => Tr::BumpSequence(BumpSequenceResult::Success),
        _ => return OperationResult::OpNotSupported,
    })
}

/// Whether the operation is well formed, whatever the ledger holds.
pub(crate) fn check(body: &OperationBody, source: &AccountId) -> Result<(), Box<OperationResult>> {
    match body {
        OperationBody::CreateAccount(op) => accounts::check_create(op, source),
        OperationBody::AccountMerge(destination) => accounts::check_merge(destination, source),
        OperationBody::BumpSequence(op) => accounts::check_bump(op),
        OperationBody::Payment(op) => payment::check(op),
        OperationBody::ChangeTrust(op) => trust::check_change(op, source),
        OperationBody::SetTrustLineFlags(op) => trust::check_flags(op, source),
        OperationBody::AllowTrust(op) => trust::check_allow(op, source),
        OperationBody::SetOptions(op) => options::check(op, source),
        _ => Err(Box::new(OperationResult::OpNotSupported)),
    }
}

/// Lets the operation take effect.
pub(crate) fn apply(body: &OperationBody, context: &mut Context<'_, '_>) -> Outcome {
    if !context.working.has_account(&context.source) {
        return Err(OperationResult::OpNoAccount.into());
    }
    check(body, &context.source)?;
    match body {
        OperationBody::CreateAccount(op) => accounts::create(op, context),
        OperationBody::AccountMerge(destination) => accounts::merge(destination, context),
        OperationBody::BumpSequence(op) => accounts::bump(op, context),
        OperationBody::Payment(op) => payment::apply(op, context),
        OperationBody::ChangeTrust(op) => trust::change(op, context),
        OperationBody::SetTrustLineFlags(op) => trust::set_flags(op, context),
        OperationBody::AllowTrust(op) => trust::allow(op, context),
        OperationBody::SetOptions(op) => options::apply(op, context),
        _ => Err(OperationResult::OpNotSupported.into()),
    }
}
