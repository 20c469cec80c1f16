//! What a ledger charges.
//!
//! A fee is a bid. While everything offered fits, each operation pays the base fee; when something
//! has to wait, each pays the lowest rate that got in. The fee is charged before anything is
//! applied, for success and failure alike, and never takes more than the balance.

use stellar_xdr::{Error, LedgerEntryChanges};

use super::BASE_FEE;
use super::frame::Frame;
use super::state::Working;

/// Whether `fee` over `operations` is a lower rate than `other_fee` over `other_operations`.
pub(crate) fn rate_below(
    (fee, operations): (i64, i64),
    (other_fee, other_operations): (i64, i64),
) -> bool {
    i128::from(fee) * i128::from(other_operations) < i128::from(other_fee) * i128::from(operations)
}

/// A frame's bid, with the operations it is spread over.
pub(crate) fn bid(frame: &Frame) -> (i64, i64) {
    (frame.fee_bid(), frame.fee_operations())
}

/// What an operation pays in a ledger that takes `included` and leaves something out, or not.
pub(crate) fn clearing_rate<'a>(included: impl Iterator<Item = &'a Frame>, left_out: bool) -> i64 {
    if !left_out {
        return BASE_FEE;
    }
    included
        .map(|frame| frame.fee_bid() / frame.fee_operations().max(1))
        .min()
        .unwrap_or(BASE_FEE)
        .max(BASE_FEE)
}

/// Takes the fee from its source; returns what was taken and the change to the entry.
pub(crate) fn charge(
    working: &mut Working<'_>,
    frame: &Frame,
    rate: i64,
) -> Result<(i64, LedgerEntryChanges), Error> {
    let owed = frame
        .fee_bid()
        .min(rate.saturating_mul(frame.fee_operations()));
    working.begin();
    let mut charged = 0;
    if let Some(mut payer) = working.account(&frame.fee_source()) {
        charged = owed.min(payer.balance).max(0);
        payer.balance = payer.balance.saturating_sub(charged);
        working.put_account(payer);
    }
    Ok((charged, working.commit()?))
}
