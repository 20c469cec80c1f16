//! Why a trail is refused.

use thiserror::Error;

/// Why a trail is refused. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TrailRefusal {
    /// Of tokens or cost, this was never stated.
    #[error("is required where the rest is stated")]
    Missing {
        /// Which one.
        field: &'static str,
    },
    /// The total is not the sum of prompt and completion.
    #[error("must be the sum of prompt and completion")]
    NotTheSum {
        /// Which total.
        field: &'static str,
    },
    /// The sum is more than a message may spend.
    #[error("the sum of prompt and completion is too large")]
    TooMuch {
        /// Which total.
        field: &'static str,
    },
    /// A completed trail has a model, tokens and cost for good.
    #[error("is kept once the trail is completed: replace it, do not take it away")]
    Kept {
        /// Which one.
        field: &'static str,
    },
    /// A message of the future.
    #[error("must not be in the future")]
    Future,
    /// The trail was created at another time.
    #[error("is another than the trail's, which does not change")]
    CreatedBefore,
    /// The amendment names nothing.
    #[error("names nothing to change")]
    Nothing,
}

impl TrailRefusal {
    /// The field at fault, as it is written in a request; `None`: all of it.
    #[must_use]
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::Missing { field }
            | Self::NotTheSum { field }
            | Self::TooMuch { field }
            | Self::Kept { field } => Some(field),
            Self::Future | Self::CreatedBefore => Some("created_at"),
            Self::Nothing => None,
        }
    }
}
