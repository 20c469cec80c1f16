//! Word of the log's growth, over a connection of its own.

use async_trait::async_trait;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tranche_application::ports::growth::{GrowthHints, LogGrowth};
use tranche_application::ports::store::StoreError;

use crate::errors::{failed, unavailable};
use crate::{PostgresConfig, PostgresStore};

/// Whoever gives events their place in the log tells of it here.
const CHANNEL: &str = "audit_sealed";

#[async_trait]
impl LogGrowth for PostgresStore {
    async fn listen(&self) -> Result<Box<dyn GrowthHints>, StoreError> {
        // It may wait for hours, so it takes none of the connections that requests share.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(self.config.acquire_timeout)
            .connect_lazy_with(PostgresConfig::for_listening(self.upkeep.clone()));
        let mut listener = PgListener::connect_with(&pool).await.map_err(failed)?;
        listener.eager_reconnect(false);
        listener.listen(CHANNEL).await.map_err(failed)?;
        Ok(Box::new(Listener(listener)))
    }
}

struct Listener(PgListener);

#[async_trait]
impl GrowthHints for Listener {
    async fn next(&mut self) -> Result<(), StoreError> {
        match self.0.try_recv().await {
            Ok(Some(_)) => {
                // Several words say no more than one.
                while self.0.next_buffered().is_some() {}
                Ok(())
            }
            Ok(None) => Err(unavailable("the connection that listens was lost")),
            Err(error) => Err(failed(error)),
        }
    }
}
