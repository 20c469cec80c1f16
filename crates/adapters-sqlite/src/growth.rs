//! Word of the log's growth. Nobody tells a process of what others write into the file, so it looks.

use std::time::Duration;

use async_trait::async_trait;
use tranche_application::ports::audit_search::AuditSearch;
use tranche_application::ports::growth::{GrowthHints, LogGrowth};
use tranche_application::ports::store::StoreError;

use crate::SqliteStore;

/// How often it looks: a step down an index each time.
const EVERY: Duration = Duration::from_millis(20);

#[async_trait]
impl LogGrowth for SqliteStore {
    async fn listen(&self) -> Result<Box<dyn GrowthHints>, StoreError> {
        Ok(Box::new(Looker {
            end: self.end().await?,
            store: self.clone(),
        }))
    }
}

struct Looker {
    store: SqliteStore,
    /// As it was last seen.
    end: i64,
}

#[async_trait]
impl GrowthHints for Looker {
    async fn next(&mut self) -> Result<(), StoreError> {
        loop {
            let end = self.store.end().await?;
            if end != self.end {
                self.end = end;
                return Ok(());
            }
            tokio::time::sleep(EVERY).await;
        }
    }
}
