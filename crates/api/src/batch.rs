//! A body of many entries: `{"entries": [...]}`. It is split without being understood, so that what
//! is wrong with one entry does not spoil the others.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::problem::Problem;

/// The field that holds the entries.
const ENTRIES: &str = "entries";
/// JSON that has the right form and is no text in any context: three halves of surrogate pairs.
const NO_TEXT: &str = r"\ud800\ud800\ud800";

/// How many broken places are marked, each in the entry that it spoils.
const MOST_BROKEN: usize = 10_000;

/// The body as text. Where it is no UTF-8, the text holds what no reader of the entry takes for a
/// text, so that the entry is refused; outside of a string it is no JSON.
pub fn mended(body: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(body) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(body.len());
    let mut broken = 0;
    for chunk in body.utf8_chunks() {
        text.push_str(chunk.valid());
        // Beyond so many the whole is no JSON: a control character is none.
        if !chunk.invalid().is_empty() {
            broken += 1;
            text.push_str(if broken <= MOST_BROKEN {
                NO_TEXT
            } else {
                "\u{1}"
            });
        }
    }
    Cow::Owned(text)
}

/// The entries of a body, each still JSON.
///
/// # Errors
/// 400 for a body that is no JSON object; 422 for one without 1 to `most` entries.
pub fn entries(body: &str, most: usize) -> Result<Vec<&str>, Problem> {
    if !body.trim_start().starts_with('{') {
        return Err(Problem::malformed("the body must be a JSON object"));
    }
    let body: Body<'_> = serde_json::from_str(body)
        .map_err(|error| Problem::malformed(format!("the body is not JSON: {error}")))?;
    if let Some(unknown) = body.unknown {
        return Err(Problem::field(&unknown, "is not a field here"));
    }
    let list = body
        .entries
        .ok_or_else(|| Problem::field(ENTRIES, "is required"))?;
    if !list.starts_with('[') {
        return Err(Problem::field(ENTRIES, "must be a list"));
    }
    let List { first, count } = List::read(list, most)?;
    if (1..=most).contains(&count) {
        Ok(first)
    } else {
        let message = format!("must be 1 to {most} entries; there are {count}");
        Err(Problem::field(ENTRIES, message))
    }
}

/// The fields of a body.
#[derive(Default)]
struct Body<'a> {
    entries: Option<&'a str>,
    /// A field that is not one, or is there again.
    unknown: Option<String>,
}

impl<'de> Deserialize<'de> for Body<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Body<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Body<'de>, A::Error> {
                let mut body = Body::default();
                while let Some(name) = fields.next_key::<String>()? {
                    if name == ENTRIES && body.entries.is_none() {
                        body.entries = Some(fields.next_value::<&RawValue>()?.get());
                    } else {
                        fields.next_value::<IgnoredAny>()?;
                        let shown = || name.chars().take(100).collect();
                        body.unknown.get_or_insert_with(shown);
                    }
                }
                Ok(body)
            }
        }

        from.deserialize_map(Fields)
    }
}

/// The first entries of a list, and how many there are.
struct List<'a> {
    first: Vec<&'a str>,
    count: usize,
}

impl<'a> List<'a> {
    fn read(list: &'a str, most: usize) -> Result<Self, Problem> {
        struct Items(usize);

        impl<'de> Visitor<'de> for Items {
            type Value = List<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<List<'de>, A::Error> {
                let mut first = Vec::new();
                while first.len() < self.0 {
                    match items.next_element::<&RawValue>()? {
                        Some(item) => first.push(item.get()),
                        None => break,
                    }
                }
                let mut count = first.len();
                while count >= self.0 && items.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(List { first, count })
            }
        }

        serde_json::Deserializer::from_str(list)
            .deserialize_seq(Items(most))
            .map_err(|error| Problem::malformed(format!("the body is not JSON: {error}")))
    }
}

#[cfg(test)]
mod tests;
