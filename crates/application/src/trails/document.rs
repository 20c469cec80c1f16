//! The documents of a trail: any JSON list, object or string.

use tranche_domain::trail::{JsonText, JsonTextError};

use crate::documents::{Limits, read};

const SCALAR: &str = "must be a list, an object or a string";
const LIMITS: Limits = Limits {
    bytes: JsonText::MAX,
    too_large: "must take at most 262144 bytes",
    reserved: None,
};

/// Reads a document from well-formed JSON that begins with its first character, or says what is wrong
/// with it. The text that is kept has its fields in order and no white space, so that the same document
/// is the same text.
///
/// # Errors
/// What to tell the sender of the field.
pub fn document(raw: &str) -> Result<JsonText, &'static str> {
    if !raw.starts_with(['[', '{', '"']) {
        return Err(SCALAR);
    }
    let text = read(raw, LIMITS)?.to_string();
    JsonText::try_new(text).map_err(|error| match error {
        JsonTextError::Scalar => SCALAR,
        JsonTextError::TooLong => LIMITS.too_large,
    })
}
