//! What a project's trails spent in a range: days and hours from the sums, the rest of the range trail by
//! trail.

use chrono::NaiveDate;
use sqlx::FromRow;
use tranche_application::ports::store::StoreError;
use tranche_application::ports::trails::MOST_MODELS;
use tranche_domain::ProjectId;
use tranche_domain::text::ModelName;
use tranche_domain::trail::parts::Period;
use tranche_domain::trail::sums::{Counted, Sums, TimeRange, TrailSummary};

use super::rows::{SummaryRow, trillionths};
use crate::rows::{bad, flawed};
use crate::timed::Timed;

macro_rules! sums {
    () => {
        "sum(messages) AS messages, sum(open) AS open, sum(prompt_tokens) AS prompt_tokens, \
         sum(completion_tokens) AS completion_tokens, sum(prompt_cost) AS prompt_cost, \
         sum(completion_cost) AS completion_cost"
    };
}

/// Sums of this kind that begin in a period.
macro_rules! rolled_up {
    ($bucket:literal, $from:literal, $to:literal) => {
        concat!(
            "SELECT starts_at, model, messages, open, prompt_tokens, completion_tokens, \
             prompt_cost, completion_cost FROM trail_rollups WHERE project_id = $1 AND bucket = '",
            $bucket,
            "' AND starts_at >= ",
            $from,
            " AND starts_at < ",
            $to,
            " UNION ALL "
        )
    };
}

/// What each trail of a period adds.
macro_rules! one_by_one {
    ($from:literal, $to:literal) => {
        concat!(
            "SELECT created_at, CASE WHEN completed_at IS NULL THEN '' ELSE model END, \
             (completed_at IS NOT NULL)::integer, (completed_at IS NULL)::integer, \
             CASE WHEN completed_at IS NULL THEN 0 ELSE prompt_tokens END, \
             CASE WHEN completed_at IS NULL THEN 0 ELSE completion_tokens END, \
             CASE WHEN completed_at IS NULL THEN 0 ELSE prompt_cost END, \
             CASE WHEN completed_at IS NULL THEN 0 ELSE completion_cost END \
             FROM assessment_trails WHERE project_id = $1 AND created_at >= ",
            $from,
            " AND created_at < ",
            $to
        )
    };
}

/// By day and by model, the dearest models only.
const COUNTED: &str = concat!(
    "WITH counted AS (",
    rolled_up!("day", "$2", "$3"),
    rolled_up!("hour", "$4", "$5"),
    rolled_up!("hour", "$6", "$7"),
    one_by_one!("$8", "$9"),
    " UNION ALL ",
    one_by_one!("$10", "$11"),
    "), sums AS MATERIALIZED (SELECT (starts_at AT TIME ZONE 'UTC')::date AS day, model, ",
    sums!(),
    " FROM counted GROUP BY 1, 2), \
     found AS (SELECT day, NULL AS model, ",
    sums!(),
    " FROM sums GROUP BY day HAVING sum(messages) + sum(open) > 0 \
     UNION ALL (SELECT NULL, model, ",
    sums!(),
    " FROM sums WHERE model <> '' GROUP BY model HAVING sum(messages) > 0 \
     ORDER BY sum(prompt_cost) + sum(completion_cost) DESC, model LIMIT $12)) \
     SELECT day, model, messages::bigint, open::bigint, prompt_tokens::text, \
     completion_tokens::text, prompt_cost::text, completion_cost::text FROM found \
     ORDER BY day, found.prompt_cost + found.completion_cost DESC, model"
);

/// Whether the project's trails are not there any more.
const IS_REMOVED: &str = "SELECT EXISTS (SELECT FROM trail_removals WHERE project_id = $1)";

const RECENT: &str = "SELECT message_id, model, prompt_tokens, completion_tokens,
        prompt_cost::text AS prompt_cost, completion_cost::text AS completion_cost, created_at,
        completed_at, updated_at, version FROM assessment_trails
    WHERE project_id = $1 AND created_at >= $2 AND created_at < $3
    ORDER BY created_at DESC, message_id DESC LIMIT $4";

/// Of a day or of a model.
#[derive(FromRow)]
struct SumsRow {
    day: Option<NaiveDate>,
    model: Option<String>,
    messages: i64,
    open: i64,
    prompt_tokens: String,
    completion_tokens: String,
    prompt_cost: String,
    completion_cost: String,
}

impl SumsRow {
    fn sums(&self) -> Sums {
        let count = |text: &str| text.parse().unwrap_or(i128::MAX);
        Sums {
            messages: self.messages,
            open: self.open,
            prompt_tokens: count(&self.prompt_tokens),
            completion_tokens: count(&self.completion_tokens),
            prompt_cost: trillionths(&self.prompt_cost),
            completion_cost: trillionths(&self.completion_cost),
        }
    }
}

pub(super) async fn of(
    work: &mut Timed,
    project: ProjectId,
    range: TimeRange,
    recent: u32,
) -> Result<Counted, StoreError> {
    let (until, connection) = work.ask();
    let is_removed = sqlx::query_scalar(IS_REMOVED).bind(project.0);
    if until.wait(is_removed.fetch_one(connection)).await? {
        return Ok(Counted::default());
    }
    let parts = range.parts();
    let [before, after] = parts.hours;
    let [first, last] = parts.rest;
    let mut query = sqlx::query_as(COUNTED).bind(project.0);
    for (from, to) in [parts.days, before, after, first, last] {
        query = query.bind(from).bind(to);
    }
    let query = query.bind(i64::from(MOST_MODELS));
    let (until, connection) = work.ask();
    let rows: Vec<SumsRow> = until.wait_for_search(query.fetch_all(connection)).await?;
    let mut counted = Counted::default();
    for row in rows {
        let sums = row.sums();
        match (row.day, row.model) {
            (Some(day), _) => counted.days.push((day, sums)),
            (None, model) => {
                let model = ModelName::try_new(model.unwrap_or_default());
                let model = model.map_err(|why| bad("model")(&why));
                counted
                    .models
                    .push((model.map_err(flawed("trail_rollups", project))?, sums));
            }
        }
    }
    counted.recent = newest(work, project, (range.from(), range.to()), recent).await?;
    Ok(counted)
}

async fn newest(
    work: &mut Timed,
    project: ProjectId,
    (from, to): Period,
    limit: u32,
) -> Result<Vec<TrailSummary>, StoreError> {
    let query = sqlx::query_as(RECENT)
        .bind(project.0)
        .bind(from)
        .bind(to)
        .bind(i64::from(limit));
    let (until, connection) = work.ask();
    let rows: Vec<SummaryRow> = until.wait_for_search(query.fetch_all(connection)).await?;
    rows.into_iter().map(TrailSummary::try_from).collect()
}
