//! Copies of the log over HTTP.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use tranche_application::Caller;
use tranche_application::audit::export::{ExportError, Format, Piece, Pieces, Request};
use utoipa::IntoParams;

use crate::audit_query::{FilterQuery, Reader};
use crate::auth::{Authenticated, Permission};
use crate::page::{Parameters, Params};
use crate::problem::Problem;
use crate::rate_limit::Kind;
use crate::state::Served;

/// How the copy is written.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    #[serde(flatten)]
    #[param(ignore)]
    filter: FilterQuery,
    /// `csv`, `parquet`, or `ndjson`, which carries what proves it.
    #[param(value_type = String, example = "ndjson")]
    format: Option<String>,
}

impl Parameters for ExportQuery {
    const NAMES: &'static [&'static str] = &{
        let mut names = [""; FilterQuery::NAMES.len() + 1];
        names[0] = "format";
        let mut place = 1;
        while place < names.len() {
            names[place] = FilterQuery::NAMES[place - 1];
            place += 1;
        }
        names
    };
}

/// A copy of the audit log, or of a part of it
///
/// Streamed, however large it is. `csv` and `parquet` are tables of all that the filters let through,
/// archived events included; `ndjson` has every stored column in the order of the log, with what
/// `tranche verify --export` needs to prove it without the service. A copy that breaks off ends
/// without its last chunk: what was received until then is not all. The export itself is recorded.
///
/// Limited as searches are.
#[utoipa::path(get, path = "/v1/audit/export", tag = "Audit", params(FilterQuery, ExportQuery),
    responses(
        (status = 200, description = "The copy, as a file", content_type = "application/octet-stream", body = Vec<u8>),
        (status = 403, body = Problem),
        (status = 409, description = "Nothing is sealed yet, so that nothing can be proven", body = Problem),
        (status = 422, description = "A parameter is wrong", body = Problem),
        (status = 429, description = "Too many requests; `Retry-After` tells when", body = Problem),
        (status = 503, description = "Too many copies are being made, the store is away, or it contradicts a checkpoint that was given out", body = Problem)))]
pub async fn export(
    State(served): State<Served>,
    caller: Authenticated,
    Params(query): Params<ExportQuery>,
) -> Result<Response, Problem> {
    let allowed = caller.may(Permission::ReadAudit)?;
    let allowance = served.limits.check(Kind::Query, caller.account())?;
    let mut response = copy(&served, allowed, &query).await;
    if let Some(allowance) = allowance {
        allowance.tell(&mut response);
    }
    Ok(response)
}

async fn copy(served: &Served, caller: Caller, query: &ExportQuery) -> Response {
    match begin(served, caller, query).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn begin(served: &Served, caller: Caller, query: &ExportQuery) -> Result<Response, Problem> {
    let mut reader = Reader::default();
    let filter = query.filter.read(&mut reader);
    let format = Format::named(query.format.as_deref().unwrap_or_default());
    if format.is_none() {
        reader.flaw("format", "must be csv, ndjson or parquet");
    }
    let (filter, format) = reader.finish((filter, format))?;
    let format = format.ok_or_else(Problem::internal)?;
    let copies = &served.copies;
    let place = copies.places.clone().try_acquire_owned().map_err(|_| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "audit.exports_busy",
            "as many copies as this process makes at once are being made; try again later",
        )
    })?;
    let sheet = copies.sheet(format).await?.ok_or_else(|| {
        Problem::new(
            StatusCode::CONFLICT,
            "audit.nothing_sealed",
            "nothing in this log is sealed yet, so nothing can be proven",
        )
    })?;
    let headers = headers(format, &caller, served);
    let request = Request {
        described: copies.described(&filter),
        filter,
        caller,
    };
    let (mut pieces, _) = copies.exports.begin(request, sheet);
    // What goes wrong at once is told in a way that can be read.
    let first = match pieces.recv().await {
        Some(Ok(first)) => first,
        Some(Err(ExportError::Store(error))) => return Err(error.into()),
        Some(Err(error)) => {
            tracing::error!(%error, "a copy of the log broke off");
            return Err(Problem::internal());
        }
        None => return Err(Problem::internal()),
    };
    Ok((StatusCode::OK, headers, body(first, pieces, place)).into_response())
}

fn headers(format: Format, caller: &Caller, served: &Served) -> [(HeaderName, String); 3] {
    let kind = match format {
        Format::Csv => "text/csv; charset=utf-8; header=present",
        Format::Ndjson => "application/x-ndjson",
        Format::Parquet => "application/vnd.apache.parquet",
    };
    let of = caller
        .scope
        .map_or_else(String::new, |project| format!("-project-{project}"));
    let at = served.app.services.clock.now().format("%Y%m%dT%H%M%SZ");
    let name = format!("tranche-audit{of}-{at}.{}", format.as_str());
    [
        (header::CONTENT_TYPE, kind.to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}\""),
        ),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ]
}

/// The pieces as they come. An error ends the answer without its last chunk.
fn body(first: Piece, pieces: Pieces, place: OwnedSemaphorePermit) -> Body {
    let state = (Some(first), pieces, place);
    Body::from_stream(stream::unfold(state, |(first, mut pieces, place)| async {
        let piece = match first {
            Some(first) => Ok(first),
            None => pieces.recv().await?,
        };
        Some((piece.map(|piece| piece.bytes), (None, pieces, place)))
    }))
}

#[cfg(test)]
mod tests;
