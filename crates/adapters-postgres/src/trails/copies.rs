//! Copies from another backend: many trails in one transaction.
//!
//! Whoever writes takes projects first, then trails, then sums, each in the order of their keys, and so
//! does this: nobody waits in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use tranche_application::ports::audit_search::Scope;
use tranche_application::ports::store::{Conflict, StoreError};
use tranche_application::ports::trails::Adopted;
use tranche_domain::text::ModelName;
use tranche_domain::trail::sums::{RollUpKey, Sums, movements};
use tranche_domain::trail::{JsonText, TrailRecord};
use tranche_domain::{MessageId, Trail};
use uuid::Uuid;

use super::rows::{TrailRow, decimal, token_count};
use super::sums::{MOVE, Moves};
use super::{BEGIN, select_trail};
use crate::PostgresStore;
use crate::record::{Binding, numbered};
use crate::timed::Timed;

/// How often a page is looked at again because somebody else saved one of its messages first.
const TRIES: usize = 5;

/// Those that are there stay until this is committed.
const PROJECTS: &str = "SELECT id FROM projects WHERE id = ANY ($1) ORDER BY id FOR KEY SHARE";
/// What projects that are gone have left of these messages.
const MAKE_WAY: &str = "DELETE FROM assessment_trails WHERE message_id = ANY ($1)
    AND project_id = ANY (ARRAY(SELECT project_id FROM trail_removals))";
const LOCK: &str = concat!(
    select_trail!(),
    " WHERE message_id = ANY ($1) ORDER BY message_id FOR NO KEY UPDATE"
);

macro_rules! copies {
    () => {
        "SELECT model, reasoning_traces, context_layers, prompt_tokens, completion_tokens, \
         prompt_cost::numeric, completion_cost::numeric, created_at, completed_at, updated_at, \
         version, message_id, project_id, former FROM unnest($1::text[], $2::text[], $3::text[], \
         $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::timestamptz[], \
         $9::timestamptz[], $10::timestamptz[], $11::bigint[], $12::uuid[], $13::uuid[], \
         $14::bigint[]) AS copy (model, reasoning_traces, context_layers, prompt_tokens, \
         completion_tokens, prompt_cost, completion_cost, created_at, completed_at, updated_at, \
         version, message_id, project_id, former) ORDER BY message_id"
    };
}

const INSERT: &str = concat!(
    "INSERT INTO assessment_trails (model, reasoning_traces, context_layers, prompt_tokens, \
     completion_tokens, prompt_cost, completion_cost, created_at, completed_at, updated_at, version, \
     message_id, project_id) SELECT model, reasoning_traces, context_layers, prompt_tokens, \
     completion_tokens, prompt_cost, completion_cost, created_at, completed_at, updated_at, version, \
     message_id, project_id FROM (",
    copies!(),
    ") copies ON CONFLICT DO NOTHING"
);
const UPDATE: &str = concat!(
    "UPDATE assessment_trails kept SET (model, reasoning_traces, context_layers, prompt_tokens, \
     completion_tokens, prompt_cost, completion_cost, created_at, completed_at, updated_at, version) \
     = (copy.model, copy.reasoning_traces, copy.context_layers, copy.prompt_tokens, \
     copy.completion_tokens, copy.prompt_cost, copy.completion_cost, copy.created_at, \
     copy.completed_at, copy.updated_at, copy.version) FROM (",
    copies!(),
    ") copy WHERE kept.message_id = copy.message_id AND kept.version = copy.former"
);

static MOVE_ALL: LazyLock<String> = LazyLock::new(|| numbered(MOVE));

/// Trails on their way into the table, each column a list.
#[derive(Default)]
struct Copies<'t> {
    models: Vec<Option<&'t str>>,
    reasoning_traces: Vec<Option<&'t str>>,
    context_layers: Vec<Option<&'t str>>,
    prompt_tokens: Vec<Option<i64>>,
    completion_tokens: Vec<Option<i64>>,
    prompt_cost: Vec<Option<String>>,
    completion_cost: Vec<Option<String>>,
    created_at: Vec<DateTime<Utc>>,
    completed_at: Vec<Option<DateTime<Utc>>>,
    updated_at: Vec<DateTime<Utc>>,
    versions: Vec<i64>,
    messages: Vec<Uuid>,
    projects: Vec<Uuid>,
    formers: Vec<Option<i64>>,
}

impl<'t> Copies<'t> {
    fn add(&mut self, trail: &'t TrailRecord, former: Option<i64>) {
        let text = JsonText::as_str;
        self.models
            .push(trail.model.as_ref().map(ModelName::as_str));
        self.reasoning_traces
            .push(trail.reasoning_traces.as_ref().map(text));
        self.context_layers
            .push(trail.context_layers.as_ref().map(text));
        self.prompt_tokens
            .push(trail.tokens.map(|spent| token_count(spent.prompt())));
        self.completion_tokens
            .push(trail.tokens.map(|spent| token_count(spent.completion())));
        self.prompt_cost.push(
            trail
                .cost
                .map(|spent| decimal(spent.prompt().trillionths())),
        );
        self.completion_cost.push(
            trail
                .cost
                .map(|spent| decimal(spent.completion().trillionths())),
        );
        self.created_at.push(trail.created_at);
        self.completed_at.push(trail.completed_at);
        self.updated_at.push(trail.updated_at);
        self.versions.push(trail.version);
        self.messages.push(trail.message_id.0);
        self.projects.push(trail.project_id.0);
        self.formers.push(former);
    }

    /// Writes them; says whether every one of them.
    async fn write(self, work: &mut Timed, text: &'static str) -> Result<bool, StoreError> {
        let all = self.messages.len() as u64;
        if all == 0 {
            return Ok(true);
        }
        let query = self.bind(sqlx::query(text));
        let (until, connection) = work.ask();
        let written = until.wait(query.execute(connection)).await?;
        Ok(written.rows_affected() == all)
    }

    fn bind(self, query: Binding<'t>) -> Binding<'t> {
        query
            .bind(self.models)
            .bind(self.reasoning_traces)
            .bind(self.context_layers)
            .bind(self.prompt_tokens)
            .bind(self.completion_tokens)
            .bind(self.prompt_cost)
            .bind(self.completion_cost)
            .bind(self.created_at)
            .bind(self.completed_at)
            .bind(self.updated_at)
            .bind(self.versions)
            .bind(self.messages)
            .bind(self.projects)
            .bind(self.formers)
    }
}

/// Keeps copies, as [`TrailStore::adopt`] does.
///
/// [`TrailStore::adopt`]: tranche_application::ports::trails::TrailStore::adopt
pub(super) async fn adopt(
    store: &PostgresStore,
    copies: &[Trail],
) -> Result<Vec<Adopted>, StoreError> {
    for _ in 0..TRIES {
        if let Some(adopted) = try_adopt(store, copies).await? {
            return Ok(adopted);
        }
    }
    Err(StoreError::Conflict(Conflict::Retry))
}

/// Keeps copies; `None` and nothing where somebody else saved one of the messages meanwhile.
async fn try_adopt(
    store: &PostgresStore,
    copies: &[Trail],
) -> Result<Option<Vec<Adopted>>, StoreError> {
    let records = || copies.iter().map(Trail::record);
    let messages: Vec<Uuid> = records().map(|record| record.message_id.0).collect();
    let mut work = store.trails(BEGIN, Scope::All).await?;
    let projects = projects(&mut work, records().map(|record| record.project_id.0)).await?;
    make_way(&mut work, &messages).await?;
    let there = lock(&mut work, &messages).await?;
    let mut adopted = Vec::with_capacity(copies.len());
    let mut kept: Vec<(Option<&Trail>, Trail)> = Vec::new();
    for copy in copies {
        let former = there.get(&copy.record().message_id);
        let next = former.map_or_else(|| Some(copy.clone()), |former| copy.in_place_of(former));
        adopted.push(match next {
            _ if !projects.contains(&copy.record().project_id.0) => Adopted::ProjectGone,
            None => Adopted::Present,
            Some(next) => {
                kept.push((former, next));
                Adopted::Kept
            }
        });
    }
    if write(&mut work, &kept).await? {
        work.commit().await?;
        return Ok(Some(adopted));
    }
    work.roll_back().await?;
    Ok(None)
}

/// Those of these projects that are there, and stay for now.
async fn projects(
    work: &mut Timed,
    projects: impl Iterator<Item = Uuid>,
) -> Result<BTreeSet<Uuid>, StoreError> {
    let projects: BTreeSet<Uuid> = projects.collect();
    let projects: Vec<Uuid> = projects.into_iter().collect();
    let there = sqlx::query_scalar(PROJECTS).bind(projects);
    let (until, connection) = work.ask();
    let there: Vec<Uuid> = until.wait(there.fetch_all(connection)).await?;
    Ok(there.into_iter().collect())
}

/// Deletes what projects that are gone have left of these messages; says whether there was any.
pub(super) async fn make_way(work: &mut Timed, messages: &[Uuid]) -> Result<bool, StoreError> {
    let (until, connection) = work.ask();
    let gone = sqlx::query(MAKE_WAY).bind(messages).execute(connection);
    Ok(until.wait(gone).await?.rows_affected() > 0)
}

/// The trails of these messages, which stay as they are for now.
async fn lock(
    work: &mut Timed,
    messages: &[Uuid],
) -> Result<BTreeMap<MessageId, Trail>, StoreError> {
    let (until, connection) = work.ask();
    let rows = sqlx::query_as(LOCK).bind(messages).fetch_all(connection);
    let rows: Vec<TrailRow> = until.wait(rows).await?;
    let trails = rows.into_iter().map(|row| {
        let trail = Trail::try_from(row)?;
        Ok((trail.record().message_id, trail))
    });
    trails.collect()
}

/// Writes trails in the place of what stood, and moves the sums; says whether each was written.
async fn write(work: &mut Timed, kept: &[(Option<&Trail>, Trail)]) -> Result<bool, StoreError> {
    let (mut first, mut next) = (Copies::default(), Copies::default());
    let mut moved = BTreeMap::<RollUpKey, Sums>::new();
    for (former, trail) in kept {
        match former {
            None => first.add(trail.record(), None),
            Some(former) => next.add(trail.record(), Some(former.record().version)),
        }
        for (key, by) in movements(*former, trail) {
            let sums = moved.entry(key).or_default();
            *sums = sums.plus(by);
        }
    }
    let written = first.write(work, INSERT).await? && next.write(work, UPDATE).await?;
    if written && !moved.is_empty() {
        let moved: Vec<_> = moved.into_iter().collect();
        let query = Moves::of(&moved).bind(sqlx::query(MOVE_ALL.as_str()));
        let (until, connection) = work.ask();
        until.wait(query.execute(connection)).await?;
    }
    Ok(written)
}
