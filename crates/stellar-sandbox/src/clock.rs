//! The one place that reads the machine's clock.
//!
//! The ledger asks for whole seconds since 1970, as close times are; tests hand in a clock they
//! turn by hand.

/// Where close times come from.
pub(crate) trait Clock: Send + Sync {
    /// Whole seconds since 1970-01-01 UTC.
    fn now(&self) -> u64;
}

/// The machine's clock.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the adapter the rule points to"
    )]
    fn now(&self) -> u64 {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |elapsed| elapsed.as_secs())
    }
}

#[cfg(test)]
pub(crate) mod hand {
    use std::sync::atomic::{AtomicU64, Ordering};

    /// A clock that moves only when told.
    pub(crate) struct HandClock(AtomicU64);

    impl HandClock {
        pub(crate) fn at(seconds: u64) -> Self {
            Self(AtomicU64::new(seconds))
        }

        pub(crate) fn set(&self, seconds: u64) {
            self.0.store(seconds, Ordering::SeqCst);
        }

        pub(crate) fn advance(&self, seconds: u64) {
            self.0.fetch_add(seconds, Ordering::SeqCst);
        }
    }

    impl super::Clock for HandClock {
        fn now(&self) -> u64 {
            self.0.load(Ordering::SeqCst)
        }
    }
}
