//! What a project's messages spent: sums by hour, day and model.
//!
//! Stores keep a sum for each project, hour and model, and move it with every trail they save: a sum
//! outlives the trails it was made of.

use chrono::{DateTime, Days, DurationRound, NaiveDate, SubsecRound, TimeDelta, Utc};
use thiserror::Error;

use super::spent::{Cost, CostAmount, Tokens};
use super::{MICROSECONDS, Trail};
use crate::ids::{MessageId, ProjectId};
use crate::text::ModelName;

/// The longest range that is summed up.
pub const MOST_DAYS: u32 = 366;

/// Sums over trails, or the difference between two: then numbers may be negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Completed trails. All that follows but `open` is of those alone.
    pub messages: i64,
    /// Placeholders.
    pub open: i64,
    /// Tokens of prompts.
    pub prompt_tokens: i128,
    /// Tokens of completions.
    pub completion_tokens: i128,
    /// Cost of prompts, in 10⁻¹² units.
    pub prompt_cost: i128,
    /// Cost of completions, in 10⁻¹² units.
    pub completion_cost: i128,
}

impl Sums {
    /// What one trail adds.
    #[must_use]
    pub fn of(trail: &Trail) -> Self {
        let record = trail.record();
        match (&record.tokens, &record.cost) {
            (Some(tokens), Some(cost)) if trail.is_completed() => Self {
                messages: 1,
                open: 0,
                prompt_tokens: tokens.prompt().get().into(),
                completion_tokens: tokens.completion().get().into(),
                prompt_cost: cost.prompt().trillionths(),
                completion_cost: cost.completion().trillionths(),
            },
            _ => Self {
                open: 1,
                ..Self::default()
            },
        }
    }

    /// Both together. Sums end where an `i128` does: at 170,000,000 trails of the highest cost.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            messages: self.messages.saturating_add(other.messages),
            open: self.open.saturating_add(other.open),
            prompt_tokens: self.prompt_tokens.saturating_add(other.prompt_tokens),
            completion_tokens: self
                .completion_tokens
                .saturating_add(other.completion_tokens),
            prompt_cost: self.prompt_cost.saturating_add(other.prompt_cost),
            completion_cost: self.completion_cost.saturating_add(other.completion_cost),
        }
    }

    /// These without the others.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        self.plus(Self {
            messages: -other.messages,
            open: -other.open,
            prompt_tokens: -other.prompt_tokens,
            completion_tokens: -other.completion_tokens,
            prompt_cost: -other.prompt_cost,
            completion_cost: -other.completion_cost,
        })
    }

    /// All tokens.
    #[must_use]
    pub const fn total_tokens(&self) -> i128 {
        self.prompt_tokens.saturating_add(self.completion_tokens)
    }

    /// All cost.
    #[must_use]
    pub fn total_cost(&self) -> CostAmount {
        cost(self.prompt_cost.saturating_add(self.completion_cost))
    }

    /// The cost of a message, to 12 decimals, half to even; nothing where there are none.
    #[must_use]
    pub fn average_cost(&self) -> CostAmount {
        let (total, count) = (self.total_cost().trillionths(), i128::from(self.messages));
        if count <= 0 {
            return CostAmount::ZERO;
        }
        let (floor, rest) = (total / count, total % count);
        let up = rest > count - rest || (rest == count - rest && floor % 2 == 1);
        cost(floor + i128::from(up))
    }
}

/// A cost that is a sum; one below zero cannot be, and is nothing.
fn cost(trillionths: i128) -> CostAmount {
    CostAmount::try_from_trillionths(trillionths).unwrap_or_default()
}

/// Which sum a trail belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RollUpKey {
    /// The project.
    pub project_id: ProjectId,
    /// The hour of `created_at` in UTC: its first moment.
    pub hour: DateTime<Utc>,
    /// The model of completed trails; `None`: placeholders, whatever their model.
    pub model: Option<ModelName>,
}

impl RollUpKey {
    /// The sum that this trail belongs to.
    #[must_use]
    pub fn of(trail: &Trail) -> Self {
        let record = trail.record();
        Self {
            project_id: record.project_id,
            hour: hour_of(record.created_at),
            model: record.model.clone().filter(|_| trail.is_completed()),
        }
    }
}

/// The first moment of an hour.
fn hour_of(moment: DateTime<Utc>) -> DateTime<Utc> {
    let hour = TimeDelta::hours(1);
    moment.duration_trunc(hour).unwrap_or(moment)
}

/// By how much each sum moves when `next` takes the place of `former`, in the order of the keys, which
/// is the order to lock them in. What does not move is left out.
#[must_use]
pub fn movements(former: Option<&Trail>, next: &Trail) -> Vec<(RollUpKey, Sums)> {
    let mut moves = vec![(RollUpKey::of(next), Sums::of(next))];
    if let Some(former) = former {
        let (key, sums) = (RollUpKey::of(former), Sums::of(former));
        if moves[0].0 == key {
            moves[0].1 = moves[0].1.minus(sums);
        } else {
            moves.push((key, Sums::default().minus(sums)));
        }
    }
    moves.retain(|(_, sums)| *sums != Sums::default());
    moves.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    moves
}

/// A time range, to the microsecond: `from` and later, before `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
}

/// Why a range is refused; the field at fault is `from`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RangeError {
    /// It ends before it begins.
    #[error("must not be later than to")]
    Backwards,
    /// It is too long.
    #[error("must be at most {MOST_DAYS} days before to")]
    TooLong,
}

impl TimeRange {
    /// From one moment to another.
    ///
    /// # Errors
    /// [`RangeError`].
    pub fn try_new(from: DateTime<Utc>, to: DateTime<Utc>) -> Result<Self, RangeError> {
        if from > to {
            return Err(RangeError::Backwards);
        }
        if to - from > TimeDelta::days(i64::from(MOST_DAYS)) {
            return Err(RangeError::TooLong);
        }
        Ok(Self {
            from: from.trunc_subsecs(MICROSECONDS),
            to: to.trunc_subsecs(MICROSECONDS),
        })
    }

    /// Where it begins.
    #[must_use]
    pub const fn from(&self) -> DateTime<Utc> {
        self.from
    }

    /// Where it ends; this moment is outside.
    #[must_use]
    pub const fn to(&self) -> DateTime<Utc> {
        self.to
    }

    /// Whether a moment is inside.
    #[must_use]
    pub fn contains(&self, moment: DateTime<Utc>) -> bool {
        self.from <= moment && moment < self.to
    }

    /// The whole hours inside, first moment of the first to last moment of the last: what roll-ups
    /// answer for. What is left of the range at both ends is counted trail by trail. `None` where no
    /// hour is whole.
    #[must_use]
    pub fn whole_hours(&self) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let first = match hour_of(self.from) {
            hour if hour == self.from => hour,
            hour => hour + TimeDelta::hours(1),
        };
        let end = hour_of(self.to);
        (first < end).then_some((first, end))
    }

    /// The days in UTC that it touches.
    #[must_use]
    pub fn days(&self) -> Vec<NaiveDate> {
        if self.from == self.to {
            return Vec::new();
        }
        let last = (self.to - TimeDelta::microseconds(1)).date_naive();
        let mut day = Some(self.from.date_naive()).filter(|day| *day <= last);
        std::iter::from_fn(|| {
            let this = day?;
            day = this
                .checked_add_days(Days::new(1))
                .filter(|day| *day <= last);
            Some(this)
        })
        .collect()
    }
}

/// A trail without its documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrailSummary {
    /// The message that left it.
    pub message_id: MessageId,
    /// The model that answered.
    pub model: Option<ModelName>,
    /// What was read and written.
    pub tokens: Option<Tokens>,
    /// What that cost.
    pub cost: Option<Cost>,
    /// When the message was.
    pub created_at: DateTime<Utc>,
    /// When the trail was completed.
    pub completed_at: Option<DateTime<Utc>>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// Counts its states.
    pub version: i64,
}

impl From<&Trail> for TrailSummary {
    fn from(trail: &Trail) -> Self {
        let record = trail.record();
        Self {
            message_id: record.message_id,
            model: record.model.clone(),
            tokens: record.tokens,
            cost: record.cost,
            created_at: record.created_at,
            completed_at: record.completed_at,
            updated_at: record.updated_at,
            version: record.version,
        }
    }
}

/// What a store counts for a project in a range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Sums by day of `created_at` in UTC, by day; one without trails is absent.
    pub days: Vec<(NaiveDate, Sums)>,
    /// Sums of completed trails by model, the dearest first, of equals the first by name; not
    /// necessarily all of them.
    pub models: Vec<(ModelName, Sums)>,
    /// The newest trails, placeholders among them, by time and then message, the newest first.
    pub recent: Vec<TrailSummary>,
}

/// What a project's messages cost in a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Analytics {
    /// The range.
    pub range: TimeRange,
    /// All of it.
    pub sums: Sums,
    /// By day in UTC, every day of the range.
    pub days: Vec<(NaiveDate, Sums)>,
    /// By model, the dearest first.
    pub models: Vec<(ModelName, Sums)>,
    /// Of all further models together; without messages where all are listed.
    pub other_models: Sums,
    /// The newest trails, the newest first.
    pub recent: Vec<TrailSummary>,
}

impl Analytics {
    /// What a store counted, with the days on which nothing was.
    #[must_use]
    pub fn of(range: TimeRange, counted: Counted) -> Self {
        let add = |sums: Sums, more: &Sums| sums.plus(*more);
        let sums = counted
            .days
            .iter()
            .map(|(_, sums)| sums)
            .fold(Sums::default(), add);
        let listed = counted
            .models
            .iter()
            .map(|(_, sums)| sums)
            .fold(Sums::default(), add);
        let mut found = counted.days.into_iter().peekable();
        let days = range.days().into_iter().map(|day| {
            let sums = found.next_if(|(found, _)| *found == day);
            sums.unwrap_or((day, Sums::default()))
        });
        Self {
            range,
            sums,
            days: days.collect(),
            models: counted.models,
            other_models: Sums {
                open: 0,
                ..sums.minus(listed)
            },
            recent: counted.recent,
        }
    }
}
