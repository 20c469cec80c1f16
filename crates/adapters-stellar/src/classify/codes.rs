//! Results by stable names: `underfunded`, `not_authorized`, `tx_bad_auth`. The names are part of
//! the API and of audit events; add, never rename.

use stellar_xdr::{
    InnerTransactionResultResult as Inner, OperationResult, OperationResultTr, PaymentResult,
    TransactionResult, TransactionResultResult as Outer,
};

/// The wallet holds fewer tokens than the burn takes, or they back its open offers.
pub const UNDERFUNDED: &str = "underfunded";
/// The wallet has no trustline for the asset.
pub const NO_TRUSTLINE: &str = "no_trustline";
/// The issuer does not let the wallet move the asset.
pub const NOT_AUTHORIZED: &str = "not_authorized";
/// The ledger asks for a higher fee.
pub const INSUFFICIENT_FEE: &str = "tx_insufficient_fee";
/// The transaction failed in some other operation than a payment.
const FAILED: &str = "tx_failed";

/// The name of what went wrong, or `None` for a success.
pub fn of_result(result: &TransactionResult) -> Option<&'static str> {
    Some(match &result.result {
        Outer::TxSuccess(_) => return None,
        Outer::TxFeeBumpInnerSuccess(inner) | Outer::TxFeeBumpInnerFailed(inner) => {
            return of_inner(&inner.result.result);
        }
        Outer::TxFailed(operations) => of_operations(operations),
        Outer::TxTooEarly => "tx_too_early",
        Outer::TxTooLate => "tx_too_late",
        Outer::TxMissingOperation => "tx_missing_operation",
        Outer::TxBadSeq => "tx_bad_seq",
        Outer::TxBadAuth => "tx_bad_auth",
        Outer::TxInsufficientBalance => "tx_insufficient_balance",
        Outer::TxNoAccount => "tx_no_account",
        Outer::TxInsufficientFee => INSUFFICIENT_FEE,
        Outer::TxBadAuthExtra => "tx_bad_auth_extra",
        Outer::TxInternalError => "tx_internal_error",
        Outer::TxNotSupported => "tx_not_supported",
        Outer::TxBadSponsorship => "tx_bad_sponsorship",
        Outer::TxBadMinSeqAgeOrGap => "tx_bad_min_seq_age_or_gap",
        Outer::TxMalformed => "tx_malformed",
        Outer::TxSorobanInvalid => "tx_soroban_invalid",
        Outer::TxFrozenKeyAccessed => "tx_frozen_key_accessed",
    })
}

fn of_inner(result: &Inner) -> Option<&'static str> {
    Some(match result {
        Inner::TxSuccess(_) => return None,
        Inner::TxFailed(operations) => of_operations(operations),
        Inner::TxTooEarly => "tx_too_early",
        Inner::TxTooLate => "tx_too_late",
        Inner::TxMissingOperation => "tx_missing_operation",
        Inner::TxBadSeq => "tx_bad_seq",
        Inner::TxBadAuth => "tx_bad_auth",
        Inner::TxInsufficientBalance => "tx_insufficient_balance",
        Inner::TxNoAccount => "tx_no_account",
        Inner::TxInsufficientFee => INSUFFICIENT_FEE,
        Inner::TxBadAuthExtra => "tx_bad_auth_extra",
        Inner::TxInternalError => "tx_internal_error",
        Inner::TxNotSupported => "tx_not_supported",
        Inner::TxBadSponsorship => "tx_bad_sponsorship",
        Inner::TxBadMinSeqAgeOrGap => "tx_bad_min_seq_age_or_gap",
        Inner::TxMalformed => "tx_malformed",
        Inner::TxSorobanInvalid => "tx_soroban_invalid",
        Inner::TxFrozenKeyAccessed => "tx_frozen_key_accessed",
    })
}

/// The first operation that failed names the transaction's failure.
fn of_operations(operations: &[OperationResult]) -> &'static str {
    operations.iter().find_map(of_operation).unwrap_or(FAILED)
}

fn of_operation(operation: &OperationResult) -> Option<&'static str> {
    Some(match operation {
        OperationResult::OpInner(OperationResultTr::Payment(payment)) => {
            return of_payment(payment);
        }
        OperationResult::OpInner(_) => return None,
        OperationResult::OpBadAuth => "op_bad_auth",
        OperationResult::OpNoAccount => "op_no_account",
        OperationResult::OpNotSupported => "op_not_supported",
        OperationResult::OpTooManySubentries => "op_too_many_subentries",
        OperationResult::OpExceededWorkLimit => "op_exceeded_work_limit",
        OperationResult::OpTooManySponsoring => "op_too_many_sponsoring",
    })
}

const fn of_payment(payment: &PaymentResult) -> Option<&'static str> {
    Some(match payment {
        PaymentResult::Success => return None,
        PaymentResult::Malformed => "malformed",
        PaymentResult::Underfunded => UNDERFUNDED,
        PaymentResult::SrcNoTrust => NO_TRUSTLINE,
        PaymentResult::SrcNotAuthorized => NOT_AUTHORIZED,
        PaymentResult::NoDestination => "no_destination",
        PaymentResult::NoTrust => "destination_no_trustline",
        PaymentResult::NotAuthorized => "destination_not_authorized",
        PaymentResult::LineFull => "line_full",
        PaymentResult::NoIssuer => "no_issuer",
    })
}
