//! Rows become domain values here, and only if every column agrees with every other.
//!
//! A combination that the domain has no word for is [`StoreError::Inconsistent`], naming the table,
//! the row and what is wrong with it: somebody wrote past the application.

mod api_key;
mod disbursement;
mod event;
mod further;
mod milestone;
mod project;

use std::fmt;

use tranche_application::ports::store::StoreError;
use tranche_domain::{Amount, BurnPolicy, Policy};

pub(crate) use api_key::ApiKeyRow;
pub(crate) use disbursement::DisbursementRow;
pub(crate) use event::{EventRow, LoggedRow};
pub(crate) use further::{KeptProposal, KeptReplacement};
pub(crate) use milestone::MilestoneRow;
pub(crate) use project::ProjectRow;

/// What is wrong with a row.
pub(crate) type Flaw = String;

/// Names the row in front of its flaw.
pub(crate) fn flawed(table: &str, id: impl fmt::Display) -> impl FnOnce(Flaw) -> StoreError {
    move |flaw| StoreError::Inconsistent(format!("{table} {id}: {flaw}"))
}

/// A value that its type refuses.
pub(crate) fn bad(column: &str) -> impl Fn(&dyn fmt::Display) -> Flaw {
    move |why| format!("{column} {why}")
}

pub(crate) fn amount(column: &str, stroops: i64) -> Result<Amount, Flaw> {
    Amount::try_from_stroops(stroops).map_err(|why| bad(column)(&why))
}

/// A count, from `least` on.
pub(crate) fn count(column: &str, least: i64, count: i64) -> Result<i64, Flaw> {
    if count < least {
        return Err(format!("{column} is below {least}"));
    }
    Ok(count)
}

/// A ledger's number.
pub(crate) fn ledger(column: &str, number: i64) -> Result<u32, Flaw> {
    u32::try_from(number).map_err(|why| bad(column)(&why))
}

fn policy(maker_checker: bool, burn_policy: &str) -> Result<Policy, Flaw> {
    let burn = match burn_policy {
        "exact_transfer" => BurnPolicy::ExactTransfer,
        "any_amount" => BurnPolicy::AnyAmount,
        other => return Err(format!("burn_policy {other} is none")),
    };
    Ok(Policy {
        maker_checker,
        burn,
    })
}

/// The policy's name in its column.
pub(crate) const fn burn_policy_name(policy: BurnPolicy) -> &'static str {
    match policy {
        BurnPolicy::ExactTransfer => "exact_transfer",
        BurnPolicy::AnyAmount => "any_amount",
    }
}
