//! Events as they come into the log, as server-sent events.

use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tranche_application::Caller;
use tranche_application::ports::audit_search::Scope;
use utoipa::IntoParams;

use crate::audit_query::{FilterQuery, Reader};
use crate::auth::{Authenticated, Permission, token};
use crate::listening::Peer;
use crate::page::{Parameters, Params};
use crate::problem::Problem;
use crate::rate_limit::Kind;
use crate::state::{App, Served};
use crate::streams::feed::Feed;

/// Where the browser's `EventSource` says which event it had last.
const LAST_EVENT_ID: &str = "last-event-id";

/// From where, and which events.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StreamQuery {
    #[serde(flatten)]
    #[param(ignore)]
    filter: FilterQuery,
    /// Only events after this leaf index, -1 for all there are; from now on if absent.
    #[param(minimum = -1)]
    pub after: Option<String>,
}

/// Streams events as they come into the log
///
/// Server-sent events: `event: audit`, `data:` as in the list, `id:` the event's leaf index, in the
/// order of the log and each once. `Last-Event-ID`, or `after`, goes on after that event, on any
/// process of the service, without a gap. A comment says every 15 seconds that the stream lives. The
/// last event is `event: end` with the reason: `shutdown`, `denied` or `slow_reader`.
#[utoipa::path(get, path = "/v1/audit/stream", tag = "Audit",
    params(FilterQuery, StreamQuery, ("Last-Event-ID" = Option<String>, Header, description = "Goes on after this event; before `after`")),
    responses((status = 200, body = String, content_type = "text/event-stream"),
        (status = 400, description = "The position is none", body = Problem), (status = 403, body = Problem),
        (status = 422, body = Problem),
        (status = 429, description = "Too many streams, or requests; `Retry-After` tells when", body = Problem),
        (status = 503, description = "No room for a stream, or the store is away", body = Problem)))]
pub async fn stream(
    State(served): State<Served>,
    caller: Authenticated,
    ConnectInfo(peer): ConnectInfo<Peer>,
    headers: HeaderMap,
    Params(query): Params<StreamQuery>,
) -> Result<Response, Problem> {
    let who = caller.may(Permission::ReadAudit)?;
    let mut reader = Reader::default();
    let filter = query.filter.read(&mut reader);
    let filter = reader.finish(filter)?;
    let allowance = served.limits.check(Kind::Query, caller.account())?;
    let from = position(&headers, query.after.as_deref(), &served).await?;
    let seat = served.streams.seat(&caller.account().name)?;
    let follower = &served.streams.follower;
    let subscription = follower.subscribe(from, filter.clone(), Scope::from(who.scope));
    served.reads.stream(&filter, from, &who);
    let feed = Feed {
        streams: served.streams.clone(),
        seat,
        subscription,
        peer,
        request_id: who.origin.request_id.clone().unwrap_or_default(),
    };
    let credential = token(&headers).map(SecretString::from);
    let app = served.app.clone();
    let body = feed.begin(move || {
        let (app, who, credential) = (app.clone(), who.clone(), credential.clone());
        async move { is_denied(&app, &who, credential.as_ref()).await }
    });
    let mut answer = answer(body);
    if let Some(allowance) = allowance {
        allowance.tell(&mut answer);
    }
    Ok(answer)
}

fn answer(body: Body) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    let mut response = (headers, body).into_response();
    // What nginx would otherwise hold back until it has a page full.
    let buffering = HeaderValue::from_static("no");
    response
        .headers_mut()
        .insert("x-accel-buffering", buffering);
    response
}

/// Whether the credential is no longer in force, or no longer what it was. While that cannot be found
/// out there are no events either.
async fn is_denied(app: &App, who: &Caller, credential: Option<&SecretString>) -> bool {
    let Some(credential) = credential else {
        return true;
    };
    let origin = who.origin.clone();
    match Authenticated::by_token(credential.expose_secret(), origin, app).await {
        Ok(now) => now
            .may(Permission::ReadAudit)
            .map_or(true, |now| now.scope != who.scope),
        Err(problem) => problem.status == StatusCode::UNAUTHORIZED.as_u16(),
    }
}

/// The leaf index of the first event that is wanted.
async fn position(
    headers: &HeaderMap,
    after: Option<&str>,
    served: &Served,
) -> Result<i64, Problem> {
    let (name, text) = match (headers.get(LAST_EVENT_ID), after) {
        (Some(last), _) => ("Last-Event-ID", last.to_str().unwrap_or("")),
        (None, Some(after)) => ("after", after),
        (None, None) => return Ok(served.streams.follower.end().await?),
    };
    let malformed = |what: &str| Problem::malformed(format!("{name} {what}"));
    let after: i64 = text
        .parse()
        .ok()
        .filter(|index| (-1..i64::MAX).contains(index))
        .ok_or_else(|| malformed("must be the leaf index of an event, or -1 for all"))?;
    let end = served.streams.follower.end().await?;
    if after >= end {
        let what = format!(
            "lies beyond the end of the log, whose last event is {}",
            end - 1
        );
        return Err(malformed(&what));
    }
    Ok(after + 1)
}

impl Parameters for StreamQuery {
    const NAMES: &'static [&'static str] = &{
        let mut names = ["after"; FilterQuery::NAMES.len() + 1];
        let mut place = 1;
        while place < names.len() {
            names[place] = FilterQuery::NAMES[place - 1];
            place += 1;
        }
        names
    };
}
