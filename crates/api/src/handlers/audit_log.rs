//! The audit log, to be searched, counted and measured. Whoever reads it is recorded.

use axum::extract::{OriginalUri, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use tranche_application::Caller;
use tranche_application::audit::filter::EventFilter;
use tranche_application::audit::searching::Named;
use tranche_application::ports::audit_search::{Bucket, EventPage, StatsQuery as Counted};
use utoipa::IntoParams;

use super::Id;
use crate::answer;
use crate::audit_query::{FilterQuery, Reader};
use crate::auth::{Authenticated, Permission};
use crate::cursor::{Cursors, Position};
use crate::page::{Breadcrumb, Navigation, Parameters, Params, limit};
use crate::problem::Problem;
use crate::rate_limit::Kind;
use crate::state::Served;
use crate::views::{AuditStatsView, CapacityView, EventView, EventsPageView, EventsView};

const LIST: &str = "/v1/audit/events";
/// The most events that are passed over by `offset`: they are read for nothing.
const MOST_OFFSET: u32 = 10_000;
/// The longest time that is counted hour by hour.
const MOST_HOURS: TimeDelta = TimeDelta::days(366);

/// Which part of the list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    #[serde(flatten)]
    #[param(ignore)]
    filter: FilterQuery,
    /// `stats` for counts of all that the filters let through, `archive` for archived events too, or
    /// both with a comma.
    #[param(example = "stats,archive")]
    include: Option<String>,
    /// How many events, 1 to 1,000; 50 if absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many of the newest are passed over; for more than 10,000, and for a walk that misses
    /// nothing, there is the cursor.
    #[param(minimum = 0, maximum = 10000)]
    offset: Option<String>,
}

impl Parameters for EventsQuery {
    const NAMES: &'static [&'static str] = &{
        let own = ["include", "limit", "cursor", "offset"];
        let mut names = [""; FilterQuery::NAMES.len() + 4];
        let mut place = 0;
        while place < names.len() {
            names[place] = if place < own.len() {
                own[place]
            } else {
                FilterQuery::NAMES[place - own.len()]
            };
            place += 1;
        }
        names
    };
}

/// What is asked of a list.
struct Asked {
    filter: EventFilter,
    stats: bool,
    archived: bool,
    limit: u32,
    offset: u32,
    cursor: Option<String>,
}

impl EventsQuery {
    fn read(&self) -> Result<Asked, Problem> {
        let mut reader = Reader::default();
        let filter = self.filter.read(&mut reader);
        let include = reader.list("include", self.include.as_deref(), |value| match value {
            "stats" | "archive" => Ok(value.to_owned()),
            _ => Err("must be stats, archive, or both with a comma".to_owned()),
        });
        let limit = reader.one("limit", Some(self.limit.as_deref().unwrap_or("50")), limit);
        let offset = reader.one("offset", self.offset.as_deref(), |value| {
            value
                .parse()
                .ok()
                .filter(|offset| *offset <= MOST_OFFSET)
                .ok_or_else(|| {
                    format!(
                        "must be a whole number up to {MOST_OFFSET}; use the cursor beyond that"
                    )
                })
        });
        if self.cursor.is_some() && self.offset.is_some() {
            reader.flaw("offset", "cannot be together with cursor");
        }
        let has = |name: &str| include.iter().any(|one| one == name);
        reader.finish(Asked {
            filter,
            stats: has("stats"),
            archived: has("archive"),
            limit: limit.unwrap_or_default(),
            offset: offset.unwrap_or_default(),
            cursor: self.cursor.clone(),
        })
    }
}

/// Audit events, newest first
///
/// The newest by id, which is the order in which events were made. With `cursor`, page after page,
/// every event that was in the log before the first page comes exactly once, whatever comes in
/// meanwhile. Events that wait in the outbox are not here yet.
///
/// Limited to 100 requests an hour for each credential unless set otherwise. Reading is recorded.
#[utoipa::path(get, path = "/v1/audit/events", tag = "Audit", params(FilterQuery, EventsQuery),
    responses((status = 200, body = EventsView),
        (status = 400, description = "The cursor is not one of this search for this caller", body = Problem),
        (status = 403, body = Problem),
        (status = 422, description = "A parameter is wrong, or the search would take too long", body = Problem),
        (status = 429, description = "Too many requests; `Retry-After` tells when", body = Problem)))]
pub async fn list(
    State(served): State<Served>,
    caller: Authenticated,
    Params(query): Params<EventsQuery>,
    OriginalUri(here): OriginalUri,
) -> Result<Response, Problem> {
    limited(&served, &caller, Permission::ReadAudit, async |caller| {
        let asked = query.read()?;
        answer::json(StatusCode::OK, &page(&served, &caller, asked, &here).await?)
    })
    .await
}

async fn page(
    served: &Served,
    caller: &Caller,
    asked: Asked,
    here: &Uri,
) -> Result<EventsView, Problem> {
    let searching = &served.app.searching;
    let cursors = Cursors::new(&served.app.ring, caller, &asked.filter, asked.archived);
    let position = asked
        .cursor
        .as_deref()
        .map(|cursor| cursors.position(cursor));
    let position = position.transpose()?;
    let (default_from, end) = match position {
        Some(position) => (position.default_from, position.end),
        // Before the events are read: what comes in meanwhile is after it.
        None => (
            searching.default_from(&asked.filter),
            searching.end().await?,
        ),
    };
    let bounded = bounded(&asked.filter, default_from);
    let page = EventPage {
        before: position.map(|position| position.before),
        offset: asked.offset,
        limit: asked.limit + 1,
        archived: asked.archived,
    };
    let mut events = searching.events(&bounded, page, caller).await?;
    let limit = usize::try_from(asked.limit).unwrap_or(usize::MAX);
    let goes_on = events.len() > limit;
    events.truncate(limit);
    open(served, &mut events).await?;
    let next = events.last().filter(|_| goes_on).map(|last| Position {
        before: last.logged.event.id,
        default_from,
        end,
    });
    let stats = if asked.stats {
        Some(counts(served, caller, &asked.filter, default_from, Bucket::Day).await?)
    } else {
        None
    };
    served
        .reads
        .search("events", &bounded, events.len(), caller);
    Ok(EventsView {
        data: events.iter().map(EventView::from).collect(),
        page: EventsPageView {
            next_cursor: next.map(|position| cursors.cursor(&position)),
            limit: asked.limit,
            default_from: default_from.map(crate::views::time),
            stream_after: end - 1,
        },
        navigation: Navigation {
            breadcrumbs: way(&asked.filter),
            here: without_cursor(here),
        },
        stats,
    })
}

/// Opens what is sealed: whoever may read the log may see it.
async fn open(served: &Served, events: &mut [Named]) -> Result<(), Problem> {
    let events = events.iter_mut().map(|named| &mut named.logged.event);
    Ok(served.app.sensitive.show(events, true).await?)
}

/// An audit event, in the log or in the archive
#[utoipa::path(get, path = "/v1/audit/events/{id}", tag = "Audit",
    params(("id" = uuid::Uuid, Path)),
    responses((status = 200, body = EventView), (status = 403, body = Problem),
        (status = 404, body = Problem),
        (status = 429, description = "Too many requests; `Retry-After` tells when", body = Problem)))]
pub async fn show(
    State(served): State<Served>,
    caller: Authenticated,
    Id(id): Id,
) -> Result<Response, Problem> {
    limited(&served, &caller, Permission::ReadAudit, async |caller| {
        let event = served.app.searching.event(id, &caller).await?;
        let mut event = event.ok_or_else(|| Problem::not_found("audit event"))?;
        open(&served, std::slice::from_mut(&mut event)).await?;
        let filter = EventFilter::default();
        served.reads.search(&id.to_string(), &filter, 1, &caller);
        answer::json(StatusCode::OK, &EventView::from(&event))
    })
    .await
}

/// How wide the buckets are.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StatsQuery {
    #[serde(flatten)]
    #[param(ignore)]
    filter: FilterQuery,
    /// `day` (the default) or `hour`; hours need a `from`, and at most 366 days.
    #[param(example = "day")]
    bucket: Option<String>,
}

impl Parameters for StatsQuery {
    const NAMES: &'static [&'static str] = &{
        let mut names = ["bucket"; FilterQuery::NAMES.len() + 1];
        let mut place = 1;
        while place < names.len() {
            names[place] = FilterQuery::NAMES[place - 1];
            place += 1;
        }
        names
    };
}

impl StatsQuery {
    fn read(&self, now: DateTime<Utc>) -> Result<(EventFilter, Bucket), Problem> {
        let mut reader = Reader::default();
        let filter = self.filter.read(&mut reader);
        let bucket = reader.one("bucket", self.bucket.as_deref(), |value| match value {
            "day" => Ok(Bucket::Day),
            "hour" => Ok(Bucket::Hour),
            _ => Err("must be hour or day".to_owned()),
        });
        let bucket = bucket.unwrap_or(Bucket::Day);
        if bucket == Bucket::Hour {
            let length = filter
                .from
                .map(|from| filter.to.unwrap_or(now).signed_duration_since(from));
            if self.filter.from.is_none() || length.is_some_and(|length| length > MOST_HOURS) {
                reader.flaw("from", "must be at most 366 days before to, for hours");
            }
        }
        reader.finish((filter, bucket))
    }
}

/// How many audit events there are
///
/// Exactly as many as a count of the events would give at that moment, archived ones included. Fast
/// for `severity`, `action`, `resource_type`, and times on the hour; anything else counts events one by
/// one.
#[utoipa::path(get, path = "/v1/audit/stats", tag = "Audit", params(FilterQuery, StatsQuery),
    responses((status = 200, body = AuditStatsView), (status = 403, body = Problem),
        (status = 422, description = "A parameter is wrong, or counting would take too long", body = Problem),
        (status = 429, description = "Too many requests; `Retry-After` tells when", body = Problem)))]
pub async fn stats(
    State(served): State<Served>,
    caller: Authenticated,
    Params(query): Params<StatsQuery>,
) -> Result<Response, Problem> {
    limited(&served, &caller, Permission::ReadAudit, async |caller| {
        let (filter, bucket) = query.read(served.app.services.clock.now())?;
        let default_from = served.app.searching.default_from(&filter);
        let stats = counts(&served, &caller, &filter, default_from, bucket).await?;
        let filter = bounded(&filter, default_from);
        served.reads.search("stats", &filter, 0, &caller);
        answer::json(StatusCode::OK, &stats)
    })
    .await
}

async fn counts(
    served: &Served,
    caller: &Caller,
    filter: &EventFilter,
    default_from: Option<DateTime<Utc>>,
    bucket: Bucket,
) -> Result<AuditStatsView, Problem> {
    let query = Counted {
        filter: bounded(filter, default_from),
        bucket,
    };
    let stats = served.app.searching.stats(&query, caller).await?;
    Ok(AuditStatsView::new(stats, bucket, default_from))
}

/// What the audit log takes, and how it grows
#[utoipa::path(get, path = "/v1/audit/capacity", tag = "Audit",
    responses((status = 200, body = CapacityView), (status = 403, body = Problem),
        (status = 429, description = "Too many requests; `Retry-After` tells when", body = Problem)))]
pub async fn capacity(
    State(served): State<Served>,
    caller: Authenticated,
) -> Result<Response, Problem> {
    limited(&served, &caller, Permission::ReadAudit, async |caller| {
        if caller.scope.is_some() {
            return Err(Problem::out_of_scope("and the log's size is everybody's"));
        }
        let capacity = served.app.searching.capacity().await?;
        let parts = capacity.parts.len();
        let everything = EventFilter::default();
        served.reads.search("capacity", &everything, parts, &caller);
        answer::json(StatusCode::OK, &CapacityView::from(capacity))
    })
    .await
}

/// For whoever may do this, as often as they may read the log.
pub(super) async fn limited(
    served: &Served,
    caller: &Authenticated,
    permission: Permission,
    read: impl AsyncFnOnce(Caller) -> Result<Response, Problem>,
) -> Result<Response, Problem> {
    let reader = caller.may(permission)?;
    let allowance = served.limits.check(Kind::Query, caller.account())?;
    let mut answer = read(reader).await.into_response();
    if let Some(allowance) = allowance {
        allowance.tell(&mut answer);
    }
    Ok(answer)
}

fn bounded(filter: &EventFilter, default_from: Option<DateTime<Utc>>) -> EventFilter {
    EventFilter {
        from: filter.from.or(default_from),
        ..filter.clone()
    }
}

/// From the project or milestone that the filter names to the log.
fn way(filter: &EventFilter) -> Vec<Breadcrumb> {
    let mut way = Vec::new();
    if let Some(id) = filter.project_id {
        way.push(Breadcrumb::new("Projects", "/v1/projects"));
        way.push(Breadcrumb::new("Project", format!("/v1/projects/{id}")));
    }
    if let Some(id) = filter.milestone_id {
        way.push(Breadcrumb::new("Milestone", format!("/v1/milestones/{id}")));
    }
    way.push(Breadcrumb::new("Audit log", LIST));
    way
}

/// The address with its filters, for whoever it is shown to: a cursor is one caller's.
fn without_cursor(here: &Uri) -> String {
    let pairs = here.query().unwrap_or_default().split('&');
    let kept: Vec<&str> = pairs
        .filter(|pair| !pair.is_empty() && pair.split('=').next() != Some("cursor"))
        .collect();
    if kept.is_empty() {
        here.path().to_owned()
    } else {
        format!("{}?{}", here.path(), kept.join("&"))
    }
}
