//! Wallets and API keys. Neither a seed nor a key's secret is ever here in clear.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::PgPool;
use tranche_application::keys::ApiKey;
use tranche_application::ports::custody::SealedWallet;
use tranche_application::ports::store::{CredentialRepo, StoreError};

use crate::errors::failed;
use crate::unit_of_work::PostgresUnitOfWork;

const KEEP_WALLET: &str = "INSERT INTO wallets (account_id, custody, key_id, sealed_seed)
    VALUES ($1, $2, $3, $4)";
const WALLET: &str = "SELECT custody, key_id, sealed_seed FROM wallets WHERE account_id = $1";
const KEEP_KEY: &str =
    "INSERT INTO api_keys (id, subject, roles, project_id, hash, rate_limit, created_at, revoked_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
const REVOKE_KEY: &str = "UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";

pub(crate) async fn sealed_wallet(
    pool: &PgPool,
    account_id: &str,
) -> Result<Option<SealedWallet>, StoreError> {
    let row: Option<(String, String, Vec<u8>)> = sqlx::query_as(WALLET)
        .bind(account_id)
        .fetch_optional(pool)
        .await
        .map_err(failed)?;
    Ok(row.map(|(custody, key_id, sealed_seed)| SealedWallet {
        account_id: account_id.to_owned(),
        custody,
        key_id,
        sealed_seed,
    }))
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
        self.judge(kept)?;
        Ok(())
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
