//! Why a trail is refused: everything at once.

use std::fmt;

use thiserror::Error;

/// One reason why a trail is refused.
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

/// Every reason why a trail is refused: at least one. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct TrailRefusals(Vec<TrailRefusal>);

impl TrailRefusals {
    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[TrailRefusal] {
        &self.0
    }
}

impl From<TrailRefusal> for TrailRefusals {
    fn from(refusal: TrailRefusal) -> Self {
        Self(vec![refusal])
    }
}

impl fmt::Display for TrailRefusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, refusal) in self.0.iter().enumerate() {
            let before = if index == 0 { "" } else { ", " };
            let field = refusal.field().unwrap_or("the amendment");
            write!(f, "{before}{field} {refusal}")?;
        }
        Ok(())
    }
}

/// Gathers what is wrong.
#[derive(Default)]
pub(super) struct Judgement(Vec<TrailRefusal>);

impl Judgement {
    pub fn refuse(&mut self, refusal: TrailRefusal) {
        self.0.push(refusal);
    }

    /// The value, unless it was refused.
    pub fn of<T>(&mut self, judged: Result<T, TrailRefusals>) -> Option<T> {
        judged.map_err(|refused| self.0.extend(refused.0)).ok()
    }

    /// What was wrong.
    pub fn into_all(self) -> Vec<TrailRefusal> {
        self.0
    }

    /// Whether nothing was wrong.
    pub fn end(self) -> Result<(), TrailRefusals> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(TrailRefusals(self.0))
        }
    }
}
