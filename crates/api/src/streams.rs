//! Event streams: how many there are, and what each is told.

pub mod feed;
pub mod frame;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tranche_application::audit::follower::Follower;

use crate::config::Realtime;
use crate::metrics::Metrics;
use crate::problem::Problem;

/// After how many seconds somebody who found no place may ask again.
const ASK_AGAIN: u64 = 10;

/// The streams of this process; cheap to clone.
#[derive(Clone)]
pub struct Streams {
    /// Where events come from.
    pub follower: Follower,
    /// How long a reader may take nothing.
    pub stall: Duration,
    /// Ends every stream.
    pub stop: CancellationToken,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    seats: Arc<Seats>,
}

/// Who has a stream.
struct Seats {
    most: usize,
    most_each: usize,
    /// How many streams each account has.
    taken: Mutex<HashMap<String, usize>>,
}

/// The right to a stream, given back when it is dropped.
pub struct Seat {
    seats: Arc<Seats>,
    account: String,
}

impl Streams {
    /// No stream yet; they end with `stop`.
    #[must_use]
    pub fn new(
        follower: Follower,
        realtime: &Realtime,
        stop: CancellationToken,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            follower,
            stall: realtime.stall,
            stop,
            metrics,
            seats: Arc::new(Seats {
                most: realtime.streams,
                most_each: realtime.streams_per_key,
                taken: Mutex::default(),
            }),
        }
    }

    /// A place for one more stream of this account.
    ///
    /// # Errors
    /// 429 when the account has as many as it may, 503 when the process has.
    pub fn seat(&self, account: &str) -> Result<Seat, Problem> {
        self.seats.take(account)
    }
}

impl Seats {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(self: &Arc<Self>, account: &str) -> Result<Seat, Problem> {
        let mut taken = self.lock();
        let own = taken.get(account).copied().unwrap_or(0);
        if own >= self.most_each {
            let most = self.most_each;
            return Err(Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "stream.too_many",
                format!(
                    "this credential has {own} streams here, and may have {most}; end one first"
                ),
            )
            .with("limit", json!(most))
            .with("retry_after", json!(ASK_AGAIN)));
        }
        if taken.values().sum::<usize>() >= self.most {
            return Err(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "stream.no_room",
                format!(
                    "this process serves {} streams and no more; try again",
                    self.most
                ),
            )
            .with("limit", json!(self.most))
            .with("retry_after", json!(ASK_AGAIN)));
        }
        taken.insert(account.to_owned(), own + 1);
        Ok(Seat {
            seats: self.clone(),
            account: account.to_owned(),
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        if let Some(own) = taken.get_mut(&self.account) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::{Seat, Seats};

    #[test]
    fn seats_are_counted_by_account_and_in_all() {
        let seats = Arc::new(Seats {
            most: 3,
            most_each: 2,
            taken: Mutex::default(),
        });
        let take = |account| seats.take(account).map_err(|problem| problem.code);
        let refused = |taken: Result<Seat, &'static str>| taken.err().unwrap_or_default();
        let (first, _second) = (take("a").unwrap(), take("a").unwrap());
        assert_eq!(refused(take("a")), "stream.too_many");
        let _third = take("b").unwrap();
        assert_eq!(refused(take("c")), "stream.no_room");
        drop(first);
        let _fourth = take("c").unwrap();
        assert_eq!(seats.lock().len(), 3);
    }
}
