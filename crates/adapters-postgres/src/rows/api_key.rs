//! Rows of `api_keys`.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use tranche_application::keys::ApiKey;
use tranche_application::ports::store::StoreError;
use tranche_domain::{ProjectId, Role};
use uuid::Uuid;

use super::{Flaw, flawed};

/// A row of `api_keys`.
#[derive(Debug, FromRow)]
pub(crate) struct ApiKeyRow {
    id: String,
    subject: String,
    roles: Vec<String>,
    project_id: Option<Uuid>,
    hash: Vec<u8>,
    rate_limit: Option<String>,
    created_at: DateTime<Utc>,
    revoked_at: Option<DateTime<Utc>>,
}

impl TryFrom<ApiKeyRow> for ApiKey {
    type Error = StoreError;

    fn try_from(row: ApiKeyRow) -> Result<Self, StoreError> {
        let roles = row
            .roles
            .iter()
            .map(|name| Role::named(name).ok_or_else(|| format!("role {name} is none")))
            .collect::<Result<Vec<Role>, Flaw>>()
            .map_err(flawed("api_keys", &row.id))?;
        let hash = row
            .hash
            .try_into()
            .map_err(|_| flawed("api_keys", &row.id)("hash is not 32 bytes long".to_owned()))?;
        Ok(Self {
            id: row.id,
            subject: row.subject,
            roles,
            project_id: row.project_id.map(ProjectId),
            hash,
            rate_limit: row.rate_limit,
            created_at: row.created_at,
            revoked_at: row.revoked_at,
        })
    }
}
