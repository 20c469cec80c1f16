//! Many events at a time into the log, beside any unit of work.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tranche_application::audit::record::EventRecord;
use tranche_application::ports::audit_store::AuditStore;
use tranche_application::ports::store::StoreError;

use crate::PostgresStore;
use crate::audit;

#[async_trait]
impl AuditStore for PostgresStore {
    async fn append(
        &self,
        events: &[Arc<EventRecord>],
        recorded_at: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let events: Vec<_> = events.iter().map(AsRef::as_ref).collect();
        let mut work = self.timed().await?;
        let new = audit::append(&mut work, &events, recorded_at).await?;
        work.commit().await?;
        Ok(new)
    }

    async fn probe(
        &self,
        event: &EventRecord,
        recorded_at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let mut work = self.timed().await?;
        audit::append(&mut work, &[event], recorded_at).await?;
        work.roll_back().await
    }
}
