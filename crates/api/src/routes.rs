//! The whole URL map, with the document that describes it.

use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

use crate::auth;
use crate::handlers::{
    activity, audit_events, audit_export, audit_log, audit_stream, disbursements, erasures,
    milestones, monitoring, operations, projects, public_log, resolutions, retention, trails,
    webhooks,
};
use crate::problem::Problem;
use crate::request_id;
use crate::state::{Operations, Served};

/// The longest that any answer may take: a disbursement waits up to 45 seconds for its wallet's turn
/// and up to 60 for the ledger.
const DEADLINE: Duration = Duration::from_mins(2);

#[derive(OpenApi)]
#[openapi(
    info(title = "Tranche", description = "Releases a project's money milestone by milestone. \
        Amounts are decimal strings; errors are application/problem+json."),
    modifiers(&Bearer),
    security(("bearer" = [])),
)]
struct Described;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut Document) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document
            .components
            .get_or_insert_with(Default::default)
            .add_security_scheme("bearer", scheme);
    }
}

fn described() -> OpenApiRouter<Served> {
    OpenApiRouter::with_openapi(Described::openapi())
        .routes(routes!(projects::open, projects::list))
        .routes(routes!(projects::show, projects::delete))
        .routes(routes!(activity::of_project))
        .routes(routes!(milestones::create, milestones::list))
        .routes(routes!(milestones::stats))
        .routes(routes!(
            milestones::show,
            milestones::edit,
            milestones::delete
        ))
        .routes(routes!(milestones::submit))
        .routes(routes!(milestones::approve))
        .routes(routes!(milestones::revise))
        .routes(routes!(milestones::reject))
        .routes(routes!(milestones::record_transfer))
        .routes(routes!(disbursements::disburse))
        .routes(routes!(activity::of_milestone))
        .routes(routes!(disbursements::list))
        .routes(routes!(disbursements::show))
        .routes(routes!(resolutions::propose))
        .routes(routes!(resolutions::confirm))
        .routes(routes!(retention::show))
        .routes(routes!(retention::run))
        .routes(routes!(retention::place))
        .routes(routes!(retention::lift))
        .routes(routes!(audit_events::ingest, audit_log::list))
        .routes(routes!(audit_log::show))
        .routes(routes!(audit_log::stats))
        .routes(routes!(audit_log::capacity))
        .routes(routes!(audit_export::export))
        .routes(routes!(audit_stream::stream))
        .routes(routes!(webhooks::list, webhooks::create))
        .routes(routes!(webhooks::show, webhooks::delete))
        .routes(routes!(webhooks::replay))
        .routes(routes!(webhooks::rotate_secret))
        .routes(routes!(erasures::erase))
        .routes(routes!(trails::put, trails::patch))
        .routes(routes!(trails::show))
        .routes(routes!(trails::analytics))
        .routes(routes!(trails::backend, trails::switch))
        .routes(routes!(trails::migrate))
        .routes(routes!(trails::compare))
        .routes(routes!(monitoring::audit_metrics))
        .routes(routes!(monitoring::prometheus))
        .routes(routes!(public_log::checkpoint))
        .routes(routes!(public_log::log))
        .routes(routes!(public_log::inclusion))
        .routes(routes!(public_log::consistency))
        .routes(routes!(operations::healthz))
        .routes(routes!(operations::readyz))
}

/// The document served at `/openapi.json`.
#[must_use]
pub fn openapi() -> Document {
    described().into_openapi()
}

/// The API reference, served from here alone: no validator elsewhere is asked.
fn reference(document: Document) -> SwaggerUi {
    SwaggerUi::new("/docs")
        .url("/openapi.json", document)
        .config(utoipa_swagger_ui::Config::default().validator_url("none"))
}

/// The service, ready to be served.
pub fn router(served: Served) -> Router {
    let (router, document) = described().split_for_parts();
    let router = router
        .merge(reference(document))
        // The document knows no path of several parts.
        .route("/tile/{*path}", get(public_log::tile))
        .route("/", get(|| async { Redirect::temporary("/docs") }));
    let router = lost(router).layer(from_fn_with_state(served.clone(), auth::middleware));
    dressed(router, served.operations.clone()).with_state(served)
}

/// What a process that only works serves: how it is.
pub fn operations_router(operations: Operations) -> Router {
    let router = Router::new()
        .route("/healthz", get(operations::healthz))
        .route("/readyz", get(operations::readyz))
        .route("/metrics", get(monitoring::prometheus));
    dressed(lost(router), operations.clone()).with_state(operations)
}

/// Problems for addresses and methods that there are not.
fn lost<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    router
        .fallback(|| async { Problem::not_found("page") })
        .method_not_allowed_fallback(|| async {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "request.method",
                "this address does not take this method",
            )
        })
}

/// What every answer has: a request id, an end in time, and a problem instead of a panic.
fn dressed<S: Clone + Send + Sync + 'static>(
    router: Router<S>,
    operations: Operations,
) -> Router<S> {
    let no_sniff = (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    router
        .layer(CatchPanicLayer::custom(|_| {
            tracing::error!("a handler panicked");
            Problem::internal().into_response()
        }))
        .layer(from_fn(deadline))
        .layer(SetResponseHeaderLayer::if_not_present(
            no_sniff.0, no_sniff.1,
        ))
        .layer(from_fn_with_state(operations, request_id::middleware))
}

async fn deadline(request: Request, next: Next) -> Response {
    match tokio::time::timeout(DEADLINE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "request.timeout",
            "this took too long; repeat it with the same Idempotency-Key",
        )
        .into_response(),
    }
}
