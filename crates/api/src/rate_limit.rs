//! How many requests a credential may make (S9), by the generic cell rate algorithm: as many as the
//! limit says may come at once, then each place comes back after its share of the period.
//!
//! Counted in this process alone: several of them allow as many times as much.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use governor::clock::{Clock, MonotonicClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use serde_json::json;

use crate::problem::Problem;

/// After how many requests what is not needed any more is forgotten.
const SWEEP: u32 = 1024;

/// What is limited. Each is counted by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Sending audit events.
    Ingest,
    /// Searching the audit log.
    Query,
}

/// The time in which a number of requests is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Period {
    Second,
    Minute,
    Hour,
    Day,
}

impl Period {
    const ALL: [Self; 4] = [Self::Second, Self::Minute, Self::Hour, Self::Day];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Second => "s",
            Self::Minute => "min",
            Self::Hour => "h",
            Self::Day => "d",
        }
    }

    const fn duration(self) -> Duration {
        match self {
            Self::Second => Duration::from_secs(1),
            Self::Minute => Duration::from_mins(1),
            Self::Hour => Duration::from_hours(1),
            Self::Day => Duration::from_hours(24),
        }
    }
}

/// So many requests in a period: `5000/h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    count: NonZeroU32,
    period: Period,
}

/// A text that is no rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be like 5000/h (s, min, h or d), at most 1000000 each")]
pub struct RateError;

impl Rate {
    const MOST: u32 = 1_000_000;

    const fn hourly(count: NonZeroU32) -> Self {
        Self {
            count,
            period: Period::Hour,
        }
    }

    /// The pace at which places come back, and how many there are.
    fn quota(self) -> Quota {
        Quota::with_period(self.period.duration() / self.count.get())
            .unwrap_or_else(|| Quota::per_second(self.count))
            .allow_burst(self.count)
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let (count, unit) = text.split_once('/').ok_or(RateError)?;
        let is_number = count.bytes().all(|byte| byte.is_ascii_digit());
        let count: NonZeroU32 = count.parse().map_err(|_| RateError)?;
        let period = Period::ALL
            .into_iter()
            .find(|period| period.as_str() == unit);
        let period = period.filter(|_| is_number && count.get() <= Self::MOST);
        let period = period.ok_or(RateError)?;
        Ok(Self { count, period })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.period.as_str())
    }
}

/// What holds for a credential that has no limit of its own; no limit for a kind that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults(HashMap<Kind, Rate>);

impl Default for Defaults {
    fn default() -> Self {
        const INGEST: NonZeroU32 = NonZeroU32::new(1000).unwrap();
        const QUERY: NonZeroU32 = NonZeroU32::new(100).unwrap();
        Self(HashMap::from([
            (Kind::Ingest, Rate::hourly(INGEST)),
            (Kind::Query, Rate::hourly(QUERY)),
        ]))
    }
}

impl FromStr for Defaults {
    type Err = RateError;

    /// `off`, or the rate at which events may be sent, and after a comma the one at which the log may be
    /// searched, each of which may be `off`.
    fn from_str(text: &str) -> Result<Self, RateError> {
        let mut defaults = Self::default();
        let parts = match text.split_once(',') {
            Some((ingest, query)) => vec![(Kind::Ingest, ingest), (Kind::Query, query)],
            None if text == OFF => vec![(Kind::Ingest, OFF), (Kind::Query, OFF)],
            None => vec![(Kind::Ingest, text)],
        };
        for (kind, part) in parts {
            if part == OFF {
                defaults.0.remove(&kind);
            } else {
                defaults.0.insert(kind, part.parse()?);
            }
        }
        Ok(defaults)
    }
}

const OFF: &str = "off";

impl fmt::Display for Defaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |kind| {
            self.0
                .get(&kind)
                .map_or_else(|| OFF.to_owned(), Rate::to_string)
        };
        write!(f, "{},{}", of(Kind::Ingest), of(Kind::Query))
    }
}

/// What holds for one credential instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnRates {
    ingest: Rate,
    query: Rate,
}

impl OwnRates {
    const fn of(self, kind: Kind) -> Rate {
        match kind {
            Kind::Ingest => self.ingest,
            Kind::Query => self.query,
        }
    }
}

impl FromStr for OwnRates {
    type Err = RateError;

    /// One rate for everything, or one for sending and, after a comma, one for searching.
    fn from_str(text: &str) -> Result<Self, RateError> {
        let (ingest, query) = text.split_once(',').unwrap_or((text, text));
        Ok(Self {
            ingest: ingest.parse()?,
            query: query.parse()?,
        })
    }
}

impl fmt::Display for OwnRates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ingest == self.query {
            self.ingest.fmt(f)
        } else {
            write!(f, "{},{}", self.ingest, self.query)
        }
    }
}

/// Whose requests are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Names the credential: an API key's id, or an issuer's subject.
    pub name: String,
    /// Its own limits.
    pub rates: Option<OwnRates>,
}

/// What is left after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    rate: Rate,
    /// How many more may come at once.
    pub remaining: u32,
}

/// There were too many requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    rate: Rate,
    /// After how many seconds one may come again; at least one.
    pub retry_after: u64,
}

type Limiter<C> = RateLimiter<String, HashMapStateStore<String>, C, StateInformationMiddleware>;

struct Limiters<C: Clock> {
    /// One for each kind and rate: few, since rates are given by hand.
    all: HashMap<(Kind, Rate), Arc<Limiter<C>>>,
    until_sweep: u32,
}

/// Counts the requests of every credential.
pub struct RateLimits<C: Clock = MonotonicClock> {
    defaults: Defaults,
    clock: C,
    limiters: Mutex<Limiters<C>>,
}

impl RateLimits {
    /// With these limits for whoever has none of its own.
    #[must_use]
    pub fn new(defaults: Defaults) -> Self {
        Self::with_clock(defaults, MonotonicClock)
    }
}

impl<C: Clock + Clone> RateLimits<C> {
    fn with_clock(defaults: Defaults, clock: C) -> Self {
        Self {
            defaults,
            clock,
            limiters: Mutex::new(Limiters {
                all: HashMap::new(),
                until_sweep: SWEEP,
            }),
        }
    }

    /// Counts a request; nothing where there is no limit.
    ///
    /// # Errors
    /// [`Exceeded`], and the request is not counted.
    pub fn check(&self, kind: Kind, account: &Account) -> Result<Option<Allowance>, Exceeded> {
        let Some(rate) = account.rates.map(|own| own.of(kind)).or(self
            .defaults
            .0
            .get(&kind)
            .copied())
        else {
            return Ok(None);
        };
        match self.limiter(kind, rate).check_key(&account.name) {
            Ok(state) => Ok(Some(Allowance {
                rate,
                remaining: state.remaining_burst_capacity(),
            })),
            Err(until) => {
                let wait = until.wait_time_from(self.clock.now());
                let begun = u64::from(wait.subsec_nanos() > 0);
                Err(Exceeded {
                    rate,
                    retry_after: wait.as_secs().saturating_add(begun).max(1),
                })
            }
        }
    }

    fn limiter(&self, kind: Kind, rate: Rate) -> Arc<Limiter<C>> {
        let mut limiters = self.limiters.lock().unwrap_or_else(PoisonError::into_inner);
        limiters.until_sweep = limiters.until_sweep.checked_sub(1).unwrap_or_else(|| {
            sweep(&mut limiters.all);
            SWEEP
        });
        let limiter = limiters.all.entry((kind, rate)).or_insert_with(|| {
            let store = HashMapStateStore::new(HashMap::default());
            let limiter: Limiter<C> = RateLimiter::new(rate.quota(), store, self.clock.clone());
            Arc::new(limiter)
        });
        limiter.clone()
    }
}

/// Forgets who has all places back.
fn sweep<C: Clock>(limiters: &mut HashMap<(Kind, Rate), Arc<Limiter<C>>>) {
    limiters.retain(|_, limiter| {
        limiter.retain_recent();
        limiter.shrink_to_fit();
        // One that is in use right now is kept, so that nobody is counted in two of them.
        !limiter.is_empty() || Arc::strong_count(limiter) > 1
    });
}

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");

impl Allowance {
    /// Tells it with an answer.
    pub fn tell(self, answer: &mut Response) {
        let headers = answer.headers_mut();
        headers.insert(LIMIT, HeaderValue::from(self.rate.count.get()));
        headers.insert(REMAINING, HeaderValue::from(self.remaining));
    }
}

impl From<Exceeded> for Problem {
    fn from(exceeded: Exceeded) -> Self {
        let Exceeded { rate, retry_after } = exceeded;
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limit.exceeded",
            format!("this credential may do this {rate}; try again in {retry_after} s"),
        )
        .with("limit", json!(rate.to_string()))
        .with("retry_after", json!(retry_after))
    }
}

#[cfg(test)]
mod tests;
