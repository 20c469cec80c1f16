//! Leaves, the hashes above them, checkpoints and roll-ups as they stand.

use std::ops::RangeInclusive;

use chrono::DateTime;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};
use tranche_application::ports::audit_search::Bucket;
use tranche_application::ports::store::StoreError;
use tranche_application::ports::tree::{Checkpoint, Node};
use tranche_application::ports::verification::{
    ExpiredPart, Feed, Place, StoredLeaf, StoredRollUp,
};
use tranche_domain::Severity;
use uuid::Uuid;

use super::{feed, id};
use crate::errors::failed;
use crate::rows::Row;

const BY_EVENT: &str = "SELECT event_id, leaf, leaf_index,
        (SELECT record FROM audit_leaf_records r WHERE r.leaf_index = l.leaf_index) AS record
    FROM audit_leaves l WHERE event_id BETWEEN ?1 AND ?2
    UNION ALL
    SELECT event_id, leaf, NULL, NULL
    FROM audit_pending WHERE event_id BETWEEN ?1 AND ?2
    ORDER BY event_id";

const BY_INDEX: &str =
    "SELECT event_id, leaf, leaf_index, NULL AS record FROM audit_leaves ORDER BY leaf_index";

/// Without what retention let go.
const ROLL_UPS: &str = "SELECT bucket, starts_at, severity, action, resource_type,
        sum(events) AS events
    FROM audit_counts GROUP BY 1, 2, 3, 4, 5 HAVING sum(events) <> 0";

const EXPIRED: &str = "SELECT severity, month, first_id, last_id, first_leaf, last_leaf,
        archive_sha256
    FROM audit_expired";

const NODES: &str = "SELECT level, place, hash FROM audit_nodes
    WHERE level = ?1 AND place >= ?2 ORDER BY place LIMIT ?3";

/// The newest is in a row of its own.
const CHECKPOINTS: &str = "SELECT * FROM (SELECT size, root, note, signed_at FROM audit_checkpoints
        WHERE size >= ?1 ORDER BY size LIMIT ?2)
    UNION ALL
    SELECT size, root, note, signed_at FROM audit_tree WHERE size >= ?1
    ORDER BY size LIMIT ?2";

pub(super) async fn by_event(
    connection: &mut SqliteConnection,
    ids: RangeInclusive<Uuid>,
    into: Feed<StoredLeaf>,
) -> Result<(), StoreError> {
    let query = sqlx::query(BY_EVENT)
        .bind(ids.start().to_string())
        .bind(ids.end().to_string());
    feed!(query, connection, into, leaf)
}

pub(super) async fn by_index(
    connection: &mut SqliteConnection,
    into: Feed<StoredLeaf>,
) -> Result<(), StoreError> {
    feed!(sqlx::query(BY_INDEX), connection, into, leaf)
}

fn leaf(row: &SqliteRow) -> Result<Option<StoredLeaf>, StoreError> {
    let read = || -> Result<_, sqlx::Error> {
        let event: &str = row.try_get(0)?;
        let hash: &[u8] = row.try_get(1)?;
        let index: Option<i64> = row.try_get(2)?;
        let record = row.try_get(3)?;
        Ok(id(event).map(|event_id| StoredLeaf {
            event_id,
            hash: hash.try_into().ok(),
            place: index.map_or(Place::Waiting(None), Place::At),
            record,
        }))
    };
    read().map_err(failed)
}

pub(super) async fn roll_ups(
    connection: &mut SqliteConnection,
    into: Feed<StoredRollUp>,
) -> Result<(), StoreError> {
    feed!(sqlx::query(ROLL_UPS), connection, into, roll_up)
}

/// A line of what expired, as it stands.
type ExpiredLine = (String, String, String, String, i64, i64, Option<Vec<u8>>);

pub(super) async fn expired(
    connection: &mut SqliteConnection,
) -> Result<Vec<ExpiredPart>, StoreError> {
    let lines: Vec<ExpiredLine> = sqlx::query_as(EXPIRED)
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    // A line that names no part lets nothing go.
    let part = |(severity, month, first, last, first_leaf, last_leaf, sha256): ExpiredLine| {
        Some(ExpiredPart {
            severity: Severity::named(&severity)?,
            month: month.parse().ok()?,
            ids: id(&first)?..=id(&last)?,
            leaves: first_leaf..=last_leaf,
            sha256: sha256.map(TryInto::try_into).transpose().ok()?,
        })
    };
    Ok(lines.into_iter().filter_map(part).collect())
}

fn roll_up(row: &SqliteRow) -> Result<Option<StoredRollUp>, StoreError> {
    let bucket: &str = row.try_get(0).map_err(failed)?;
    let at = Row {
        table: "roll-up",
        id: bucket,
    };
    let starts_at = at.time("starts_at", row.try_get(1).map_err(failed)?)?;
    let read = || -> Result<_, sqlx::Error> {
        Ok(StoredRollUp {
            bucket: if bucket == "hour" {
                Bucket::Hour
            } else {
                Bucket::Day
            },
            starts_at,
            severity: row.try_get(2)?,
            action: row.try_get(3)?,
            resource_type: row.try_get(4)?,
            events: row.try_get(5)?,
        })
    };
    read().map(Some).map_err(failed)
}

pub(super) async fn nodes(
    connection: &mut SqliteConnection,
    level: u8,
    from: u64,
    limit: u32,
) -> Result<Vec<Node>, StoreError> {
    let rows: Vec<(i64, i64, Vec<u8>)> = sqlx::query_as(NODES)
        .bind(i64::from(level))
        .bind(i64::try_from(from).unwrap_or(i64::MAX))
        .bind(limit)
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    let node = |(level, place, hash): (i64, i64, Vec<u8>)| Node {
        level: u8::try_from(level).unwrap_or_default(),
        place: u64::try_from(place).unwrap_or_default(),
        // What is no hash is none of ours either, and differs.
        hash: hash.try_into().unwrap_or_default(),
    };
    Ok(rows.into_iter().map(node).collect())
}

pub(super) async fn checkpoints(
    connection: &mut SqliteConnection,
    from_size: u64,
    limit: u32,
) -> Result<Vec<Checkpoint>, StoreError> {
    let rows: Vec<(i64, Vec<u8>, String, i64)> = sqlx::query_as(CHECKPOINTS)
        .bind(i64::try_from(from_size).unwrap_or(i64::MAX))
        .bind(limit)
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    let checkpoint = |(size, root, note, signed_at): (i64, Vec<u8>, _, i64)| Checkpoint {
        size: u64::try_from(size).unwrap_or_default(),
        root: root.try_into().unwrap_or_default(),
        note,
        signed_at: DateTime::from_timestamp_micros(signed_at).unwrap_or_default(),
    };
    Ok(rows.into_iter().map(checkpoint).collect())
}
