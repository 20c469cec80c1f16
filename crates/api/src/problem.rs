//! Errors become HTTP here and nowhere else (RFC 9457, `application/problem+json`).
//!
//! An answer says what the caller can act on; what went wrong inside goes to the log.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tranche_application::disbursement::watch::Withheld;
use tranche_application::disbursement::{AdvanceError, DisburseError, ResolveError};
use tranche_application::milestones::MilestoneError;
use tranche_application::ports::burner::LedgerError;
use tranche_application::ports::custody::CustodyError;
use tranche_application::ports::store::{Conflict, StoreError};
use tranche_application::projects::OpenProjectError;
use tranche_application::services::with_causes;
use tranche_domain::DisbursementId;
use tranche_domain::disbursement::ResolutionError;
use tranche_domain::milestone::{Refusal, TransitionError};
use utoipa::ToSchema;

use crate::request_id;

/// Nothing is sent until somebody looks: trying again soon is no use.
const HALTED: &str = "ledger.halted";

/// One field that cannot be accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The field's name in the body or query.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

/// The `type` of a problem.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub enum Kind {
    /// Nothing beyond the status and the code.
    #[serde(rename = "about:blank")]
    Blank,
}

/// An error as the caller sees it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Always `about:blank`: the code says it all.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The status in words.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What happened, for people.
    pub detail: String,
    /// Where it happened: the path that was called.
    pub instance: String,
    /// Stable and machine-readable.
    pub code: &'static str,
    /// The fields that cannot be accepted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// What else helps.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub more: Box<Map<String, Value>>,
}

impl Problem {
    /// A problem of this status and code.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind: Kind::Blank,
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            instance: request_id::path(),
            code,
            errors: Vec::new(),
            more: Box::default(),
        }
    }

    /// The request cannot be read.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "request.malformed", detail)
    }

    /// Fields that cannot be accepted.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let names: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
        let detail = format!("not acceptable: {}", names.join(", "));
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "request.invalid", detail);
        problem.errors = errors;
        problem
    }

    /// One field that cannot be accepted.
    pub fn field(field: &str, message: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError {
            field: field.to_owned(),
            message: message.into(),
        }])
    }

    /// Not there, or not for the caller's eyes.
    pub fn not_found(what: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            format!("there is no such {what}"),
        )
    }

    /// The credential is for one project only, and this is not that project's.
    pub fn out_of_scope(why: &str) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "auth.out_of_scope",
            format!("this key is for one project only {why}"),
        )
    }

    /// A fault on our side; the log has the rest.
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "something went wrong here; the request id finds it in our log",
        )
    }

    /// Adds a member.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.more.insert(name.to_owned(), value);
        self
    }

    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status_code();
        let waits_for_a_person = self.code == HALTED;
        let retry_after = self.more.get("retry_after").and_then(Value::as_u64);
        let mut response = (status, Json(self)).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, scheme);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE && !waits_for_a_person {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if let Some(seconds) = retry_after {
            let seconds = HeaderValue::from(seconds);
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let conflict = |code, detail: &str| Self::new(StatusCode::CONFLICT, code, detail);
        match error {
            StoreError::Unavailable(_) => {
                tracing::error!(error = with_causes(&error), "the store is unavailable");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "store.unavailable",
                    "the store does not take this now; nothing was done",
                )
            }
            StoreError::OutcomeUnknown(_) => {
                tracing::error!(error = with_causes(&error), "a commit's outcome is unknown");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "store.outcome_unknown",
                    "the store did not say whether this was done; read again, or repeat it with \
                     the same Idempotency-Key",
                )
            }
            StoreError::Inconsistent(_) => {
                tracing::error!(error = with_causes(&error), "the store is inconsistent");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "store.inconsistent",
                    "what is stored contradicts itself; nothing was done",
                )
            }
            StoreError::TooMuch => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "search.too_much",
                "the search would take too long: ask for a shorter time with `from` and `to`, or \
                 for less of it with other filters",
            ),
            StoreError::Conflict(Conflict::MilestoneNumber) => conflict(
                "milestone.number_taken",
                "the project has a milestone with this number already",
            )
            .with("field", json!("number")),
            StoreError::Conflict(Conflict::TransferReference) => conflict(
                "milestone.transfer_reference_used",
                "another milestone of the project has this bank transfer reference",
            )
            .with("field", json!("reference")),
            StoreError::Conflict(Conflict::Wallet) => conflict(
                "project.wallet_taken",
                "the wallet belongs to another project",
            ),
            StoreError::Conflict(Conflict::ProjectInUse) => conflict(
                "project.has_webhooks",
                "the project has webhooks; delete them first",
            ),
            StoreError::Conflict(Conflict::ProjectGone) => Self::not_found("project"),
            StoreError::Conflict(Conflict::LedgerSlot) => wallet_busy(),
            StoreError::Conflict(Conflict::Stale | Conflict::Retry) => conflict(
                "conflict",
                "somebody else was faster; read again and repeat",
            ),
        }
    }
}

fn wallet_busy() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "project.wallet_busy",
        "another burn of the project's wallet, or of every channel account, is in flight; repeat \
         when one has ended",
    )
}

pub fn key_misused() -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "idempotency.key_reused",
        "this Idempotency-Key was used for another request",
    )
}

fn stale(current: i64) -> Problem {
    Problem::new(
        StatusCode::PRECONDITION_FAILED,
        "milestone.stale",
        format!("the milestone is at version {current}; read it again"),
    )
    .with("version", json!(current))
}

impl From<TransitionError> for Problem {
    fn from(error: TransitionError) -> Self {
        let code = error.why.code();
        let (status, field) = match error.why {
            Refusal::SubmitterMayNotApprove | Refusal::ApproverMayNotDisburse => {
                (StatusCode::FORBIDDEN, None)
            }
            Refusal::AmountNotPositive
            | Refusal::AmountAboveNav { .. }
            | Refusal::AmountDiffersFromTransfer { .. } => {
                (StatusCode::UNPROCESSABLE_ENTITY, Some("amount"))
            }
            Refusal::Books(_) => (StatusCode::INTERNAL_SERVER_ERROR, None),
            _ => (StatusCode::CONFLICT, None),
        };
        let mut problem = Self::new(status, code, error.to_string())
            .with("from", json!(error.from.as_str()))
            .with("action", json!(error.action.as_str()));
        if let Some(field) = field {
            let message = error.why.to_string();
            problem.errors.push(FieldError {
                field: field.to_owned(),
                message,
            });
        }
        problem
    }
}

impl From<MilestoneError> for Problem {
    fn from(error: MilestoneError) -> Self {
        match error {
            MilestoneError::NotFound => Self::not_found("milestone"),
            MilestoneError::ProjectNotFound => Self::not_found("project"),
            MilestoneError::Refused(error) => error.into(),
            MilestoneError::VersionMismatch { current } => stale(current),
            MilestoneError::KeyMisused => key_misused(),
            MilestoneError::TransferInFuture => Self::field("date", "must not lie in the future"),
            MilestoneError::Books(error) => {
                tracing::error!(%error, "the books contradict themselves");
                Self::internal()
            }
            MilestoneError::Store(error) => error.into(),
        }
    }
}

impl From<OpenProjectError> for Problem {
    fn from(error: OpenProjectError) -> Self {
        match error {
            OpenProjectError::WalletRequired => {
                Self::field("wallet", "is required: this ledger opens no wallets")
            }
            OpenProjectError::OutOfScope => Self::out_of_scope("and cannot open another"),
            OpenProjectError::KeyMisused => key_misused(),
            OpenProjectError::Custody(error) => error.into(),
            OpenProjectError::Ledger(error) => error.into(),
            OpenProjectError::Store(error) => error.into(),
        }
    }
}

impl From<CustodyError> for Problem {
    fn from(error: CustodyError) -> Self {
        match error {
            CustodyError::NotASeed => Self::field("wallet.secret_seed", error.to_string()),
            CustodyError::NotAnAccount => Self::field("wallet.account_id", error.to_string()),
            CustodyError::UnknownCustodian
            | CustodyError::NoSuchKey(_)
            | CustodyError::NotItsKey(_) => Self::field("wallet.custody", error.to_string()),
            CustodyError::Misconfigured(_) => {
                tracing::error!(error = with_causes(&error), "custody is set up wrongly");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "custody.misconfigured",
                    "the custodian of the wallet's key is set up wrongly here; nothing was done",
                )
            }
            CustodyError::UnknownWallet(_)
            | CustodyError::CannotOpen(_)
            | CustodyError::Unavailable(_) => {
                tracing::error!(error = with_causes(&error), "custody failed");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "custody.unavailable",
                    "the wallet's key cannot be used now; nothing was done",
                )
            }
        }
    }
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        match &error {
            LedgerError::Refused { code, detail } => Self::new(
                StatusCode::CONFLICT,
                "ledger.refused",
                format!("the ledger would refuse this burn: {detail}"),
            )
            .with("reason", json!(code)),
            LedgerError::UnfitSequenceAccount { .. } | LedgerError::Misconfigured(_) => {
                tracing::error!(error = with_causes(&error), "the ledger is set up wrongly");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "ledger.misconfigured",
                    "the ledger or the wallet's key is set up wrongly here; nothing was done",
                )
            }
            LedgerError::Unavailable(_) => {
                tracing::error!(error = with_causes(&error), "the ledger cannot be used");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "ledger.unavailable",
                    "the ledger cannot be used now; nothing was done",
                )
            }
        }
    }
}

impl From<DisburseError> for Problem {
    fn from(error: DisburseError) -> Self {
        match error {
            DisburseError::NotFound => Self::not_found("milestone"),
            DisburseError::Refused(error) => error.into(),
            DisburseError::VersionMismatch { current } => stale(current),
            DisburseError::KeyMisused => key_misused(),
            DisburseError::WalletBusy => wallet_busy(),
            DisburseError::Withheld(why) => why.into(),
            DisburseError::Ledger(error) => error.into(),
            DisburseError::Store(error) => error.into(),
            DisburseError::Evidence(error) => {
                tracing::error!(%error, "the evidence cannot be written");
                Self::internal()
            }
        }
    }
}

impl From<Withheld> for Problem {
    fn from(why: Withheld) -> Self {
        let (status, code) = match why {
            Withheld::Halted(_) => (StatusCode::SERVICE_UNAVAILABLE, HALTED),
            Withheld::BooksDiffer(_) => (StatusCode::CONFLICT, "project.books_differ"),
        };
        Self::new(status, code, why.to_string())
    }
}

impl From<ResolveError> for Problem {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::NotFound => Self::not_found("disbursement"),
            ResolveError::Refused(error) => error.into(),
            ResolveError::Contradicted(_) => Self::new(
                StatusCode::CONFLICT,
                "disbursement.contradicted",
                error.to_string(),
            ),
            ResolveError::VersionMismatch { current } => Self::new(
                StatusCode::PRECONDITION_FAILED,
                "disbursement.stale",
                format!("the disbursement is at version {current}; read it again"),
            )
            .with("version", json!(current)),
            ResolveError::VersionRequired => Self::new(
                StatusCode::PRECONDITION_REQUIRED,
                "disbursement.version_required",
                "send the ETag of the disbursement that you read as If-Match, so that you confirm \
                 what you have seen",
            ),
            ResolveError::KeyMisused => key_misused(),
            ResolveError::Ledger(error) => error.into(),
            ResolveError::Store(error) => error.into(),
        }
    }
}

impl From<ResolutionError> for Problem {
    fn from(error: ResolutionError) -> Self {
        let refused = |status, code| Self::new(status, code, error.to_string());
        match &error {
            ResolutionError::NotAsked(_) => {
                refused(StatusCode::CONFLICT, "disbursement.needs_no_operator")
            }
            ResolutionError::NoProposal => {
                refused(StatusCode::CONFLICT, "disbursement.no_proposal")
            }
            ResolutionError::SamePerson => refused(
                StatusCode::FORBIDDEN,
                "disbursement.proposer_may_not_confirm",
            ),
            ResolutionError::OtherBurn(_) => Self::field("tx_hash", error.to_string()),
            ResolutionError::TooEarly(_) => Self::field("ledger", error.to_string()),
            ResolutionError::Verdict(_) => {
                tracing::error!(%error, "the books do not fit the judgement");
                Self::internal()
            }
        }
    }
}

/// The burn is ordered and will end by itself; only how it stands could not be told.
pub fn ordered(id: DisbursementId, error: &AdvanceError) -> Problem {
    tracing::error!(disbursement = %id, error = with_causes(error), "its state cannot be told");
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "disbursement.ordered",
        format!(
            "the burn is ordered and goes on by itself, but its state cannot be read now; read \
             /v1/disbursements/{id}, or repeat with the same Idempotency-Key"
        ),
    )
    .with("disbursement_id", json!(id.0))
}
