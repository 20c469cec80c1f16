//! The log as people and programs read it.
//!
//! Every statement has a branch for each severity: within one, the primary key gives the newest
//! first, and an index on one column gives the newest of one value. Branches are merged.

mod conditions;
mod sizes;
mod stats;

use std::collections::HashMap;
use std::fmt::Write;

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, FromRow, Row};
use tranche_application::audit::filter::EventFilter;
use tranche_application::audit::record::LoggedEvent;
use tranche_application::ports::audit_search::{
    AuditSearch, AuditStats, EventPage, InOrder, PartSize, Scope, StatsQuery,
};
use tranche_application::ports::store::StoreError;
use uuid::Uuid;

use crate::PostgresStore;
use crate::audit::select_event;
use crate::errors::failed;
use crate::rows::LoggedRow;
use crate::scope;
use crate::timed::Timed;

use conditions::{Bound, Bounds, Conditions, Plan, SEVERITIES, Several};

/// Every search has an index to walk, whatever the figures that plans are made from say.
macro_rules! begin {
    ($plan:literal) => {
        concat!(
            "BEGIN READ ONLY; SET LOCAL statement_timeout = '5s'; SET LOCAL enable_seqscan = off; \
             SET LOCAL plan_cache_mode = ",
            $plan
        )
    };
}
const BEGIN_GENERIC: &str = begin!("force_generic_plan");
const BEGIN_CUSTOM: &str = begin!("force_custom_plan");

/// The log, and what retention took out of it and kept.
const LOG: &[&str] = &["audit_events"];
const LOG_AND_ARCHIVE: &[&str] = &["audit_events", "audit_archive"];

/// The leaf is looked up for the rows of the page alone: a join might read every leaf there is.
const PAGE: &str = "SELECT page.*, \
    (SELECT leaf_index FROM audit_leaves WHERE event_id = page.id) AS leaf_index FROM (";

const LEAVES: &str = "SELECT leaf_index, event_id FROM audit_leaves WHERE leaf_index >= $1 \
    ORDER BY leaf_index LIMIT $2";
const END: &str = "SELECT coalesce(max(leaf_index) + 1, 0) FROM audit_leaves";

impl PostgresStore {
    /// Begins to search. Nothing is locked, and the server ends what takes too long.
    async fn search(&self, plan: Plan, scope: Scope) -> Result<Timed, StoreError> {
        let begin = match plan {
            Plan::Generic => BEGIN_GENERIC,
            Plan::Custom => BEGIN_CUSTOM,
        };
        self.timed_from(scope::begin_with(begin, scope)).await
    }
}

/// Rows of the log, with or without their leaf.
async fn rows(
    work: &mut Timed,
    text: String,
    bounds: &Bounds,
) -> Result<Vec<sqlx::postgres::PgRow>, StoreError> {
    let query = bounds.bind(sqlx::query(AssertSqlSafe(text)));
    let (until, connection) = work.ask();
    until.wait_for_search(query.fetch_all(connection)).await
}

fn logged(rows: &[sqlx::postgres::PgRow]) -> Result<Vec<LoggedEvent>, StoreError> {
    rows.iter()
        .map(|row| LoggedRow::from_row(row).map_err(failed)?.try_into())
        .collect()
}

/// The newest rows of these tables that meet the conditions: up to `most`, in no order.
fn newest(tables: &[&str], conditions: &Conditions, most: &str) -> String {
    let mut text = String::new();
    for table in tables {
        for severity in &conditions.severities {
            let or = if text.is_empty() { "" } else { " UNION ALL " };
            let _ = write!(text, "{or}(");
            if let Some(Several { values, .. }) = &conditions.several {
                let _ = write!(
                    text,
                    "SELECT found.* FROM unnest({values}) AS one (value) CROSS JOIN LATERAL ("
                );
            }
            let _ = write!(
                text,
                concat!(
                    select_event!(),
                    ", recorded_at FROM {} WHERE severity = '{}'{}"
                ),
                table, severity, conditions.all
            );
            if let Some(Several { column, .. }) = &conditions.several {
                let _ = write!(
                    text,
                    " AND {column} = one.value ORDER BY id DESC LIMIT {most}) found"
                );
            }
            let _ = write!(text, " ORDER BY id DESC LIMIT {most})");
        }
    }
    text
}

/// The events of these ids, by id, from these tables.
async fn by_ids(
    work: &mut Timed,
    tables: &[&str],
    ids: Vec<Uuid>,
    scope: Scope,
) -> Result<HashMap<Uuid, LoggedEvent>, StoreError> {
    let mut bounds = Bounds::default();
    let first = ids.iter().min().copied().unwrap_or_default();
    let last = ids.iter().max().copied().unwrap_or_default();
    let conditions = Conditions::of(&EventFilter::default(), scope, &mut bounds)?;
    let (first, last) = (bounds.add(Bound::Id(first)), bounds.add(Bound::Id(last)));
    let ids = bounds.add(Bound::Ids(ids));
    let mut text = String::new();
    for table in tables {
        for severity in SEVERITIES {
            let or = if text.is_empty() { "" } else { " UNION ALL " };
            let _ = write!(
                text,
                concat!(
                    "{}",
                    select_event!(),
                    ", recorded_at, NULL::bigint AS leaf_index FROM {} WHERE severity = '{}' \
                     AND id = ANY ({}) AND id >= {} AND id <= {}{}"
                ),
                or, table, severity, ids, first, last, conditions.all
            );
        }
    }
    let found = logged(&rows(work, text, &bounds).await?)?;
    Ok(found
        .into_iter()
        .map(|logged| (logged.event.id, logged))
        .collect())
}

#[async_trait]
impl AuditSearch for PostgresStore {
    async fn events(
        &self,
        filter: &EventFilter,
        scope: Scope,
        page: EventPage,
    ) -> Result<Vec<LoggedEvent>, StoreError> {
        let mut bounds = Bounds::default();
        let (first, end) = filter.ids();
        let end = page.before.map_or(end, |before| before.min(end));
        let conditions = Conditions::of(filter, scope, &mut bounds)?;
        let conditions = conditions.with_ids(first, end, &mut bounds);
        if conditions.severities.is_empty() {
            return Ok(Vec::new());
        }
        let (offset, limit) = (i64::from(page.offset), i64::from(page.limit));
        let most = bounds.add(Bound::Count(offset + limit));
        let offset = bounds.add(Bound::Count(offset));
        let limit = bounds.add(Bound::Count(limit));
        let tables = if page.archived { LOG_AND_ARCHIVE } else { LOG };
        let text = format!(
            "{PAGE}SELECT * FROM ({}) found ORDER BY id DESC OFFSET {offset} LIMIT {limit}) page \
             ORDER BY id DESC",
            newest(tables, &conditions, &most)
        );
        let mut work = self.search(conditions.plan, scope).await?;
        let found = rows(&mut work, text, &bounds).await?;
        work.commit().await?;
        logged(&found)
    }

    async fn event(&self, id: Uuid, scope: Scope) -> Result<Option<LoggedEvent>, StoreError> {
        let mut work = self.search(Plan::Generic, scope).await?;
        let mut found = by_ids(&mut work, LOG_AND_ARCHIVE, vec![id], scope).await?;
        let Some(mut logged) = found.remove(&id) else {
            work.commit().await?;
            return Ok(None);
        };
        let leaf = sqlx::query_scalar("SELECT leaf_index FROM audit_leaves WHERE event_id = $1");
        let (until, connection) = work.ask();
        let leaf = leaf.bind(id).fetch_optional(connection);
        logged.leaf_index = until.wait_for_search(leaf).await?;
        work.commit().await?;
        Ok(Some(logged))
    }

    async fn in_order(
        &self,
        from: i64,
        filter: &EventFilter,
        scope: Scope,
        limit: u32,
    ) -> Result<InOrder, StoreError> {
        let mut work = self.search(Plan::Generic, scope).await?;
        let leaves = sqlx::query(LEAVES).bind(from).bind(i64::from(limit));
        let (until, connection) = work.ask();
        let leaves = until.wait_for_search(leaves.fetch_all(connection)).await?;
        let leaves = leaves
            .iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect::<Result<Vec<(i64, Uuid)>, _>>()
            .map_err(failed)?;
        let ids: Vec<Uuid> = leaves.iter().map(|(_, id)| *id).collect();
        // The archive last: what moves there meanwhile is seen in one of them.
        let mut found = by_ids(&mut work, LOG, ids.clone(), scope).await?;
        let missing: Vec<Uuid> = ids
            .into_iter()
            .filter(|id| !found.contains_key(id))
            .collect();
        if !missing.is_empty() {
            found.extend(by_ids(&mut work, &["audit_archive"], missing, scope).await?);
        }
        work.commit().await?;
        let next = leaves.last().map_or(from, |(last, _)| last + 1);
        let events = leaves.into_iter().filter_map(|(index, id)| {
            let mut logged = found.remove(&id)?;
            logged.leaf_index = Some(index);
            filter.matches(&logged.event).then_some(logged)
        });
        Ok(InOrder {
            events: events.collect(),
            next,
        })
    }

    async fn end(&self) -> Result<i64, StoreError> {
        let end = sqlx::query_scalar(END).fetch_one(self.pool());
        self.deadline().wait(end).await
    }

    async fn stats(&self, query: &StatsQuery, scope: Scope) -> Result<AuditStats, StoreError> {
        stats::of(self, query, scope).await
    }

    async fn sizes(&self) -> Result<Vec<PartSize>, StoreError> {
        sizes::of(self).await
    }
}
