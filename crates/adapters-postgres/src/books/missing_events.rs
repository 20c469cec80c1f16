//! Milestone versions that nothing proves (M14), deleted milestones' included.
//!
//! The log may hold far more than milestones' events: these are read from their own partial index,
//! never searched for in the whole log. An event that has expired left the record of its leaf.

use sqlx::PgExecutor;
use tranche_application::ports::books::{Difference, DifferenceKind};
use tranche_application::ports::store::StoreError;

use super::DifferenceRow;
use crate::errors::failed;

/// A milestone has as many versions as its row says or its evidence shows.
const MISSING: &str = "WITH lives AS (
        SELECT coalesce(m.id, e.milestone_id) AS id, m.project_id,
            greatest(m.version, e.newest) AS newest, coalesce(e.kept, 0) AS kept
        FROM (SELECT milestone_id, max(version) AS newest, count(*) AS kept
              FROM milestone_evidence GROUP BY milestone_id) e
        FULL JOIN milestones m ON m.id = e.milestone_id
    ), missing AS (
        SELECT lives.id, version, NULL::uuid AS event_id
        FROM lives, generate_series(1, least(newest, kept + $1)) version
        WHERE kept <> newest AND NOT EXISTS (SELECT FROM milestone_evidence e
            WHERE e.milestone_id = lives.id AND e.version = version.version)
        UNION ALL
        SELECT e.milestone_id, e.version, e.event_id FROM milestone_evidence e
        WHERE NOT EXISTS (SELECT FROM audit_events a WHERE a.milestone_id IS NOT NULL
                AND a.milestone_id = e.milestone_id AND a.id = e.event_id)
            AND NOT EXISTS (SELECT FROM audit_outbox o WHERE o.id = e.event_id)
            AND NOT EXISTS (SELECT FROM audit_archive a WHERE a.milestone_id IS NOT NULL
                AND a.milestone_id = e.milestone_id AND a.id = e.event_id)
            AND NOT EXISTS (SELECT FROM audit_leaves l JOIN audit_leaf_records r USING (leaf_index)
                WHERE l.event_id = e.event_id)
        ORDER BY 1, 2 LIMIT $1
    )
    SELECT coalesce(
            (SELECT m.project_id FROM milestones m WHERE m.id = missing.id),
            (SELECT a.project_id FROM audit_events a WHERE a.milestone_id = missing.id LIMIT 1),
            (SELECT a.project_id FROM audit_archive a WHERE a.milestone_id = missing.id LIMIT 1),
            (SELECT o.project_id FROM audit_outbox o WHERE o.milestone_id = missing.id LIMIT 1)
        ) AS project_id,
        missing.id || ':' || version AS subject,
        coalesce('event ' || event_id, 'version ' || version) AS books,
        CASE WHEN event_id IS NULL THEN 'no evidence'
            WHEN EXISTS (SELECT FROM audit_dead_letters d WHERE d.event_id = missing.event_id)
                THEN 'a dead letter'
            ELSE 'neither in log nor outbox' END AS found
    FROM missing ORDER BY missing.id, version";

pub(crate) async fn of(
    store: impl PgExecutor<'_>,
    limit: u32,
) -> Result<Vec<Difference>, StoreError> {
    let rows: Vec<DifferenceRow> = sqlx::query_as(MISSING)
        .bind(i64::from(limit))
        .fetch_all(store)
        .await
        .map_err(failed)?;
    let missing = rows
        .into_iter()
        .map(|row| row.difference(DifferenceKind::MissingEvent));
    Ok(missing.collect())
}
