//! Webhooks: read and driven outside, changed inside a unit of work.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use tranche_application::audit::filter::EventFilter;
use tranche_application::ports::custody::SealedSecret;
use tranche_application::ports::store::StoreError;
use tranche_application::ports::webhooks::{
    Lease, Leasing, Progress, Told, Webhook, WebhookRepo, WebhookSecret, Webhooks,
};
use tranche_domain::ProjectId;
use uuid::Uuid;

use crate::PostgresStore;
use crate::errors::unwritable;
use crate::unit_of_work::PostgresUnitOfWork;

const WEBHOOK: &str = "SELECT * FROM webhooks WHERE id = $1";
const WEBHOOKS: &str =
    "SELECT * FROM webhooks WHERE $1 IS NULL OR project_id = $1 ORDER BY id DESC";
const SECRETS: &str = "SELECT name, key_id, sealed, expires_at FROM webhook_secrets
    WHERE webhook_id = $1 ORDER BY expires_at DESC NULLS FIRST, name";
const SECRETS_AFTER: &str = "SELECT name, key_id, sealed, expires_at FROM webhook_secrets
    WHERE name > $1 ORDER BY name LIMIT $2";
const LEASE: &str = "UPDATE webhooks SET holder = $1, held_until = $3, fence = fence + 1
    WHERE id IN (
        SELECT id FROM webhooks
        WHERE disabled_at IS NULL
            AND (held_until IS NULL OR held_until <= $2 OR held_until > $4)
        ORDER BY held_until NULLS FIRST, id LIMIT $5 FOR UPDATE SKIP LOCKED)
    RETURNING *";
const PASSED: &str = "UPDATE webhooks SET held_until = $3, position = greatest(position, $4)
    WHERE id = $1 AND fence = $2 AND disabled_at IS NULL";
const TAKEN: &str = "UPDATE webhooks SET held_until = $3, position = greatest(position, $4),
        delivered = delivered + 1, delivered_at = $5, attempts = 0, failing_since = NULL,
        due_at = NULL, last_error = NULL
    WHERE id = $1 AND fence = $2 AND disabled_at IS NULL";
const FAILED: &str = "UPDATE webhooks SET held_until = $3, position = greatest(position, $4),
        attempts = attempts + 1, failing_since = coalesce(failing_since, $5), due_at = $6,
        last_error = $7
    WHERE id = $1 AND fence = $2 AND disabled_at IS NULL";
const RELEASE: &str = "UPDATE webhooks SET holder = NULL, held_until = NULL
    WHERE id = $1 AND fence = $2";
const KEEP: &str = "INSERT INTO webhooks
        (id, url, description, filter, project_id, created_by, created_at, position)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
const DELETE: &str = "DELETE FROM webhooks WHERE id = $1";
const DISABLE: &str = "UPDATE webhooks SET disabled_at = $3, disabled_why = $4, holder = NULL,
        held_until = NULL, fence = fence + 1
    WHERE id = $1 AND fence = $2 AND disabled_at IS NULL";
const REPLAY: &str = "UPDATE webhooks SET position = coalesce($2, position), attempts = 0,
        failing_since = NULL, due_at = NULL, last_error = NULL, disabled_at = NULL,
        disabled_why = NULL, holder = NULL, held_until = NULL, fence = fence + 1
    WHERE id = $1";
/// Its driver has the former secrets in memory: it loses its lease.
const UNLEASE: &str = "UPDATE webhooks SET holder = NULL, held_until = NULL, fence = fence + 1
    WHERE id = $1";
const EXPIRED: &str = "DELETE FROM webhook_secrets WHERE webhook_id = $1 AND expires_at <= $2";
const RETIRE: &str = "UPDATE webhook_secrets SET expires_at = $2
    WHERE webhook_id = $1 AND expires_at IS NULL";
const KEEP_SECRET: &str =
    "INSERT INTO webhook_secrets (name, webhook_id, key_id, sealed) VALUES ($1, $2, $3, $4)";
const RESEAL: &str = "UPDATE webhook_secrets SET key_id = $2, sealed = $3
    WHERE name = $1 AND key_id = $4";

#[derive(FromRow)]
struct WebhookRow {
    id: Uuid,
    url: String,
    description: Option<String>,
    filter: String,
    project_id: Option<Uuid>,
    created_by: String,
    created_at: DateTime<Utc>,
    position: i64,
    delivered: i64,
    delivered_at: Option<DateTime<Utc>>,
    attempts: i32,
    failing_since: Option<DateTime<Utc>>,
    due_at: Option<DateTime<Utc>>,
    last_error: Option<String>,
    disabled_at: Option<DateTime<Utc>>,
    disabled_why: Option<String>,
    fence: i64,
}

impl WebhookRow {
    fn into_webhook(self) -> Result<(Webhook, Lease), StoreError> {
        let wrong =
            |error| StoreError::Inconsistent(format!("webhooks {}: filter: {error}", self.id));
        let filter: EventFilter = serde_json::from_str(&self.filter).map_err(wrong)?;
        let lease = Lease {
            webhook: self.id,
            fence: self.fence,
        };
        let webhook = Webhook {
            id: self.id,
            url: self.url,
            description: self.description,
            filter,
            project_id: self.project_id.map(ProjectId),
            created_by: self.created_by,
            created_at: self.created_at,
            progress: Progress {
                position: self.position,
                delivered: self.delivered,
                delivered_at: self.delivered_at,
                attempts: self.attempts,
                failing_since: self.failing_since,
                due_at: self.due_at,
                last_error: self.last_error,
                disabled_at: self.disabled_at,
                disabled_why: self.disabled_why,
            },
        };
        Ok((webhook, lease))
    }
}

#[derive(FromRow)]
struct SecretRow {
    name: String,
    key_id: String,
    sealed: Vec<u8>,
    expires_at: Option<DateTime<Utc>>,
}

impl From<SecretRow> for WebhookSecret {
    fn from(row: SecretRow) -> Self {
        Self {
            sealed: SealedSecret {
                name: row.name,
                key_id: row.key_id,
                sealed: row.sealed,
            },
            expires_at: row.expires_at,
        }
    }
}

fn only_webhook(row: WebhookRow) -> Result<Webhook, StoreError> {
    row.into_webhook().map(|(webhook, _)| webhook)
}

#[async_trait]
impl Webhooks for PostgresStore {
    async fn webhook(&self, id: Uuid) -> Result<Option<Webhook>, StoreError> {
        let row = sqlx::query_as(WEBHOOK).bind(id).fetch_optional(self.pool());
        let row: Option<WebhookRow> = self.deadline().wait(row).await?;
        row.map(only_webhook).transpose()
    }

    async fn webhooks(&self, only: Option<ProjectId>) -> Result<Vec<Webhook>, StoreError> {
        let rows = sqlx::query_as(WEBHOOKS)
            .bind(only.map(|project| project.0))
            .fetch_all(self.pool());
        let rows: Vec<WebhookRow> = self.deadline().wait(rows).await?;
        rows.into_iter().map(only_webhook).collect()
    }

    async fn webhook_secrets(&self, id: Uuid) -> Result<Vec<WebhookSecret>, StoreError> {
        let rows = sqlx::query_as(SECRETS).bind(id).fetch_all(self.pool());
        let rows: Vec<SecretRow> = self.deadline().wait(rows).await?;
        Ok(rows.into_iter().map(WebhookSecret::from).collect())
    }

    async fn webhook_secrets_after(
        &self,
        name: &str,
        limit: u32,
    ) -> Result<Vec<SealedSecret>, StoreError> {
        let rows = sqlx::query_as(SECRETS_AFTER)
            .bind(name)
            .bind(i64::from(limit))
            .fetch_all(self.pool());
        let rows: Vec<SecretRow> = self.deadline().wait(rows).await?;
        let sealed = |row| WebhookSecret::from(row).sealed;
        Ok(rows.into_iter().map(sealed).collect())
    }

    async fn lease_webhooks(
        &self,
        leasing: Leasing<'_>,
    ) -> Result<Vec<(Webhook, Lease)>, StoreError> {
        let leased = sqlx::query_as(LEASE)
            .bind(leasing.holder)
            .bind(leasing.now)
            .bind(leasing.now + leasing.term)
            .bind(leasing.now + 2 * leasing.term)
            .bind(i64::from(leasing.limit))
            .fetch_all(self.pool());
        let leased: Vec<WebhookRow> = self.deadline().wait(leased).await?;
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
                .bind(lease.webhook)
                .bind(lease.fence)
                .bind(until)
        };
        let statement = match told {
            Told::Passed(position) => of(PASSED).bind(position),
            Told::Taken(position, at) => of(TAKEN).bind(position).bind(at),
            Told::Failed {
                position,
                at,
                due_at,
                error,
            } => of(FAILED).bind(position).bind(at).bind(due_at).bind(error),
        };
        let kept = self.deadline().wait(statement.execute(self.pool())).await?;
        Ok(kept.rows_affected() == 1)
    }

    async fn release_webhook(&self, lease: Lease) -> Result<(), StoreError> {
        let released = sqlx::query(RELEASE)
            .bind(lease.webhook)
            .bind(lease.fence)
            .execute(self.pool());
        self.deadline().wait(released).await?;
        Ok(())
    }
}

#[async_trait]
impl WebhookRepo for PostgresUnitOfWork {
    async fn keep_webhook(
        &mut self,
        webhook: &Webhook,
        secret: &SealedSecret,
    ) -> Result<(), StoreError> {
        let filter = serde_json::to_string(&webhook.filter).map_err(unwritable)?;
        let kept = sqlx::query(KEEP)
            .bind(webhook.id)
            .bind(&webhook.url)
            .bind(&webhook.description)
            .bind(filter)
            .bind(webhook.project_id.map(|project| project.0))
            .bind(&webhook.created_by)
            .bind(webhook.created_at)
            .bind(webhook.progress.position)
            .execute(self.connection()?)
            .await;
        self.judge(kept)?;
        self.insert_secret(webhook.id, secret).await
    }

    async fn delete_webhook(&mut self, id: Uuid) -> Result<bool, StoreError> {
        let deleted = sqlx::query(DELETE)
            .bind(id)
            .execute(self.connection()?)
            .await;
        Ok(self.judge(deleted)?.rows_affected() == 1)
    }

    async fn disable_webhook(
        &mut self,
        lease: Lease,
        at: DateTime<Utc>,
        why: &str,
    ) -> Result<bool, StoreError> {
        let disabled = sqlx::query(DISABLE)
            .bind(lease.webhook)
            .bind(lease.fence)
            .bind(at)
            .bind(why)
            .execute(self.connection()?)
            .await;
        Ok(self.judge(disabled)?.rows_affected() == 1)
    }

    async fn replay_webhook(&mut self, id: Uuid, from: Option<i64>) -> Result<bool, StoreError> {
        let replayed = sqlx::query(REPLAY)
            .bind(id)
            .bind(from)
            .execute(self.connection()?)
            .await;
        Ok(self.judge(replayed)?.rows_affected() == 1)
    }

    async fn put_webhook_secret(
        &mut self,
        id: Uuid,
        secret: &SealedSecret,
        now: DateTime<Utc>,
        former_until: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        // The row first: what changes a webhook takes turns by it.
        let unleased = sqlx::query(UNLEASE)
            .bind(id)
            .execute(self.connection()?)
            .await;
        self.judge(unleased)?;
        for (statement, at) in [(EXPIRED, now), (RETIRE, former_until)] {
            let statement = sqlx::query(statement).bind(id).bind(at);
            let done = statement.execute(self.connection()?).await;
            self.judge(done)?;
        }
        self.insert_secret(id, secret).await
    }

    async fn reseal_webhook_secret(
        &mut self,
        secret: &SealedSecret,
        from_key: &str,
    ) -> Result<bool, StoreError> {
        let resealed = sqlx::query(RESEAL)
            .bind(&secret.name)
            .bind(&secret.key_id)
            .bind(secret.sealed.as_slice())
            .bind(from_key)
            .execute(self.connection()?)
            .await;
        Ok(self.judge(resealed)?.rows_affected() == 1)
    }
}

impl PostgresUnitOfWork {
    async fn insert_secret(&mut self, id: Uuid, secret: &SealedSecret) -> Result<(), StoreError> {
        let kept = sqlx::query(KEEP_SECRET)
            .bind(&secret.name)
            .bind(id)
            .bind(&secret.key_id)
            .bind(secret.sealed.as_slice())
            .execute(self.connection()?)
            .await;
        self.judge(kept)?;
        Ok(())
    }
}
