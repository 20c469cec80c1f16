//! The log as people and programs read it.
//!
//! SQL answers what it has columns for. What is in texts and documents is decided here, by the same
//! function that decides for streams, over rows that are read a batch at a time.

mod conditions;
pub(crate) mod limited;
mod sizes;
mod stats;

use std::collections::HashMap;

use async_trait::async_trait;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};
use tranche_application::audit::filter::EventFilter;
use tranche_application::audit::record::LoggedEvent;
use tranche_application::ports::audit_search::{
    AuditSearch, AuditStats, EventPage, InOrder, PartSize, Scope, StatsQuery,
};
use tranche_application::ports::store::StoreError;
use uuid::Uuid;

use crate::SqliteStore;
use crate::errors::{failed, unwritable};
use crate::rows::Row;
use crate::rows::event::EventRow;

use conditions::Conditions;
use limited::searched;

macro_rules! columns {
    () => {
        "id, milestone_id, project_id, occurred_at, recorded_at, severity, action, actor_id, \
         actor_role, resource_type, resource_id, previous_status, new_status, changes, metadata, \
         details, ip_address, user_agent, request_id, salt"
    };
}

/// The log, and what retention took out of it and kept.
const LOG: &[&str] = &["audit_events"];
const LOG_AND_ARCHIVE: &[&str] = &["audit_events", "audit_archive"];

/// How many rows are read at a time to look into their contents.
const BATCH: u32 = 500;

/// The newest rows that meet the conditions, each table walked by its own index.
async fn newest(
    connection: &mut SqliteConnection,
    tables: &[&str],
    conditions: &Conditions<'_>,
    offset: u32,
    limit: u32,
) -> Result<Vec<LoggedEvent>, StoreError> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "SELECT page.*, (SELECT leaf_index FROM audit_leaves WHERE event_id = page.id) \
         AS leaf_index FROM (",
    );
    let mut union = "";
    for table in tables {
        query.push(union);
        query.push(concat!("SELECT ", columns!(), " FROM "));
        query.push(table);
        conditions.push(&mut query);
        union = " UNION ALL ";
    }
    query.push(" ORDER BY id DESC LIMIT ").push_bind(limit);
    query.push(" OFFSET ").push_bind(offset);
    query.push(") page ORDER BY id DESC");
    let rows = query.build_query_as::<EventRow>().fetch_all(connection);
    searched(rows.await)?
        .into_iter()
        .map(LoggedEvent::try_from)
        .collect()
}

/// Reads the rows that meet the conditions, newest first, and gives those to `found` whose contents
/// the filter asks for too, until it has enough and says so.
async fn scan(
    connection: &mut SqliteConnection,
    tables: &[&str],
    mut conditions: Conditions<'_>,
    mut found: impl FnMut(LoggedEvent) -> bool + Send,
) -> Result<(), StoreError> {
    loop {
        let batch = newest(connection, tables, &conditions, 0, BATCH).await?;
        let is_last = batch.len() < BATCH as usize;
        for logged in batch {
            conditions.end = logged.event.id;
            if conditions.filter.matches(&logged.event) && found(logged) {
                return Ok(());
            }
        }
        if is_last {
            return Ok(());
        }
    }
}

/// The events of these ids in a table.
async fn by_ids(
    connection: &mut SqliteConnection,
    table: &str,
    ids: &[Uuid],
    scope: Scope,
) -> Result<HashMap<Uuid, LoggedEvent>, StoreError> {
    let mut query = QueryBuilder::<Sqlite>::new(concat!(
        "SELECT ",
        columns!(),
        ", (SELECT leaf_index FROM audit_leaves WHERE event_id = page.id) AS leaf_index FROM "
    ));
    query.push(table);
    query.push(" page WHERE id IN (SELECT value FROM json_each(");
    query.push_bind(serde_json::to_string(ids).map_err(unwritable)?);
    query.push("))");
    if let Scope::Project(project) = scope {
        query
            .push(" AND project_id = ")
            .push_bind(project.to_string());
    }
    let rows = query.build_query_as::<EventRow>().fetch_all(connection);
    searched(rows.await)?
        .into_iter()
        .map(|row| {
            let logged = LoggedEvent::try_from(row)?;
            Ok((logged.event.id, logged))
        })
        .collect()
}

#[async_trait]
impl AuditSearch for SqliteStore {
    async fn events(
        &self,
        filter: &EventFilter,
        scope: Scope,
        page: EventPage,
    ) -> Result<Vec<LoggedEvent>, StoreError> {
        let mut snapshot = self.search().await?;
        let tables = if page.archived { LOG_AND_ARCHIVE } else { LOG };
        let mut conditions = Conditions::of(filter, scope);
        if let Some(before) = page.before {
            conditions.end = conditions.end.min(before);
        }
        if !filter.looks_into_content() {
            return newest(&mut snapshot, tables, &conditions, page.offset, page.limit).await;
        }
        let mut to_pass = page.offset;
        let mut events = Vec::new();
        let wanted = page.limit as usize;
        if wanted > 0 {
            let found = |logged| {
                if to_pass > 0 {
                    to_pass -= 1;
                } else {
                    events.push(logged);
                }
                events.len() == wanted
            };
            scan(&mut snapshot, tables, conditions, found).await?;
        }
        Ok(events)
    }

    async fn event(&self, id: Uuid, scope: Scope) -> Result<Option<LoggedEvent>, StoreError> {
        let mut snapshot = self.search().await?;
        for table in LOG_AND_ARCHIVE {
            let mut found = by_ids(&mut snapshot, table, &[id], scope).await?;
            if let Some(logged) = found.remove(&id) {
                return Ok(Some(logged));
            }
        }
        Ok(None)
    }

    async fn in_order(
        &self,
        from: i64,
        filter: &EventFilter,
        scope: Scope,
        limit: u32,
    ) -> Result<InOrder, StoreError> {
        let mut snapshot = self.search().await?;
        let leaves: Vec<(i64, String)> = searched(
            sqlx::query_as(
                "SELECT leaf_index, event_id FROM audit_leaves WHERE leaf_index >= ?1 \
                 ORDER BY leaf_index LIMIT ?2",
            )
            .bind(from)
            .bind(limit)
            .fetch_all(&mut *snapshot)
            .await,
        )?;
        let next = leaves.last().map_or(from, |(last, _)| last + 1);
        let ids = leaves
            .iter()
            .map(|(_, id)| {
                let at = Row {
                    table: "audit_leaves",
                    id,
                };
                at.uuid("event_id", id)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut found = by_ids(&mut snapshot, "audit_events", &ids, scope).await?;
        if found.len() < ids.len() {
            found.extend(by_ids(&mut snapshot, "audit_archive", &ids, scope).await?);
        }
        let events = ids.iter().filter_map(|id| found.remove(id));
        Ok(InOrder {
            events: events
                .filter(|logged| filter.matches(&logged.event))
                .collect(),
            next,
        })
    }

    async fn end(&self) -> Result<i64, StoreError> {
        sqlx::query_scalar("SELECT coalesce(max(leaf_index) + 1, 0) FROM audit_leaves")
            .fetch_one(&self.reader)
            .await
            .map_err(failed)
    }

    async fn stats(&self, query: &StatsQuery, scope: Scope) -> Result<AuditStats, StoreError> {
        stats::of(self, query, scope).await
    }

    async fn sizes(&self) -> Result<Vec<PartSize>, StoreError> {
        sizes::of(self).await
    }
}
