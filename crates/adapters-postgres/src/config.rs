//! How to connect: no request waits for the database without bound, and nobody's lock or idle
//! transaction holds up the others for long.

use std::time::Duration;

use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::scope;

/// A connection that lay idle for longer is tried before it is given out; a busy one never is,
/// because trying is a round trip.
const TRIED_AFTER: Duration = Duration::from_secs(5);

/// Limits of the pool and of each connection in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostgresConfig {
    /// Connections at most.
    pub max_connections: u32,
    /// The longest wait for a connection.
    pub acquire_timeout: Duration,
    /// The longest statement.
    pub statement_timeout: Duration,
    /// The longest wait for a lock, the claim of an idempotency key included.
    pub lock_timeout: Duration,
    /// The longest pause inside a unit of work; its process hangs, and others wait for its locks.
    pub idle_in_transaction_timeout: Duration,
}

impl Default for PostgresConfig {
    fn default() -> Self {
        Self {
            max_connections: 16,
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(5),
            idle_in_transaction_timeout: Duration::from_secs(15),
        }
    }
}

impl PostgresConfig {
    pub(crate) fn pool(&self) -> PgPoolOptions {
        PgPoolOptions::new()
            .max_connections(self.max_connections)
            .acquire_timeout(self.acquire_timeout)
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > TRIED_AFTER {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
    }

    /// Role and limits travel with the connection's start-up message, so that they cost no round
    /// trip, and so that `RESET ROLE` leads back to the role.
    pub(crate) fn for_requests(&self, given: PgConnectOptions) -> PgConnectOptions {
        let milliseconds = |limit: Duration| limit.as_millis().to_string();
        given.application_name("tranche").options([
            ("role", scope::ROLE.to_owned()),
            // Where plans may not read tables whole, the server takes the smallest statement for dear,
            // and compiles it for a third of a second each time.
            ("jit", "off".to_owned()),
            ("statement_timeout", milliseconds(self.statement_timeout)),
            ("lock_timeout", milliseconds(self.lock_timeout)),
            (
                "idle_in_transaction_session_timeout",
                milliseconds(self.idle_in_transaction_timeout),
            ),
        ])
    }

    /// Waiting for word takes for ever.
    pub(crate) fn for_listening(given: PgConnectOptions) -> PgConnectOptions {
        given.application_name("tranche-listener")
    }

    /// Schema work takes the time it takes.
    pub(crate) fn for_maintenance(given: PgConnectOptions) -> PgConnectOptions {
        given.application_name("tranche-maintenance")
    }

    /// Upkeep takes its time too, and needs no more than the service's role.
    pub(crate) fn for_upkeep(given: PgConnectOptions) -> PgConnectOptions {
        Self::for_maintenance(given).options([("role", scope::ROLE)])
    }

    /// Retention has a role of its own.
    pub(crate) fn for_retention(given: PgConnectOptions) -> PgConnectOptions {
        Self::for_maintenance(given).options([("role", scope::RETENTION)])
    }
}

#[cfg(test)]
mod tests {
    use super::{PgConnectOptions, PostgresConfig};

    #[test]
    fn statements_of_requests_are_not_compiled() {
        let options = PostgresConfig::default().for_requests(PgConnectOptions::new());
        let options = options.get_options().expect("options");
        assert!(options.contains("-c jit=off"), "{options}");
    }
}
