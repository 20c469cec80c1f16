//! Audit events of other services.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tranche_application::audit::incoming::{Flaw, Incoming, WHOLE};
use tranche_application::audit::intake::{Accepted, Intake, IntakeError, Refusal};
use tranche_application::audit::record::EventRecord;
use tranche_application::{Caller, Services};

use crate::answer;
use crate::auth::{Authenticated, Permission};
use crate::batch;
use crate::bodies::IngestBody;
use crate::incoming::read_json;
use crate::problem::{FieldError, Problem};
use crate::rate_limit::Kind;
use crate::state::Served;
use crate::views::{IngestedView, RejectedView};

/// The largest body, in bytes.
const BODY_LIMIT: usize = 8 * 1024 * 1024;
/// Why an entry is not kept that must not be kept in clear.
const UNSEALED: &str = "holds what must be sealed, and cannot be sealed now; send it again later";
/// The most entries of a request.
const MOST_ENTRIES: usize = 1000;

/// Sends audit events of another service
///
/// Critical events are in the log before the answer; the others are on a disk before it, and in the
/// log soon after. Each entry is judged by itself: what is wrong with one does not spoil the others.
///
/// Safe to repeat where the entries have ids: an event is stored once, however often it is sent. So
/// an `Idempotency-Key` is accepted and not needed.
///
/// Limited by API key, or by subject, to 1,000 requests an hour unless set otherwise: that many may
/// come at once, then each place comes back after its share of the hour. `RateLimit-Limit` and
/// `RateLimit-Remaining` tell how many. Every process of the service counts for itself.
#[utoipa::path(post, path = "/v1/audit/events", tag = "Audit",
    params(("Idempotency-Key" = Option<String>, Header, description = "Accepted and not needed: ids make the call safe to repeat")),
    request_body = IngestBody,
    responses((status = 201, description = "Everything that was accepted is in the log", body = IngestedView),
        (status = 202, description = "Everything that was accepted is on a disk; some of it will be in the log soon", body = IngestedView),
        (status = 400, body = Problem), (status = 403, body = Problem), (status = 413, body = Problem),
        (status = 415, body = Problem),
        (status = 422, description = "No entry can be accepted", body = Problem),
        (status = 429, description = "Too many requests; `Retry-After` tells when", body = Problem),
        (status = 503, description = "The log does not take critical events now, or there is no room: nothing was accepted", body = Problem)))]
pub async fn ingest(
    State(served): State<Served>,
    caller: Authenticated,
    request: Request,
) -> Result<Response, Problem> {
    let sender = caller.may(Permission::Ingest)?;
    let allowance = served.limits.check(Kind::Ingest, caller.account())?;
    let (parts, body) = request.into_parts();
    let taken = match read_json(&parts.headers, body, BODY_LIMIT).await {
        Ok(body) => take(&served.app.services, &served.intake, &sender, &body).await,
        Err(problem) => Err(problem),
    };
    let mut answer = taken.into_response();
    if let Some(allowance) = allowance {
        allowance.tell(&mut answer);
    }
    Ok(answer)
}

/// Judges a body and takes in what is good in it.
async fn take(
    services: &Services,
    intake: &Intake,
    sender: &Caller,
    body: &[u8],
) -> Result<Response, Problem> {
    let (mut judged, events) = judge(services, sender, body)?;
    if events.is_empty() {
        return Err(nothing_accepted(judged.rejected));
    }
    let accepted = intake.take(events).await?;
    judged.refuse(&accepted);
    judged.answer(&accepted)
}

/// What was found in the entries of a request.
#[derive(Default)]
struct Judged {
    /// Where each good event was, from 0.
    places: Vec<usize>,
    rejected: Vec<RejectedView>,
}

/// Reads every entry by itself.
fn judge(
    services: &Services,
    sender: &Caller,
    body: &[u8],
) -> Result<(Judged, Vec<Arc<EventRecord>>), Problem> {
    let text = batch::mended(body);
    let entries = batch::entries(&text, MOST_ENTRIES).map_err(|problem| match text {
        Cow::Owned(_) => Problem::malformed("the body is not UTF-8"),
        Cow::Borrowed(_) => problem,
    })?;
    let mut reader = Incoming::new(services, sender);
    let mut judged = Judged::default();
    let mut events = Vec::with_capacity(entries.len());
    for (index, entry) in entries.into_iter().enumerate() {
        match reader.read(entry) {
            Ok(event) => {
                judged.places.push(index);
                events.push(event);
            }
            Err(flaws) => judged.rejected.push(RejectedView {
                index,
                errors: flaws.into_iter().map(FieldError::from).collect(),
            }),
        }
    }
    Ok((judged, events))
}

impl Judged {
    /// Adds the events that were good and found no place.
    fn refuse(&mut self, accepted: &Accepted) {
        let refused = accepted.refused.iter().filter_map(|(place, refusal)| {
            Some(RejectedView {
                index: *self.places.get(*place)?,
                errors: vec![FieldError::from(*refusal)],
            })
        });
        self.rejected.extend(refused);
        self.rejected.sort_by_key(|entry| entry.index);
    }

    fn answer(self, accepted: &Accepted) -> Result<Response, Problem> {
        let Accepted { stored, queued, .. } = *accepted;
        let is_for = |why| accepted.refused.iter().any(|(_, refusal)| *refusal == why);
        let any_without_room = is_for(Refusal::NoRoom);
        match (stored + queued, queued) {
            (0, _) if any_without_room => Err(no_room(&self.rejected)),
            (0, _) if is_for(Refusal::Unsealed) => Err(unsealed(&self.rejected)),
            (0, _) => Err(nothing_accepted(self.rejected)),
            (accepted, _) => {
                let status = if queued == 0 {
                    StatusCode::CREATED
                } else {
                    StatusCode::ACCEPTED
                };
                answer::json(
                    status,
                    &IngestedView {
                        accepted,
                        stored,
                        queued,
                        rejected: self.rejected,
                    },
                )
            }
        }
    }
}

impl From<Flaw> for FieldError {
    fn from(flaw: Flaw) -> Self {
        Self {
            field: flaw.field.into_owned(),
            message: flaw.message.into_owned(),
        }
    }
}

impl From<Refusal> for FieldError {
    fn from(refusal: Refusal) -> Self {
        let (field, message) = match refusal {
            Refusal::NoRoom => (WHOLE, "queue and spool are full; send it again later"),
            Refusal::Unfit => (
                WHOLE,
                "cannot be stored; the request id finds it in our log",
            ),
            Refusal::Unsealed => (WHOLE, UNSEALED),
            Refusal::IdTaken => ("id", "is the id of another event"),
        };
        Self {
            field: field.to_owned(),
            message: message.to_owned(),
        }
    }
}

/// The counts of a request of which nothing was accepted.
fn with_nothing(problem: Problem, rejected: &[RejectedView]) -> Problem {
    ["accepted", "stored", "queued"]
        .into_iter()
        .fold(problem, |problem, name| problem.with(name, json!(0)))
        .with("rejected", json!(rejected))
}

fn nothing_accepted(rejected: Vec<RejectedView>) -> Problem {
    let problem = Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "request.invalid",
        "no entry can be accepted",
    );
    let mut problem = with_nothing(problem, &rejected);
    for RejectedView { index, errors } in rejected {
        problem.errors.extend(errors.into_iter().map(|error| {
            let field = match error.field.as_str() {
                WHOLE => format!("entries[{index}]"),
                field => format!("entries[{index}].{field}"),
            };
            FieldError { field, ..error }
        }));
    }
    problem
}

fn unsealed(rejected: &[RejectedView]) -> Problem {
    let problem = Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "audit.keys_unavailable",
        format!("nothing was accepted: an entry {UNSEALED}"),
    );
    with_nothing(problem, rejected)
}

fn no_room(rejected: &[RejectedView]) -> Problem {
    let problem = Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "audit.queue_full",
        "queue and spool are full; nothing was accepted: send it again later",
    );
    with_nothing(problem, rejected)
}

impl From<IntakeError> for Problem {
    fn from(error: IntakeError) -> Self {
        tracing::error!(%error, "critical events are refused");
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "audit.store_unavailable",
            "the audit log does not take critical events now, and nothing was accepted; send it \
             again (ids of your own make that safe)",
        )
    }
}

#[cfg(test)]
mod tests;
