//! From a verdict to the result XDR a client decodes.

use stellar_xdr::{
    Error, Hash, InnerTransactionResult, InnerTransactionResultExt, InnerTransactionResultPair,
    InnerTransactionResultResult as Inner, OperationResult, TransactionResult,
    TransactionResultExt, TransactionResultResult as Outer,
};

use crate::xdr::Digest32;

/// Why a transaction as a whole is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TxCode {
    TooEarly,
    TooLate,
    MissingOperation,
    BadSeq,
    BadAuth,
    InsufficientBalance,
    NoAccount,
    InsufficientFee,
    BadAuthExtra,
    InternalError,
    BadMinSeqAgeOrGap,
    Malformed,
}

/// What became of a transaction, or of the one inside a fee bump.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    Success(Vec<OperationResult>),
    Failed(Vec<OperationResult>),
    Refused(TxCode),
}

impl Verdict {
    pub(crate) fn is_success(&self) -> bool {
        matches!(self, Self::Success(_))
    }

    fn outer(self) -> Result<Outer, Error> {
        Ok(match self {
            Self::Success(operations) => Outer::TxSuccess(operations.try_into()?),
            Self::Failed(operations) => Outer::TxFailed(operations.try_into()?),
            Self::Refused(code) => outer(code),
        })
    }

    fn inner(self) -> Result<Inner, Error> {
        Ok(match self {
            Self::Success(operations) => Inner::TxSuccess(operations.try_into()?),
            Self::Failed(operations) => Inner::TxFailed(operations.try_into()?),
            Self::Refused(code) => inner(code),
        })
    }
}

/// The result of a transaction that is not a fee bump, or of a fee bump refused for itself.
pub(crate) fn plain(verdict: Verdict, fee_charged: i64) -> Result<TransactionResult, Error> {
    Ok(TransactionResult {
        fee_charged,
        result: verdict.outer()?,
        ext: TransactionResultExt::V0,
    })
}

/// The result of a fee bump whose inner transaction was judged.
pub(crate) fn bumped(
    verdict: Verdict,
    fee_charged: i64,
    inner_hash: Digest32,
) -> Result<TransactionResult, Error> {
    let succeeded = verdict.is_success();
    let pair = InnerTransactionResultPair {
        transaction_hash: Hash(inner_hash),
        result: InnerTransactionResult {
            fee_charged: 0,
            result: verdict.inner()?,
            ext: InnerTransactionResultExt::V0,
        },
    };
    Ok(TransactionResult {
        fee_charged,
        result: if succeeded {
            Outer::TxFeeBumpInnerSuccess(pair)
        } else {
            Outer::TxFeeBumpInnerFailed(pair)
        },
        ext: TransactionResultExt::V0,
    })
}

/// Whether the result says that the operations took effect.
pub(crate) fn succeeded(result: &TransactionResult) -> bool {
    matches!(
        result.result,
        Outer::TxSuccess(_) | Outer::TxFeeBumpInnerSuccess(_)
    )
}

fn outer(code: TxCode) -> Outer {
    match code {
        TxCode::TooEarly => Outer::TxTooEarly,
        TxCode::TooLate => Outer::TxTooLate,
        TxCode::MissingOperation => Outer::TxMissingOperation,
        TxCode::BadSeq => Outer::TxBadSeq,
        TxCode::BadAuth => Outer::TxBadAuth,
        TxCode::InsufficientBalance => Outer::TxInsufficientBalance,
        TxCode::NoAccount => Outer::TxNoAccount,
        TxCode::InsufficientFee => Outer::TxInsufficientFee,
        TxCode::BadAuthExtra => Outer::TxBadAuthExtra,
        TxCode::InternalError => Outer::TxInternalError,
        TxCode::BadMinSeqAgeOrGap => Outer::TxBadMinSeqAgeOrGap,
        TxCode::Malformed => Outer::TxMalformed,
    }
}

fn inner(code: TxCode) -> Inner {
    match code {
        TxCode::TooEarly => Inner::TxTooEarly,
        TxCode::TooLate => Inner::TxTooLate,
        TxCode::MissingOperation => Inner::TxMissingOperation,
        TxCode::BadSeq => Inner::TxBadSeq,
        TxCode::BadAuth => Inner::TxBadAuth,
        TxCode::InsufficientBalance => Inner::TxInsufficientBalance,
        TxCode::NoAccount => Inner::TxNoAccount,
        TxCode::InsufficientFee => Inner::TxInsufficientFee,
        TxCode::BadAuthExtra => Inner::TxBadAuthExtra,
        TxCode::InternalError => Inner::TxInternalError,
        TxCode::BadMinSeqAgeOrGap => Inner::TxBadMinSeqAgeOrGap,
        TxCode::Malformed => Inner::TxMalformed,
    }
}
