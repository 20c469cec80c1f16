//! The machine's clock and randomness: the one adapter behind both ports.

use std::cell::RefCell;

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

/// How many salts the machine is asked for at once.
const SALTS_AT_ONCE: usize = 64;

thread_local! {
    /// Salts that nobody has yet: a request may need a thousand, and each asking is a system call.
    static SALTS: RefCell<Vec<[u8; 16]>> = const { RefCell::new(Vec::new()) };
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
        SALTS.with_borrow_mut(|ready| {
            if ready.is_empty() {
                let fresh: [u8; SALTS_AT_ONCE * 16] = Self::bytes();
                let (salts, _) = fresh.as_chunks();
                ready.extend_from_slice(salts);
            }
            ready.pop().unwrap_or_else(Self::bytes)
        })
    }

    fn secret(&self) -> [u8; 32] {
        Self::bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::thread;

    use tranche_application::ports::entropy::Entropy as _;

    use super::{SALTS_AT_ONCE, SystemEntropy};

    #[test]
    fn no_salt_is_given_out_twice_on_any_thread() {
        let several = || (0..3 * SALTS_AT_ONCE).map(|_| SystemEntropy.salt());
        let threads = [(); 4].map(|()| thread::spawn(move || several().collect::<Vec<_>>()));
        let salts = threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("salts"));
        let distinct: HashSet<_> = salts.collect();
        assert_eq!(distinct.len(), 4 * 3 * SALTS_AT_ONCE);
        assert!(!distinct.contains(&[0; 16]));
    }
}
