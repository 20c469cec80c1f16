//! The public tree over the log, as C2SP tlog-tiles serves it, and proofs for those who keep none.
//!
//! Checkpoint and hashes are for everybody: they tell how many events there are and nothing about
//! any. Records, of which the leaves are the hashes, name resources as other services do, which may
//! be by a person's name: they are for auditors.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tranche_application::Caller;
use tranche_application::audit::filter::EventFilter;
use tranche_application::audit::tree::keeper::CompareError;
use tranche_application::audit::tree::public::{ProofError, TileOf};
use tranche_application::ports::audit_search::Scope;
use utoipa::IntoParams;

use super::Id;
use super::audit_log::limited;
use crate::answer;
use crate::auth::{Authenticated, Permission};
use crate::page::{Parameters, Params};
use crate::problem::Problem;
use crate::state::Served;
use crate::views::{ConsistencyView, InclusionView, LogView};

/// What never changes.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// What never changes and is not for everybody.
const FOR_ONE: HeaderValue = HeaderValue::from_static("private, max-age=31536000, immutable");

/// The newest signed checkpoint (C2SP tlog-checkpoint)
#[utoipa::path(get, path = "/checkpoint", tag = "Public log", security(()),
    responses((status = 200, body = String, content_type = "text/plain"),
        (status = 503, body = Problem)))]
pub async fn checkpoint(State(served): State<Served>) -> Result<Response, Problem> {
    let newest = served.public_log.checkpoint().ok_or_else(not_sealed)?;
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    Ok((headers, newest.note).into_response())
}

/// A tile of hashes, or of records (C2SP tlog-tiles). Records are for auditors: reading them is
/// limited and recorded as a search of the log is.
pub async fn tile(
    State(served): State<Served>,
    caller: Option<axum::Extension<Authenticated>>,
    Path(path): Path<String>,
) -> Result<Response, Problem> {
    let no_tile = || Problem::not_found("tile");
    let (level, rest) = path.split_once('/').ok_or_else(no_tile)?;
    let tile = parsed(rest).ok_or_else(no_tile)?;
    let log = &served.public_log;
    if level == "entries" {
        let axum::Extension(caller) = caller.ok_or_else(Problem::internal)?;
        return limited(&served, &caller, Permission::ReadAudit, async |reader| {
            entries(&served, &reader, &path, tile).await
        })
        .await;
    }
    let number: Option<u8> = level.parse().ok();
    let number = number.filter(|number| number.to_string() == level);
    let hashes = log.tile(number.ok_or_else(no_tile)?, tile).await?;
    Ok(octets(hashes.ok_or_else(no_tile)?.concat(), FOR_EVER))
}

/// The records of a tile, each after its length.
async fn entries(
    served: &Served,
    reader: &Caller,
    path: &str,
    tile: TileOf,
) -> Result<Response, Problem> {
    whole_log(reader)?;
    let records = served.public_log.records(tile).await?;
    let records = records.ok_or_else(|| Problem::not_found("tile"))?;
    let mut bytes = Vec::new();
    for record in &records {
        let length = u16::try_from(record.len()).map_err(|_| Problem::internal())?;
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(record);
    }
    let (what, everything) = (format!("tile/{path}"), EventFilter::default());
    served
        .reads
        .search(&what, &everything, records.len(), reader);
    Ok(octets(bytes, FOR_ONE))
}

fn octets(bytes: Vec<u8>, how_long: HeaderValue) -> Response {
    let kind = HeaderValue::from_static("application/octet-stream");
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, how_long),
    ];
    (headers, Body::from(bytes)).into_response()
}

/// `x001/x234/067`, with `.p/W` where it is the left part of a tile.
fn parsed(text: &str) -> Option<TileOf> {
    let (number, width) = match text.split_once(".p/") {
        Some((number, width)) => {
            let parsed: u16 = width.parse().ok()?;
            let is_part = (1..256).contains(&parsed) && parsed.to_string() == width;
            (number, is_part.then_some(parsed)?)
        }
        None => (text, 256),
    };
    let mut value = 0_u64;
    let groups: Vec<&str> = number.split('/').collect();
    let (last, before) = groups.split_last()?;
    let mut add = |digits: &str| {
        let is_group = digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
        let group: u64 = is_group.then(|| digits.parse().ok())??;
        value = value.checked_mul(1_000)?.checked_add(group)?;
        Some(())
    };
    for group in before {
        add(group.strip_prefix('x')?)?;
    }
    add(last)?;
    let is_short = before.first().is_none_or(|first| *first != "x000");
    is_short.then_some(TileOf {
        number: value,
        width,
    })
}

/// The log's name, the key that outsiders pin, and how it stands
#[utoipa::path(get, path = "/v1/audit/log", tag = "Public log",
    responses((status = 200, body = LogView)))]
pub async fn log(State(served): State<Served>, caller: Authenticated) -> Result<Response, Problem> {
    caller.may(Permission::Read)?;
    let keeper = served.public_log.keeper();
    answer::json(
        StatusCode::OK,
        &LogView::of(keeper.key(), &keeper.standing()),
    )
}

/// That an event is in the log: its leaf and the path to the newest checkpoint
///
/// The leaf's record is for those who may read the audit log. Limited to 100 requests an hour for each
/// credential, searches included, unless set otherwise. Reading is recorded.
#[utoipa::path(get, path = "/v1/audit/events/{id}/proof", tag = "Public log",
    params(("id" = uuid::Uuid, Path)),
    responses((status = 200, body = InclusionView), (status = 404, body = Problem),
        (status = 409, description = "Not sealed yet: ask again in a second", body = Problem),
        (status = 429, description = "Too many requests; `Retry-After` tells when", body = Problem),
        (status = 503, body = Problem)))]
pub async fn inclusion(
    State(served): State<Served>,
    caller: Authenticated,
    Id(id): Id,
) -> Result<Response, Problem> {
    let may_read_record = caller.may(Permission::ReadAudit).is_ok();
    limited(&served, &caller, Permission::Read, async |reader| {
        let scope = Scope::from(reader.scope);
        let proof = served.public_log.inclusion(id, scope).await?;
        let filter = EventFilter::default();
        served.reads.search(&id.to_string(), &filter, 1, &reader);
        answer::json(StatusCode::OK, &InclusionView::of(&proof, may_read_record))
    })
    .await
}

/// Which trees to compare.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Sizes {
    /// How many leaves the former tree had.
    #[param(required = true, minimum = 0)]
    from: Option<String>,
    /// How many the latter has; the newest if absent.
    #[param(minimum = 0)]
    to: Option<String>,
}

impl Parameters for Sizes {
    const NAMES: &'static [&'static str] = &["from", "to"];
}

fn size(field: &str, text: &str) -> Result<u64, Problem> {
    let number = text.parse().ok();
    number.ok_or_else(|| Problem::field(field, "must be a whole number of leaves"))
}

/// That a tree extends a former one
#[utoipa::path(get, path = "/v1/audit/consistency", tag = "Public log", params(Sizes),
    responses((status = 200, body = ConsistencyView), (status = 422, body = Problem),
        (status = 503, body = Problem)))]
pub async fn consistency(
    State(served): State<Served>,
    caller: Authenticated,
    Params(sizes): Params<Sizes>,
) -> Result<Response, Problem> {
    caller.may(Permission::Read)?;
    let from = sizes.from.as_deref().unwrap_or_default();
    let (from, to) = (size("from", from)?, sizes.to.as_deref());
    let to = to.map(|to| size("to", to)).transpose()?;
    let proof = served.public_log.consistency(from, to).await?;
    answer::json(StatusCode::OK, &ConsistencyView::from(&proof))
}

/// Whoever reads records reads those of every project.
fn whole_log(reader: &Caller) -> Result<(), Problem> {
    if reader.scope.is_none() {
        return Ok(());
    }
    Err(Problem::out_of_scope("and records are of all of them"))
}

fn not_sealed() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "audit.no_checkpoint",
        "no checkpoint is kept yet; ask again in a second",
    )
}

fn contradicted() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "audit.contradicted",
        "the log contradicts a checkpoint that was given out; its operator is told",
    )
}

impl From<CompareError> for Problem {
    fn from(error: CompareError) -> Self {
        match error {
            CompareError::Contradiction(_) => contradicted(),
            CompareError::Kept(error) => {
                tracing::error!(%error, "the newest checkpoint cannot be kept");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "audit.checkpoint_not_kept",
                    "the newest checkpoint cannot be kept, so nothing is proven against it; ask again",
                )
            }
            CompareError::Store(error) => error.into(),
        }
    }
}

impl From<ProofError> for Problem {
    fn from(error: ProofError) -> Self {
        match error {
            ProofError::NotFound => Self::not_found("event"),
            ProofError::NotSealed => Self::new(
                StatusCode::CONFLICT,
                "audit.not_sealed",
                "the event has no place under a checkpoint yet; ask again in a second",
            )
            .with("retry_after", 1.into()),
            ProofError::Beyond { size } => Self::field(
                "to",
                format!("the tree has {size} leaves, and `from` is no more than `to`"),
            ),
            ProofError::Contradicted(_) => contradicted(),
            altered @ ProofError::Altered { .. } => {
                tracing::error!(error = %altered, "the log was altered");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "audit.altered",
                    "what is stored of this event is not what was sealed",
                )
            }
            ProofError::Busy => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "audit.tiles_busy",
                "as many as this process serves at once read the tree; try again",
            ),
            ProofError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tranche_application::audit::tree::public::TileOf;

    use super::parsed;

    const fn tile(number: u64, width: u16) -> TileOf {
        TileOf { number, width }
    }

    #[test]
    fn tiles_are_named_as_c2sp_says() {
        assert_eq!(parsed("000"), Some(tile(0, 256)));
        assert_eq!(parsed("067.p/8"), Some(tile(67, 8)));
        assert_eq!(parsed("x001/x234/067"), Some(tile(1_234_067, 256)));
        assert_eq!(parsed("x001/x234/067.p/255"), Some(tile(1_234_067, 255)));
        for wrong in [
            "",
            "0",
            "00",
            "0000",
            "x000",
            "x000/001",
            "001/067",
            "x001/x067",
            "+01",
            "0x1",
            "067.p/",
            "067.p/0",
            "067.p/256",
            "067.p/08",
            "067.p/+8",
            "067.p/8/",
            "067/",
            "/067",
            "x999/x999/x999/x999/x999/x999/x999/x999/999",
        ] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }
}
