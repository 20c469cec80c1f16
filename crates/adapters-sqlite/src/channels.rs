//! Channel accounts: kept inside a unit of work, read outside.
//!
//! No row says who has a channel: the open disbursement that names it does, and the schema lets
//! there be one.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{FromRow, SqliteConnection};
use tranche_application::ports::channels::{Channel, Channels, NewChannel};
use tranche_application::ports::store::StoreError;
use tranche_domain::DisbursementId;

use crate::SqliteStore;
use crate::errors::failed;
use crate::rows::{Row, micros};

pub(crate) async fn keep(
    connection: &mut SqliteConnection,
    channel: &NewChannel,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO channel_accounts (network, account_id, created_at) VALUES (?, ?, ?)")
        .bind(&channel.network)
        .bind(&channel.account_id)
        .bind(micros(channel.created_at))
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(())
}

pub(crate) async fn funded(
    connection: &mut SqliteConnection,
    account_ids: &[String],
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    for account_id in account_ids {
        sqlx::query(
            "UPDATE channel_accounts SET funded_at = ? WHERE account_id = ? AND funded_at IS NULL",
        )
        .bind(micros(at))
        .bind(account_id)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    }
    Ok(())
}

#[derive(FromRow)]
struct ChannelRow {
    account_id: String,
    created_at: i64,
    funded_at: Option<i64>,
    leased_by: Option<String>,
}

impl TryFrom<ChannelRow> for Channel {
    type Error = StoreError;

    fn try_from(row: ChannelRow) -> Result<Self, StoreError> {
        let at = Row {
            table: "channel_accounts",
            id: &row.account_id,
        };
        let funded_at = row.funded_at.map(|micros| at.time("funded_at", micros));
        let leased_by = row.leased_by.map(|id| at.uuid("leased_by", &id));
        Ok(Self {
            created_at: at.time("created_at", row.created_at)?,
            funded_at: funded_at.transpose()?,
            leased_by: leased_by.transpose()?.map(DisbursementId),
            account_id: row.account_id,
        })
    }
}

#[async_trait]
impl Channels for SqliteStore {
    async fn channels(&self, network: &str) -> Result<Vec<Channel>, StoreError> {
        let rows: Vec<ChannelRow> = sqlx::query_as(
            "SELECT c.account_id, c.created_at, c.funded_at, d.id AS leased_by \
             FROM channel_accounts c LEFT JOIN disbursements d \
                 ON d.network = c.network AND d.sequence_account = c.account_id \
                 AND NOT d.shares_sequence_account \
                 AND d.state IN ('prepared', 'submitted', 'needs_operator') \
             WHERE c.network = ? ORDER BY c.created_at, c.account_id",
        )
        .bind(network)
        .fetch_all(&self.reader)
        .await
        .map_err(failed)?;
        rows.into_iter().map(Channel::try_from).collect()
    }
}
