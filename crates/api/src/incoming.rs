//! A call that changes something, as it comes in: caller, body, idempotency key and precondition.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::{HeaderMap, StatusCode, header};
use sha2::{Digest, Sha256};
use tranche_application::Call;
use tranche_application::idempotency::IdempotencyKey;

use crate::auth::{Authenticated, Permission};
use crate::form::Form;
use crate::problem::Problem;

/// The largest body of a command, in bytes.
const BODY_LIMIT: usize = 64 * 1024;

/// A command's request, authenticated and read, not yet judged.
pub struct Incoming {
    caller: Authenticated,
    body: Bytes,
    idempotency: Option<IdempotencyKey>,
    expected_version: Option<i64>,
}

impl Incoming {
    /// Reads a request of a caller who was checked, with a body of at most `limit` bytes.
    ///
    /// # Errors
    /// 400, 413 or 415 for what cannot be read.
    pub async fn read(
        caller: Authenticated,
        request: Request,
        limit: usize,
    ) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let body = read_json(&parts.headers, body, limit).await?;
        let idempotency = idempotency_key(&parts.headers)?.map(|key| IdempotencyKey {
            subject: caller.key_owner(),
            key,
            fingerprint: Sha256::new()
                .chain_update(parts.method.as_str())
                .chain_update([b'\n'])
                .chain_update(parts.uri.path())
                .chain_update([b'\n'])
                .chain_update(&body)
                .finalize()
                .into(),
        });
        let expected_version = if_match(&parts.headers)?;
        Ok(Self {
            caller,
            body,
            idempotency,
            expected_version,
        })
    }

    /// The body as it was sent.
    pub fn body(&self) -> Bytes {
        self.body.clone()
    }

    /// The call and its form, if the caller may make it.
    ///
    /// # Errors
    /// 403 without the role, 400 for a body that is no JSON object.
    pub fn call(self, permission: Permission) -> Result<(Call, Form), Problem> {
        let call = Call {
            caller: self.caller.may(permission)?,
            idempotency: self.idempotency,
            expected_version: self.expected_version,
        };
        Ok((call, Form::parse(&self.body)?))
    }
}

impl<S: Send + Sync> FromRequest<S> for Incoming {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let caller = Authenticated::from_request_parts(&mut parts, state).await?;
        Self::read(caller, Request::from_parts(parts, body), BODY_LIMIT).await
    }
}

/// A body of JSON of at most `limit` bytes.
///
/// # Errors
/// 413 for a longer one, 415 for one that says that it is something else.
pub async fn read_json(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Problem> {
    let body = to_bytes(body, limit).await.map_err(|error| {
        tracing::info!(%error, "the body was not read");
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "request.too_large",
            format!("the body must have at most {limit} bytes"),
        )
    })?;
    check_content_type(headers, &body)?;
    Ok(body)
}

fn check_content_type(headers: &HeaderMap, body: &[u8]) -> Result<(), Problem> {
    let Some(value) = headers
        .get(header::CONTENT_TYPE)
        .filter(|_| !body.is_empty())
    else {
        return Ok(());
    };
    let kind = value
        .to_str()
        .unwrap_or("")
        .split(';')
        .next()
        .unwrap_or("")
        .trim();
    if kind.eq_ignore_ascii_case("application/json") || kind.ends_with("+json") {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "request.not_json",
        "send the body as application/json",
    ))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    match value.to_str() {
        Ok(key) if (1..=255).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => Err(Problem::malformed(
            "Idempotency-Key must be 1 to 255 visible ASCII characters",
        )),
    }
}

fn if_match(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or("").trim();
    if text == "*" {
        return Ok(None);
    }
    let bare = text.strip_prefix("W/").unwrap_or(text).trim_matches('"');
    bare.parse()
        .map(Some)
        .map_err(|_| Problem::malformed("If-Match must be the ETag that was read, such as \"3\""))
}
