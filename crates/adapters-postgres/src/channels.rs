//! Channel accounts: kept inside a unit of work, read outside.
//!
//! No row says who has a channel: the open disbursement that names it does, and the schema lets
//! there be one.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use tranche_application::ports::channels::{Channel, Channels, NewChannel};
use tranche_application::ports::store::StoreError;
use tranche_domain::DisbursementId;
use uuid::Uuid;

use crate::PostgresStore;
use crate::disbursements::open;
use crate::errors::failed;
use crate::unit_of_work::PostgresUnitOfWork;

const KEEP: &str =
    "INSERT INTO channel_accounts (network, account_id, created_at) VALUES ($1, $2, $3)";
const FUNDED: &str = "UPDATE channel_accounts SET funded_at = $2
    WHERE account_id = ANY ($1) AND funded_at IS NULL";
const CHANNELS: &str = concat!(
    "SELECT c.account_id, c.created_at, c.funded_at, d.id AS leased_by FROM channel_accounts c \
     LEFT JOIN disbursements d ON d.network = c.network AND d.sequence_account = c.account_id \
     AND NOT d.shares_sequence_account AND d.",
    open!(),
    " WHERE c.network = $1 ORDER BY c.created_at, c.account_id"
);

impl PostgresUnitOfWork {
    pub(crate) async fn put_channel(&mut self, channel: &NewChannel) -> Result<(), StoreError> {
        let kept = sqlx::query(KEEP)
            .bind(&channel.network)
            .bind(&channel.account_id)
            .bind(channel.created_at)
            .execute(self.connection()?)
            .await;
        self.judge(kept)?;
        Ok(())
    }

    pub(crate) async fn put_funded(
        &mut self,
        account_ids: &[String],
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let funded = sqlx::query(FUNDED)
            .bind(account_ids)
            .bind(at)
            .execute(self.connection()?)
            .await;
        self.judge(funded)?;
        Ok(())
    }
}

#[derive(FromRow)]
struct ChannelRow {
    account_id: String,
    created_at: DateTime<Utc>,
    funded_at: Option<DateTime<Utc>>,
    leased_by: Option<Uuid>,
}

#[async_trait]
impl Channels for PostgresStore {
    async fn channels(&self, network: &str) -> Result<Vec<Channel>, StoreError> {
        let rows: Vec<ChannelRow> = sqlx::query_as(CHANNELS)
            .bind(network)
            .fetch_all(self.pool())
            .await
            .map_err(failed)?;
        let channel = |row: ChannelRow| Channel {
            account_id: row.account_id,
            created_at: row.created_at,
            funded_at: row.funded_at,
            leased_by: row.leased_by.map(DisbursementId),
        };
        Ok(rows.into_iter().map(channel).collect())
    }
}
