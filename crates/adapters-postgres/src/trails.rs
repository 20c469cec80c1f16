//! Assessment trails, and the sums of what they spent.
//!
//! A save is one statement, as a change of a milestone is: the trail, the sums that move with it, and
//! the event. Whoever saves takes the trail first and then the sums in the order of their keys.

mod clean_ups;
mod copies;
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
use tranche_application::ports::trails::{Adopted, MOST_TRAILS, TrailStore};
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
use select_trail;

/// What a project that is gone has left is not there.
macro_rules! is_there {
    () => {
        "project_id <> ALL (ARRAY(SELECT project_id FROM trail_removals))"
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

const SELECT: &str = concat!(select_trail!(), " WHERE message_id = $1 AND ", is_there!());
const PAGE: &str = concat!(
    select_trail!(),
    " WHERE message_id >= coalesce($1, '00000000-0000-0000-0000-000000000000') \
     AND message_id IS DISTINCT FROM $1 AND ",
    is_there!(),
    " ORDER BY message_id LIMIT $2"
);
const SEVERAL: &str = concat!(
    select_trail!(),
    " WHERE message_id = ANY ($1) AND ",
    is_there!()
);
/// Those that are not there are counted and taken off: by the index alone, as all are.
const COUNT: &str = "SELECT (SELECT count(*) FROM assessment_trails) - (SELECT count(*)
    FROM trail_removals gone JOIN assessment_trails trail ON trail.project_id = gone.project_id)";
const COUNT_BEFORE: &str =
    "SELECT (SELECT count(*) FROM assessment_trails WHERE created_at < $1) - (SELECT count(*)
    FROM trail_removals gone JOIN assessment_trails trail ON trail.project_id = gone.project_id
    WHERE trail.created_at < $1)";
const EXPIRE: &str = "WITH oldest AS MATERIALIZED (
        SELECT message_id FROM assessment_trails WHERE created_at < $1
        ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)
    DELETE FROM assessment_trails trail USING oldest WHERE trail.message_id = oldest.message_id";

const INSERT: &str = concat!(insert!(), " RETURNING 1), ");
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
static REPLACE: LazyLock<String> = LazyLock::new(|| statement(&[UPDATE, sums::MOVED]));
static REPLACE_AND_TELL: LazyLock<String> =
    LazyLock::new(|| statement(&[UPDATE, sums::MOVED, ", ", audit::POSTED]));

/// Writes a change and moves the sums; says whether what it replaces was there.
async fn write(work: &mut Timed, change: &TrailChange) -> Result<bool, StoreError> {
    let event = change.event().map(EventRecord::from);
    let text = match (change.former(), &event) {
        (None, _) => &OPEN,
        (Some(_), None) => &REPLACE,
        (Some(_), Some(_)) => &REPLACE_AND_TELL,
    };
    let record = change.trail().record();
    let mut query = rows::bind(sqlx::query(text.as_str()), record);
    if let Some(former) = change.former() {
        query = query.bind(former.record().version);
    }
    query = Moves::of(&movements(change.former(), change.trail())).bind(query);
    if let Some(event) = change.former().and(event.as_ref()) {
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

    async fn try_save(&self, change: &TrailChange) -> Result<(), StoreError> {
        let scope = Scope::Project(change.trail().record().project_id);
        let mut work = self.trails(BEGIN, scope).await?;
        if !write(&mut work, change).await? {
            return Err(StoreError::Conflict(Conflict::Stale));
        }
        work.commit().await
    }

    /// Whether a trail that is not there was in the way of one of its message. It is not any more.
    async fn made_way(&self, message: MessageId) -> Result<bool, StoreError> {
        let mut work = self.trails(BEGIN, Scope::All).await?;
        let was_there = copies::make_way(&mut work, &[message.0]).await?;
        work.commit().await?;
        Ok(was_there)
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
        let message = change.trail().record().message_id;
        match self.try_save(change).await {
            Err(StoreError::Conflict(Conflict::Stale))
                if change.former().is_none() && self.made_way(message).await? =>
            {
                self.try_save(change).await
            }
            saved => saved,
        }
    }

    async fn adopt(&self, copies: &[Trail]) -> Result<Vec<Adopted>, StoreError> {
        copies::adopt(self, copies).await
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
