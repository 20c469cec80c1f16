//! JSON that others send and that is kept: it means the same, and has the same bytes when it is written
//! again, wherever it is stored.

use std::cell::Cell;
use std::fmt;
use std::io;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Deserializer, Map, Number, Value};

use crate::audit::canonical::is_exact;

/// How many objects and lists may lie in one another, the outermost one counted.
const MOST_LEVELS: usize = 32;
/// By how much a text of JSON can grow, at most, when it is read and written again: `1e9`.
const MOST_GROWTH: usize = 8;
/// The largest magnitude that every reader of JSON keeps, integer or not: 2⁵³ − 1.
const LARGEST: f64 = 9_007_199_254_740_991.0;

const TOO_DEEP: &str = "must have at most 32 levels";
const INEXACT: &str = "must not hold a number beyond 9007199254740991; write it as a string";
const HOLDS_NUL: &str = "must not hold the character U+0000";
const TWICE: &str = "must not have the same field twice in one object";
/// Of a text that no Unicode is.
pub(crate) const NOT_UNICODE: &str =
    "must be valid Unicode: no invalid UTF-8, no half of a surrogate pair";

/// What a kind of document may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The most bytes, written without white space.
    pub bytes: usize,
    /// What is said of one that takes more.
    pub too_large: &'static str,
    /// A field that is not the sender's to use, with what is said of it.
    pub reserved: Option<(&'static str, &'static str)>,
}

/// Reads a document from well-formed JSON, or says what is wrong with it.
pub(crate) fn read(raw: &str, limits: Limits) -> Result<Value, &'static str> {
    let flaw = Cell::new(None);
    let seed = Seed {
        levels: MOST_LEVELS,
        reserved: limits.reserved,
        flaw: &flaw,
    };
    let value = seed.deserialize(&mut Deserializer::from_str(raw));
    // What is not in `flaw` the parser found by itself, in JSON whose form is right.
    let value = value.map_err(|error| match flaw.get() {
        Some(flaw) => flaw,
        None if error.to_string().starts_with("number out of range") => INEXACT,
        None => NOT_UNICODE,
    })?;
    if raw.len() > limits.bytes / MOST_GROWTH && written(&value) > limits.bytes {
        return Err(limits.too_large);
    }
    Ok(value)
}

/// How many bytes the value takes, written without white space.
fn written(value: &Value) -> usize {
    struct Count(usize);

    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let mut count = Count(0);
    match serde_json::to_writer(&mut count, value) {
        Ok(()) => count.0,
        Err(_) => usize::MAX,
    }
}

/// Builds a value, and stops at the first thing that is wrong with it.
#[derive(Clone, Copy)]
struct Seed<'a> {
    /// How many more levels there may be.
    levels: usize,
    /// What is reserved.
    reserved: Option<(&'static str, &'static str)>,
    /// What is wrong.
    flaw: &'a Cell<Option<&'static str>>,
}

impl Seed<'_> {
    fn refuse<E: serde::de::Error>(self, flaw: &'static str) -> E {
        self.flaw.set(Some(flaw));
        E::custom(flaw)
    }

    fn text<E: serde::de::Error>(self, text: String) -> Result<String, E> {
        if text.contains('\0') {
            Err(self.refuse(HOLDS_NUL))
        } else {
            Ok(text)
        }
    }

    /// The seed of what lies one level deeper.
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.levels.checked_sub(1) {
            Some(levels) => Ok(Self { levels, ..self }),
            None => Err(self.refuse(TOO_DEEP)),
        }
    }

    fn integer<E: serde::de::Error>(self, magnitude: u64, number: Number) -> Result<Value, E> {
        if is_exact(magnitude) {
            Ok(Value::Number(number))
        } else {
            Err(self.refuse(INEXACT))
        }
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        self.integer(value.unsigned_abs(), value.into())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        self.integer(value, value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        // A larger one is whole, and a store may write it as the integer that nobody holds exactly.
        let number = Number::from_f64(value).filter(|_| value.abs() <= LARGEST);
        number
            .map(Value::Number)
            .ok_or_else(|| self.refuse(INEXACT))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        self.text(text.to_owned()).map(Value::String)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut fields = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let name = self.text(name)?;
            if let Some((_, flaw)) = self.reserved.filter(|(field, _)| name == *field) {
                return Err(self.refuse(flaw));
            }
            let value = members.next_value_seed(inner)?;
            if fields.insert(name, value).is_some() {
                return Err(self.refuse(TWICE));
            }
        }
        Ok(Value::Object(fields))
    }
}
