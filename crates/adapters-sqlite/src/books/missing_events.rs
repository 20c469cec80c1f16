//! Milestone versions that nothing proves (M14), deleted milestones' included. An event that has expired
//! left the record of its leaf.

use sqlx::SqliteExecutor;
use tranche_application::ports::books::{Difference, DifferenceKind};
use tranche_application::ports::store::StoreError;

use super::DifferenceRow;
use crate::errors::failed;

/// A milestone has as many versions as its row says or its evidence shows.
const MISSING: &str = "WITH RECURSIVE lives AS (
        SELECT id, max(newest) AS newest, max(kept) AS kept FROM (
            SELECT milestone_id AS id, max(version) AS newest, count(*) AS kept
            FROM milestone_evidence GROUP BY milestone_id
            UNION ALL
            SELECT id, version, 0 FROM milestones)
        GROUP BY id
    ), versions AS (
        SELECT id, 1 AS version, min(newest, kept + ?1) AS newest FROM lives WHERE newest <> kept
        UNION ALL
        SELECT id, version + 1, newest FROM versions WHERE version < newest
    ), missing AS (
        SELECT id, version, NULL AS event_id FROM versions
        WHERE NOT EXISTS (SELECT 1 FROM milestone_evidence e
            WHERE e.milestone_id = versions.id AND e.version = versions.version)
        UNION ALL
        SELECT milestone_id, version, event_id FROM milestone_evidence e
        WHERE NOT EXISTS (SELECT 1 FROM audit_events a
                WHERE a.id = e.event_id AND a.milestone_id = e.milestone_id)
            AND NOT EXISTS (SELECT 1 FROM audit_outbox o WHERE o.id = e.event_id)
            AND NOT EXISTS (SELECT 1 FROM audit_archive a
                WHERE a.id = e.event_id AND a.milestone_id = e.milestone_id)
            AND NOT EXISTS (SELECT 1 FROM audit_leaves l JOIN audit_leaf_records r USING (leaf_index)
                WHERE l.event_id = e.event_id)
        ORDER BY 1, 2 LIMIT ?1
    )
    SELECT coalesce(
            (SELECT m.project_id FROM milestones m WHERE m.id = missing.id),
            (SELECT a.project_id FROM audit_events a WHERE a.milestone_id = missing.id LIMIT 1),
            (SELECT a.project_id FROM audit_archive a WHERE a.milestone_id = missing.id LIMIT 1),
            (SELECT o.project_id FROM audit_outbox o WHERE o.milestone_id = missing.id LIMIT 1)
        ) AS project_id,
        id || ':' || version AS subject,
        coalesce('event ' || event_id, 'version ' || version) AS books,
        CASE WHEN event_id IS NULL THEN 'no evidence'
            WHEN EXISTS (SELECT 1 FROM audit_dead_letters d WHERE d.event_id = missing.event_id)
                THEN 'a dead letter'
            ELSE 'neither in log nor outbox' END AS found
    FROM missing ORDER BY id, version";

pub(crate) async fn of(
    store: impl SqliteExecutor<'_>,
    limit: u32,
) -> Result<Vec<Difference>, StoreError> {
    let rows: Vec<DifferenceRow> = sqlx::query_as(MISSING)
        .bind(limit)
        .fetch_all(store)
        .await
        .map_err(failed)?;
    let missing = rows
        .into_iter()
        .map(|row| row.difference(DifferenceKind::MissingEvent));
    missing.collect()
}
