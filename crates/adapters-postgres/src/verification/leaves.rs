//! Leaves, the hashes above them, checkpoints and roll-ups as they stand.

use std::ops::RangeInclusive;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use tranche_application::ports::audit_search::Bucket;
use tranche_application::ports::store::StoreError;
use tranche_application::ports::tree::{Checkpoint, Node};
use tranche_application::ports::verification::{
    ExpiredPart, Feed, Place, Repeated, StoredLeaf, StoredRollUp,
};
use tranche_domain::{Month, Severity};
use uuid::Uuid;

use super::feed;
use crate::errors::failed;

const BY_EVENT: &str = "SELECT event_id, leaf_hash, leaf_index, NULL::text AS severity,
        NULL::timestamptz AS occurred_at, NULL::text AS action, NULL::text AS resource_type,
        (SELECT record FROM audit_leaf_records r WHERE r.leaf_index = l.leaf_index) AS record
    FROM audit_leaves l WHERE event_id BETWEEN $1 AND $2
    UNION ALL
    SELECT event_id, leaf_hash, NULL, severity, occurred_at, action, resource_type, NULL
    FROM audit_pending WHERE event_id BETWEEN $1 AND $2
    ORDER BY event_id";

const BY_INDEX: &str =
    "SELECT event_id, leaf_hash, leaf_index FROM audit_leaves ORDER BY leaf_index";

/// Without what retention let go.
const ROLL_UPS: &str = "SELECT bucket, starts_at, severity, action, resource_type,
        sum(events)::bigint AS events
    FROM audit_counts GROUP BY 1, 2, 3, 4, 5 HAVING sum(events) <> 0";

const EXPIRED: &str = "SELECT severity, month, first_id, last_id, first_leaf, last_leaf,
        archive_sha256
    FROM audit_expired WHERE num_nulls(first_id, last_id, first_leaf, last_leaf) = 0";

const NODES: &str = "SELECT level, place, hash FROM audit_nodes
    WHERE level = $1 AND place >= $2 ORDER BY place LIMIT $3";

/// The newest is in a row of its own.
const CHECKPOINTS: &str = "(SELECT size, root, note, signed_at FROM audit_checkpoints
        WHERE size >= $1 ORDER BY size LIMIT $2)
    UNION ALL
    SELECT size, root, note, signed_at FROM audit_tree WHERE size >= $1
    ORDER BY size LIMIT $2";

pub(super) async fn by_event(
    connection: &mut PgConnection,
    ids: RangeInclusive<Uuid>,
    into: Feed<StoredLeaf>,
) -> Result<(), StoreError> {
    let query = sqlx::query(BY_EVENT).bind(*ids.start()).bind(*ids.end());
    feed!(query, connection, into, |row: &PgRow| leaf(row, true)
        .map_err(failed))
}

pub(super) async fn by_index(
    connection: &mut PgConnection,
    into: Feed<StoredLeaf>,
) -> Result<(), StoreError> {
    feed!(sqlx::query(BY_INDEX), connection, into, |row: &PgRow| leaf(
        row, false
    )
    .map_err(failed))
}

fn leaf(row: &PgRow, may_wait: bool) -> Result<StoredLeaf, sqlx::Error> {
    let hash: &[u8] = row.try_get(1)?;
    let index: Option<i64> = row.try_get(2)?;
    let place = match index {
        Some(index) => Place::At(index),
        None => Place::Waiting(Some(Repeated {
            severity: row.try_get(3)?,
            occurred_at: row.try_get(4)?,
            action: row.try_get(5)?,
            resource_type: row.try_get(6)?,
        })),
    };
    Ok(StoredLeaf {
        event_id: row.try_get(0)?,
        hash: hash.try_into().ok(),
        place,
        record: if may_wait { row.try_get(7)? } else { None },
    })
}

pub(super) async fn roll_ups(
    connection: &mut PgConnection,
    into: Feed<StoredRollUp>,
) -> Result<(), StoreError> {
    feed!(sqlx::query(ROLL_UPS), connection, into, roll_up)
}

/// A line of what expired, as it stands.
type ExpiredLine = (String, NaiveDate, Uuid, Uuid, i64, i64, Option<Vec<u8>>);

pub(super) async fn expired(connection: &mut PgConnection) -> Result<Vec<ExpiredPart>, StoreError> {
    let lines: Vec<ExpiredLine> = sqlx::query_as(EXPIRED)
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    // A line that names no part lets nothing go.
    let part = |(severity, month, first, last, first_leaf, last_leaf, sha256): ExpiredLine| {
        Some(ExpiredPart {
            severity: Severity::named(&severity)?,
            month: Month::of(month.and_time(NaiveTime::MIN).and_utc()),
            ids: first..=last,
            leaves: first_leaf..=last_leaf,
            sha256: sha256.map(TryInto::try_into).transpose().ok()?,
        })
    };
    Ok(lines.into_iter().filter_map(part).collect())
}

fn roll_up(row: &PgRow) -> Result<StoredRollUp, StoreError> {
    let bucket: &str = row.try_get(0).map_err(failed)?;
    let read = || -> Result<_, sqlx::Error> {
        Ok(StoredRollUp {
            bucket: if bucket == "hour" {
                Bucket::Hour
            } else {
                Bucket::Day
            },
            starts_at: row.try_get(1)?,
            severity: row.try_get(2)?,
            action: row.try_get(3)?,
            resource_type: row.try_get(4)?,
            events: row.try_get(5)?,
        })
    };
    read().map_err(failed)
}

pub(super) async fn nodes(
    connection: &mut PgConnection,
    level: u8,
    from: u64,
    limit: u32,
) -> Result<Vec<Node>, StoreError> {
    let rows: Vec<(i16, i64, Vec<u8>)> = sqlx::query_as(NODES)
        .bind(i16::from(level))
        .bind(i64::try_from(from).unwrap_or(i64::MAX))
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    let node = |(level, place, hash): (i16, i64, Vec<u8>)| Node {
        level: u8::try_from(level).unwrap_or_default(),
        place: u64::try_from(place).unwrap_or_default(),
        // What is no hash is none of ours either, and differs.
        hash: hash.try_into().unwrap_or_default(),
    };
    Ok(rows.into_iter().map(node).collect())
}

pub(super) async fn checkpoints(
    connection: &mut PgConnection,
    from_size: u64,
    limit: u32,
) -> Result<Vec<Checkpoint>, StoreError> {
    let rows: Vec<(i64, Vec<u8>, String, DateTime<Utc>)> = sqlx::query_as(CHECKPOINTS)
        .bind(i64::try_from(from_size).unwrap_or(i64::MAX))
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    let checkpoint = |(size, root, note, signed_at): (i64, Vec<u8>, _, _)| Checkpoint {
        size: u64::try_from(size).unwrap_or_default(),
        root: root.try_into().unwrap_or_default(),
        note,
        signed_at,
    };
    Ok(rows.into_iter().map(checkpoint).collect())
}
