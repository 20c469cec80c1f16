//! Messages, what they say, and a recount by brute force.

use chrono::{DateTime, TimeDelta, Timelike, Utc};
use tranche_application::ports::clock::Clock;
use tranche_application::ports::trails::{Adopted, MOST_MODELS, TrailStore};
use tranche_domain::text::ModelName;
use tranche_domain::trail::sums::{Analytics, Counted, RollUpKey, Sums, TimeRange, TrailSummary};
use tranche_domain::trail::{
    CostAmount, JsonText, Part, Revised, Stated, TokenCount, TrailAmendment, TrailContent,
};
use tranche_domain::{
    Actor, EventId, MessageId, Occasion, Origin, ProjectId, Role, Trail, TrailChange,
};
use uuid::Uuid;

use crate::contract::log::{Dice, start};

/// Names whose order differs between languages and bytes.
const MODELS: [&str; 5] = ["large-2", "Large-2", "Ọ̀nà", "a b", "zeta"];
/// How many trails the analytics show.
pub const RECENT: u32 = 10;

/// A clock that stands at noon, ten days after the start.
pub struct Noon;

impl Clock for Noon {
    fn now(&self) -> DateTime<Utc> {
        noon()
    }
}

pub fn noon() -> DateTime<Utc> {
    start() + TimeDelta::hours(10 * 24 + 12)
}

/// A moment of the ten days.
pub fn at(minutes: i64) -> DateTime<Utc> {
    start() + TimeDelta::minutes(minutes)
}

pub fn message(n: u128) -> MessageId {
    MessageId(Uuid::from_u128(n << 64 | n))
}

pub fn model(name: &str) -> ModelName {
    ModelName::try_new(name).expect("a short name")
}

pub fn text(json: &str) -> JsonText {
    JsonText::try_new(json).expect("a short text")
}

pub fn tokens(prompt: u64, completion: u64) -> Stated<TokenCount> {
    let count = |count| TokenCount::try_new(count).expect("a small number");
    Stated {
        prompt: Some(count(prompt)),
        completion: Some(count(completion)),
        total: None,
    }
}

pub fn cost(prompt: &str, completion: &str) -> Stated<CostAmount> {
    let amount = |text: &str| text.parse().expect("a cost");
    Stated {
        prompt: Some(amount(prompt)),
        completion: Some(amount(completion)),
        total: None,
    }
}

/// A whole trail's content.
pub fn whole(minutes: i64, name: &str, price: &str) -> TrailContent {
    TrailContent {
        created_at: Some(at(minutes)),
        model: Some(model(name)),
        reasoning_traces: Some(text(r#"[{"step":"“Ọ̀nà” \\ 🚰","n":[0,-1.5,1e-7]}]"#)),
        context_layers: Some(text(r#"{"layers":[{"a":1},{}],"z":null}"#)),
        tokens: Some(tokens(120, 30)),
        cost: Some(cost(price, "0.000000000001")),
    }
}

/// A placeholder's.
pub fn placeholder(minutes: i64) -> TrailContent {
    TrailContent {
        created_at: Some(at(minutes)),
        ..TrailContent::default()
    }
}

/// An act of a service, at noon and a bit.
pub fn occasion(n: u64) -> Occasion {
    let micros = i64::try_from(n).expect("a small number");
    Occasion {
        by: Actor {
            id: "assessor".to_owned(),
            role: Role::Service,
        },
        origin: Origin::default(),
        at: noon() + TimeDelta::microseconds(micros),
        event_id: EventId(event_id(n)),
        salt: [7; 16],
    }
}

/// The id of the event of that act.
fn event_id(n: u64) -> Uuid {
    let millis = u64::try_from(noon().timestamp_millis()).expect("after 1970");
    let mut tail = [0; 10];
    tail[2..].copy_from_slice(&n.to_be_bytes());
    uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid()
}

pub fn opened(n: u128, project: ProjectId, content: TrailContent) -> TrailChange {
    Trail::open(message(n), project, content, noon()).expect("it can be")
}

/// The change that an amendment makes; the act must be another each time.
pub fn amended(trail: Trail, amendment: TrailAmendment, act: u64) -> TrailChange {
    amended_by(trail, amendment, &occasion(act))
}

/// The change that an amendment makes on this occasion.
pub fn amended_by(trail: Trail, amendment: TrailAmendment, occasion: &Occasion) -> TrailChange {
    match trail.amend(amendment, occasion) {
        Ok(Revised::Changed(change)) => *change,
        other => unreachable!("it changes something: {other:?}"),
    }
}

/// Tokens of the completion, and nothing else.
pub fn completion(count: u64) -> TrailAmendment {
    let stated = Stated {
        prompt: None,
        ..tokens(0, count)
    };
    TrailAmendment {
        tokens: Part::Given(stated),
        ..TrailAmendment::default()
    }
}

/// Copies one trail; says whether it is kept.
pub async fn adopt(trails: &dyn TrailStore, copy: &Trail) -> bool {
    let adopted = trails.adopt(std::slice::from_ref(copy)).await;
    match adopted.expect("it is answered")[..] {
        [Adopted::Kept] => true,
        [Adopted::Present] => false,
        ref other => unreachable!("its project is there: {other:?}"),
    }
}

/// Any content, of any time in three days, on the hour now and then.
pub fn any_content(dice: &mut Dice) -> TrailContent {
    let minutes = i64::try_from(dice.roll(3 * 24 * 60)).expect("a small number");
    let minutes = if dice.roll(4) == 0 {
        minutes / 60 * 60
    } else {
        minutes
    };
    let small = |dice: &mut Dice| u64::try_from(dice.roll(1_000)).expect("a small number");
    let price = |dice: &mut Dice| format!("{}.{:012}", dice.roll(3), dice.roll(1_000_000_000));
    TrailContent {
        created_at: Some(at(minutes)),
        model: dice.maybe(5, &MODELS).map(model),
        reasoning_traces: dice.maybe(3, &["[1]", "{\"a\":[]}"]).map(text),
        context_layers: dice.maybe(3, &["[]", "{}"]).map(text),
        tokens: (dice.roll(5) > 0).then(|| tokens(small(dice), small(dice))),
        cost: (dice.roll(5) > 0).then(|| cost(&price(dice), &price(dice))),
    }
}

/// Any range around the three days.
pub fn any_range(dice: &mut Dice) -> TimeRange {
    let moment = |dice: &mut Dice| {
        let minutes = i64::try_from(dice.roll(4 * 24 * 60)).expect("a small number") - 12 * 60;
        let moment = at(minutes);
        match dice.roll(3) {
            0 => moment.with_minute(0).expect("a minute"),
            1 => moment + TimeDelta::microseconds(1),
            _ => moment,
        }
    };
    let (one, other) = (moment(dice), moment(dice));
    TimeRange::try_new(one.min(other), one.max(other)).expect("a short range")
}

/// Every trail that was ever saved, as it was last.
#[derive(Default)]
pub struct Recount {
    trails: Vec<(Trail, bool)>,
}

impl Recount {
    /// The trail that is there.
    pub fn there(&self, message: MessageId) -> Option<&Trail> {
        let mut there = self.trails.iter().filter(|(_, there)| *there);
        there
            .find(|(trail, _)| trail.record().message_id == message)
            .map(|(trail, _)| trail)
    }

    pub fn save(&mut self, next: &Trail) {
        let message = next.record().message_id;
        let mut there = self.trails.iter_mut().filter(|(_, there)| *there);
        match there.find(|(trail, _)| trail.record().message_id == message) {
            Some((trail, _)) => *trail = next.clone(),
            None => self.trails.push((next.clone(), true)),
        }
    }

    /// Says how many go.
    pub fn expire(&mut self, before: DateTime<Utc>) -> u64 {
        let mut gone = 0;
        for (trail, there) in &mut self.trails {
            if *there && trail.record().created_at < before {
                *there = false;
                gone += 1;
            }
        }
        gone
    }

    /// Forgets hours of which no trail is left.
    pub fn expire_sums(&mut self, before: DateTime<Utc>) {
        let hour = |trail: &Trail| {
            let key = RollUpKey::of(trail);
            (key.project_id, key.hour)
        };
        let there = self.trails.iter().filter(|(_, there)| *there);
        let kept: Vec<_> = there.map(|(trail, _)| hour(trail)).collect();
        self.trails.retain(|(trail, _)| {
            let of = hour(trail);
            of.1 >= before || kept.contains(&of)
        });
    }

    pub fn analytics(&self, project: ProjectId, range: TimeRange) -> Analytics {
        let inside = |trail: &Trail| {
            let record = trail.record();
            record.project_id == project && range.contains(record.created_at)
        };
        let whole = |trail: &Trail| {
            let hour = RollUpKey::of(trail).hour;
            hour >= range.from() && hour + TimeDelta::hours(1) <= range.to()
        };
        let mut counted = Counted::default();
        let mut recent = Vec::new();
        for (trail, there) in &self.trails {
            if !inside(trail) {
                continue;
            }
            if *there {
                recent.push(TrailSummary::from(trail));
            }
            if *there || whole(trail) {
                let day = trail.record().created_at.date_naive();
                add(&mut counted.days, day, Sums::of(trail));
                if let Some(model) = RollUpKey::of(trail).model {
                    add(&mut counted.models, model, Sums::of(trail));
                }
            }
        }
        counted.days.sort_by_key(|(day, _)| *day);
        counted.models.sort_by(|(one, spent), (other, more)| {
            let dearest = more.total_cost().cmp(&spent.total_cost());
            dearest.then_with(|| one.as_str().as_bytes().cmp(other.as_str().as_bytes()))
        });
        counted.models.truncate(MOST_MODELS as usize);
        recent.sort_by_key(|trail| std::cmp::Reverse((trail.created_at, trail.message_id)));
        recent.truncate(RECENT as usize);
        counted.recent = recent;
        Analytics::of(range, counted)
    }
}

fn add<K: PartialEq>(sums: &mut Vec<(K, Sums)>, key: K, more: Sums) {
    match sums.iter_mut().find(|(known, _)| *known == key) {
        Some((_, sums)) => *sums = sums.plus(more),
        None => sums.push((key, more)),
    }
}
