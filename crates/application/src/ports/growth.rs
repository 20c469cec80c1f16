//! Word that the log has grown: a hint that may come late, twice or never.

use async_trait::async_trait;

use super::store::StoreError;

/// Hears of the log's growth.
#[async_trait]
pub trait LogGrowth: Send + Sync {
    /// Begins to listen for word, from whichever process.
    async fn listen(&self) -> Result<Box<dyn GrowthHints>, StoreError>;
}

/// Word that the log has grown.
#[async_trait]
pub trait GrowthHints: Send {
    /// Waits for the next word. An error ends it: listen again.
    async fn next(&mut self) -> Result<(), StoreError>;
}
