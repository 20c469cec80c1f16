//! Money: exact, non-negative, seven decimals, checked.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Stroops in one unit: the ledger's seven decimals.
const STROOPS_PER_UNIT: i64 = 10_000_000;
const DECIMALS: usize = 7;

/// An amount of NGNTS, Naira or LP tokens: 0 to 922,337,203,685.4775807, kept as `i64` stroops,
/// which is exactly what the ledger can hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(i64);

/// Why a text or a number is not an [`Amount`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AmountError {
    /// Not plain digits with at most one decimal point.
    #[error("must be a decimal number such as \"1250000.50\"")]
    Malformed,
    /// Below zero.
    #[error("must not be negative")]
    Negative,
    /// Finer than a stroop; rounding would lose money.
    #[error("must have at most 7 decimals")]
    TooManyDecimals,
    /// More than the ledger can hold.
    #[error("must be at most 922337203685.4775807")]
    TooLarge,
}

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// All that the ledger can hold of an asset in one account.
    pub const MAX: Self = Self(i64::MAX);

    /// From a count of stroops (10⁻⁷ units).
    ///
    /// # Errors
    /// [`AmountError::Negative`] below zero.
    pub const fn try_from_stroops(stroops: i64) -> Result<Self, AmountError> {
        if stroops < 0 {
            Err(AmountError::Negative)
        } else {
            Ok(Self(stroops))
        }
    }

    /// The count of stroops (10⁻⁷ units), never negative.
    #[must_use]
    pub const fn stroops(self) -> i64 {
        self.0
    }

    /// Whether this is nothing.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum, or `None` above [`Amount::MAX`].
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference, or `None` when `other` is more.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0
            .checked_sub(other.0)
            .filter(|rest| *rest >= 0)
            .map(Self)
    }
}

impl FromStr for Amount {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        match text.strip_prefix('-') {
            Some(rest) => Self::unsigned(rest).and(Err(AmountError::Negative)),
            None => Self::unsigned(text),
        }
    }
}

impl Amount {
    /// An amount without a sign.
    fn unsigned(text: &str) -> Result<Self, AmountError> {
        let (whole, fraction) = match text.split_once('.') {
            Some((_, "")) => return Err(AmountError::Malformed),
            Some(parts) => parts,
            None => (text, ""),
        };
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) {
            return Err(AmountError::Malformed);
        }
        if fraction.len() > DECIMALS {
            return Err(AmountError::TooManyDecimals);
        }
        let stroops: i64 = format!("{whole}{fraction:0<DECIMALS$}")
            .parse()
            .map_err(|_| AmountError::TooLarge)?;
        Ok(Self(stroops))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        decimal(self.0.into(), f)
    }
}

/// Stroops as a decimal number, always with seven decimals.
fn decimal(stroops: i128, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let unit = i128::from(STROOPS_PER_UNIT);
    write!(f, "{}.{:0>DECIMALS$}", stroops / unit, stroops % unit)
}

/// A sum of amounts, which may be more than one account can hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Total(i128);

impl Total {
    /// From a count of stroops.
    ///
    /// # Errors
    /// [`AmountError::Negative`] below zero.
    pub const fn try_from_stroops(stroops: i128) -> Result<Self, AmountError> {
        if stroops < 0 {
            Err(AmountError::Negative)
        } else {
            Ok(Self(stroops))
        }
    }
}

impl From<Amount> for Total {
    fn from(amount: Amount) -> Self {
        Self(amount.0.into())
    }
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        decimal(self.0, f)
    }
}

/// The price of one LP token, to seven decimals, half to even.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Price(i128);

impl Price {
    /// `value ÷ tokens`, or `None` when there are no tokens to share it.
    #[must_use]
    pub fn per_token(value: Amount, tokens: Amount) -> Option<Self> {
        let tokens = i128::from(tokens.0);
        let scaled = i128::from(value.0) * i128::from(STROOPS_PER_UNIT);
        let floor = scaled.checked_div(tokens)?;
        let twice_rest = (scaled % tokens) * 2;
        let up = twice_rest > tokens || (twice_rest == tokens && floor % 2 == 1);
        Some(Self(floor + i128::from(up)))
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        decimal(self.0, f)
    }
}
