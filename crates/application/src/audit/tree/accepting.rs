//! Accepting a database that contradicts what was kept: a person's decision, on record.

use std::sync::Arc;

use thiserror::Error;
use tranche_domain::audit::Resource;
use tranche_domain::{Action, AuditEvent, Fact};

use super::keeper::{CompareError, Contradiction, Keeper};
use crate::audit::record::EventRecord;
use crate::call::Caller;
use crate::ports::audit_store::AuditStore;
use crate::ports::kept::KeepError;
use crate::ports::store::StoreError;
use crate::services::Services;

/// What was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// What was wrong.
    pub contradiction: Contradiction,
    /// Where the checkpoint is now that was kept.
    pub set_aside: Option<String>,
}

/// Why nothing was accepted.
#[derive(Debug, Error)]
pub enum AcceptError {
    /// The database extends what is kept.
    #[error("nothing is to be accepted: the database extends the checkpoint that is kept")]
    Nothing,
    /// The database contradicts itself: no decision makes its hashes right.
    #[error("{0}: restore the database from a backup")]
    Broken(Contradiction),
    /// It cannot be compared.
    #[error(transparent)]
    Compare(CompareError),
    /// The checkpoint that is kept could not be set aside.
    #[error(transparent)]
    Keep(#[from] KeepError),
    /// The decision could not be put on record; nothing was done.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Puts it on record why the database is accepted as it is, then sets the kept checkpoint aside. The
/// service goes on sealing by itself.
///
/// # Errors
/// [`AcceptError`]. Where only setting aside failed, the decision is on record and may be repeated.
pub async fn accept(
    services: &Services,
    log: &dyn AuditStore,
    keeper: &Keeper,
    caller: &Caller,
    reason: &str,
) -> Result<Accepted, AcceptError> {
    let contradiction = match keeper.follow().await {
        Ok(()) => return Err(AcceptError::Nothing),
        Err(CompareError::Contradiction(contradiction)) => contradiction,
        Err(error) => return Err(AcceptError::Compare(error)),
    };
    if matches!(
        contradiction,
        Contradiction::StoreNote(_) | Contradiction::Altered { .. }
    ) {
        return Err(AcceptError::Broken(contradiction));
    }
    let occasion = services.occasion(caller);
    let origin = keeper.key().origin().to_string();
    let kept = keeper.kept_note().await?;
    let action = Action::LogContradictionAccepted;
    let event = AuditEvent::new(action, Resource::AuditLog, origin, &occasion)
        .with("reason", Fact::text(reason))
        .with("contradiction", Fact::text(&contradiction))
        .with("kept_checkpoint", Fact::maybe(kept));
    let record = Arc::new(EventRecord::from(&event));
    log.append(&[record], services.clock.now()).await?;
    let set_aside = keeper.set_aside().await?;
    Ok(Accepted {
        contradiction,
        set_aside,
    })
}
