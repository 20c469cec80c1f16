//! Transactions of the pipeline: nobody waits for one beyond the longest statement, even when the
//! server says nothing at all.

use sqlx::{PgConnection, Postgres, Transaction};
use tokio::time::{Duration, Instant, timeout_at};
use tranche_application::ports::store::StoreError;

use crate::PostgresStore;
use crate::errors::{failed, not_committed, unavailable};

/// Tables that grow by millions of rows, or empty all the time, outrun the figures that plans are made
/// from, and a plan is kept: one that reads such a table whole was fast for a minute. Every statement
/// of the pipeline has its index.
const BEGIN: &str = "BEGIN; SET LOCAL enable_seqscan = off";

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
}

/// A transaction with a deadline for all of it. Dropped, it never was.
pub(crate) struct Timed {
    transaction: Transaction<'static, Postgres>,
    until: Deadline,
}

impl PostgresStore {
    /// Begins a transaction that has as long as one statement may take.
    pub(crate) async fn timed(&self) -> Result<Timed, StoreError> {
        let until = self.deadline();
        match timeout_at(until.0, self.transaction(BEGIN)).await {
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
