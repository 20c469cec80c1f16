//! Where books and log do not bear each other out, in both directions (M14).
//!
//! Events are found by their milestone, through the index of those alone: other services' events,
//! however many, are not looked at.

use sqlx::postgres::PgConnection;
use tranche_application::ports::store::StoreError;
use tranche_application::ports::verification::{Disagreement, Unborne, moves_a_milestone};
use uuid::Uuid;

use crate::books::missing_events;
use crate::errors::failed;

/// The events of milestones, archived or not, with what follows `WHERE`.
macro_rules! told {
    ($columns:literal, $condition:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM audit_events a WHERE a.milestone_id IS NOT NULL AND ",
            $condition,
            " UNION ALL SELECT ",
            $columns,
            " FROM audit_archive a WHERE a.milestone_id IS NOT NULL AND ",
            $condition
        )
    };
}

/// By the places of [`Disagreement::ALL`]. Of an event whose row expired, the record of its leaf says
/// what was done.
const UNBORNE: &str = concat!(
    "WITH moves AS (",
    told!(
        "id, milestone_id, action, metadata ->> 'disbursement_id' AS disbursement_id",
        "action = ANY ($1)"
    ),
    ")
    SELECT 1 AS disagreement, id AS event_id, 'milestone ' || milestone_id AS subject FROM moves
    WHERE NOT EXISTS (SELECT FROM milestone_evidence e
        WHERE e.milestone_id = moves.milestone_id AND e.event_id = moves.id)
    UNION ALL
    SELECT 2, event_id, string_agg('milestone ' || milestone_id || ':' || version, ', ')
    FROM milestone_evidence GROUP BY event_id HAVING count(*) > 1
    UNION ALL
    SELECT 3, NULL, 'disbursement ' || d.id FROM disbursements d
    WHERE d.state = 'settled' AND 1 <> (SELECT count(*) FROM (",
    told!(
        "id",
        "a.milestone_id = d.milestone_id AND a.action = 'milestone.disbursed' \
         AND a.metadata ->> 'disbursement_id' = d.id::text"
    ),
    ") told) + (SELECT count(*) FROM milestone_evidence e
        JOIN audit_leaves l ON l.event_id = e.event_id JOIN audit_leaf_records USING (leaf_index)
        WHERE e.milestone_id = d.milestone_id
            AND strpos(convert_from(record, 'UTF8'), '\"action\":\"milestone.disbursed\"') > 0
            AND NOT EXISTS (",
    told!("", "a.milestone_id = d.milestone_id AND a.id = e.event_id"),
    "))
    UNION ALL
    SELECT 4, id, 'milestone ' || milestone_id FROM moves
    WHERE action = 'milestone.disbursed' AND NOT EXISTS (SELECT FROM disbursements d
        WHERE d.milestone_id = moves.milestone_id AND d.id::text = moves.disbursement_id
            AND d.state = 'settled')
    UNION ALL
    SELECT 5, NULL, 'disbursement ' || d.id FROM disbursements d
    WHERE NOT EXISTS (SELECT FROM milestone_evidence e
            JOIN audit_leaves l ON l.event_id = e.event_id
            WHERE e.milestone_id = d.milestone_id AND l.leaf_hash = d.memo)
        AND NOT EXISTS (SELECT FROM milestone_evidence e
            JOIN audit_pending p ON p.event_id = e.event_id
            WHERE e.milestone_id = d.milestone_id AND p.leaf_hash = d.memo)
    LIMIT $2"
);

pub(super) async fn of(
    connection: &mut PgConnection,
    limit: u32,
) -> Result<Vec<Unborne>, StoreError> {
    let missing = missing_events::of(&mut *connection, limit).await?;
    let mut unborne: Vec<Unborne> = missing
        .into_iter()
        .map(|row| Unborne {
            disagreement: Disagreement::VersionWithoutEvent,
            event_id: None,
            subject: format!("milestone {} ({}, {})", row.subject, row.books, row.found),
        })
        .collect();
    let rows: Vec<(i32, Option<Uuid>, String)> = sqlx::query_as(UNBORNE)
        .bind(moves_a_milestone())
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    for (disagreement, event_id, subject) in rows {
        unborne.push(Unborne {
            disagreement: Disagreement::at(disagreement.into())?,
            event_id,
            subject,
        });
    }
    Ok(unborne)
}
