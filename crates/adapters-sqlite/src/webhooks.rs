//! Webhooks: read and driven outside, changed inside a unit of work.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use tranche_application::ports::custody::SealedSecret;
use tranche_application::ports::store::StoreError;
use tranche_application::ports::webhooks::{
    Lease, Leasing, Progress, Told, Webhook, WebhookRepo, WebhookSecret, Webhooks,
};
use tranche_domain::ProjectId;
use uuid::Uuid;

use crate::SqliteStore;
use crate::errors::{failed, failed_in_project, not_committed, unwritable};
use crate::rows::{Row, micros};
use crate::unit_of_work::SqliteUnitOfWork;

/// Enabled, and driven by nobody.
macro_rules! free {
    () => {
        "disabled_at IS NULL AND (held_until IS NULL OR held_until <= ?1 OR held_until > ?2)"
    };
}

const ANY_FREE: &str = concat!("SELECT EXISTS (SELECT 1 FROM webhooks WHERE ", free!(), ")");
const LEASE: &str = concat!(
    "UPDATE webhooks SET holder = ?3, held_until = ?4, fence = fence + 1 WHERE id IN ( \
         SELECT id FROM webhooks WHERE ",
    free!(),
    " ORDER BY held_until, id LIMIT ?5) RETURNING *"
);
const PASSED: &str = "UPDATE webhooks SET held_until = ?3, position = max(position, ?4) \
    WHERE id = ?1 AND fence = ?2 AND disabled_at IS NULL";
const TAKEN: &str = "UPDATE webhooks SET held_until = ?3, position = max(position, ?4), \
    delivered = delivered + 1, delivered_at = ?5, attempts = 0, failing_since = NULL, \
    due_at = NULL, last_error = NULL WHERE id = ?1 AND fence = ?2 AND disabled_at IS NULL";
const FAILED: &str = "UPDATE webhooks SET held_until = ?3, position = max(position, ?4), \
    attempts = attempts + 1, failing_since = coalesce(failing_since, ?5), due_at = ?6, \
    last_error = ?7 WHERE id = ?1 AND fence = ?2 AND disabled_at IS NULL";
const DISABLE: &str = "UPDATE webhooks SET disabled_at = ?3, disabled_why = ?4, holder = NULL, \
    held_until = NULL, fence = fence + 1 WHERE id = ?1 AND fence = ?2 AND disabled_at IS NULL";
const REPLAY: &str = "UPDATE webhooks SET position = coalesce(?2, position), attempts = 0, \
    failing_since = NULL, due_at = NULL, last_error = NULL, disabled_at = NULL, \
    disabled_why = NULL, holder = NULL, held_until = NULL, fence = fence + 1 WHERE id = ?1";

#[derive(FromRow)]
struct WebhookRow {
    id: String,
    url: String,
    description: Option<String>,
    filter: String,
    project_id: Option<String>,
    created_by: String,
    created_at: i64,
    position: i64,
    delivered: i64,
    delivered_at: Option<i64>,
    attempts: i32,
    failing_since: Option<i64>,
    due_at: Option<i64>,
    last_error: Option<String>,
    disabled_at: Option<i64>,
    disabled_why: Option<String>,
    fence: i64,
}

impl WebhookRow {
    fn into_webhook(self) -> Result<(Webhook, Lease), StoreError> {
        let at = Row {
            table: "webhooks",
            id: &self.id,
        };
        let time =
            |column, micros: Option<i64>| micros.map(|micros| at.time(column, micros)).transpose();
        let project = self.project_id.as_deref();
        let project = project.map(|id| at.uuid("project_id", id)).transpose()?;
        let id = at.uuid("id", &self.id)?;
        let webhook = Webhook {
            id,
            filter: at.parsed("filter", serde_json::from_str(&self.filter))?,
            project_id: project.map(ProjectId),
            created_at: at.time("created_at", self.created_at)?,
            progress: Progress {
                position: self.position,
                delivered: self.delivered,
                delivered_at: time("delivered_at", self.delivered_at)?,
                attempts: self.attempts,
                failing_since: time("failing_since", self.failing_since)?,
                due_at: time("due_at", self.due_at)?,
                last_error: self.last_error,
                disabled_at: time("disabled_at", self.disabled_at)?,
                disabled_why: self.disabled_why,
            },
            url: self.url,
            description: self.description,
            created_by: self.created_by,
        };
        let lease = Lease {
            webhook: id,
            fence: self.fence,
        };
        Ok((webhook, lease))
    }
}

fn only_webhook(row: WebhookRow) -> Result<Webhook, StoreError> {
    row.into_webhook().map(|(webhook, _)| webhook)
}

#[derive(FromRow)]
struct SecretRow {
    name: String,
    key_id: String,
    sealed: Vec<u8>,
    expires_at: Option<i64>,
}

impl TryFrom<SecretRow> for WebhookSecret {
    type Error = StoreError;

    fn try_from(row: SecretRow) -> Result<Self, StoreError> {
        let at = Row {
            table: "webhook_secrets",
            id: &row.name,
        };
        let expires_at = row.expires_at.map(|micros| at.time("expires_at", micros));
        Ok(Self {
            expires_at: expires_at.transpose()?,
            sealed: SealedSecret {
                key_id: row.key_id,
                sealed: row.sealed,
                name: row.name,
            },
        })
    }
}

#[async_trait]
impl Webhooks for SqliteStore {
    async fn webhook(&self, id: Uuid) -> Result<Option<Webhook>, StoreError> {
        let row: Option<WebhookRow> = sqlx::query_as("SELECT * FROM webhooks WHERE id = ?")
            .bind(id.to_string())
            .fetch_optional(&self.reader)
            .await
            .map_err(failed)?;
        row.map(only_webhook).transpose()
    }

    async fn webhooks(&self, only: Option<ProjectId>) -> Result<Vec<Webhook>, StoreError> {
        let rows: Vec<WebhookRow> = sqlx::query_as(
            "SELECT * FROM webhooks WHERE ?1 IS NULL OR project_id = ?1 ORDER BY id DESC",
        )
        .bind(only.map(|project| project.to_string()))
        .fetch_all(&self.reader)
        .await
        .map_err(failed)?;
        rows.into_iter().map(only_webhook).collect()
    }

    async fn webhook_secrets(&self, id: Uuid) -> Result<Vec<WebhookSecret>, StoreError> {
        let rows: Vec<SecretRow> = sqlx::query_as(
            "SELECT name, key_id, sealed, expires_at FROM webhook_secrets \
             WHERE webhook_id = ? ORDER BY expires_at IS NOT NULL, expires_at DESC, name",
        )
        .bind(id.to_string())
        .fetch_all(&self.reader)
        .await
        .map_err(failed)?;
        rows.into_iter().map(WebhookSecret::try_from).collect()
    }

    async fn webhook_secrets_after(
        &self,
        name: &str,
        limit: u32,
    ) -> Result<Vec<SealedSecret>, StoreError> {
        let rows: Vec<SecretRow> = sqlx::query_as(
            "SELECT name, key_id, sealed, expires_at FROM webhook_secrets \
             WHERE name > ? ORDER BY name LIMIT ?",
        )
        .bind(name)
        .bind(limit)
        .fetch_all(&self.reader)
        .await
        .map_err(failed)?;
        let sealed = |row| WebhookSecret::try_from(row).map(|secret| secret.sealed);
        rows.into_iter().map(sealed).collect()
    }

    async fn lease_webhooks(
        &self,
        leasing: Leasing<'_>,
    ) -> Result<Vec<(Webhook, Lease)>, StoreError> {
        let (now, absurd) = (micros(leasing.now), micros(leasing.now + 2 * leasing.term));
        // Looking takes no lock; there is seldom one to be leased.
        let any_free: bool = sqlx::query_scalar(ANY_FREE)
            .bind(now)
            .bind(absurd)
            .fetch_one(&self.reader)
            .await
            .map_err(failed)?;
        if !any_free {
            return Ok(Vec::new());
        }
        let mut transaction = self.transaction().await?;
        let leased: Vec<WebhookRow> = sqlx::query_as(LEASE)
            .bind(now)
            .bind(absurd)
            .bind(leasing.holder)
            .bind(micros(leasing.now + leasing.term))
            .bind(leasing.limit)
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(not_committed)?;
        leased.into_iter().map(WebhookRow::into_webhook).collect()
    }

    async fn keep_progress(
        &self,
        lease: Lease,
        told: &Told,
        until: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let of = |statement| {
            sqlx::query(statement)
                .bind(lease.webhook.to_string())
                .bind(lease.fence)
                .bind(micros(until))
        };
        let statement = match told {
            Told::Passed(position) => of(PASSED).bind(position),
            Told::Taken(position, at) => of(TAKEN).bind(position).bind(micros(*at)),
            Told::Failed {
                position,
                at,
                due_at,
                error,
            } => of(FAILED)
                .bind(position)
                .bind(micros(*at))
                .bind(micros(*due_at))
                .bind(error),
        };
        let kept = statement.execute(&self.writer).await.map_err(failed)?;
        Ok(kept.rows_affected() == 1)
    }

    async fn release_webhook(&self, lease: Lease) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE webhooks SET holder = NULL, held_until = NULL WHERE id = ? AND fence = ?",
        )
        .bind(lease.webhook.to_string())
        .bind(lease.fence)
        .execute(&self.writer)
        .await
        .map_err(failed)?;
        Ok(())
    }
}

#[async_trait]
impl WebhookRepo for SqliteUnitOfWork {
    async fn keep_webhook(
        &mut self,
        webhook: &Webhook,
        secret: &SealedSecret,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO webhooks (id, url, description, filter, project_id, created_by, \
             created_at, position) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(webhook.id.to_string())
        .bind(&webhook.url)
        .bind(&webhook.description)
        .bind(serde_json::to_string(&webhook.filter).map_err(unwritable)?)
        .bind(webhook.project_id.map(|project| project.to_string()))
        .bind(&webhook.created_by)
        .bind(micros(webhook.created_at))
        .bind(webhook.progress.position)
        .execute(self.connection()?)
        .await
        .map_err(failed_in_project)?;
        self.done();
        self.insert_secret(webhook.id, secret).await
    }

    async fn delete_webhook(&mut self, id: Uuid) -> Result<bool, StoreError> {
        let deleted = sqlx::query("DELETE FROM webhooks WHERE id = ?")
            .bind(id.to_string())
            .execute(self.connection()?)
            .await
            .map_err(failed)?;
        self.done();
        Ok(deleted.rows_affected() == 1)
    }

    async fn disable_webhook(
        &mut self,
        lease: Lease,
        at: DateTime<Utc>,
        why: &str,
    ) -> Result<bool, StoreError> {
        let disabled = sqlx::query(DISABLE)
            .bind(lease.webhook.to_string())
            .bind(lease.fence)
            .bind(micros(at))
            .bind(why)
            .execute(self.connection()?)
            .await
            .map_err(failed)?;
        self.done();
        Ok(disabled.rows_affected() == 1)
    }

    async fn replay_webhook(&mut self, id: Uuid, from: Option<i64>) -> Result<bool, StoreError> {
        let replayed = sqlx::query(REPLAY)
            .bind(id.to_string())
            .bind(from)
            .execute(self.connection()?)
            .await
            .map_err(failed)?;
        self.done();
        Ok(replayed.rows_affected() == 1)
    }

    async fn put_webhook_secret(
        &mut self,
        id: Uuid,
        secret: &SealedSecret,
        now: DateTime<Utc>,
        former_until: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        // The driver has the former secrets in memory: it loses its lease.
        for (statement, at) in [
            (
                "UPDATE webhooks SET holder = NULL, held_until = NULL, fence = fence + 1 \
                 WHERE id = ?1",
                now,
            ),
            (
                "DELETE FROM webhook_secrets WHERE webhook_id = ?1 AND expires_at <= ?2",
                now,
            ),
            (
                "UPDATE webhook_secrets SET expires_at = ?2 \
                 WHERE webhook_id = ?1 AND expires_at IS NULL",
                former_until,
            ),
        ] {
            sqlx::query(statement)
                .bind(id.to_string())
                .bind(micros(at))
                .execute(self.connection()?)
                .await
                .map_err(failed)?;
            self.done();
        }
        self.insert_secret(id, secret).await
    }

    async fn reseal_webhook_secret(
        &mut self,
        secret: &SealedSecret,
        from_key: &str,
    ) -> Result<bool, StoreError> {
        let resealed = sqlx::query(
            "UPDATE webhook_secrets SET key_id = ?, sealed = ? WHERE name = ? AND key_id = ?",
        )
        .bind(&secret.key_id)
        .bind(&secret.sealed)
        .bind(&secret.name)
        .bind(from_key)
        .execute(self.connection()?)
        .await
        .map_err(failed)?;
        self.done();
        Ok(resealed.rows_affected() == 1)
    }
}

impl SqliteUnitOfWork {
    async fn insert_secret(&mut self, id: Uuid, secret: &SealedSecret) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO webhook_secrets (name, webhook_id, key_id, sealed) VALUES (?, ?, ?, ?)",
        )
        .bind(&secret.name)
        .bind(id.to_string())
        .bind(&secret.key_id)
        .bind(&secret.sealed)
        .execute(self.connection()?)
        .await
        .map_err(failed)?;
        self.done();
        Ok(())
    }
}
