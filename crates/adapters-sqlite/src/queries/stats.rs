//! A project's milestones in figures.

use std::collections::BTreeMap;

use sqlx::{FromRow, SqlitePool};
use tranche_application::ports::queries::{MilestoneStats, StatusTotal};
use tranche_application::ports::store::StoreError;
use tranche_domain::{Amount, MilestoneStatus, ProjectId, Total};

use crate::errors::failed;
use crate::rows::Row;

/// One status. A sum is `None` where there is nothing to sum. SQLite adds in 64 bits, so the targets
/// are added in two halves.
#[derive(FromRow)]
struct StatusRow {
    status: String,
    count: i64,
    high: i64,
    low: i64,
    burned: Option<i64>,
    approvals: i64,
    submit_to_approve: Option<i64>,
    disbursals: i64,
    approve_to_disburse: Option<i64>,
}

/// Microseconds altogether, and of how many.
#[derive(Default)]
struct Mean {
    micros: i64,
    of: i64,
}

impl Mean {
    fn add(&mut self, micros: Option<i64>, of: i64) {
        self.micros = self.micros.saturating_add(micros.unwrap_or_default());
        self.of += of;
    }

    fn millis(&self) -> Option<i64> {
        Some(self.micros.checked_div(self.of)? / 1_000)
    }
}

/// One statement, so that all figures are of one moment.
pub(super) async fn milestone_stats(
    pool: &SqlitePool,
    project: ProjectId,
) -> Result<MilestoneStats, StoreError> {
    let id = project.to_string();
    let at = Row {
        table: "milestones of project",
        id: &id,
    };
    let rows: Vec<StatusRow> = sqlx::query_as(
        "SELECT status, count(*) AS count, sum(target_amount >> 31) AS high, \
             sum(target_amount & 2147483647) AS low, sum(burned) AS burned, \
             count(approved_at) AS approvals, \
             sum(approved_at - submitted_at) AS submit_to_approve, \
             count(disbursed_at) AS disbursals, \
             sum(disbursed_at - approved_at) AS approve_to_disburse \
         FROM milestones WHERE project_id = ? GROUP BY status",
    )
    .bind(&id)
    .fetch_all(pool)
    .await
    .map_err(failed)?;

    let mut by_status = BTreeMap::new();
    let mut disbursed_total = Amount::ZERO;
    let (mut to_approve, mut to_disburse) = (Mean::default(), Mean::default());
    for row in rows {
        let status = MilestoneStatus::named(&row.status)
            .ok_or_else(|| at.wrong(format!("status: there is no {:?}", row.status)))?;
        let total = StatusTotal {
            count: row.count,
            amount: Total::try_from_stroops((i128::from(row.high) << 31) + i128::from(row.low))
                .map_err(|error| at.wrong(format!("target_amount: {error}")))?,
        };
        by_status.insert(status, total);
        let burned = at.amount("burned", row.burned.unwrap_or_default())?;
        disbursed_total = disbursed_total
            .checked_add(burned)
            .ok_or_else(|| at.wrong("more is burned than the ledger can hold"))?;
        to_approve.add(row.submit_to_approve, row.approvals);
        to_disburse.add(row.approve_to_disburse, row.disbursals);
    }
    Ok(MilestoneStats {
        by_status,
        disbursed_total,
        mean_submit_to_approve_ms: to_approve.millis(),
        mean_approve_to_disburse_ms: to_disburse.millis(),
    })
}
