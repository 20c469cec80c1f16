//! How the audit pipeline is, for people and for Prometheus.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::answer;
use crate::auth::{Authenticated, Permission};
use crate::problem::Problem;
use crate::state::Operations;
use crate::views::AuditMetricsView;

/// Prometheus' text format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How the audit pipeline is, over all processes
///
/// Answers within two seconds whatever is down: `store_available` is false and the health names it.
#[utoipa::path(get, path = "/v1/monitoring/audit-metrics", tag = "Monitoring",
    responses((status = 200, body = AuditMetricsView), (status = 403, body = Problem)))]
pub async fn audit_metrics(
    State(operations): State<Operations>,
    caller: Authenticated,
) -> Result<Response, Problem> {
    let caller = caller.may(Permission::Monitor)?;
    if caller.scope.is_some() {
        return Err(Problem::out_of_scope("and the pipeline is everybody's"));
    }
    let snapshot = operations.monitoring.snapshot().await;
    let health = operations.monitoring.health(&snapshot);
    answer::json(StatusCode::OK, &AuditMetricsView::new(&snapshot, &health))
}

/// This process's figures, for Prometheus
///
/// Needs no credential, so that a scraper needs none: keep it off the public network.
#[utoipa::path(get, path = "/metrics", tag = "Operations", security(()),
    responses((status = 200, body = String, content_type = "text/plain")))]
pub async fn prometheus(State(operations): State<Operations>) -> Response {
    let trails = &operations.trails;
    let (backend, figures) = (trails.backend().await, trails.figures());
    operations.metrics.trails(backend, figures);
    let text = operations.metrics.render(&operations.monitoring).await;
    ([(header::CONTENT_TYPE, TEXT)], text).into_response()
}
