//! Transactions of the pipeline: nobody waits for one beyond the longest statement, even when the
//! server says nothing at all.

use sqlx::{PgConnection, Postgres, SqlSafeStr, Transaction};
use tokio::time::{Duration, Instant, timeout_at};
use tranche_application::ports::store::StoreError;

use crate::PostgresStore;
use crate::errors::{failed, is_cancelled, not_committed, unavailable};
use crate::scope;

/// When waiting ends.
#[derive(Clone, Copy)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    pub(crate) fn after(longest: Duration) -> Self {
        Self(Instant::now() + longest)
    }

    /// Waits for a statement that is nothing before its transaction commits.
    pub(crate) async fn wait<T>(
        self,
        statement: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, StoreError> {
        match timeout_at(self.0, statement).await {
            Ok(answer) => answer.map_err(failed),
            Err(_) => Err(unavailable("no answer in time")),
        }
    }

    /// As [`Deadline::wait`], for a statement with a limit of its own that the server keeps: what
    /// takes longer is too much to ask for.
    pub(crate) async fn wait_for_search<T>(
        self,
        statement: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, StoreError> {
        match timeout_at(self.0, statement).await {
            Ok(answer) => answer.map_err(|error| {
                if is_cancelled(&error) {
                    StoreError::TooMuch
                } else {
                    failed(error)
                }
            }),
            Err(_) => Err(unavailable("no answer in time")),
        }
    }
}

/// A transaction with a deadline for all of it. Dropped, it never was.
pub(crate) struct Timed {
    transaction: Transaction<'static, Postgres>,
    until: Deadline,
}

impl PostgresStore {
    /// Begins a transaction that has as long as one statement may take.
    pub(crate) async fn timed(&self) -> Result<Timed, StoreError> {
        self.timed_from(scope::BEGIN_PIPELINE).await
    }

    /// As [`PostgresStore::timed`], begun by this statement.
    pub(crate) async fn timed_from(&self, begin: impl SqlSafeStr) -> Result<Timed, StoreError> {
        let until = self.deadline();
        match timeout_at(until.0, self.transaction(begin)).await {
            Ok(transaction) => Ok(Timed {
                transaction: transaction?,
                until,
            }),
            Err(_) => Err(unavailable("no answer in time")),
        }
    }

    /// For a single statement that begins now.
    pub(crate) fn deadline(&self) -> Deadline {
        Deadline::after(self.config.statement_timeout)
    }
}

impl Timed {
    /// The connection, for one statement, and until when to wait for it.
    pub(crate) fn ask(&mut self) -> (Deadline, &mut PgConnection) {
        (self.until, &mut self.transaction)
    }

    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        match timeout_at(self.until.0, self.transaction.commit()).await {
            Ok(committed) => committed.map_err(not_committed),
            Err(silence) => Err(StoreError::OutcomeUnknown(Box::new(silence))),
        }
    }

    pub(crate) async fn roll_back(self) -> Result<(), StoreError> {
        self.until.wait(self.transaction.rollback()).await
    }
}
