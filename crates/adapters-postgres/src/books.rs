//! The books for the watch: what is kept of the ledger, and where it and the books differ.
//!
//! Each report is one statement and so one snapshot. Comparing reads every burn and every settled
//! disbursement once, and joins them by memo.

mod differences;
pub(crate) mod missing_events;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use tranche_application::ports::audit_search::Scope;
use tranche_application::ports::books::{Books, Difference, DifferenceKind, Watched};
use tranche_application::ports::burner::BurnsSeen;
use tranche_application::ports::store::StoreError;
use tranche_domain::ProjectId;
use uuid::Uuid;

use crate::PostgresStore;
use crate::errors::failed;
use crate::rows::{flawed, ledger};

const WATCHED: &str = "SELECT watched_from, watched_to FROM ledger_watch WHERE network = $1";
const FIRST_SIGNED: &str = "SELECT min(signed_at_ledger) FROM disbursements WHERE network = $1";
const WALLETS: &str = "SELECT wallet_account_id FROM projects ORDER BY wallet_account_id";

/// The watch's row first: it makes those who keep the same burns take turns.
const KEEP_SEEN: &str = "WITH watch AS (
        INSERT INTO ledger_watch AS kept (network, watched_from, watched_to, at)
        VALUES ($1, $2, $3, $4)
        ON CONFLICT (network) DO UPDATE
            SET watched_from = CASE WHEN excluded.watched_from > kept.watched_to + 1
                    THEN excluded.watched_from ELSE kept.watched_from END,
                watched_to = greatest(kept.watched_to, excluded.watched_to), at = excluded.at
        RETURNING network)
    INSERT INTO ledger_burns
        (network, burn_id, ledger, wallet_account_id, amount, memo, seen_at)
    SELECT watch.network, burn_id, ledger, wallet_account_id, amount, memo, $4
    FROM watch, unnest($5::text[], $6::bigint[], $7::text[], $8::bigint[], $9::bytea[])
        AS seen (burn_id, ledger, wallet_account_id, amount, memo)
    ON CONFLICT DO NOTHING";

/// One row of a report; its kind by its place in the order of gravity.
#[derive(FromRow)]
struct DifferenceRow {
    project_id: Option<Uuid>,
    subject: String,
    books: String,
    found: String,
}

impl DifferenceRow {
    /// A deleted milestone whose events are all gone has nobody's project.
    fn difference(self, kind: DifferenceKind) -> Difference {
        Difference {
            kind,
            project_id: ProjectId(self.project_id.unwrap_or_default()),
            subject: self.subject,
            books: self.books,
            found: self.found,
        }
    }
}

#[async_trait]
impl Books for PostgresStore {
    async fn watched(&self, network: &str) -> Result<Option<Watched>, StoreError> {
        let row: Option<(i64, i64)> = sqlx::query_as(WATCHED)
            .bind(network)
            .fetch_optional(self.pool())
            .await
            .map_err(failed)?;
        let watched = |(from, to)| {
            Ok(Watched {
                from: ledger("watched_from", from)?,
                to: ledger("watched_to", to)?,
            })
        };
        row.map(watched)
            .transpose()
            .map_err(flawed("ledger_watch", network))
    }

    async fn first_signed(&self, network: &str) -> Result<Option<u32>, StoreError> {
        let first: Option<i64> = sqlx::query_scalar(FIRST_SIGNED)
            .bind(network)
            .fetch_one(self.pool())
            .await
            .map_err(failed)?;
        first
            .map(|first| ledger("signed_at_ledger", first))
            .transpose()
            .map_err(flawed("disbursements", network))
    }

    async fn wallets(&self) -> Result<Vec<String>, StoreError> {
        sqlx::query_scalar(WALLETS)
            .fetch_all(self.pool())
            .await
            .map_err(failed)
    }

    async fn keep_seen(
        &self,
        network: &str,
        seen: &BurnsSeen,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let burns = || seen.burns.iter();
        let ids: Vec<_> = burns().map(|burn| burn.id.0.as_str()).collect();
        let ledgers: Vec<_> = burns().map(|burn| i64::from(burn.ledger)).collect();
        let wallets: Vec<_> = burns()
            .map(|burn| burn.wallet_account_id.as_str())
            .collect();
        let amounts: Vec<_> = burns().map(|burn| burn.amount.stroops()).collect();
        let memos: Vec<_> = burns().map(|burn| burn.memo.map(Vec::from)).collect();
        sqlx::query(KEEP_SEEN)
            .bind(network)
            .bind(i64::from(seen.from))
            .bind(i64::from(seen.to))
            .bind(at)
            .bind(ids)
            .bind(ledgers)
            .bind(wallets)
            .bind(amounts)
            .bind(memos)
            .execute(self.pool())
            .await
            .map_err(failed)?;
        Ok(())
    }

    async fn differences(&self, network: &str, limit: u32) -> Result<Vec<Difference>, StoreError> {
        differences::of(self.pool(), network, limit).await
    }

    async fn missing_events(&self, limit: u32) -> Result<Vec<Difference>, StoreError> {
        let mut reading = self.reading(Scope::All).await?;
        missing_events::of(&mut *reading, limit).await
    }
}
