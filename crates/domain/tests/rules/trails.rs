//! Assessment trails: what is stated is checked, what is not named stays, and a completed one does not
//! change without its event.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use tranche_domain::text::{ModelName, TextError};
use tranche_domain::trail::CostError::{Malformed, Negative, TooLarge, TooManyDecimals};
use tranche_domain::trail::{
    CostAmount, JsonText, JsonTextError, Part, Revised, Stated, TokenCount, TooManyTokens,
    TrailAmendment, TrailContent, TrailRefusal, TrailRefusals,
};
use tranche_domain::{
    Action, Actor, EventId, Fact, MessageId, Occasion, Origin, ProjectId, Role, Severity, Trail,
    TrailChange,
};
use uuid::Uuid;

use crate::scene::cases;

pub const MESSAGE: MessageId = MessageId(Uuid::from_u128(0x11));
pub const PROJECT: ProjectId = ProjectId(Uuid::from_u128(0xB0));

pub fn time(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(1_800_000_000 + seconds)
}

/// An act, `seconds` after the beginning.
pub fn act(seconds: i64) -> Occasion {
    Occasion {
        by: Actor {
            id: "assessor".to_owned(),
            role: Role::Service,
        },
        origin: Origin::default(),
        at: time(seconds),
        event_id: EventId(Uuid::from_u128(0xE0)),
        salt: [3; 16],
    }
}

pub fn tokens(prompt: u64, completion: u64) -> Stated<TokenCount> {
    let count = |count| Some(TokenCount::try_new(count).unwrap());
    Stated {
        prompt: count(prompt),
        completion: count(completion),
        total: None,
    }
}

pub fn cost(prompt: &str, completion: &str) -> Stated<CostAmount> {
    let amount = |text: &str| Some(text.parse().unwrap());
    Stated {
        prompt: amount(prompt),
        completion: amount(completion),
        total: None,
    }
}

pub fn whole() -> TrailContent {
    TrailContent {
        created_at: None,
        model: Some(ModelName::try_new("large-2").unwrap()),
        reasoning_traces: Some(JsonText::try_new("[1]").unwrap()),
        context_layers: Some(JsonText::try_new("{}").unwrap()),
        tokens: Some(tokens(100, 20)),
        cost: Some(cost("0.003", "0.000315")),
    }
}

pub fn opened(content: TrailContent) -> Trail {
    let change = Trail::open(MESSAGE, PROJECT, content, time(0)).unwrap();
    assert_eq!(change.former(), None);
    assert_eq!(change.event(), None);
    change.into_trail()
}

/// The fields that are named, in their order.
pub fn fields(refusals: &TrailRefusals) -> Vec<&'static str> {
    let fields = refusals.all().iter().map(TrailRefusal::field);
    fields.map(Option::unwrap).collect()
}

fn changed(revised: Result<Revised, TrailRefusals>) -> TrailChange {
    match revised {
        Ok(Revised::Changed(change)) => *change,
        other => panic!("it changes something: {other:?}"),
    }
}

fn unchanged(revised: Result<Revised, TrailRefusals>) -> Trail {
    match revised {
        Ok(Revised::Unchanged(trail)) => *trail,
        other => panic!("it changes nothing: {other:?}"),
    }
}

/// Clocks differ, and what is made of a state is the later all the same.
#[test]
fn a_later_state_is_never_earlier() {
    let first = opened(whole());
    let amendment = TrailAmendment {
        tokens: Part::Given(tokens(100, 21)),
        ..TrailAmendment::default()
    };
    let second = changed(first.clone().amend(amendment, &act(-30))).into_trail();
    assert_eq!(second.record().updated_at, time(0));
    assert!(second.is_later_than(&first) && !first.is_later_than(&second));
    assert!(second.covers(&first) && !first.covers(&second));
    assert_eq!(second.in_place_of(&first), Some(second.clone()));
    assert_eq!(first.in_place_of(&second), None);
    assert_eq!(second.in_place_of(&second), None);
}

#[test]
fn costs_are_exact_to_twelve_decimals() {
    let table = [
        ("0", 0, "0.000000000000"),
        ("0.000000000001", 1, "0.000000000001"),
        ("1", 1_000_000_000_000, "1.000000000000"),
        ("007.10", 7_100_000_000_000, "7.100000000000"),
        ("0.1", 100_000_000_000, "0.100000000000"),
    ];
    for (text, expected, printed) in table {
        let cost: CostAmount = text.parse().unwrap();
        assert_eq!(cost.trillionths(), expected, "{text}");
        assert_eq!(cost.to_string(), printed);
    }
    let most = "999999999999999999.999999999999";
    assert_eq!(most.parse(), Ok(CostAmount::MAX));
    assert_eq!(CostAmount::MAX.to_string(), most);
    for (text, error) in [
        ("", Malformed),
        (".", Malformed),
        ("1.", Malformed),
        (".5", Malformed),
        ("1e-7", Malformed),
        ("1,5", Malformed),
        (" 1", Malformed),
        ("+1", Malformed),
        ("NaN", Malformed),
        ("--1", Malformed),
        ("-1", Negative),
        ("-0.5", Negative),
        ("0.0000000000001", TooManyDecimals),
        ("0.1000000000000", TooManyDecimals),
        ("1000000000000000000", TooLarge),
        ("99999999999999999999999999999999999999999999", TooLarge),
    ] {
        assert_eq!(text.parse::<CostAmount>(), Err(error), "{text}");
    }
    assert_eq!(CostAmount::try_from_trillionths(-1), Err(Negative));
}

#[test]
fn texts_have_their_bounds() {
    assert_eq!(TokenCount::try_new(TokenCount::MAX + 1), Err(TooManyTokens));
    assert_eq!(ModelName::try_new("  "), Err(TextError::Empty));
    assert!(ModelName::try_new("ọ".repeat(128)).is_ok());
    assert!(ModelName::try_new("x".repeat(129)).is_err());
    assert_eq!(ModelName::try_new("a\nb"), Err(TextError::Control));
    let list = |length: usize| format!("[{}]", "1".repeat(length - 2));
    assert!(JsonText::try_new(list(JsonText::MAX)).is_ok());
    let long = JsonText::try_new(list(JsonText::MAX + 1));
    assert_eq!(long, Err(JsonTextError::TooLong));
    assert!(JsonText::try_new("\"one text\"").is_ok());
    for scalar in ["", "1", "null", "true", " []"] {
        assert_eq!(JsonText::try_new(scalar), Err(JsonTextError::Scalar));
    }
}

#[test]
fn a_total_is_the_sum_or_is_refused() {
    let with_total = |total| Stated {
        total: Some(TokenCount::try_new(total).unwrap()),
        ..tokens(10, 5)
    };
    let given = with_total(15).over(None).unwrap();
    assert_eq!(given, tokens(10, 5).over(None).unwrap());
    assert_eq!(given.total().get(), 15);
    let wrong = with_total(16).over(None).unwrap_err();
    assert_eq!(fields(&wrong), ["tokens.total"]);
    let wrong = Stated {
        total: Some("0.3".parse().unwrap()),
        ..cost("0.1", "0.200000000001")
    };
    let wrong = wrong.over(None).unwrap_err();
    assert_eq!(
        wrong.all(),
        [TrailRefusal::NotTheSum {
            field: "cost.total"
        }]
    );
    let most = TokenCount::MAX;
    let large = tokens(most, 1).over(None).unwrap_err();
    assert_eq!(
        large.all(),
        [TrailRefusal::TooMuch {
            field: "tokens.total"
        }]
    );
    let large = cost("999999999999999999", "1").over(None).unwrap_err();
    assert_eq!(fields(&large), ["cost.total"]);
    let part = Stated {
        prompt: None,
        ..tokens(0, 5)
    };
    let missing = part.over(None).unwrap_err();
    assert_eq!(
        missing.all(),
        [TrailRefusal::Missing {
            field: "tokens.prompt"
        }]
    );
    let kept = part.over(Some(&given)).unwrap();
    assert_eq!((kept.prompt().get(), kept.total().get()), (10, 15));
}

#[test]
fn a_trail_is_completed_by_model_tokens_and_cost() {
    assert!(opened(whole()).is_completed());
    assert_eq!(opened(whole()).record().completed_at, Some(time(0)));
    for part in ["model", "tokens", "cost"] {
        let mut content = whole();
        match part {
            "model" => content.model = None,
            "tokens" => content.tokens = None,
            _ => content.cost = None,
        }
        let open = opened(content);
        assert!(!open.is_completed(), "{part}");
        let change = changed(open.replace(whole(), &act(9)));
        assert_eq!(change.trail().record().completed_at, Some(time(9)));
        assert_eq!(change.event(), None, "it was not completed before");
    }
    let empty = opened(TrailContent::default());
    assert_eq!(empty.record().created_at, time(0));
    assert_eq!(empty.record().version, 1);
}

#[test]
fn a_put_again_changes_nothing_and_another_replaces_all() {
    let trail = opened(whole());
    assert_eq!(unchanged(trail.clone().replace(whole(), &act(5))), trail);
    let stated = TrailContent {
        created_at: Some(time(0)),
        ..whole()
    };
    assert_eq!(unchanged(trail.clone().replace(stated, &act(5))), trail);
    let less = TrailContent {
        reasoning_traces: None,
        ..whole()
    };
    let change = changed(trail.clone().replace(less, &act(5)));
    let next = change.trail().record();
    assert_eq!(next.reasoning_traces, None);
    assert_eq!((next.version, next.updated_at), (2, time(5)));
    assert_eq!(
        (next.created_at, next.completed_at),
        (time(0), Some(time(0)))
    );
    assert_eq!(change.former(), Some(&trail));
    let elsewhen = TrailContent {
        created_at: Some(time(1)),
        ..whole()
    };
    let refused = trail.replace(elsewhen, &act(5)).unwrap_err();
    assert_eq!(fields(&refused), ["created_at"]);
}

#[test]
fn an_amendment_keeps_what_it_does_not_name() {
    let trail = opened(whole());
    let amendment = TrailAmendment {
        context_layers: Part::Cleared,
        tokens: Part::Given(Stated {
            prompt: None,
            ..tokens(0, 21)
        }),
        ..TrailAmendment::default()
    };
    let change = changed(trail.clone().amend(amendment.clone(), &act(5)));
    let (before, after) = (trail.record(), change.trail().record());
    let spent = after.tokens.unwrap();
    assert_eq!((spent.prompt().get(), spent.total().get()), (100, 121));
    assert_eq!(after.context_layers, None);
    assert_eq!(after.cost, before.cost);
    assert_eq!(after.model, before.model);
    assert_eq!(after.reasoning_traces, before.reasoning_traces);
    let again = change.into_trail();
    assert_eq!(unchanged(again.clone().amend(amendment, &act(6))), again);
}

#[test]
fn an_amendment_of_nothing_is_refused() {
    let nothing = [
        TrailAmendment::default(),
        TrailAmendment {
            tokens: Part::Given(Stated::default()),
            cost: Part::Given(Stated::default()),
            ..TrailAmendment::default()
        },
    ];
    for amendment in nothing {
        let refused = opened(whole()).amend(amendment, &act(5)).unwrap_err();
        assert_eq!(refused.all(), [TrailRefusal::Nothing]);
        assert_eq!(refused.all()[0].field(), None);
    }
}

#[test]
fn what_completes_a_trail_is_kept() {
    let clear = |field: &str| {
        let mut amendment = TrailAmendment::default();
        match field {
            "model" => amendment.model = Part::Cleared,
            "tokens" => amendment.tokens = Part::Cleared,
            _ => amendment.cost = Part::Cleared,
        }
        amendment
    };
    for field in ["model", "tokens", "cost"] {
        let refused = opened(whole()).amend(clear(field), &act(5)).unwrap_err();
        assert_eq!(fields(&refused), [field]);
        let placeholder = TrailContent {
            model: None,
            ..whole()
        };
        let open = opened(placeholder).amend(clear(field), &act(5));
        assert!(open.is_ok(), "a placeholder has nothing for good: {field}");
    }
    let late = opened(whole()).replace(TrailContent::default(), &act(5));
    assert_eq!(fields(&late.unwrap_err()), ["model", "tokens", "cost"]);
}

#[test]
fn a_message_of_the_future_is_refused() {
    let at = |seconds| TrailContent {
        created_at: Some(time(seconds)),
        ..TrailContent::default()
    };
    let open = |seconds| Trail::open(MESSAGE, PROJECT, at(seconds), time(0));
    assert!(open(60).is_ok());
    assert!(open(-100_000_000).is_ok());
    let refused = open(61).unwrap_err();
    assert_eq!(
        (refused.all(), fields(&refused)),
        (&[TrailRefusal::Future][..], vec!["created_at"])
    );
    let nanos = TrailContent {
        created_at: Some(time(0) + TimeDelta::nanoseconds(1_999)),
        ..TrailContent::default()
    };
    let trail = opened(nanos.clone());
    assert_eq!(
        trail.record().created_at,
        time(0) + TimeDelta::microseconds(1)
    );
    assert_eq!(unchanged(trail.clone().replace(nanos, &act(1))), trail);
}

#[test]
fn a_completed_trail_changes_with_its_event() {
    let trail = opened(whole());
    let amendment = TrailAmendment {
        reasoning_traces: Part::Given(JsonText::try_new("[\"secret thought\"]").unwrap()),
        cost: Part::Given(cost("0.003", "0.5")),
        ..TrailAmendment::default()
    };
    let change = changed(trail.amend(amendment, &act(5)));
    let event = change.event().unwrap();
    assert_eq!(event.action, Action::TrailChanged);
    assert_eq!(event.action.severity(), Severity::Warning);
    assert_eq!(event.project_id, Some(PROJECT));
    assert_eq!(event.resource_id, MESSAGE.to_string());
    let fields = Fact::text("reasoning_traces, cost");
    assert_eq!(event.metadata["fields"], fields);
    let names: Vec<_> = event.changes.keys().copied().collect();
    assert_eq!(names, ["cost.completion", "cost.total", "version"]);
    let total = &event.changes["cost.total"];
    assert_eq!(total.from, Fact::text("0.003315000000"));
    assert_eq!(total.to, Fact::text("0.503000000000"));
    assert_eq!(event.changes["version"].to, Fact::Count(2));
    assert!(!format!("{event:?}").contains("thought"), "no text is told");
}

#[test]
fn records_that_cannot_be_are_noticed() {
    let record = opened(whole()).into_record();
    assert!(Trail::try_from(record.clone()).is_ok());
    let mut open = record.clone();
    open.completed_at = None;
    assert!(Trail::try_from(open).is_err());
    let mut empty = record.clone();
    empty.cost = None;
    assert!(Trail::try_from(empty).is_err());
    let mut unborn = record;
    unborn.version = 0;
    assert!(Trail::try_from(unborn).is_err());
}

/// Any content; often only a part of it.
fn content() -> impl Strategy<Value = TrailContent> {
    let model = prop::option::weighted(0.7, "[a-c]");
    let json = || prop::option::weighted(0.5, "\\[[1-3]\\]");
    let spent = || prop::option::weighted(0.7, (0_u64..50, 0_u64..50));
    (model, json(), json(), spent(), spent()).prop_map(|(model, traces, layers, used, paid)| {
        let text = |text: String| JsonText::try_new(text).unwrap();
        TrailContent {
            created_at: None,
            model: model.map(|name| ModelName::try_new(name).unwrap()),
            reasoning_traces: traces.map(text),
            context_layers: layers.map(text),
            tokens: used.map(|(prompt, completion)| tokens(prompt, completion)),
            cost: paid.map(|(one, other)| cost(&format!("0.{one:03}"), &format!("{other}"))),
        }
    })
}

fn amendment() -> impl Strategy<Value = TrailAmendment> {
    fn part<T>(kind: u8, value: Option<T>) -> Part<T> {
        match (kind, value) {
            (0, _) => Part::Kept,
            (_, Some(value)) => Part::Given(value),
            (_, None) => Part::Cleared,
        }
    }
    (content(), prop::array::uniform5(0_u8..3)).prop_map(|(content, kinds)| TrailAmendment {
        model: part(kinds[0], content.model),
        reasoning_traces: part(kinds[1], content.reasoning_traces),
        context_layers: part(kinds[2], content.context_layers),
        tokens: part(kinds[3], content.tokens),
        cost: part(kinds[4], content.cost),
    })
}

proptest! {
    #![proptest_config(cases(2_000))]

    /// Whatever is done to a trail: its record can be, its time and name stay, versions count, a
    /// completed one stays so and changes with an event, and doing the same again changes nothing.
    #[test]
    fn any_history_keeps_the_rules(
        first in content(),
        steps in prop::collection::vec((any::<bool>(), content(), amendment()), 1..8),
    ) {
        let mut trail = opened(first);
        for (step, (put, content, amendment)) in steps.into_iter().enumerate() {
            let at = act(i64::try_from(step).unwrap() + 1);
            let revise = |trail: Trail| {
                if put {
                    trail.replace(content.clone(), &at)
                } else {
                    trail.amend(amendment.clone(), &at)
                }
            };
            let before = trail.clone();
            match revise(trail.clone()) {
                Ok(Revised::Changed(change)) => {
                    prop_assert_eq!(change.former(), Some(&before));
                    prop_assert_eq!(change.event().is_some(), before.is_completed());
                    trail = change.into_trail();
                    prop_assert_eq!(trail.record().version, before.record().version + 1);
                    prop_assert!(!before.differences(&trail).is_empty());
                    prop_assert!(matches!(revise(trail.clone()), Ok(Revised::Unchanged(_))));
                }
                Ok(Revised::Unchanged(same)) => prop_assert_eq!(*same, before.clone()),
                Err(_) => {}
            }
            let record = trail.record();
            prop_assert_eq!(record.created_at, time(0));
            prop_assert!(!before.is_completed() || trail.is_completed());
            prop_assert!(Trail::try_from(record.clone()).is_ok());
            if let (Some(tokens), Some(cost)) = (record.tokens, record.cost) {
                let sum = tokens.prompt().get() + tokens.completion().get();
                prop_assert_eq!(tokens.total().get(), sum);
                let sum = cost.prompt().trillionths() + cost.completion().trillionths();
                prop_assert_eq!(cost.total().trillionths(), sum);
            }
        }
    }
}
