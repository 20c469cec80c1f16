//! An erasure in answers.

use serde::Serialize;
use tranche_application::ports::subject_keys::Mentions;
use utoipa::ToSchema;
use uuid::Uuid;

/// What was erased, or would be.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Erasure)]
pub struct ErasureView {
    /// Whether nothing was done.
    pub dry_run: bool,
    /// The key that is gone, or would be. The event `subject.erased` names it.
    pub key_id: Uuid,
    /// Events that it is about; in a dry run alone, because it takes a look at every event.
    pub events: Option<MentionsView>,
}

/// Events that an erasure is about.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Mentions)]
pub struct MentionsView {
    /// How many hold something that nobody will open any more.
    pub sealed: u64,
    /// How many name the subject as their actor, which stays.
    pub acted: u64,
}

impl From<Mentions> for MentionsView {
    fn from(mentions: Mentions) -> Self {
        Self {
            sealed: mentions.sealed,
            acted: mentions.acted,
        }
    }
}
