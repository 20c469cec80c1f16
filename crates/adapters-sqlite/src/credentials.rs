//! Wallets, secrets and API keys: written inside a unit of work, read outside.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use tranche_application::keys::ApiKey;
use tranche_application::ports::channels::NewChannel;
use tranche_application::ports::custody::{
    SealedSecret, SealedSecrets, SealedWallet, SealedWallets,
};
use tranche_application::ports::store::{Conflict, CredentialRepo, StoreError};
use tranche_application::ports::subject_keys::SubjectKey;
use tranche_domain::{ProjectId, Role};
use uuid::Uuid;

use crate::SqliteStore;
use crate::channels;
use crate::errors::failed;
use crate::rows::{Row, micros};
use crate::subject_keys;
use crate::unit_of_work::SqliteUnitOfWork;

/// What leads to the key of a project that was deleted may lead nowhere by now: what is given takes its
/// place. But a seed that is sealed here may be nowhere else, and gives way to itself alone.
const KEEP_WALLET: &str = "INSERT INTO wallets (account_id, custody, key_id, sealed_seed) \
     VALUES (?, ?, ?, ?) ON CONFLICT (account_id) DO UPDATE SET custody = excluded.custody, \
     key_id = excluded.key_id, sealed_seed = excluded.sealed_seed \
     WHERE (wallets.custody = excluded.custody OR length(wallets.sealed_seed) = 0) \
     AND NOT EXISTS (SELECT 1 FROM projects WHERE wallet_account_id = wallets.account_id) \
     AND NOT EXISTS (SELECT 1 FROM channel_accounts WHERE account_id = wallets.account_id)";

#[async_trait]
impl CredentialRepo for SqliteUnitOfWork {
    async fn keep_wallet(&mut self, wallet: &SealedWallet) -> Result<(), StoreError> {
        let kept = sqlx::query(KEEP_WALLET)
            .bind(&wallet.account_id)
            .bind(&wallet.custody)
            .bind(&wallet.key_id)
            .bind(&wallet.sealed_seed)
            .execute(self.connection()?)
            .await
            .map_err(failed)?;
        if kept.rows_affected() == 0 {
            return Err(StoreError::Conflict(Conflict::Wallet));
        }
        self.done();
        Ok(())
    }

    async fn keep_channel(&mut self, channel: &NewChannel) -> Result<(), StoreError> {
        channels::keep(self.connection()?, channel).await?;
        self.done();
        Ok(())
    }

    async fn channels_funded(
        &mut self,
        account_ids: &[String],
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        channels::funded(self.connection()?, account_ids, at).await?;
        self.done();
        Ok(())
    }

    async fn reseal_wallet(
        &mut self,
        wallet: &SealedWallet,
        from_key: &str,
    ) -> Result<bool, StoreError> {
        let resealed = sqlx::query(
            "UPDATE wallets SET key_id = ?, sealed_seed = ? WHERE account_id = ? AND key_id = ?",
        )
        .bind(&wallet.key_id)
        .bind(&wallet.sealed_seed)
        .bind(&wallet.account_id)
        .bind(from_key)
        .execute(self.connection()?)
        .await
        .map_err(failed)?;
        self.done();
        Ok(resealed.rows_affected() == 1)
    }

    async fn keep_secret(&mut self, secret: &SealedSecret) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO secrets (name, key_id, sealed) VALUES (?, ?, ?) \
             ON CONFLICT (name) DO NOTHING",
        )
        .bind(&secret.name)
        .bind(&secret.key_id)
        .bind(&secret.sealed)
        .execute(self.connection()?)
        .await
        .map_err(failed)?;
        self.done();
        Ok(())
    }

    async fn reseal_secret(
        &mut self,
        secret: &SealedSecret,
        from_key: &str,
    ) -> Result<bool, StoreError> {
        let resealed =
            sqlx::query("UPDATE secrets SET key_id = ?, sealed = ? WHERE name = ? AND key_id = ?")
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

    async fn keep_subject_keys(&mut self, keys: &[SubjectKey]) -> Result<(), StoreError> {
        subject_keys::keep(self.connection()?, keys).await?;
        self.done();
        Ok(())
    }

    async fn reseal_subject_key(
        &mut self,
        key: &SubjectKey,
        from_key: &str,
    ) -> Result<bool, StoreError> {
        let ours = subject_keys::reseal(self.connection()?, key, from_key).await?;
        self.done();
        Ok(ours)
    }

    async fn erase_subject_key(
        &mut self,
        subject: &[u8; 32],
        at: DateTime<Utc>,
        by: &str,
    ) -> Result<Option<Uuid>, StoreError> {
        let erased = subject_keys::erase(self.connection()?, subject, at, by).await?;
        self.done();
        Ok(erased)
    }

    async fn keep_key(&mut self, key: &ApiKey) -> Result<(), StoreError> {
        let roles: Vec<&str> = key.roles.iter().map(|role| role.as_str()).collect();
        sqlx::query(
            "INSERT INTO api_keys (id, subject, roles, project_id, hash, rate_limit, created_at, \
             revoked_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&key.id)
        .bind(&key.subject)
        .bind(roles.join(","))
        .bind(key.project_id.map(|id| id.to_string()))
        .bind(key.hash.to_vec())
        .bind(&key.rate_limit)
        .bind(micros(key.created_at))
        .bind(key.revoked_at.map(micros))
        .execute(self.connection()?)
        .await
        .map_err(failed)?;
        self.done();
        Ok(())
    }

    async fn revoke_key(&mut self, id: &str, at: DateTime<Utc>) -> Result<bool, StoreError> {
        let revoked =
            sqlx::query("UPDATE api_keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL")
                .bind(micros(at))
                .bind(id)
                .execute(self.connection()?)
                .await
                .map_err(failed)?;
        self.done();
        Ok(revoked.rows_affected() == 1)
    }
}

#[async_trait]
impl SealedWallets for SqliteStore {
    async fn sealed_wallet(&self, account_id: &str) -> Result<Option<SealedWallet>, StoreError> {
        let row: Option<WalletRow> = sqlx::query_as("SELECT * FROM wallets WHERE account_id = ?")
            .bind(account_id)
            .fetch_optional(&self.reader)
            .await
            .map_err(failed)?;
        Ok(row.map(SealedWallet::from))
    }
}

#[async_trait]
impl SealedSecrets for SqliteStore {
    async fn sealed_secret(&self, name: &str) -> Result<Option<SealedSecret>, StoreError> {
        let row: Option<SecretRow> = sqlx::query_as("SELECT * FROM secrets WHERE name = ?")
            .bind(name)
            .fetch_optional(&self.reader)
            .await
            .map_err(failed)?;
        Ok(row.map(|row| SealedSecret {
            name: row.name,
            key_id: row.key_id,
            sealed: row.sealed,
        }))
    }

    async fn subject_keys_after(
        &self,
        id: Uuid,
        limit: u32,
    ) -> Result<Vec<SubjectKey>, StoreError> {
        subject_keys::after(&self.reader, id, limit).await
    }

    async fn wallets_after(
        &self,
        account_id: &str,
        limit: u32,
    ) -> Result<Vec<SealedWallet>, StoreError> {
        let rows: Vec<WalletRow> = sqlx::query_as(
            "SELECT * FROM wallets WHERE account_id > ? ORDER BY account_id LIMIT ?",
        )
        .bind(account_id)
        .bind(limit)
        .fetch_all(&self.reader)
        .await
        .map_err(failed)?;
        Ok(rows.into_iter().map(SealedWallet::from).collect())
    }
}

#[derive(FromRow)]
struct WalletRow {
    account_id: String,
    custody: String,
    key_id: String,
    sealed_seed: Vec<u8>,
}

impl From<WalletRow> for SealedWallet {
    fn from(row: WalletRow) -> Self {
        Self {
            account_id: row.account_id,
            custody: row.custody,
            key_id: row.key_id,
            sealed_seed: row.sealed_seed,
        }
    }
}

#[derive(FromRow)]
struct SecretRow {
    name: String,
    key_id: String,
    sealed: Vec<u8>,
}

#[derive(FromRow)]
pub(crate) struct KeyRow {
    id: String,
    subject: String,
    roles: String,
    project_id: Option<String>,
    hash: Vec<u8>,
    rate_limit: Option<String>,
    created_at: i64,
    revoked_at: Option<i64>,
}

impl TryFrom<KeyRow> for ApiKey {
    type Error = StoreError;

    fn try_from(row: KeyRow) -> Result<Self, StoreError> {
        let at = Row {
            table: "api_keys",
            id: &row.id,
        };
        let roles = row
            .roles
            .split(',')
            .filter(|name| !name.is_empty())
            .map(|name| {
                Role::named(name).ok_or_else(|| at.wrong(format!("roles: there is no {name:?}")))
            })
            .collect::<Result<_, _>>()?;
        let project_id = match row.project_id {
            Some(id) => Some(ProjectId(at.uuid("project_id", &id)?)),
            None => None,
        };
        let revoked_at = match row.revoked_at {
            Some(micros) => Some(at.time("revoked_at", micros)?),
            None => None,
        };
        Ok(Self {
            roles,
            project_id,
            hash: at.bytes("hash", &row.hash)?,
            rate_limit: row.rate_limit,
            created_at: at.time("created_at", row.created_at)?,
            revoked_at,
            subject: row.subject,
            id: row.id.clone(),
        })
    }
}
