//! Documents that a trail carries without reading them.

use thiserror::Error;

/// A JSON list, object or string as text. Whoever makes one has parsed it; the domain looks at its size alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonText(String);

/// Why a text is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum JsonTextError {
    /// Neither a list, an object nor a string.
    #[error("must be a list, an object or a string")]
    Scalar,
    /// Longer than [`JsonText::MAX`].
    #[error("must take at most 262144 bytes")]
    TooLong,
}

impl JsonText {
    /// The most bytes, written without white space.
    pub const MAX: usize = 256 * 1024;

    /// Checks the outside and keeps the text, byte for byte.
    ///
    /// # Errors
    /// [`JsonTextError`].
    pub fn try_new(text: impl Into<String>) -> Result<Self, JsonTextError> {
        let text = text.into();
        if !text.starts_with(['[', '{', '"']) {
            return Err(JsonTextError::Scalar);
        }
        if text.len() > Self::MAX {
            return Err(JsonTextError::TooLong);
        }
        Ok(Self(text))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
