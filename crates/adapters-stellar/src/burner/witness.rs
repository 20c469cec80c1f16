//! A second provider that must agree before a verdict is final: one node's lie or mistake can then
//! neither settle a burn that did not happen nor free the sequence number of one that did.
//!
//! What the witness cannot say yet is asked again later; what it proves otherwise is for people, with
//! both testimonies.

use tranche_application::ports::burner::LedgerError;
use tranche_domain::disbursement::{PreparedBurn, Verdict};

use super::judge::judge;
use crate::node::Node;

/// The verdict, if the witness comes to it too.
///
/// # Errors
/// [`LedgerError`] when the witness gives none.
pub(super) async fn confirm(
    witness: &Node,
    burn: &PreparedBurn,
    verdict: Verdict,
) -> Result<Verdict, LedgerError> {
    if !matches!(verdict, Verdict::Burned { .. } | Verdict::Failed(_)) {
        return Ok(verdict);
    }
    let testimony = ask(witness, judge(witness, burn)).await?;
    Ok(match (&verdict, testimony) {
        (_, Verdict::Undecided(wait)) => Verdict::Undecided(wait),
        (Verdict::Failed(_), Verdict::Failed(_)) => verdict,
        (_, same) if same == verdict => verdict,
        (_, other) => Verdict::NeedsOperator {
            reason: format!(
                "two providers prove different things: {}, and by the witness {}: {}",
                in_words(&verdict),
                witness.host(),
                in_words(&other)
            ),
        },
    })
}

/// What the witness answers, and who it is when it does not.
///
/// # Errors
/// [`LedgerError`] when it gives no answer.
pub(super) async fn ask<T>(
    witness: &Node,
    answer: impl Future<Output = Result<T, LedgerError>>,
) -> Result<T, LedgerError> {
    let testimony = match witness.admit().await {
        Ok(()) => answer.await,
        Err(error) => Err(error),
    };
    testimony.map_err(|error| match error {
        LedgerError::Unavailable(why) => {
            LedgerError::Unavailable(format!("the witness {}: {why}", witness.host()))
        }
        error => error,
    })
}

fn in_words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Burned { burn, ledger } => format!("burned by {burn} in ledger {ledger}"),
        Verdict::Failed(failure) => format!("failed, {}: {}", failure.code, failure.detail),
        Verdict::NeedsOperator { reason } => format!("not to be decided: {reason}"),
        Verdict::Undecided(_) => "undecided".to_owned(),
    }
}
