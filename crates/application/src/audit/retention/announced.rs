//! Which part of the log goes for good, as the event names it that says so beforehand.
//!
//! The name is the event's resource, so that it is in the record of the event's leaf: it can be read
//! when that event is gone itself.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use tranche_domain::{Month, Severity};

use crate::ports::tree::Hash;

/// A part that goes: `info/2024-01/3-120`, or `info/2024-01/3-120/SHA256` where its events are in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Its events' severity.
    pub severity: Severity,
    /// Their month, by their ids.
    pub month: Month,
    /// The lowest and the highest of their places in the tree.
    pub leaves: RangeInclusive<i64>,
    /// SHA-256 of the file that holds them.
    pub sha256: Option<Hash>,
}

/// What names no part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoPart;

impl fmt::Display for Announced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (self.leaves.start(), self.leaves.end());
        write!(
            f,
            "{}/{}/{first}-{last}",
            self.severity.as_str(),
            self.month
        )?;
        match &self.sha256 {
            Some(sha256) => write!(f, "/{}", hex::encode(sha256)),
            None => Ok(()),
        }
    }
}

impl FromStr for Announced {
    type Err = NoPart;

    fn from_str(text: &str) -> Result<Self, NoPart> {
        let read = || {
            let mut words = text.split('/');
            let severity = Severity::named(words.next()?)?;
            let month = words.next()?.parse().ok()?;
            let (first, last) = words.next()?.split_once('-')?;
            let leaves = first.parse().ok()?..=last.parse().ok()?;
            let sha256 = match words.next() {
                Some(digits) => Some(hex::decode(digits).ok()?.try_into().ok()?),
                None => None,
            };
            words.next().is_none().then_some(Self {
                severity,
                month,
                leaves,
                sha256,
            })
        };
        read().ok_or(NoPart)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        for name in [
            "info/2024-01/3-120".to_owned(),
            format!("critical/2031-12/0-0/{}", "7a".repeat(32)),
        ] {
            let part: Announced = name.parse().unwrap();
            assert_eq!(part.to_string(), name);
        }
        for none in [
            "",
            "info/2024-01",
            "fatal/2024-01/3-120",
            "info/2024-13/3-120",
            "info/2024-01/3",
            "info/2024-01/3-120/7a",
            "info/2024-01/3-120/",
        ] {
            assert_eq!(none.parse::<Announced>(), Err(NoPart), "{none}");
        }
        let more = format!("info/2024-01/3-120/{}/", "7a".repeat(32));
        assert_eq!(more.parse::<Announced>(), Err(NoPart));
    }
}
