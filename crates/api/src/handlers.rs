//! Handlers: read the call, hand it to its use case, show what came of it. One file a resource.

pub mod activity;
pub mod audit_events;
pub mod audit_export;
pub mod audit_log;
pub mod audit_stream;
pub mod disbursements;
pub mod erasures;
pub mod milestones;
pub mod monitoring;
pub mod operations;
pub mod projects;
pub mod public_log;
pub mod resolutions;
pub mod retention;
pub mod trails;
pub mod webhooks;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use uuid::Uuid;

use crate::problem::Problem;

/// The id in the path. What is no id names nothing.
pub struct Id(pub Uuid);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<Uuid>::from_request_parts(parts, state).await {
            Ok(Path(id)) => Ok(Self(id)),
            Err(_) => Err(Problem::not_found("resource")),
        }
    }
}
