//! The audit log as the pipeline writes it: many events at a time, beside any unit of work.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::store::StoreError;
use crate::audit::record::EventRecord;

/// Appends to the log.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// Puts events into the log, each with the leaf that waits for its place in the tree: all of
    /// them or none. One that is in the log already is passed over. Says how many are new.
    ///
    /// # Errors
    /// [`StoreError`]. [`StoreError::OutcomeUnknown`] may be repeated like any other: what is in
    /// the log is passed over. An id that another event of another severity bears is a conflict.
    async fn append(
        &self,
        events: &[Arc<EventRecord>],
        recorded_at: DateTime<Utc>,
    ) -> Result<u64, StoreError>;

    /// Whether the log takes events now: writes this one and takes it back.
    async fn probe(
        &self,
        event: &EventRecord,
        recorded_at: DateTime<Utc>,
    ) -> Result<(), StoreError>;
}
