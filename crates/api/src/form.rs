//! Reads a JSON body field by field and names everything that is wrong with it at once.

use serde_json::{Map, Value};
use tranche_domain::Amount;
use tranche_domain::text::TextError;

use crate::problem::{FieldError, Problem};

/// A JSON object being read. Fields that nobody reads are refused at the end.
#[derive(Clone, Debug)]
pub struct Form {
    prefix: &'static str,
    fields: Map<String, Value>,
    errors: Vec<FieldError>,
}

/// What is wrong with a value, to be said after the field's name.
pub type Flaw = String;

impl Form {
    /// Reads a body; an empty one counts as `{}`.
    ///
    /// # Errors
    /// 400 when it is not a JSON object.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::of("", Map::new()));
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self::of("", fields)),
            Ok(_) => Err(Problem::malformed("the body must be a JSON object")),
            Err(error) => Err(Problem::malformed(format!("the body is not JSON: {error}"))),
        }
    }

    const fn of(prefix: &'static str, fields: Map<String, Value>) -> Self {
        Self {
            prefix,
            fields,
            errors: Vec::new(),
        }
    }

    /// A field that must be there.
    pub fn required<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Value) -> Result<T, Flaw>,
    ) -> Option<T> {
        match self.fields.remove(name) {
            Some(Value::Null) | None => {
                self.flaw(name, "is required".to_owned());
                None
            }
            Some(value) => self.read(name, &value, read),
        }
    }

    /// A field that may be absent or null.
    pub fn optional<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Value) -> Result<T, Flaw>,
    ) -> Option<T> {
        match self.fields.remove(name) {
            Some(Value::Null) | None => None,
            Some(value) => self.read(name, &value, read),
        }
    }

    /// A field in which absent and null differ: `Some(None)` is null.
    #[expect(
        clippy::option_option,
        reason = "absent, null and a value are three things"
    )]
    pub fn nullable<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Value) -> Result<T, Flaw>,
    ) -> Option<Option<T>> {
        match self.fields.remove(name) {
            None => None,
            Some(Value::Null) => Some(None),
            Some(value) => self.read(name, &value, read).map(Some),
        }
    }

    /// An object within the object; its errors are named with `prefix`.
    pub fn object<T>(
        &mut self,
        name: &str,
        prefix: &'static str,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        match self.fields.remove(name) {
            Some(Value::Null) | None => None,
            Some(Value::Object(fields)) => {
                let mut inner = Self::of(prefix, fields);
                let value = read(&mut inner);
                inner.refuse_the_rest();
                self.errors.append(&mut inner.errors);
                value
            }
            Some(_) => {
                self.flaw(name, "must be an object".to_owned());
                None
            }
        }
    }

    /// An object within the object in which absent and null differ: `Some(None)` is null.
    #[expect(
        clippy::option_option,
        reason = "absent, null and a value are three things"
    )]
    pub fn nullable_object<T>(
        &mut self,
        name: &str,
        prefix: &'static str,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<Option<T>> {
        if self.fields.get(name)?.is_null() {
            self.fields.remove(name);
            return Some(None);
        }
        self.object(name, prefix, read).map(Some)
    }

    /// Says that a field is wrong.
    pub fn flaw(&mut self, name: &str, message: Flaw) {
        self.errors.push(FieldError {
            field: format!("{}{name}", self.prefix),
            message,
        });
    }

    /// Whether anything is wrong once everything was read that there is to read.
    pub fn is_flawed(&mut self) -> bool {
        self.refuse_the_rest();
        !self.errors.is_empty()
    }

    /// Whether this is said to be wrong: its full name, where it lies in another field.
    #[must_use]
    pub fn has_flaw(&self, field: &str) -> bool {
        self.errors.iter().any(|error| error.field == field)
    }

    /// Whether nothing wrong was found so far.
    #[must_use]
    pub const fn is_flawless(&self) -> bool {
        self.errors.is_empty()
    }

    /// Ends the reading: everything that is wrong, or what `build` makes of the fields.
    ///
    /// # Errors
    /// 422 naming every field that is wrong or unknown.
    pub fn finish<T>(mut self, build: impl FnOnce() -> Option<T>) -> Result<T, Problem> {
        self.refuse_the_rest();
        if self.errors.is_empty() {
            build().ok_or_else(Problem::internal)
        } else {
            Err(Problem::invalid(self.errors))
        }
    }

    fn read<T>(
        &mut self,
        name: &str,
        value: &Value,
        read: impl FnOnce(&Value) -> Result<T, Flaw>,
    ) -> Option<T> {
        read(value).map_err(|message| self.flaw(name, message)).ok()
    }

    fn refuse_the_rest(&mut self) {
        for name in std::mem::take(&mut self.fields)
            .into_iter()
            .map(|(name, _)| name)
        {
            let shown: String = name.chars().take(100).collect();
            self.flaw(&shown, "is not a field here".to_owned());
        }
    }
}

/// A text of the domain, such as `Title::try_new`.
pub fn text<T>(
    try_new: impl FnOnce(String) -> Result<T, TextError>,
) -> impl FnOnce(&Value) -> Result<T, Flaw> {
    |value| match value {
        Value::String(text) => try_new(text.clone()).map_err(|error| error.to_string()),
        _ => Err("must be a string".to_owned()),
    }
}

/// A string of one line, as it is.
pub fn line(max: usize) -> impl FnOnce(&Value) -> Result<String, Flaw> {
    move |value| {
        let text = value
            .as_str()
            .ok_or_else(|| "must be a string".to_owned())?;
        let good = (1..=max).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if good {
            Ok(text.to_owned())
        } else {
            Err(format!(
                "must have 1 to {max} characters, without control characters"
            ))
        }
    }
}

/// An amount, as a string so that no client rounds it.
pub fn amount(value: &Value) -> Result<Amount, Flaw> {
    match value {
        Value::String(text) => text.parse().map_err(|error| format!("{error}")),
        _ => Err("must be a decimal string such as \"1250000.50\", not a number".to_owned()),
    }
}

/// An amount of more than nothing.
pub fn positive_amount(value: &Value) -> Result<Amount, Flaw> {
    match amount(value)? {
        Amount::ZERO => Err("must be more than zero".to_owned()),
        amount => Ok(amount),
    }
}

/// A whole number within bounds.
pub fn whole(min: i32, max: i32) -> impl FnOnce(&Value) -> Result<i32, Flaw> {
    move |value| {
        value
            .as_i64()
            .and_then(|number| i32::try_from(number).ok())
            .filter(|number| (min..=max).contains(number))
            .ok_or_else(|| format!("must be a whole number from {min} to {max}"))
    }
}

/// `true` or `false`.
pub fn flag(value: &Value) -> Result<bool, Flaw> {
    value
        .as_bool()
        .ok_or_else(|| "must be true or false".to_owned())
}

/// A day as `2026-11-21`.
pub fn day(value: &Value) -> Result<chrono::NaiveDate, Flaw> {
    let flaw = || "must be a date such as \"2026-11-21\"".to_owned();
    let text = value
        .as_str()
        .filter(|text| text.len() == 10)
        .ok_or_else(flaw)?;
    let date: chrono::NaiveDate = text.parse().map_err(|_| flaw())?;
    let first = chrono::NaiveDate::from_ymd_opt(2000, 1, 1).ok_or_else(flaw)?;
    if date < first {
        Err("must not lie before 2000-01-01".to_owned())
    } else {
        Ok(date)
    }
}
