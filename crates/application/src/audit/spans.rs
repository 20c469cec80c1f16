//! From where a count over a time comes: days where they are whole, hours at the edges, rows where
//! not even an hour is.

use chrono::{DateTime, TimeDelta, Utc};

use crate::ports::audit_search::{Bucket, Scope, StatsQuery};

/// A time: from its beginning, before its end; without one, all there is on that side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first moment.
    pub from: Option<DateTime<Utc>>,
    /// The first moment after it.
    pub to: Option<DateTime<Utc>>,
}

impl Span {
    fn is_empty(self) -> bool {
        self.from.zip(self.to).is_some_and(|(from, to)| from >= to)
    }
}

/// Where to count. The spans of one answer have no moment in common, but for [`Source::Pending`],
/// which adds to the roll-ups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Roll-ups of days.
    Days(Span),
    /// Roll-ups of hours.
    Hours(Span),
    /// What the roll-ups of this time do not have yet.
    Pending(Span),
    /// The rows.
    Rows(Span),
}

/// Where to count for this query. The roll-ups do not know projects.
#[must_use]
pub fn sources(query: &StatsQuery, scope: Scope) -> Vec<Source> {
    let whole = Span {
        from: query.filter.from,
        to: query.filter.to,
    };
    if whole.is_empty() {
        return Vec::new();
    }
    if scope != Scope::All || !query.filter.is_of_roll_ups() {
        return vec![Source::Rows(whole)];
    }
    let Some(hours) = inner(whole, TimeDelta::hours(1)) else {
        return vec![Source::Rows(whole)];
    };
    let days = match query.bucket {
        Bucket::Hour => None,
        Bucket::Day => inner(hours, TimeDelta::days(1)),
    };
    let mut sources = vec![Source::Pending(hours)];
    sources.extend(edges(whole, hours).map(Source::Rows));
    match days {
        Some(days) => {
            sources.push(Source::Days(days));
            sources.extend(edges(hours, days).map(Source::Hours));
        }
        None => sources.push(Source::Hours(hours)),
    }
    sources
}

/// The part of the span that consists of whole ones of this length; `None` where there is none.
fn inner(span: Span, length: TimeDelta) -> Option<Span> {
    let length = length.num_microseconds()?;
    let start = |moment: DateTime<Utc>| moment.timestamp_micros().div_euclid(length) * length;
    let from = match span.from {
        // Of the last microsecond before: the next start is at or after the moment itself.
        Some(from) => {
            let before = from.checked_sub_signed(TimeDelta::microseconds(1))?;
            Some(DateTime::from_timestamp_micros(start(before) + length)?)
        }
        None => None,
    };
    let to = match span.to {
        Some(to) => Some(DateTime::from_timestamp_micros(start(to))?),
        None => None,
    };
    let inner = Span { from, to };
    (!inner.is_empty()).then_some(inner)
}

/// What the span has before and after its inner part.
fn edges(whole: Span, inner: Span) -> impl Iterator<Item = Span> {
    let before = inner.from.map(|end| Span {
        from: whole.from,
        to: Some(end),
    });
    let after = inner.to.map(|start| Span {
        from: Some(start),
        to: whole.to,
    });
    [before, after]
        .into_iter()
        .flatten()
        .filter(|edge| !edge.is_empty())
}
