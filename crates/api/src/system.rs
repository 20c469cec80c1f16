//! The machine's clock and randomness: the one adapter behind both ports.

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use tranche_application::ports::clock::Clock;
use tranche_application::ports::entropy::Entropy;
use uuid::Uuid;

/// The machine's clock.
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one adapter of the Clock port"
    )]
    fn now(&self) -> DateTime<Utc> {
        let now = Utc::now();
        now.duration_trunc(TimeDelta::microseconds(1))
            .unwrap_or(now)
    }
}

/// The machine's randomness.
pub struct SystemEntropy;

impl SystemEntropy {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one adapter of the Entropy port"
    )]
    fn bytes<const N: usize>() -> [u8; N] {
        let mut bytes = [0; N];
        if let Err(error) = getrandom::fill(&mut bytes) {
            // Without randomness every key and salt would be guessable: there is no going on.
            tracing::error!(%error, "the machine has no randomness");
            std::process::abort();
        }
        bytes
    }
}

impl Entropy for SystemEntropy {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one adapter of the Entropy port"
    )]
    fn id(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn salt(&self) -> [u8; 16] {
        Self::bytes()
    }

    fn secret(&self) -> [u8; 32] {
        Self::bytes()
    }
}
