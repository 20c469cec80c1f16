//! What a project's trails spent in a range: days and hours from the sums, the rest of the range trail by
//! trail.

use std::collections::{BTreeMap, HashMap};

use futures::TryStreamExt;
use sqlx::Row as _;
use tranche_application::ports::store::StoreError;
use tranche_application::ports::trails::MOST_MODELS;
use tranche_domain::ProjectId;
use tranche_domain::text::ModelName;
use tranche_domain::trail::sums::{Counted, Sums, TimeRange, TrailSummary};

use super::limbs::{columns, join};
use super::rows::SummaryRow;
use super::sums::limbs;
use crate::SqliteStore;
use crate::audit_search::limited::searched;
use crate::errors::failed;
use crate::rows::{Row, micros};

/// Sums of this kind that begin in a period.
macro_rules! rolled_up {
    ($bucket:literal, $from:literal, $to:literal) => {
        concat!(
            "SELECT starts_at, model, ",
            columns!(),
            " FROM trail_rollups WHERE project_id = ?1 AND bucket = '",
            $bucket,
            "' AND starts_at >= ",
            $from,
            " AND starts_at < ",
            $to,
            " UNION ALL "
        )
    };
}

/// What each completed trail of a period adds, and then each placeholder.
macro_rules! one_by_one {
    ($from:literal, $to:literal) => {
        concat!(
            "SELECT created_at, model, 1, 0, \
             prompt_tokens / 1000000000, prompt_tokens % 1000000000, \
             completion_tokens / 1000000000, completion_tokens % 1000000000, \
             prompt_cost_units / 1000000000, prompt_cost_units % 1000000000, \
             prompt_cost_trillionths, \
             completion_cost_units / 1000000000, completion_cost_units % 1000000000, \
             completion_cost_trillionths FROM assessment_trails \
             WHERE project_id = ?1 AND completed_at IS NOT NULL AND created_at >= ",
            $from,
            " AND created_at < ",
            $to,
            " UNION ALL SELECT created_at, '', 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 \
             FROM assessment_trails \
             WHERE project_id = ?1 AND completed_at IS NULL AND created_at >= ",
            $from,
            " AND created_at < ",
            $to
        )
    };
}

/// By day and model. A remainder has the sign of what is divided, and a day begins before its moments.
const COUNTED: &str = concat!(
    "SELECT starts_at - ((starts_at % 86400000000) + 86400000000) % 86400000000, model, \
     sum(messages), sum(open), sum(prompt_tokens_billions), sum(prompt_tokens), \
     sum(completion_tokens_billions), sum(completion_tokens), sum(prompt_cost_billions), \
     sum(prompt_cost_units), sum(prompt_cost_trillionths), sum(completion_cost_billions), \
     sum(completion_cost_units), sum(completion_cost_trillionths) FROM (",
    rolled_up!("day", "?2", "?3"),
    rolled_up!("hour", "?4", "?5"),
    rolled_up!("hour", "?6", "?7"),
    one_by_one!("?8", "?9"),
    " UNION ALL ",
    one_by_one!("?10", "?11"),
    ") GROUP BY 1, 2"
);

const RECENT: &str = "SELECT message_id, model, prompt_tokens, completion_tokens, \
     prompt_cost_units, prompt_cost_trillionths, completion_cost_units, \
     completion_cost_trillionths, created_at, completed_at, updated_at, version \
     FROM assessment_trails WHERE project_id = ?1 AND created_at >= ?2 AND created_at < ?3 \
     ORDER BY created_at DESC, message_id DESC LIMIT ?4";

/// Whether the project's trails are not there any more.
const IS_REMOVED: &str = "SELECT EXISTS (SELECT 1 FROM trail_removals WHERE project_id = ?)";

pub(super) async fn of(
    store: &SqliteStore,
    project: ProjectId,
    range: TimeRange,
    recent: u32,
) -> Result<Counted, StoreError> {
    let id = project.to_string();
    let parts = range.parts();
    let [before, after] = parts.hours;
    let [first, last] = parts.rest;
    let mut query = sqlx::query(COUNTED).bind(&id);
    for (from, to) in [parts.days, before, after, first, last] {
        query = query.bind(micros(from)).bind(micros(to));
    }
    let mut snapshot = store.search().await?;
    let is_removed = sqlx::query_scalar(IS_REMOVED).bind(&id);
    if searched(is_removed.fetch_one(&mut *snapshot).await)? {
        return Ok(Counted::default());
    }
    let (mut days, mut models) = (BTreeMap::new(), HashMap::new());
    let mut rows = query.fetch(&mut *snapshot);
    while let Some(row) = searched(rows.try_next().await)? {
        let day: i64 = row.try_get(0).map_err(failed)?;
        let model: String = row.try_get(1).map_err(failed)?;
        let sums = join(&limbs(&row, 2).map_err(failed)?);
        add(days.entry(day).or_default(), sums);
        add(models.entry(model).or_default(), sums);
    }
    drop(rows);
    let rows: Vec<SummaryRow> = searched(
        sqlx::query_as(RECENT)
            .bind(&id)
            .bind(micros(range.from()))
            .bind(micros(range.to()))
            .bind(recent)
            .fetch_all(&mut *snapshot)
            .await,
    )?;
    let at = Row {
        table: "trail_rollups",
        id: &id,
    };
    let day = |(micros, sums)| Ok((at.time("starts_at", micros)?.date_naive(), sums));
    days.retain(|_, sums: &mut Sums| sums.messages + sums.open > 0);
    let days = days.into_iter().map(day);
    let recent = rows.into_iter().map(TrailSummary::try_from);
    Ok(Counted {
        days: days.collect::<Result<_, StoreError>>()?,
        models: dearest(models, at)?,
        recent: recent.collect::<Result<_, _>>()?,
    })
}

fn add(sums: &mut Sums, more: Sums) {
    *sums = sums.plus(more);
}

/// Models of completed trails, the dearest first, of equals the first by name.
fn dearest(
    models: HashMap<String, Sums>,
    at: Row<'_>,
) -> Result<Vec<(ModelName, Sums)>, StoreError> {
    let mut models: Vec<_> = models
        .into_iter()
        .filter(|(name, sums)| !name.is_empty() && sums.messages > 0)
        .collect();
    models.sort_unstable_by(|(one, spent), (other, more)| {
        let dearer = more.total_cost().cmp(&spent.total_cost());
        dearer.then_with(|| one.cmp(other))
    });
    models.truncate(MOST_MODELS as usize);
    let named = |(name, sums)| Ok((at.parsed("model", ModelName::try_new(name))?, sums));
    models.into_iter().map(named).collect()
}
