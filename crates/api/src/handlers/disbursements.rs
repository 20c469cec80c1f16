//! Disbursements: order one, watch one, list them.

use std::time::Duration;

use axum::extract::{OriginalUri, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use tranche_application::disbursement::Progress;
use tranche_application::ports::queries::{DisbursementFilter, Page, Timeline};
use tranche_application::ports::store::StoreError;
use tranche_application::{Call, Caller, Outcome};
use tranche_domain::{
    Action, Disbursement, DisbursementId, DisbursementState, Milestone, MilestoneId, ProjectId,
};
use utoipa::IntoParams;

use super::Id;
use crate::answer::{self, Replay};
use crate::auth::{Authenticated, Permission};
use crate::bodies::DisburseBody;
use crate::form::positive_amount;
use crate::incoming::Incoming;
use crate::page::{Breadcrumb, Listing, PageQuery, Parameters, Params, one_more};
use crate::problem::{self, Problem};
use crate::state::App;
use crate::views::{DisbursementView, MilestoneView, PendingView, SettledView};

const DEFAULT_WAIT: u64 = 15;
const MAX_WAIT: u64 = 60;

/// How long to wait for the ledger.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WaitQuery {
    /// Seconds, 0 to 60; 15 if absent.
    #[param(minimum = 0, maximum = 60)]
    wait: Option<String>,
}

impl Parameters for WaitQuery {
    const NAMES: &'static [&'static str] = &["wait"];
}

impl WaitQuery {
    fn patience(&self) -> Result<Duration, Problem> {
        let seconds = match &self.wait {
            None => DEFAULT_WAIT,
            Some(text) => text
                .parse()
                .ok()
                .filter(|wait| *wait <= MAX_WAIT)
                .ok_or_else(|| {
                    Problem::field(
                        "wait",
                        format!("must be whole seconds from 0 to {MAX_WAIT}"),
                    )
                })?,
        };
        Ok(Duration::from_secs(seconds))
    }
}

/// Burns for an approved and paid milestone
///
/// The burn, the NAV, the milestone and its evidence move together, exactly once. Answers 200 once
/// settled, 202 while the ledger decides; the same key asks again without a second burn. As many
/// burns are in flight at once as there are channel accounts, and without those one of each wallet:
/// the call waits up to 45 seconds for its turn, and then up to `wait` seconds for the ledger.
#[utoipa::path(post, path = "/v1/milestones/{id}/disburse", tag = "Disbursements",
    params(("id" = uuid::Uuid, Path), WaitQuery,
        ("Idempotency-Key" = String, Header, description = "Required: makes the call safe to repeat")),
    request_body = DisburseBody,
    responses((status = 200, body = SettledView), (status = 202, body = PendingView),
        (status = 409, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn disburse(
    State(app): State<App>,
    Id(id): Id,
    Params(wait): Params<WaitQuery>,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let (call, mut form) = incoming.call(Permission::Disburse)?;
    let amount = form.optional("amount", positive_amount);
    form.finish(|| Some(()))?;
    let patience = wait.patience()?;
    if call.idempotency.is_none() {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "idempotency.key_required",
            "send an Idempotency-Key, so that repeating this call cannot burn twice",
        ));
    }
    let disbursement = match app
        .disbursements
        .prepare(MilestoneId(id), amount, &call)
        .await?
    {
        Outcome::Done(disbursement) => disbursement,
        Outcome::AlreadyApplied(answered) => match answer::replay(&answered)? {
            Replay::Answer(response) => return Ok(response),
            Replay::Made(id) => DisbursementId(id),
        },
    };
    // From here on the burn is ordered: no answer may say that nothing was done.
    match app.disbursements.wait(disbursement, patience).await {
        Ok(Progress::Ended(disbursement)) => ended(&app, &call, &disbursement).await,
        Ok(Progress::Open(disbursement)) => pending(&disbursement),
        Err(error) => Err(problem::ordered(disbursement, &error)),
    }
}

fn pending(disbursement: &Disbursement) -> Result<Response, Problem> {
    let view = PendingView {
        disbursement: disbursement.into(),
    };
    let mut response = answer::json(StatusCode::ACCEPTED, &view)?;
    let address = format!("/v1/disbursements/{}", disbursement.id);
    if let Ok(address) = HeaderValue::from_str(&address) {
        response.headers_mut().insert(header::LOCATION, address);
    }
    Ok(response)
}

async fn ended(app: &App, call: &Call, disbursement: &Disbursement) -> Result<Response, Problem> {
    if let DisbursementState::Failed { failure, .. } = &disbursement.state {
        let detail = format!(
            "nothing was burned and the milestone is approved as before: {}",
            failure.detail
        );
        return Err(
            Problem::new(StatusCode::CONFLICT, "disbursement.failed", detail)
                .with("reason", json!(failure.code))
                .with("disbursement", json!(DisbursementView::from(disbursement))),
        );
    }
    let (milestone, (new_nav, lp_token_price)) = settled(app, &call.caller, disbursement)
        .await
        .map_err(|error| problem::ordered(disbursement.id, &error.into()))?;
    let disbursed = DisbursementView::from(disbursement);
    let view = SettledView {
        milestone: MilestoneView::from(&milestone),
        burn_tx_hash: disbursed.tx_hash().to_owned(),
        disbursement: disbursed,
        new_nav,
        lp_token_price,
    };
    answer::keep(app, call.idempotency.as_ref(), StatusCode::OK, &view).await
}

/// The milestone as it stands, and the books right after this burn.
async fn settled(
    app: &App,
    caller: &Caller,
    disbursement: &Disbursement,
) -> Result<(Milestone, (String, Option<String>)), StoreError> {
    let id = disbursement.milestone_id;
    let milestone = app.reading.milestone(id, caller).await?;
    let gone = || StoreError::Inconsistent(format!("milestone {id} is gone"));
    let books = books_after(app, caller, disbursement).await?;
    Ok((milestone.ok_or_else(gone)?, books))
}

/// NAV and price right after this burn, from its evidence: the project may have moved on since.
async fn books_after(
    app: &App,
    caller: &Caller,
    disbursement: &Disbursement,
) -> Result<(String, Option<String>), StoreError> {
    let page = Page {
        after: None,
        limit: 10,
    };
    let timeline = Timeline::Milestone(disbursement.milestone_id);
    let events = app
        .reading
        .timeline(timeline, page, caller)
        .await?
        .unwrap_or_default();
    let action = Action::MilestoneDisbursed.as_str();
    let event = events.iter().find(|logged| logged.event.action == action);
    let metadata = event.map(|logged| &logged.event.metadata);
    let text = |name| metadata.and_then(|metadata| metadata.get(name)?.as_str().map(str::to_owned));
    let id = disbursement.id;
    let new_nav = text("new_nav")
        .ok_or_else(|| StoreError::Inconsistent(format!("disbursement {id} has no evidence")))?;
    Ok((new_nav, text("lp_token_price")))
}

/// Reads a disbursement
#[utoipa::path(get, path = "/v1/disbursements/{id}", tag = "Disbursements",
    params(("id" = uuid::Uuid, Path)),
    responses((status = 200, body = DisbursementView), (status = 404, body = Problem)))]
pub async fn show(
    State(app): State<App>,
    caller: Authenticated,
    Id(id): Id,
) -> Result<Response, Problem> {
    let caller = caller.may(Permission::Read)?;
    let disbursement = app
        .reading
        .disbursement(DisbursementId(id), &caller)
        .await?;
    let disbursement = disbursement.ok_or_else(|| Problem::not_found("disbursement"))?;
    answer::json(StatusCode::OK, &DisbursementView::from(&disbursement))
}

/// Which disbursements to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// `prepared`, `submitted`, `needs_operator`, `settled` or `failed`.
    state: Option<String>,
    /// Of this project.
    project_id: Option<String>,
    /// How many rows, 1 to 1,000; 50 if absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl Parameters for ListQuery {
    const NAMES: &'static [&'static str] = &["state", "project_id", "limit", "cursor"];
}

const STATES: [&str; 5] = [
    "prepared",
    "submitted",
    "needs_operator",
    "settled",
    "failed",
];

/// Lists disbursements, newest first
#[utoipa::path(get, path = "/v1/disbursements", tag = "Disbursements", params(ListQuery),
    responses((status = 200, body = Listing<DisbursementView>)))]
pub async fn list(
    State(app): State<App>,
    caller: Authenticated,
    Params(query): Params<ListQuery>,
    OriginalUri(here): OriginalUri,
) -> Result<Response, Problem> {
    let caller = caller.may(Permission::Read)?;
    let page = PageQuery {
        limit: query.limit,
        cursor: query.cursor,
    }
    .page()?;
    if let Some(state) = &query.state
        && !STATES.contains(&state.as_str())
    {
        return Err(Problem::field(
            "state",
            format!("must be one of {}", STATES.join(", ")),
        ));
    }
    let project_id = match query.project_id.as_deref().map(str::parse) {
        None => None,
        Some(Ok(id)) => Some(ProjectId(id)),
        Some(Err(_)) => return Err(Problem::field("project_id", "must be a UUID")),
    };
    let filter = DisbursementFilter {
        state: query.state,
        project_id,
    };
    let rows = app
        .reading
        .disbursements(filter, one_more(page), &caller)
        .await?;
    let way = vec![Breadcrumb::new("Disbursements", "/v1/disbursements")];
    let listing = Listing::new(
        rows,
        page,
        &here,
        way,
        |row| row.id.0,
        |row| DisbursementView::from(row),
    );
    answer::json(StatusCode::OK, &listing)
}
