//! The books for the watch: what is kept of the ledger, and where it and the books differ.
//!
//! Each report is one statement and so one snapshot. Comparing reads every burn and every settled
//! disbursement once, and joins them by memo.

mod differences;
pub(crate) mod missing_events;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{FromRow, SqliteConnection};
use tranche_application::ports::books::{Books, Difference, DifferenceKind, Watched};
use tranche_application::ports::burner::{BurnsSeen, SeenBurn};
use tranche_application::ports::store::StoreError;
use tranche_domain::ProjectId;
use uuid::Uuid;

use crate::SqliteStore;
use crate::errors::{failed, not_begun, not_committed};
use crate::rows::{Row, micros};

/// One row of a report.
#[derive(FromRow)]
struct DifferenceRow {
    project_id: Option<String>,
    subject: String,
    books: String,
    found: String,
}

impl DifferenceRow {
    /// A deleted milestone whose events are all gone has nobody's project.
    fn difference(self, kind: DifferenceKind) -> Result<Difference, StoreError> {
        let at = Row {
            table: "the books on",
            id: &self.subject,
        };
        let project_id = match &self.project_id {
            Some(id) => at.uuid("project_id", id)?,
            None => Uuid::nil(),
        };
        Ok(Difference {
            kind,
            project_id: ProjectId(project_id),
            subject: self.subject,
            books: self.books,
            found: self.found,
        })
    }
}

#[async_trait]
impl Books for SqliteStore {
    async fn watched(&self, network: &str) -> Result<Option<Watched>, StoreError> {
        let row: Option<(i64, i64)> =
            sqlx::query_as("SELECT watched_from, watched_to FROM ledger_watch WHERE network = ?")
                .bind(network)
                .fetch_optional(&self.reader)
                .await
                .map_err(failed)?;
        let at = Row {
            table: "ledger_watch",
            id: network,
        };
        let watched = |(from, to)| {
            Ok(Watched {
                from: at.parsed("watched_from", u32::try_from(from))?,
                to: at.parsed("watched_to", u32::try_from(to))?,
            })
        };
        row.map(watched).transpose()
    }

    async fn first_signed(&self, network: &str) -> Result<Option<u32>, StoreError> {
        let first: Option<i64> =
            sqlx::query_scalar("SELECT min(signed_at_ledger) FROM disbursements WHERE network = ?")
                .bind(network)
                .fetch_one(&self.reader)
                .await
                .map_err(failed)?;
        let at = Row {
            table: "disbursements",
            id: network,
        };
        first
            .map(|first| at.parsed("signed_at_ledger", u32::try_from(first)))
            .transpose()
    }

    async fn wallets(&self) -> Result<Vec<String>, StoreError> {
        sqlx::query_scalar("SELECT wallet_account_id FROM projects ORDER BY wallet_account_id")
            .fetch_all(&self.reader)
            .await
            .map_err(failed)
    }

    async fn keep_seen(
        &self,
        network: &str,
        seen: &BurnsSeen,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let mut transaction = self
            .writer
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map_err(not_begun)?;
        for burn in &seen.burns {
            keep(&mut transaction, network, burn, at).await?;
        }
        sqlx::query(
            "INSERT INTO ledger_watch (network, watched_from, watched_to, at) VALUES (?, ?, ?, ?) \
             ON CONFLICT (network) DO UPDATE \
                 SET watched_from = iif(excluded.watched_from > watched_to + 1, \
                         excluded.watched_from, watched_from), \
                     watched_to = max(watched_to, excluded.watched_to), at = excluded.at",
        )
        .bind(network)
        .bind(seen.from)
        .bind(seen.to)
        .bind(micros(at))
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
        transaction.commit().await.map_err(not_committed)
    }

    async fn differences(&self, network: &str, limit: u32) -> Result<Vec<Difference>, StoreError> {
        differences::of(&self.reader, network, limit).await
    }

    async fn missing_events(&self, limit: u32) -> Result<Vec<Difference>, StoreError> {
        missing_events::of(&self.reader, limit).await
    }
}

/// Unless it is kept already.
async fn keep(
    connection: &mut SqliteConnection,
    network: &str,
    burn: &SeenBurn,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO ledger_burns \
         (network, burn_id, ledger, wallet_account_id, amount, memo, seen_at) \
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE NOT EXISTS ( \
             SELECT 1 FROM ledger_burns WHERE network = ?1 AND burn_id = ?2 \
                 AND wallet_account_id = ?4)",
    )
    .bind(network)
    .bind(&burn.id.0)
    .bind(burn.ledger)
    .bind(&burn.wallet_account_id)
    .bind(burn.amount.stroops())
    .bind(burn.memo.map(Vec::from))
    .bind(micros(at))
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(())
}
