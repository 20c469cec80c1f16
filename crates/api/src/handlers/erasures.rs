//! Erasures of what is sealed of a subject.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use tokio::sync::Semaphore;
use tranche_application::Outcome;
use tranche_application::audit::erasure::{Erasure, ErasureError};
use tranche_domain::text::Reason;

use crate::answer::{self, Replay};
use crate::auth::Permission;
use crate::bodies::ErasureBody;
use crate::form::{flag, line, text};
use crate::incoming::Incoming;
use crate::problem::{Problem, key_misused};
use crate::state::App;
use crate::views::{ErasureView, MentionsView};

/// The most characters of a subject's id.
const MOST_SUBJECT: usize = 500;

/// How many dry runs count at once.
static COUNTING: Semaphore = Semaphore::const_new(1);
/// The longest that one of them may count.
const LONGEST_COUNT: Duration = Duration::from_secs(5);

/// Erases what is sealed of a subject
///
/// The subject's key is deleted for good: what it sealed is unreadable in every copy of the log, within
/// half a minute in every process. The events and their proofs stay. Needs a key that is for all
/// projects, because a subject is in all of them.
///
/// With `dry_run` it counts the events that it would be about, for 5 seconds at most, one call at a time;
/// where there are more, `tranche erase --dry-run` counts them all.
#[utoipa::path(post, path = "/v1/audit/erasures", tag = "Audit",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes the call safe to repeat")),
    request_body = ErasureBody,
    responses((status = 200, body = ErasureView), (status = 400, body = Problem), (status = 403, body = Problem),
        (status = 404, description = "Nothing is sealed of this subject", body = Problem),
        (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn erase(State(app): State<App>, incoming: Incoming) -> Result<Response, Problem> {
    let (call, mut form) = incoming.call(Permission::Erase)?;
    let subject = form.required("subject", line(MOST_SUBJECT));
    let reason = form.required("reason", text(Reason::try_new));
    let dry_run = form.optional("dry_run", flag).unwrap_or(false);
    let (subject, reason) = form.finish(|| Some((subject?, reason?)))?;
    if call.caller.scope.is_some() {
        return Err(Problem::out_of_scope("and a subject is in all of them"));
    }
    let erasure = Erasure::new(app.services.clone(), app.sensitive.clone());
    if dry_run {
        // It reads every event, on a connection of its own.
        let _turn = COUNTING.try_acquire().map_err(|_| busy())?;
        let (key_id, mentions) = erasure.look(&subject, Some(LONGEST_COUNT)).await?;
        let view = ErasureView {
            dry_run,
            key_id,
            events: Some(MentionsView::from(mentions)),
        };
        return answer::json(StatusCode::OK, &view);
    }
    let view = |key_id| ErasureView {
        dry_run,
        key_id,
        events: None,
    };
    match erasure.erase(&subject, &reason, &call).await? {
        Outcome::Done(key) => {
            answer::keep(&app, call.idempotency.as_ref(), StatusCode::OK, &view(key)).await
        }
        Outcome::AlreadyApplied(answered) => match answer::replay(&answered)? {
            Replay::Answer(response) => Ok(response),
            Replay::Made(key) => answer::json(StatusCode::OK, &view(key)),
        },
    }
}

fn busy() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "erasure.busy",
        "another dry run is counting; try again when it is through",
    )
}

impl From<ErasureError> for Problem {
    fn from(error: ErasureError) -> Self {
        match error {
            ErasureError::NoKey => Self::new(
                StatusCode::NOT_FOUND,
                "subject.no_key",
                "nothing is sealed under a key of this subject, or it was erased",
            ),
            ErasureError::TooMany => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "erasure.too_many_events",
                "there are too many events to be counted here; `tranche erase --dry-run` counts them \
                 all, and the erasure itself needs no count",
            ),
            ErasureError::KeyMisused => key_misused(),
            ErasureError::Store(error) => error.into(),
        }
    }
}
