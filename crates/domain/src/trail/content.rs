//! What somebody states of a trail: all of it at once, or what is to change.

use chrono::{DateTime, TimeDelta, Utc};

use super::json_text::JsonText;
use super::refusal::{Judgement, TrailRefusal, TrailRefusals};
use super::spent::{CostAmount, Spendable, Spent, Stated, TokenCount};
use crate::text::ModelName;

/// By how much a sender's clock may be ahead.
const AHEAD: TimeDelta = TimeDelta::minutes(1);

/// The whole content of a trail, as it is stated at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrailContent {
    /// When the message was; `None`: now, or as before.
    pub created_at: Option<DateTime<Utc>>,
    /// The model.
    pub model: Option<ModelName>,
    /// How it came to its answer.
    pub reasoning_traces: Option<JsonText>,
    /// What it was given.
    pub context_layers: Option<JsonText>,
    /// Tokens.
    pub tokens: Option<Stated<TokenCount>>,
    /// Cost.
    pub cost: Option<Stated<CostAmount>>,
}

/// What an amendment says of one part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Part<T> {
    /// Nothing: it stays.
    #[default]
    Kept,
    /// It goes.
    Cleared,
    /// It becomes this.
    Given(T),
}

/// What is amended; what is not named stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrailAmendment {
    /// The model.
    pub model: Part<ModelName>,
    /// How it came to its answer.
    pub reasoning_traces: Part<JsonText>,
    /// What it was given.
    pub context_layers: Part<JsonText>,
    /// Tokens; of those, too, what is not stated stays.
    pub tokens: Part<Stated<TokenCount>>,
    /// Cost; of that, too, what is not stated stays.
    pub cost: Part<Stated<CostAmount>>,
}

impl TrailContent {
    /// What is wrong with it, whatever there is of the trail.
    #[must_use]
    pub fn refusals(&self, now: DateTime<Utc>) -> Vec<TrailRefusal> {
        self.judged(now).into_all()
    }

    pub(super) fn judged(&self, now: DateTime<Utc>) -> Judgement {
        let mut judgement = Judgement::default();
        if self.created_at.is_some_and(|at| at > now + AHEAD) {
            judgement.refuse(TrailRefusal::Future);
        }
        judgement.of(stated(self.tokens));
        judgement.of(stated(self.cost));
        judgement
    }
}

impl TrailAmendment {
    /// What is wrong with it, whatever there is of the trail.
    #[must_use]
    pub fn refusals(&self) -> Vec<TrailRefusal> {
        fn judge<T: Spendable>(judgement: &mut Judgement, part: &Part<Stated<T>>) {
            if let Part::Given(stated) = part
                && stated.is_whole()
            {
                judgement.of(stated.over(None));
            }
        }
        let mut judgement = Judgement::default();
        judge(&mut judgement, &self.tokens);
        judge(&mut judgement, &self.cost);
        judgement.into_all()
    }

    pub(super) fn names_nothing(&self) -> bool {
        fn silent<T: Spendable>(part: &Part<Stated<T>>) -> bool {
            match part {
                Part::Kept => true,
                Part::Cleared => false,
                Part::Given(stated) => stated.is_nothing(),
            }
        }
        self.model == Part::Kept
            && self.reasoning_traces == Part::Kept
            && self.context_layers == Part::Kept
            && silent(&self.tokens)
            && silent(&self.cost)
    }
}

pub(super) fn stated<T: Spendable>(
    stated: Option<Stated<T>>,
) -> Result<Option<Spent<T>>, TrailRefusals> {
    stated.map(|stated| stated.over(None)).transpose()
}

pub(super) fn amended<T>(part: Part<T>, before: Option<T>) -> Option<T> {
    match part {
        Part::Kept => before,
        Part::Cleared => None,
        Part::Given(value) => Some(value),
    }
}

pub(super) fn spent<T: Spendable>(
    part: &Part<Stated<T>>,
    before: Option<Spent<T>>,
) -> Result<Option<Spent<T>>, TrailRefusals> {
    match part {
        Part::Given(stated) if !stated.is_nothing() => stated.over(before.as_ref()).map(Some),
        Part::Cleared => Ok(None),
        Part::Kept | Part::Given(_) => Ok(before),
    }
}
