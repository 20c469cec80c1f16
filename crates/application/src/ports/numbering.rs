//! Gives events in the log their place: a dense number each, and their share in the statistics.

use async_trait::async_trait;

use super::store::StoreError;

/// Numbers what waits.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Numbering: Send + Sync {
    /// Gives up to `limit` waiting leaves the next numbers, from 0 without a gap, and counts their
    /// events in the roll-ups by hour and by day, in one transaction. Only one process numbers at
    /// a time: another one is told `None`. Says how many were numbered.
    async fn number(&self, limit: u32) -> Result<Option<u64>, StoreError>;
}
