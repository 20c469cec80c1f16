//! API keys: who may call, in which roles, for which project. Only a key's hash is ever kept.

use chrono::{DateTime, Utc};
use tranche_domain::{ProjectId, Role};

/// An API key as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// The public part, by which it is found and named.
    pub id: String,
    /// Who it speaks for.
    pub subject: String,
    /// What it may do.
    pub roles: Vec<Role>,
    /// The only project it may see, or all.
    pub project_id: Option<ProjectId>,
    /// HMAC-SHA-256 of the secret part.
    pub hash: [u8; 32],
    /// Requests allowed, such as `5000/h`; the default limits where absent.
    pub rate_limit: Option<String>,
    /// When it was issued.
    pub created_at: DateTime<Utc>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}
