//! Time.

use chrono::{DateTime, Utc};

/// The time of day, injected so that tests own it. Never used to judge the ledger, which has its
/// own clock.
#[cfg_attr(feature = "mocks", mockall::automock)]
pub trait Clock: Send + Sync {
    /// Now, to the microsecond, which is what every store keeps.
    fn now(&self) -> DateTime<Utc>;
}
