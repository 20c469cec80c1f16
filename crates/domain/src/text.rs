//! Texts that people write, each with its limit. Lengths count characters, not bytes. White space
//! around a text is not part of it, so that a reference used once is used once.

use std::fmt;

use thiserror::Error;

/// Why a text is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TextError {
    /// Empty or only white space.
    #[error("must not be empty")]
    Empty,
    /// Longer than the field allows.
    #[error("must have at most {max} characters")]
    TooLong {
        /// The limit, in characters.
        max: usize,
    },
    /// Holds a control character that the field does not allow.
    #[error("must not contain control characters")]
    Control,
}

/// Tabs and line breaks, in texts of several lines.
const SEVERAL_LINES: &[char] = &['\n', '\r', '\t'];
/// Nothing, in texts of one line.
const ONE_LINE: &[char] = &[];

fn check(text: &str, max: usize, allowed: &[char]) -> Result<(), TextError> {
    if text.is_empty() {
        return Err(TextError::Empty);
    }
    if text.chars().count() > max {
        return Err(TextError::TooLong { max });
    }
    if text
        .chars()
        .any(|c| c.is_control() && !allowed.contains(&c))
    {
        return Err(TextError::Control);
    }
    Ok(())
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $max:literal, $allowed:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The most characters it may have.
            pub const MAX: usize = $max;

            /// Checks and keeps the text, without the white space around it.
            ///
            /// # Errors
            /// [`TextError`] when it is empty, too long or holds control characters.
            pub fn try_new(text: impl Into<String>) -> Result<Self, TextError> {
                let text = text.into();
                let text = text.trim();
                check(text, Self::MAX, $allowed)?;
                Ok(Self(text.to_owned()))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text! {
    /// A project's name.
    ProjectName, 200, ONE_LINE
}
text! {
    /// A milestone's title.
    Title, 200, ONE_LINE
}
text! {
    /// What a milestone is to achieve.
    Description, 5000, SEVERAL_LINES
}
text! {
    /// Why a milestone was rejected.
    Reason, 2000, SEVERAL_LINES
}
text! {
    /// The bank's reference of a transfer.
    TransferReference, 140, ONE_LINE
}
text! {
    /// Notes about a transfer.
    Notes, 2000, SEVERAL_LINES
}
text! {
    /// The name of a language model, as the sender calls it.
    ModelName, 128, ONE_LINE
}
