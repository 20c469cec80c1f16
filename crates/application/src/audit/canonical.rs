//! Canonical JSON (RFC 8785), written straight into the bytes that are hashed.
//!
//! Keys that are known are written in their order; of free values, integers and texts are written
//! here too. Only a float goes through the canonicalizer, whose bytes all of this equals.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::record::CanonicalError;

/// The largest integer that canonical JSON holds exactly, as does every one below it.
const LARGEST_EXACT: u64 = (1 << 53) - 1;

/// Whether canonical JSON writes an integer of this magnitude as it is.
pub(crate) const fn is_exact(magnitude: u64) -> bool {
    magnitude <= LARGEST_EXACT
}

/// An object whose keys come in their order, each in ASCII without anything to escape.
pub(super) struct Object<'o> {
    out: &'o mut Vec<u8>,
    separator: u8,
}

impl<'o> Object<'o> {
    pub(super) const fn begin(out: &'o mut Vec<u8>) -> Self {
        Self {
            out,
            separator: b'{',
        }
    }

    /// Begins a field; its value is to be written next.
    pub(super) fn key(&mut self, key: &str) -> &mut Vec<u8> {
        self.out.push(self.separator);
        self.separator = b',';
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    pub(super) fn text(&mut self, key: &str, value: &str) -> Result<(), CanonicalError> {
        text(self.key(key), value)
    }

    /// A text, or null.
    pub(super) fn maybe(&mut self, key: &str, value: Option<&str>) -> Result<(), CanonicalError> {
        if let Some(value) = value {
            return self.text(key, value);
        }
        self.key(key).extend_from_slice(b"null");
        Ok(())
    }

    pub(super) fn value(&mut self, key: &str, value: &Value) -> Result<(), CanonicalError> {
        any(self.key(key), value)
    }

    /// An object has a field at least.
    pub(super) fn end(self) {
        self.out.push(b'}');
    }
}

/// Escapes as RFC 8785 has it: what must be escaped and nothing else, with lower-case digits.
fn text(out: &mut Vec<u8>, text: &str) -> Result<(), CanonicalError> {
    Ok(serde_json::to_writer(out, text)?)
}

fn any(out: &mut Vec<u8>, value: &Value) -> Result<(), CanonicalError> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(value) => number(out, value)?,
        Value::String(value) => text(out, value)?,
        Value::Array(items) => {
            out.push(b'[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                any(out, item)?;
            }
            out.push(b']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by(|(one, _), (other, _)| order(one, other));
            out.push(b'{');
            for (place, (key, value)) in fields.into_iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                text(out, key)?;
                out.push(b':');
                any(out, value)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

/// Keys are in the order of their UTF-16 code units.
fn order(one: &str, other: &str) -> Ordering {
    if one.is_ascii() && other.is_ascii() {
        one.cmp(other)
    } else {
        one.encode_utf16().cmp(other.encode_utf16())
    }
}

fn number(out: &mut Vec<u8>, number: &Number) -> Result<(), CanonicalError> {
    let integer = number.as_i64().map(i64::unsigned_abs);
    match integer.or_else(|| number.as_u64()) {
        Some(integer) if !is_exact(integer) => Err(CanonicalError::Rounded(number.clone())),
        Some(_) => Ok(serde_json::to_writer(out, number)?),
        None => Ok(serde_json_canonicalizer::to_writer(number, out)?),
    }
}
