//! Wallets, secrets and API keys. Neither a seed nor a key's secret is ever here in clear.

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
use uuid::Uuid;

use crate::PostgresStore;
use crate::errors::failed;
use crate::subject_keys;
use crate::unit_of_work::PostgresUnitOfWork;

/// What leads to the key of a project that was deleted may lead nowhere by now: what is given takes its
/// place. But a seed that is sealed here may be nowhere else, and gives way to itself alone.
const KEEP_WALLET: &str = "INSERT INTO wallets AS kept (account_id, custody, key_id, sealed_seed)
    VALUES ($1, $2, $3, $4)
    ON CONFLICT (account_id) DO UPDATE SET custody = excluded.custody, key_id = excluded.key_id,
        sealed_seed = excluded.sealed_seed
    WHERE (kept.custody = excluded.custody OR length(kept.sealed_seed) = 0)
        AND NOT EXISTS (SELECT FROM projects WHERE wallet_account_id = kept.account_id)
        AND NOT EXISTS (SELECT FROM channel_accounts WHERE account_id = kept.account_id)";
const WALLET: &str = "SELECT * FROM wallets WHERE account_id = $1";
const WALLETS_AFTER: &str =
    "SELECT * FROM wallets WHERE account_id > $1 ORDER BY account_id LIMIT $2";
const RESEAL_WALLET: &str = "UPDATE wallets SET key_id = $2, sealed_seed = $3
    WHERE account_id = $1 AND key_id = $4";
const SECRET: &str = "SELECT * FROM secrets WHERE name = $1";
const KEEP_SECRET: &str = "INSERT INTO secrets (name, key_id, sealed) VALUES ($1, $2, $3)
    ON CONFLICT (name) DO NOTHING";
const RESEAL_SECRET: &str = "UPDATE secrets SET key_id = $2, sealed = $3
    WHERE name = $1 AND key_id = $4";
const KEEP_KEY: &str =
    "INSERT INTO api_keys (id, subject, roles, project_id, hash, rate_limit, created_at, revoked_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
const REVOKE_KEY: &str = "UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";

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

#[async_trait]
impl SealedWallets for PostgresStore {
    async fn sealed_wallet(&self, account_id: &str) -> Result<Option<SealedWallet>, StoreError> {
        let row: Option<WalletRow> = sqlx::query_as(WALLET)
            .bind(account_id)
            .fetch_optional(self.pool())
            .await
            .map_err(failed)?;
        Ok(row.map(SealedWallet::from))
    }
}

#[async_trait]
impl SealedSecrets for PostgresStore {
    async fn sealed_secret(&self, name: &str) -> Result<Option<SealedSecret>, StoreError> {
        let row: Option<SecretRow> = sqlx::query_as(SECRET)
            .bind(name)
            .fetch_optional(self.pool())
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
        subject_keys::after(self.pool(), id, limit).await
    }

    async fn wallets_after(
        &self,
        account_id: &str,
        limit: u32,
    ) -> Result<Vec<SealedWallet>, StoreError> {
        let rows: Vec<WalletRow> = sqlx::query_as(WALLETS_AFTER)
            .bind(account_id)
            .bind(i64::from(limit))
            .fetch_all(self.pool())
            .await
            .map_err(failed)?;
        Ok(rows.into_iter().map(SealedWallet::from).collect())
    }
}

#[async_trait]
impl CredentialRepo for PostgresUnitOfWork {
    async fn keep_wallet(&mut self, wallet: &SealedWallet) -> Result<(), StoreError> {
        let kept = sqlx::query(KEEP_WALLET)
            .bind(&wallet.account_id)
            .bind(&wallet.custody)
            .bind(&wallet.key_id)
            .bind(wallet.sealed_seed.as_slice())
            .execute(self.connection()?)
            .await;
        let kept = kept.map(|kept| kept.rows_affected() == 1);
        if self.judge(kept)? {
            return Ok(());
        }
        self.spoil();
        Err(StoreError::Conflict(Conflict::Wallet))
    }

    async fn keep_channel(&mut self, channel: &NewChannel) -> Result<(), StoreError> {
        self.put_channel(channel).await
    }

    async fn channels_funded(
        &mut self,
        account_ids: &[String],
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.put_funded(account_ids, at).await
    }

    async fn reseal_wallet(
        &mut self,
        wallet: &SealedWallet,
        from_key: &str,
    ) -> Result<bool, StoreError> {
        let resealed = sqlx::query(RESEAL_WALLET)
            .bind(&wallet.account_id)
            .bind(&wallet.key_id)
            .bind(wallet.sealed_seed.as_slice())
            .bind(from_key)
            .execute(self.connection()?)
            .await;
        Ok(self.judge(resealed)?.rows_affected() == 1)
    }

    async fn keep_secret(&mut self, secret: &SealedSecret) -> Result<(), StoreError> {
        let kept = sqlx::query(KEEP_SECRET)
            .bind(&secret.name)
            .bind(&secret.key_id)
            .bind(secret.sealed.as_slice())
            .execute(self.connection()?)
            .await;
        self.judge(kept)?;
        Ok(())
    }

    async fn reseal_secret(
        &mut self,
        secret: &SealedSecret,
        from_key: &str,
    ) -> Result<bool, StoreError> {
        let resealed = sqlx::query(RESEAL_SECRET)
            .bind(&secret.name)
            .bind(&secret.key_id)
            .bind(secret.sealed.as_slice())
            .bind(from_key)
            .execute(self.connection()?)
            .await;
        Ok(self.judge(resealed)?.rows_affected() == 1)
    }

    async fn keep_subject_keys(&mut self, keys: &[SubjectKey]) -> Result<(), StoreError> {
        self.put_subject_keys(keys).await
    }

    async fn reseal_subject_key(
        &mut self,
        key: &SubjectKey,
        from_key: &str,
    ) -> Result<bool, StoreError> {
        self.replace_subject_key(key, from_key).await
    }

    async fn erase_subject_key(
        &mut self,
        subject: &[u8; 32],
        at: DateTime<Utc>,
        by: &str,
    ) -> Result<Option<Uuid>, StoreError> {
        self.end_subject_key(subject, at, by).await
    }

    async fn keep_key(&mut self, key: &ApiKey) -> Result<(), StoreError> {
        let roles: Vec<&str> = key.roles.iter().map(|role| role.as_str()).collect();
        let kept = sqlx::query(KEEP_KEY)
            .bind(&key.id)
            .bind(&key.subject)
            .bind(roles)
            .bind(key.project_id.map(|id| id.0))
            .bind(key.hash.as_slice())
            .bind(&key.rate_limit)
            .bind(key.created_at)
            .bind(key.revoked_at)
            .execute(self.connection()?)
            .await;
        self.judge(kept)?;
        Ok(())
    }

    async fn revoke_key(&mut self, id: &str, at: DateTime<Utc>) -> Result<bool, StoreError> {
        let revoked = sqlx::query(REVOKE_KEY)
            .bind(id)
            .bind(at)
            .execute(self.connection()?)
            .await;
        Ok(self.judge(revoked)?.rows_affected() == 1)
    }
}
