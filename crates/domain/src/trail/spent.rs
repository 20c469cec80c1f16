//! What a message spent on its prompt and on its completion: tokens, and what they cost.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::refusal::{Judgement, TrailRefusal, TrailRefusals};

/// The decimals of a cost.
const DECIMALS: usize = 12;
/// 10⁻¹² units in one unit.
const TRILLIONTHS_PER_UNIT: i128 = 1_000_000_000_000;

/// What can be spent: it adds up, to a bound.
pub trait Spendable: Copy + Eq + Ord {
    /// The names of prompt, completion and total where somebody states them.
    const FIELDS: [&'static str; 3];

    /// The sum, or `None` when it is more than one message may spend.
    #[must_use]
    fn sum(self, other: Self) -> Option<Self>;
}

/// How many tokens: 0 to 9,007,199,254,740,991, which every reader of JSON keeps exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenCount(u64);

/// More tokens than [`TokenCount::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("must be at most 9007199254740991")]
pub struct TooManyTokens;

impl TokenCount {
    /// The most tokens.
    pub const MAX: u64 = (1 << 53) - 1;

    /// A count of tokens.
    ///
    /// # Errors
    /// [`TooManyTokens`].
    pub const fn try_new(count: u64) -> Result<Self, TooManyTokens> {
        if count > Self::MAX {
            Err(TooManyTokens)
        } else {
            Ok(Self(count))
        }
    }

    /// The count.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for TokenCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Spendable for TokenCount {
    const FIELDS: [&'static str; 3] = ["tokens.prompt", "tokens.completion", "tokens.total"];

    fn sum(self, other: Self) -> Option<Self> {
        Self::try_new(self.0.checked_add(other.0)?).ok()
    }
}

/// A cost, in the unit that the sender bills in: exact, never negative, with 12 decimals. One message
/// costs at most 999,999,999,999,999,999.999999999999; a sum of many may be more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CostAmount(i128);

/// Why a text or a number is not a [`CostAmount`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CostError {
    /// Not plain digits with at most one decimal point.
    #[error("must be a decimal number such as \"0.000315\"")]
    Malformed,
    /// Below zero.
    #[error("must not be negative")]
    Negative,
    /// Finer than 10⁻¹²; rounding would change what is added up.
    #[error("must have at most 12 decimals")]
    TooManyDecimals,
    /// More than 18 digits before the point.
    #[error("must be at most 999999999999999999.999999999999")]
    TooLarge,
}

impl CostAmount {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The most that one message may cost.
    pub const MAX: Self = Self(1_000_000_000_000_000_000 * TRILLIONTHS_PER_UNIT - 1);

    /// From a count of 10⁻¹² units.
    ///
    /// # Errors
    /// [`CostError::Negative`].
    pub const fn try_from_trillionths(trillionths: i128) -> Result<Self, CostError> {
        if trillionths < 0 {
            Err(CostError::Negative)
        } else {
            Ok(Self(trillionths))
        }
    }

    /// The count of 10⁻¹² units, never negative.
    #[must_use]
    pub const fn trillionths(self) -> i128 {
        self.0
    }

    fn unsigned(text: &str) -> Result<Self, CostError> {
        let (whole, fraction) = match text.split_once('.') {
            Some((_, "")) => return Err(CostError::Malformed),
            Some(parts) => parts,
            None => (text, ""),
        };
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) {
            return Err(CostError::Malformed);
        }
        if fraction.len() > DECIMALS {
            return Err(CostError::TooManyDecimals);
        }
        let trillionths = format!("{whole}{fraction:0<DECIMALS$}").parse();
        let cost = Self(trillionths.map_err(|_| CostError::TooLarge)?);
        if cost > Self::MAX {
            return Err(CostError::TooLarge);
        }
        Ok(cost)
    }
}

impl FromStr for CostAmount {
    type Err = CostError;

    fn from_str(text: &str) -> Result<Self, CostError> {
        match text.strip_prefix('-') {
            Some(rest) => Self::unsigned(rest).and(Err(CostError::Negative)),
            None => Self::unsigned(text),
        }
    }
}

impl fmt::Display for CostAmount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = TRILLIONTHS_PER_UNIT;
        write!(f, "{}.{:0>DECIMALS$}", self.0 / unit, self.0 % unit)
    }
}

impl Spendable for CostAmount {
    const FIELDS: [&'static str; 3] = ["cost.prompt", "cost.completion", "cost.total"];

    fn sum(self, other: Self) -> Option<Self> {
        let sum = self.0.checked_add(other.0).map(Self)?;
        (sum <= Self::MAX).then_some(sum)
    }
}

/// What one message spent. The total is the sum of both, always.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Spent<T> {
    prompt: T,
    completion: T,
    total: T,
}

/// The tokens of a message.
pub type Tokens = Spent<TokenCount>;
/// The cost of a message.
pub type Cost = Spent<CostAmount>;

impl<T: Spendable> Spent<T> {
    /// Spent on the prompt and on the completion; `None` when that is more than a message may spend.
    #[must_use]
    pub fn of(prompt: T, completion: T) -> Option<Self> {
        let total = prompt.sum(completion)?;
        Some(Self {
            prompt,
            completion,
            total,
        })
    }

    /// On the prompt.
    pub const fn prompt(&self) -> T {
        self.prompt
    }

    /// On the completion.
    pub const fn completion(&self) -> T {
        self.completion
    }

    /// On both.
    pub const fn total(&self) -> T {
        self.total
    }
}

/// What somebody states of tokens or cost; what is `None` is not stated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stated<T> {
    /// On the prompt.
    pub prompt: Option<T>,
    /// On the completion.
    pub completion: Option<T>,
    /// On both.
    pub total: Option<T>,
}

impl<T> Default for Stated<T> {
    fn default() -> Self {
        Self {
            prompt: None,
            completion: None,
            total: None,
        }
    }
}

impl<T: Spendable> Stated<T> {
    /// Whether nothing is stated.
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        self.prompt.is_none() && self.completion.is_none() && self.total.is_none()
    }

    /// Whether prompt and completion are stated, so that the sum is known whatever was before.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.prompt.is_some() && self.completion.is_some()
    }

    /// What was spent then, where `before` was known.
    ///
    /// # Errors
    /// [`TrailRefusals`] when a part is missing, the sum is too large, or the total is not the sum.
    pub fn over(&self, before: Option<&Spent<T>>) -> Result<Spent<T>, TrailRefusals> {
        let [prompt_field, completion_field, field] = T::FIELDS;
        let mut judgement = Judgement::default();
        let mut known = |stated: Option<T>, before: Option<T>, field| {
            let known = stated.or(before);
            judgement.of(known.ok_or_else(|| TrailRefusal::Missing { field }.into()))
        };
        let parts = (
            known(self.prompt, before.map(Spent::prompt), prompt_field),
            known(
                self.completion,
                before.map(Spent::completion),
                completion_field,
            ),
        );
        judgement.end()?;
        let sum = parts.0.zip(parts.1);
        let sum = sum.and_then(|(prompt, completion)| Spent::of(prompt, completion));
        let spent = sum.ok_or(TrailRefusal::TooMuch { field })?;
        match self.total {
            Some(total) if total != spent.total => Err(TrailRefusal::NotTheSum { field }.into()),
            _ => Ok(spent),
        }
    }
}
