//! A project's milestones in figures, counted where they lie.

use sqlx::{FromRow, PgPool};
use tranche_application::ports::queries::{MilestoneStats, StatusTotal};
use tranche_application::ports::store::StoreError;
use tranche_domain::{Amount, MilestoneStatus, ProjectId, Total};

use crate::errors::failed;
use crate::rows::{amount, flawed};

/// One row a status, and one without for all of them. A sum is a numeric and has no limit, so the
/// targets' travels as text; what was burned was NAV before and fits.
const STATS: &str = "SELECT status, count(*) AS count,
        coalesce(sum(target_amount), 0)::text AS target,
        CASE WHEN status IS NULL THEN sum(burned) END::bigint AS burned,
        trunc(avg(extract(epoch FROM approved_at - submitted_at)) * 1000)::bigint
            AS submit_to_approve_ms,
        trunc(avg(extract(epoch FROM disbursed_at - approved_at)) * 1000)::bigint
            AS approve_to_disburse_ms
    FROM milestones WHERE project_id = $1 GROUP BY GROUPING SETS ((status), ())";

#[derive(FromRow)]
struct StatsRow {
    status: Option<String>,
    count: i64,
    target: String,
    burned: Option<i64>,
    submit_to_approve_ms: Option<i64>,
    approve_to_disburse_ms: Option<i64>,
}

pub(super) async fn of(pool: &PgPool, project: ProjectId) -> Result<MilestoneStats, StoreError> {
    let rows: Vec<StatsRow> = sqlx::query_as(STATS)
        .bind(project.0)
        .fetch_all(pool)
        .await
        .map_err(failed)?;
    let mut stats = MilestoneStats::default();
    for row in rows {
        add(&mut stats, row).map_err(flawed("milestones of", project))?;
    }
    Ok(stats)
}

fn add(figures: &mut MilestoneStats, row: StatsRow) -> Result<(), String> {
    if let Some(name) = row.status {
        let sum = row.target.parse().ok().map(Total::try_from_stroops);
        let total = StatusTotal {
            count: row.count,
            amount: sum
                .and_then(Result::ok)
                .ok_or_else(|| format!("the sum of target_amount is {}", row.target))?,
        };
        let known = MilestoneStatus::named(&name);
        let status = known.ok_or_else(|| format!("status {name} is none"))?;
        figures.by_status.insert(status, total);
    } else {
        figures.disbursed_total = match row.burned {
            Some(burned) => amount("the sum of burned", burned)?,
            None => Amount::ZERO,
        };
        figures.mean_submit_to_approve_ms = row.submit_to_approve_ms;
        figures.mean_approve_to_disburse_ms = row.approve_to_disburse_ms;
    }
    Ok(())
}
