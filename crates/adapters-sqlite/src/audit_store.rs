//! Many events at a time into the log, beside any unit of work.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tranche_application::audit::record::EventRecord;
use tranche_application::ports::audit_store::AuditStore;
use tranche_application::ports::store::StoreError;

use crate::SqliteStore;
use crate::audit;
use crate::errors::{failed, not_committed};

#[async_trait]
impl AuditStore for SqliteStore {
    async fn append(
        &self,
        events: &[Arc<EventRecord>],
        recorded_at: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let mut transaction = self.transaction().await?;
        let mut new = 0;
        for event in events {
            new += u64::from(audit::append(&mut transaction, event, recorded_at).await?);
        }
        transaction.commit().await.map_err(not_committed)?;
        Ok(new)
    }

    async fn probe(
        &self,
        event: &EventRecord,
        recorded_at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.transaction().await?;
        audit::append(&mut transaction, event, recorded_at).await?;
        transaction.rollback().await.map_err(failed)
    }
}
