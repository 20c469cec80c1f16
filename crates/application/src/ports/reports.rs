//! What the processes of the pipeline tell of themselves, so that any of them can answer for all.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::store::StoreError;
use crate::audit::meters::Report;

/// The last report of each process.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Reports: Send + Sync {
    /// Replaces the process's report.
    async fn publish(&self, report: &Report) -> Result<(), StoreError>;

    /// The last report of every process, of this moment or later; older ones are forgotten.
    async fn since(&self, moment: DateTime<Utc>) -> Result<Vec<Report>, StoreError>;
}
