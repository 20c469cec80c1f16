//! Assessment trails: what a language model said of a project, why, and what it cost.
//!
//! A message leaves one trail. It may begin as a placeholder, be completed when the model has
//! answered, and be amended; from the moment it has model, tokens and cost it is completed, and whoever
//! changes it then leaves an event.

mod content;
mod json_text;
pub mod parts;
mod refusal;
mod spent;
pub mod sums;

use chrono::{DateTime, SubsecRound, Utc};

pub use content::{Part, TrailAmendment, TrailContent};
use content::{amended, spent, stated};
pub use json_text::{JsonText, JsonTextError};
use refusal::Judgement;
pub use refusal::{TrailRefusal, TrailRefusals};
pub use spent::{
    Cost, CostAmount, CostError, Spendable, Spent, Stated, TokenCount, Tokens, TooManyTokens,
};

use crate::actor::Occasion;
use crate::audit::{Action, AuditEvent, Fact, Resource};
use crate::ids::{MessageId, ProjectId};
use crate::text::ModelName;

/// Fractions of a second are kept to this many digits.
const MICROSECONDS: u16 = 6;

/// Everything that is kept of a trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrailRecord {
    /// The message that left it; its name.
    pub message_id: MessageId,
    /// The project that was spoken of.
    pub project_id: ProjectId,
    /// The model that answered.
    pub model: Option<ModelName>,
    /// How it came to its answer.
    pub reasoning_traces: Option<JsonText>,
    /// What it was given beside the question.
    pub context_layers: Option<JsonText>,
    /// What was read and written.
    pub tokens: Option<Tokens>,
    /// What that cost, in the unit that the sender bills in.
    pub cost: Option<Cost>,
    /// When the message was, in microseconds; never changes.
    pub created_at: DateTime<Utc>,
    /// When the trail was completed: exactly where it has a model, tokens and cost.
    pub completed_at: Option<DateTime<Utc>>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// Counts its states; 1 is the first.
    pub version: i64,
}

/// A message's trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trail(TrailRecord);

/// A record that no trail can have: somebody wrote past the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the trail has a version below 1, or is completed without model, tokens and cost, or the reverse"
)]
pub struct InconsistentTrail;

/// A trail's next state with what it replaces, and the event where it needs one.
///
/// Only the commands here make one, and a store takes nothing else: a completed trail cannot be
/// changed without its event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a change is nothing until it is saved"]
pub struct TrailChange {
    former: Option<Trail>,
    trail: Trail,
    event: Option<AuditEvent>,
}

impl TrailChange {
    /// The next state.
    #[must_use]
    pub const fn trail(&self) -> &Trail {
        &self.trail
    }

    /// The next state, once it is saved.
    #[must_use]
    pub fn into_trail(self) -> Trail {
        self.trail
    }

    /// What it replaces; `None` where it is the first.
    #[must_use]
    pub const fn former(&self) -> Option<&Trail> {
        self.former.as_ref()
    }

    /// The event, where a completed trail changes.
    #[must_use]
    pub const fn event(&self) -> Option<&AuditEvent> {
        self.event.as_ref()
    }
}

/// What came of a command on a trail that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Revised {
    /// Something changed.
    Changed(Box<TrailChange>),
    /// Everything was so already: nothing to save.
    Unchanged(Box<Trail>),
}

impl TryFrom<TrailRecord> for Trail {
    type Error = InconsistentTrail;

    fn try_from(record: TrailRecord) -> Result<Self, InconsistentTrail> {
        if record.version < 1 || is_whole(&record) != record.completed_at.is_some() {
            return Err(InconsistentTrail);
        }
        Ok(Self(record))
    }
}

impl Trail {
    /// The trail of a message that had none.
    ///
    /// # Errors
    /// [`TrailRefusals`].
    pub fn open(
        message_id: MessageId,
        project_id: ProjectId,
        content: TrailContent,
        now: DateTime<Utc>,
    ) -> Result<TrailChange, TrailRefusals> {
        content.judged(now).end()?;
        let created_at = content.created_at.unwrap_or(now);
        let record = TrailRecord {
            message_id,
            project_id,
            tokens: stated(content.tokens)?,
            cost: stated(content.cost)?,
            model: content.model,
            reasoning_traces: content.reasoning_traces,
            context_layers: content.context_layers,
            created_at: created_at.trunc_subsecs(MICROSECONDS),
            completed_at: None,
            updated_at: now,
            version: 1,
        };
        Ok(TrailChange {
            former: None,
            trail: Self(completed(record, now)),
            event: None,
        })
    }

    /// Puts other content in the place of all there is. The same content again changes nothing.
    ///
    /// # Errors
    /// [`TrailRefusals`].
    pub fn replace(
        self,
        content: TrailContent,
        occasion: &Occasion,
    ) -> Result<Revised, TrailRefusals> {
        let created_at = content.created_at.map(|at| at.trunc_subsecs(MICROSECONDS));
        let mut judgement = Judgement::default();
        if created_at.is_some_and(|at| at != self.0.created_at) {
            judgement.refuse(TrailRefusal::CreatedBefore);
        }
        let next = TrailRecord {
            tokens: judgement
                .of(stated(content.tokens))
                .unwrap_or(self.0.tokens),
            cost: judgement.of(stated(content.cost)).unwrap_or(self.0.cost),
            model: content.model,
            reasoning_traces: content.reasoning_traces,
            context_layers: content.context_layers,
            ..self.0.clone()
        };
        self.becomes(next, judgement, occasion)
    }

    /// Changes what the amendment names and keeps the rest.
    ///
    /// # Errors
    /// [`TrailRefusals`].
    pub fn amend(
        self,
        amendment: TrailAmendment,
        occasion: &Occasion,
    ) -> Result<Revised, TrailRefusals> {
        if amendment.names_nothing() {
            return Err(TrailRefusal::Nothing.into());
        }
        let before = self.0.clone();
        let mut judgement = Judgement::default();
        let tokens = judgement.of(spent(&amendment.tokens, before.tokens));
        let cost = judgement.of(spent(&amendment.cost, before.cost));
        let next = TrailRecord {
            model: amended(amendment.model, before.model),
            reasoning_traces: amended(amendment.reasoning_traces, before.reasoning_traces),
            context_layers: amended(amendment.context_layers, before.context_layers),
            tokens: tokens.unwrap_or(before.tokens),
            cost: cost.unwrap_or(before.cost),
            ..before
        };
        self.becomes(next, judgement, occasion)
    }

    /// Its next state, of which what was refused is as before.
    fn becomes(
        self,
        next: TrailRecord,
        mut judgement: Judgement,
        occasion: &Occasion,
    ) -> Result<Revised, TrailRefusals> {
        if self.is_completed() {
            for field in missing(&next) {
                judgement.refuse(TrailRefusal::Kept { field });
            }
        }
        judgement.end()?;
        if next == self.0 {
            return Ok(Revised::Unchanged(Box::new(self)));
        }
        let next = TrailRecord {
            // Clocks differ: what is made of a state is never earlier than it.
            updated_at: occasion.at.max(self.0.updated_at),
            version: self.0.version + 1,
            ..next
        };
        let next = Self(completed(next, occasion.at));
        let event = self.is_completed().then(|| self.event(&next, occasion));
        Ok(Revised::Changed(Box::new(TrailChange {
            former: Some(self),
            trail: next,
            event,
        })))
    }

    /// Tells what changed; of texts only that they did.
    fn event(&self, next: &Self, occasion: &Occasion) -> AuditEvent {
        let (from, to) = (&self.0, &next.0);
        let mut event = AuditEvent::new(
            Action::TrailChanged,
            Resource::AssessmentTrail,
            from.message_id,
            occasion,
        )
        .in_project(from.project_id)
        .with("fields", Fact::text(self.differences(next).join(", ")))
        .change(
            "version",
            Fact::Count(from.version),
            Fact::Count(to.version),
        )
        .change(
            "model",
            Fact::maybe(from.model.as_ref()),
            Fact::maybe(to.model.as_ref()),
        );
        event = spent_changes(event, from.tokens.as_ref(), to.tokens.as_ref());
        spent_changes(event, from.cost.as_ref(), to.cost.as_ref())
    }

    /// Everything that is kept of it.
    #[must_use]
    pub const fn record(&self) -> &TrailRecord {
        &self.0
    }

    /// Everything that is kept of it, to keep it.
    #[must_use]
    pub fn into_record(self) -> TrailRecord {
        self.0
    }

    /// Whether it has model, tokens and cost.
    #[must_use]
    pub const fn is_completed(&self) -> bool {
        self.0.completed_at.is_some()
    }

    /// Whether this is the later of two copies: the one that changed last, and of one moment the one with
    /// the higher version. Versions alone do not say it: they begin anew where a backend knew nothing.
    #[must_use]
    pub fn is_later_than(&self, other: &Self) -> bool {
        let (one, other) = (&self.0, &other.0);
        (one.updated_at, one.version) > (other.updated_at, other.version)
    }

    /// Whether nothing is lost where this copy stays and the other goes: it is later, or the same.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.0.project_id == other.0.project_id
            && (self.is_later_than(other)
                || !other.is_later_than(self) && self.differences(other).is_empty())
    }

    /// How this copy takes the place of one that does not cover it, so that versions only grow; `None`
    /// where that one stays: it covers this, or is of another project.
    #[must_use]
    pub fn in_place_of(&self, there: &Self) -> Option<Self> {
        let (one, other) = (&self.0, &there.0);
        if one.project_id != other.project_id || there.covers(self) {
            return None;
        }
        let version = one.version.max(other.version + 1);
        Some(Self(TrailRecord {
            version,
            ..one.clone()
        }))
    }

    /// The names of what differs between two states, or two copies, of a trail, version and time of
    /// change left out.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        let (one, other) = (&self.0, &other.0);
        let fields = [
            ("project_id", one.project_id == other.project_id),
            ("model", one.model == other.model),
            (
                "reasoning_traces",
                one.reasoning_traces == other.reasoning_traces,
            ),
            ("context_layers", one.context_layers == other.context_layers),
            ("tokens", one.tokens == other.tokens),
            ("cost", one.cost == other.cost),
            ("created_at", one.created_at == other.created_at),
            ("completed_at", one.completed_at == other.completed_at),
        ];
        let differing = fields.into_iter().filter(|(_, same)| !same);
        differing.map(|(field, _)| field).collect()
    }
}

/// The parts that a completed trail has and this record has not.
fn missing(record: &TrailRecord) -> impl Iterator<Item = &'static str> + use<> {
    let parts = [
        ("model", record.model.is_none()),
        ("tokens", record.tokens.is_none()),
        ("cost", record.cost.is_none()),
    ];
    let missing = parts.into_iter().filter(|(_, is_missing)| *is_missing);
    missing.map(|(part, _)| part)
}

fn is_whole(record: &TrailRecord) -> bool {
    missing(record).next().is_none()
}

/// Notes when a record became whole, the first time that it is.
fn completed(record: TrailRecord, now: DateTime<Utc>) -> TrailRecord {
    let completed_at = is_whole(&record).then(|| record.completed_at.unwrap_or(now));
    TrailRecord {
        completed_at,
        ..record
    }
}

fn spent_changes<T: Spendable + std::fmt::Display>(
    event: AuditEvent,
    from: Option<&Spent<T>>,
    to: Option<&Spent<T>>,
) -> AuditEvent {
    let parts: [fn(&Spent<T>) -> T; 3] = [Spent::prompt, Spent::completion, Spent::total];
    let mut event = event;
    for (field, part) in T::FIELDS.into_iter().zip(parts) {
        event = event.change(
            field,
            Fact::maybe(from.map(part)),
            Fact::maybe(to.map(part)),
        );
    }
    event
}
