//! Why a bucket did not take something, in words that say what to do.
//!
//! A store repeats parts of a request in what it answers, a session's token among them. So of an answer
//! only the code is told.

use std::error::Error as StdError;

use object_store::client::{HttpError, HttpErrorKind};
use thiserror::Error;

/// The longest code that is repeated; S3's own are shorter.
const CODE: usize = 64;

/// What a bucket refused.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    #[error(
        "there is nothing to sign with: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the \
         machine a role that it can ask for"
    )]
    NoCredentials,
    #[error("there is no such bucket: make it, or mend the archive's address or AWS_ENDPOINT_URL")]
    NoBucket,
    #[error("the store does not know the access key: mend AWS_ACCESS_KEY_ID")]
    UnknownKey,
    #[error("the signature is wrong: mend AWS_SECRET_ACCESS_KEY")]
    WrongSecret,
    #[error("the session's token is not valid, or ran out: renew AWS_SESSION_TOKEN")]
    Token,
    #[error(
        "the key may not do this: allow it s3:PutObject and s3:AbortMultipartUpload on what is in the \
         bucket"
    )]
    Forbidden,
    #[error("this machine's clock and the store's are too far apart: set the clock")]
    Clock,
    #[error("the bucket is in another region: mend AWS_REGION, or AWS_ENDPOINT_URL")]
    Region,
    #[error("the store cannot be reached: is AWS_ENDPOINT_URL right, and the way there open?")]
    Away,
    #[error("the store did not answer in time")]
    Silent,
    #[error("the connection to the store broke")]
    Broken,
    #[error("the store refused it: {0}")]
    Other(String),
}

/// What came of a request to a bucket.
pub fn of(error: &object_store::Error) -> Refusal {
    if let Some(kind) = transport(error) {
        return match kind {
            HttpErrorKind::Connect => Refusal::Away,
            HttpErrorKind::Timeout => Refusal::Silent,
            _ => Refusal::Broken,
        };
    }
    let text = with_sources(error);
    let code = text
        .split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"))
        .map(|(code, _)| code)
        .filter(|code| code.len() <= CODE && code.bytes().all(|c| c.is_ascii_alphanumeric()));
    match (code, error) {
        (Some("NoSuchBucket"), _) => Refusal::NoBucket,
        (Some("InvalidAccessKeyId"), _) => Refusal::UnknownKey,
        (Some("SignatureDoesNotMatch"), _) => Refusal::WrongSecret,
        (Some("InvalidToken" | "ExpiredToken"), _) => Refusal::Token,
        (Some("RequestTimeTooSkewed"), _) => Refusal::Clock,
        (Some("AuthorizationHeaderMalformed" | "PermanentRedirect"), _) => Refusal::Region,
        (Some("AccessDenied"), _) | (None, object_store::Error::PermissionDenied { .. }) => {
            Refusal::Forbidden
        }
        (Some(code), _) => Refusal::Other(code.to_owned()),
        (None, _) => Refusal::Other(
            "without saying why; are AWS_REGION and AWS_ENDPOINT_URL right?".to_owned(),
        ),
    }
}

/// How the connection failed, if it did.
fn transport(error: &object_store::Error) -> Option<HttpErrorKind> {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<HttpError>() {
            return Some(error.kind());
        }
        cause = error.source();
    }
    None
}

fn with_sources(error: &object_store::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push('\n');
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
