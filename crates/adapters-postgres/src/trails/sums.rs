//! Sums by hour and day: they move with every trail that is saved.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::Row;
use tranche_application::ports::store::StoreError;
use tranche_domain::trail::parts::day_of;
use tranche_domain::trail::sums::{RollUpKey, Sums};
use uuid::Uuid;

use super::rows::decimal;
use crate::errors::failed;
use crate::record::Binding;
use crate::timed::Timed;

/// Moves sums, hours before days, and both in the order of their keys: whoever moves the same waits, and
/// nobody in a circle.
macro_rules! move_sums {
    ($with:literal) => {
        concat!(
            "INSERT INTO trail_rollups AS kept (project_id, bucket, starts_at, model, messages, \
             open, prompt_tokens, completion_tokens, prompt_cost, completion_cost) \
             SELECT project_id, bucket, starts_at, model, messages, open, prompt_tokens, \
             completion_tokens, prompt_cost, completion_cost FROM ",
            $with,
            "unnest(?::uuid[], ?::text[], ?::timestamptz[], ?::text[], ?::bigint[], ?::bigint[], \
             ?::text[]::numeric[], ?::text[]::numeric[], ?::text[]::numeric[], \
             ?::text[]::numeric[]) AS move (project_id, bucket, starts_at, model, messages, open, \
             prompt_tokens, completion_tokens, prompt_cost, completion_cost) \
             ORDER BY bucket DESC, project_id, starts_at, model COLLATE \"C\" \
             ON CONFLICT (project_id, bucket, starts_at, model) DO UPDATE SET \
             messages = kept.messages + excluded.messages, open = kept.open + excluded.open, \
             prompt_tokens = kept.prompt_tokens + excluded.prompt_tokens, \
             completion_tokens = kept.completion_tokens + excluded.completion_tokens, \
             prompt_cost = kept.prompt_cost + excluded.prompt_cost, \
             completion_cost = kept.completion_cost + excluded.completion_cost"
        )
    };
}

/// Moves sums where the trail was written.
pub(super) const MOVED: &str = concat!("moved AS (", move_sums!("trail, "), ")");
/// Moves sums of several trails.
pub(super) const MOVE: &str = move_sums!("");

/// By how much each sum moves, each column a list.
#[derive(Default)]
pub(super) struct Moves {
    projects: Vec<Uuid>,
    buckets: Vec<&'static str>,
    starts_at: Vec<DateTime<Utc>>,
    models: Vec<String>,
    messages: Vec<i64>,
    open: Vec<i64>,
    prompt_tokens: Vec<String>,
    completion_tokens: Vec<String>,
    prompt_cost: Vec<String>,
    completion_cost: Vec<String>,
}

impl Moves {
    /// Of these hours, each there once, and of their days.
    pub(super) fn of(movements: &[(RollUpKey, Sums)]) -> Self {
        let (mut moves, mut days) = (Self::default(), BTreeMap::<RollUpKey, Sums>::new());
        for (key, sums) in movements {
            moves.add("hour", key, sums);
            let day = RollUpKey {
                hour: day_of(key.hour),
                ..key.clone()
            };
            let of_day = days.entry(day).or_default();
            *of_day = of_day.plus(*sums);
        }
        for (key, sums) in &days {
            moves.add("day", key, sums);
        }
        moves
    }

    fn add(&mut self, bucket: &'static str, key: &RollUpKey, sums: &Sums) {
        self.projects.push(key.project_id.0);
        self.buckets.push(bucket);
        self.starts_at.push(key.hour);
        let model = key.model.as_ref().map(ToString::to_string);
        self.models.push(model.unwrap_or_default());
        self.messages.push(sums.messages);
        self.open.push(sums.open);
        self.prompt_tokens.push(sums.prompt_tokens.to_string());
        self.completion_tokens
            .push(sums.completion_tokens.to_string());
        self.prompt_cost.push(decimal(sums.prompt_cost));
        self.completion_cost.push(decimal(sums.completion_cost));
    }

    /// The parameters of [`MOVED`] and [`MOVE`].
    pub(super) fn bind(self, query: Binding<'_>) -> Binding<'_> {
        query
            .bind(self.projects)
            .bind(self.buckets)
            .bind(self.starts_at)
            .bind(self.models)
            .bind(self.messages)
            .bind(self.open)
            .bind(self.prompt_tokens)
            .bind(self.completion_tokens)
            .bind(self.prompt_cost)
            .bind(self.completion_cost)
    }
}

/// Hours of which no trail is left. Whoever saves one of theirs waits from now on.
const HOURS: &str = "SELECT project_id, starts_at, model FROM trail_rollups hour
    WHERE bucket = 'hour' AND starts_at < $1 AND NOT EXISTS (
        SELECT FROM assessment_trails trail WHERE trail.project_id = hour.project_id
            AND trail.created_at >= hour.starts_at
            AND trail.created_at < hour.starts_at + interval '1 hour')
    ORDER BY starts_at LIMIT $2 FOR UPDATE SKIP LOCKED";

macro_rules! due {
    () => {
        "WITH due AS (SELECT project_id, starts_at, model,
                date_trunc('day', starts_at, 'UTC') AS day
            FROM unnest($1::uuid[], $2::timestamptz[], $3::text[])
                AS due (project_id, starts_at, model))"
    };
}

/// Their days, in the order in which saves take them.
const DAYS: &str = concat!(
    due!(),
    " SELECT FROM trail_rollups sum WHERE bucket = 'day' AND EXISTS (SELECT FROM due
            WHERE due.project_id = sum.project_id AND due.day = sum.starts_at
                AND due.model = sum.model)
        ORDER BY project_id, starts_at, model FOR UPDATE"
);

/// Asked again whether a trail came before the lock.
const EXPIRE: &str = concat!(
    due!(),
    ", gone AS (DELETE FROM trail_rollups hour USING due
        WHERE hour.bucket = 'hour' AND hour.project_id = due.project_id
            AND hour.starts_at = due.starts_at AND hour.model = due.model
            AND NOT EXISTS (SELECT FROM assessment_trails trail
                WHERE trail.project_id = hour.project_id AND trail.created_at >= hour.starts_at
                    AND trail.created_at < hour.starts_at + interval '1 hour')
        RETURNING due.day, hour.*),
    lower AS (SELECT project_id, day, model, sum(messages) AS messages, sum(open) AS open,
            sum(prompt_tokens) AS prompt_tokens, sum(completion_tokens) AS completion_tokens,
            sum(prompt_cost) AS prompt_cost, sum(completion_cost) AS completion_cost
        FROM gone GROUP BY project_id, day, model),
    lowered AS (UPDATE trail_rollups sum SET messages = sum.messages - lower.messages,
            open = sum.open - lower.open, prompt_tokens = sum.prompt_tokens - lower.prompt_tokens,
            completion_tokens = sum.completion_tokens - lower.completion_tokens,
            prompt_cost = sum.prompt_cost - lower.prompt_cost,
            completion_cost = sum.completion_cost - lower.completion_cost
        FROM lower WHERE sum.bucket = 'day' AND sum.project_id = lower.project_id
            AND sum.starts_at = lower.day AND sum.model = lower.model)
    SELECT count(*) FROM gone"
);

/// Days of which no hour is left.
const EXPIRE_DAYS: &str = concat!(
    due!(),
    " DELETE FROM trail_rollups sum USING due
        WHERE sum.bucket = 'day' AND sum.project_id = due.project_id AND sum.starts_at = due.day
            AND sum.model = due.model AND NOT EXISTS (SELECT FROM trail_rollups hour
                WHERE hour.project_id = due.project_id AND hour.bucket = 'hour'
                    AND hour.starts_at >= due.day AND hour.starts_at < due.day + interval '1 day'
                    AND hour.model = due.model)"
);

/// Deletes sums of hours of which no trail is left, and takes them off their days'.
pub(super) async fn expire(
    work: &mut Timed,
    before: DateTime<Utc>,
    limit: u32,
) -> Result<u64, StoreError> {
    let hours = sqlx::query_as(HOURS).bind(before).bind(i64::from(limit));
    let (until, connection) = work.ask();
    let hours: Vec<(Uuid, DateTime<Utc>, String)> = until.wait(hours.fetch_all(connection)).await?;
    let projects: Vec<Uuid> = hours.iter().map(|(project, ..)| *project).collect();
    let starts: Vec<DateTime<Utc>> = hours.iter().map(|(_, starts_at, _)| *starts_at).collect();
    let models: Vec<&str> = hours.iter().map(|(.., model)| model.as_str()).collect();
    let of_hours = |text| {
        sqlx::query(text)
            .bind(&projects)
            .bind(&starts)
            .bind(&models)
    };
    let (until, connection) = work.ask();
    until.wait(of_hours(DAYS).execute(connection)).await?;
    let (until, connection) = work.ask();
    let gone = until.wait(of_hours(EXPIRE).fetch_one(connection)).await?;
    let (until, connection) = work.ask();
    until
        .wait(of_hours(EXPIRE_DAYS).execute(connection))
        .await?;
    let gone: i64 = gone.try_get(0).map_err(failed)?;
    Ok(u64::try_from(gone).unwrap_or_default())
}
