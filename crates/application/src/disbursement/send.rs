//! Sending a kept burn. Whatever the ledger answers is a hint; the only one that is acted upon is
//! the wish for a higher fee, and that by a further envelope in the same slot, kept before it is
//! sent.

use tracing::{info, warn};
use tranche_domain::disbursement::VerdictError;
use tranche_domain::{Disbursement, DisbursementState, PreparedBurn};

use super::{AdvanceError, Disbursements};
use crate::call::Caller;
use crate::failpoint::failpoint;
use crate::ports::burner::SubmitHint;
use crate::ports::store::{Conflict, StoreError};

/// The most further envelopes of one burn: each is signed for more than the one before.
const MOST_REPLACEMENTS: usize = 5;

impl Disbursements {
    /// Notes the sending, then sends. Whoever is overtaken leaves it to the other.
    pub(super) async fn send(&self, disbursement: Disbursement) -> Result<(), AdvanceError> {
        self.watch.allows(disbursement.project_id).await?;
        let sent = disbursement.sent();
        let mut work = self.services.store.begin().await?;
        match work.disbursements().note_sent(&sent).await {
            Ok(()) => work.commit().await?,
            Err(StoreError::Conflict(Conflict::Stale | Conflict::Retry)) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        failpoint!("noted");
        let fee_asked = self.submit(&sent, &sent.burn).await;
        failpoint!("submitted");
        let Some(fee_asked) = fee_asked else {
            return Ok(());
        };
        if let Some(burn) = self.outbid(&sent, fee_asked).await? {
            self.submit(&sent, &burn).await;
        }
        Ok(())
    }

    /// Sends; the fee that the ledger asks for, if it finds the burn's too low.
    async fn submit(&self, disbursement: &Disbursement, burn: &PreparedBurn) -> Option<u64> {
        match self.burner.submit(burn).await {
            Ok(SubmitHint { said, fee_asked }) => {
                info!(disbursement = %disbursement.id, hint = said, "burn sent");
                fee_asked
            }
            // It may have arrived all the same: only the verdict tells.
            Err(error) => {
                warn!(disbursement = %disbursement.id, %error, "no answer to the sending");
                None
            }
        }
    }

    /// Keeps a further envelope that offers the fee asked for; the burn with it.
    async fn outbid(
        &self,
        disbursement: &Disbursement,
        fee_asked: u64,
    ) -> Result<Option<PreparedBurn>, AdvanceError> {
        if disbursement.burn.replacements.len() >= MOST_REPLACEMENTS {
            warn!(disbursement = %disbursement.id, fee_asked, "outbid too often; the burn waits");
            return Ok(None);
        }
        let Some(replacement) = self.burner.outbid(&disbursement.burn, fee_asked).await? else {
            warn!(disbursement = %disbursement.id, fee_asked, "the fee is not paid; the burn waits");
            return Ok(None);
        };
        let mut work = self.services.store.begin().await?;
        let books = work
            .disbursements()
            .lock_books(disbursement.project_id, &[disbursement.id])
            .await?;
        let locked = books.and_then(|books| books.disbursements.into_iter().next());
        let (milestone, locked) = locked.ok_or(AdvanceError::NotFound)?;
        if locked.burn != disbursement.burn
            || matches!(locked.state, DisbursementState::NeedsOperator { .. })
        {
            // Another driver was first, or people are asked.
            return Ok(None);
        }
        let occasion = self.services.occasion(&Caller {
            actor: locked.ordered_by.clone(),
            origin: locked.origin.clone(),
            scope: None,
        });
        let change = match locked.replace(&milestone, replacement, &occasion) {
            Ok(change) => change,
            Err(VerdictError::Ended) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        work.record(&change).await?;
        failpoint!("replacing");
        work.commit().await?;
        failpoint!("replaced");
        info!(disbursement = %disbursement.id, fee_asked, "a further envelope offers more");
        Ok(change
            .disbursement()
            .map(|write| write.value().burn.clone()))
    }
}
