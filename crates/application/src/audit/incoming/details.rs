//! The `details` of an event: any JSON object.

use serde_json::Value;

use super::Message;
use crate::audit::sensitive::FIELD;
use crate::documents::{Limits, read};

const NO_OBJECT: &str = "must be an object";
const LIMITS: Limits = Limits {
    bytes: 64 * 1024,
    too_large: "must take at most 65536 bytes",
    reserved: Some((FIELD, "must not hold a field named $sealed")),
};

/// Reads details from what was sent as JSON.
pub(super) fn details(raw: &str) -> Result<Value, Message> {
    if !raw.starts_with('{') {
        return Err(NO_OBJECT.into());
    }
    Ok(read(raw, LIMITS)?)
}
