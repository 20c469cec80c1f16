//! Assessment trails, and the sums of what they spent.
//!
//! A save is one statement, as a change of a milestone is: the trail, the sums that move with it, and
//! the event. Whoever saves takes the trail first and then the sums in the order of their keys.

mod clean_ups;
mod counted;
mod rows;
mod sums;

use std::sync::LazyLock;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::SqlStr;
use tranche_application::audit::record::EventRecord;
use tranche_application::ports::audit_search::Scope;
use tranche_application::ports::store::{Conflict, StoreError};
use tranche_application::ports::trails::{MOST_TRAILS, TrailStore};
use tranche_domain::trail::sums::{Counted, TimeRange, movements};
use tranche_domain::{MessageId, ProjectId, Trail, TrailChange};
use uuid::Uuid;

use crate::PostgresStore;
use crate::audit;
use crate::record::numbered;
use crate::scope::begin_with;
use crate::timed::Timed;
use rows::TrailRow;
use sums::Moves;

/// Figures of a table that grows and is emptied every day are seldom right, and every statement here
/// has its index.
const BEGIN: &str = "BEGIN; SET LOCAL enable_seqscan = off";
/// One snapshot for several statements.
const BEGIN_READING: &str =
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL enable_seqscan = off";

macro_rules! columns {
    () => {
        "model, reasoning_traces, context_layers, prompt_tokens, completion_tokens, prompt_cost, \
         completion_cost, created_at, completed_at, updated_at, version, message_id"
    };
}

macro_rules! select_trail {
    () => {
        "SELECT message_id, project_id, model, reasoning_traces, context_layers, prompt_tokens, \
         completion_tokens, prompt_cost::text AS prompt_cost, \
         completion_cost::text AS completion_cost, created_at, completed_at, updated_at, version \
         FROM assessment_trails"
    };
}

macro_rules! insert {
    () => {
        concat!(
            "WITH trail AS (INSERT INTO assessment_trails (",
            columns!(),
            ", project_id) VALUES (?, ?, ?, ?, ?, ?::numeric, ?::numeric, ?, ?, ?, ?, ?, ?)"
        )
    };
}

const SELECT: &str = concat!(select_trail!(), " WHERE message_id = $1");
const LOCK: &str = concat!(select_trail!(), " WHERE message_id = $1 FOR NO KEY UPDATE");
const PAGE: &str = concat!(
    select_trail!(),
    " WHERE message_id >= coalesce($1, '00000000-0000-0000-0000-000000000000') \
     AND message_id IS DISTINCT FROM $1 ORDER BY message_id LIMIT $2"
);
const SEVERAL: &str = concat!(select_trail!(), " WHERE message_id = ANY ($1)");
const COUNT: &str = "SELECT count(*) FROM assessment_trails";
const COUNT_BEFORE: &str = "SELECT count(*) FROM assessment_trails WHERE created_at < $1";
const EXPIRE: &str = "WITH oldest AS MATERIALIZED (
        SELECT message_id FROM assessment_trails WHERE created_at < $1
        ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)
    DELETE FROM assessment_trails trail USING oldest WHERE trail.message_id = oldest.message_id";

const INSERT: &str = concat!(insert!(), " RETURNING 1), ");
const INSERT_IF_NONE: &str = concat!(insert!(), " ON CONFLICT DO NOTHING RETURNING 1), ");
const UPDATE: &str = "WITH trail AS (UPDATE assessment_trails SET (model, reasoning_traces, context_layers, \
     prompt_tokens, completion_tokens, prompt_cost, completion_cost, created_at, completed_at, \
     updated_at, version) = (?, ?, ?, ?, ?, ?::numeric, ?::numeric, ?, ?, ?, ?) \
     WHERE message_id = ? AND project_id = ? AND version = ? RETURNING 1), ";
/// Whether the trail was written.
const WRITTEN: &str = " SELECT count(*) = 1 FROM trail";

fn statement(parts: &[&str]) -> String {
    numbered(&[parts.concat().as_str(), WRITTEN].concat())
}

static OPEN: LazyLock<String> = LazyLock::new(|| statement(&[INSERT, sums::MOVED]));
static ADOPT: LazyLock<String> = LazyLock::new(|| statement(&[INSERT_IF_NONE, sums::MOVED]));
static REPLACE: LazyLock<String> = LazyLock::new(|| statement(&[UPDATE, sums::MOVED]));
static REPLACE_AND_TELL: LazyLock<String> =
    LazyLock::new(|| statement(&[UPDATE, sums::MOVED, ", ", audit::POSTED]));

/// How a trail comes into the table.
enum Writing<'e> {
    /// There is none of this message.
    First,
    /// As [`Writing::First`], and if there is one after all, nothing is written.
    FirstIfNone,
    /// In the place of what stands, with the event where there is one.
    Over(&'e Trail, Option<&'e EventRecord>),
}

/// Writes a trail and moves the sums; says whether what it replaces was there.
async fn write(work: &mut Timed, trail: &Trail, writing: Writing<'_>) -> Result<bool, StoreError> {
    let (text, former, event) = match writing {
        Writing::First => (&OPEN, None, None),
        Writing::FirstIfNone => (&ADOPT, None, None),
        Writing::Over(former, None) => (&REPLACE, Some(former), None),
        Writing::Over(former, event) => (&REPLACE_AND_TELL, Some(former), event),
    };
    let record = trail.record();
    let mut query = rows::bind(sqlx::query(text.as_str()), record);
    if let Some(former) = former {
        query = query.bind(former.record().version);
    }
    let moves = Moves::of(&movements(former, trail));
    query = moves.bind(query, record.project_id);
    if let Some(event) = event {
        query = audit::bind(query, event);
    }
    let (until, connection) = work.ask();
    let written = until.wait(query.fetch_one(connection)).await?;
    sqlx::Row::try_get(&written, 0).map_err(crate::errors::failed)
}

impl PostgresStore {
    async fn trails(&self, begin: &'static str, scope: Scope) -> Result<Timed, StoreError> {
        let begin: SqlStr = begin_with(begin, scope);
        self.timed_from(begin).await
    }
}

async fn find(
    work: &mut Timed,
    text: &'static str,
    message: MessageId,
) -> Result<Option<Trail>, StoreError> {
    let row = sqlx::query_as(text).bind(message.0);
    let (until, connection) = work.ask();
    let row: Option<TrailRow> = until.wait(row.fetch_optional(connection)).await?;
    row.map(Trail::try_from).transpose()
}

#[async_trait]
impl TrailStore for PostgresStore {
    async fn read(&self, message: MessageId, scope: Scope) -> Result<Option<Trail>, StoreError> {
        let mut work = self.trails(BEGIN_READING, scope).await?;
        let found = find(&mut work, SELECT, message).await?;
        work.commit().await?;
        Ok(found)
    }

    async fn save(&self, change: &TrailChange) -> Result<(), StoreError> {
        let trail = change.trail();
        let event = change.event().map(EventRecord::from);
        let writing = match change.former() {
            None => Writing::First,
            Some(former) => Writing::Over(former, event.as_ref()),
        };
        let scope = Scope::Project(trail.record().project_id);
        let mut work = self.trails(BEGIN, scope).await?;
        if !write(&mut work, trail, writing).await? {
            return Err(StoreError::Conflict(Conflict::Stale));
        }
        work.commit().await
    }

    async fn adopt(&self, trail: &Trail) -> Result<bool, StoreError> {
        let record = trail.record();
        let scope = Scope::Project(record.project_id);
        let mut work = self.trails(BEGIN, scope).await?;
        let mut former = find(&mut work, LOCK, record.message_id).await?;
        if former.is_none() {
            if write(&mut work, trail, Writing::FirstIfNone).await? {
                work.commit().await?;
                return Ok(true);
            }
            // Somebody was first; or the message is another project's, and is not seen here.
            former = find(&mut work, LOCK, record.message_id).await?;
        }
        let Some(former) = former else {
            return Ok(false);
        };
        let Some(copy) = trail.in_place_of(&former) else {
            return Ok(false);
        };
        if !write(&mut work, &copy, Writing::Over(&former, None)).await? {
            return Err(StoreError::Conflict(Conflict::Retry));
        }
        work.commit().await?;
        Ok(true)
    }

    async fn page(&self, after: Option<MessageId>, limit: u32) -> Result<Vec<Trail>, StoreError> {
        let mut work = self.trails(BEGIN_READING, Scope::All).await?;
        let rows = sqlx::query_as(PAGE)
            .bind(after.map(|after| after.0))
            .bind(i64::from(limit.min(MOST_TRAILS)));
        let (until, connection) = work.ask();
        let rows: Vec<TrailRow> = until.wait(rows.fetch_all(connection)).await?;
        work.commit().await?;
        rows.into_iter().map(Trail::try_from).collect()
    }

    async fn several(&self, messages: &[MessageId]) -> Result<Vec<Trail>, StoreError> {
        let mut work = self.trails(BEGIN_READING, Scope::All).await?;
        let messages: Vec<Uuid> = messages.iter().map(|message| message.0).collect();
        let rows = sqlx::query_as(SEVERAL).bind(messages);
        let (until, connection) = work.ask();
        let rows: Vec<TrailRow> = until.wait(rows.fetch_all(connection)).await?;
        work.commit().await?;
        rows.into_iter().map(Trail::try_from).collect()
    }

    async fn count(&self, before: Option<DateTime<Utc>>) -> Result<u64, StoreError> {
        let mut work = self.trails(BEGIN_READING, Scope::All).await?;
        let count = match before {
            None => sqlx::query_scalar(COUNT),
            Some(before) => sqlx::query_scalar(COUNT_BEFORE).bind(before),
        };
        let (until, connection) = work.ask();
        let count: i64 = until.wait(count.fetch_one(connection)).await?;
        work.commit().await?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    async fn counted(
        &self,
        project: ProjectId,
        range: TimeRange,
        recent: u32,
    ) -> Result<Counted, StoreError> {
        let mut work = self.trails(BEGIN_READING, Scope::Project(project)).await?;
        let counted = counted::of(&mut work, project, range, recent).await?;
        work.commit().await?;
        Ok(counted)
    }

    async fn expire(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, StoreError> {
        let mut work = self.trails(BEGIN, Scope::All).await?;
        let expired = sqlx::query(EXPIRE).bind(before).bind(i64::from(limit));
        let (until, connection) = work.ask();
        let expired = until.wait(expired.execute(connection)).await?;
        work.commit().await?;
        Ok(expired.rows_affected())
    }

    async fn expire_sums(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, StoreError> {
        let mut work = self.trails(BEGIN, Scope::All).await?;
        let expired = sums::expire(&mut work, before, limit).await?;
        work.commit().await?;
        Ok(expired)
    }
}
