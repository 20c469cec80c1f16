//! Sums over trails: exact, moved by differences, and told by day and model.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use proptest::prelude::*;
use tranche_domain::text::ModelName;
use tranche_domain::trail::TrailContent;
use tranche_domain::trail::sums::{
    Analytics, Counted, RangeError, RollUpKey, Sums, TimeRange, movements,
};
use tranche_domain::{MessageId, ProjectId, Trail};
use uuid::Uuid;

use crate::scene::cases;
use crate::trails::{cost, time, tokens, whole};

fn trail(minutes: i64, content: TrailContent) -> Trail {
    let content = TrailContent {
        created_at: Some(time(0) + TimeDelta::minutes(minutes)),
        ..content
    };
    let (message, project) = (MessageId(Uuid::nil()), ProjectId(Uuid::nil()));
    let change = Trail::open(message, project, content, time(100_000_000));
    change.unwrap().into_trail()
}

fn moment(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn sums(messages: i64, cost: i128) -> Sums {
    Sums {
        messages,
        completion_cost: cost,
        ..Sums::default()
    }
}

#[test]
fn placeholders_count_as_open_alone() {
    let placeholder = TrailContent {
        cost: None,
        ..whole()
    };
    let open = trail(0, placeholder);
    let expected = Sums {
        open: 1,
        ..Sums::default()
    };
    assert_eq!(Sums::of(&open), expected);
    assert_eq!(RollUpKey::of(&open).model, None, "whatever its model");
    let completed = trail(0, whole());
    assert_eq!(Sums::of(&completed).messages, 1);
    assert_eq!(Sums::of(&completed).total_tokens(), 120);
    assert_eq!(
        Sums::of(&completed).total_cost().to_string(),
        "0.003315000000"
    );
    let moved = movements(Some(&open), &completed);
    assert_eq!(moved.len(), 2);
    assert_eq!((moved[0].0.model.clone(), moved[0].1.open), (None, -1));
    assert_eq!((moved[1].1.open, moved[1].1.messages), (0, 1));
    assert_eq!(movements(Some(&completed), &completed), []);
}

#[test]
fn an_average_is_rounded_half_to_even() {
    for (messages, total, average) in [
        (0, 0, "0.000000000000"),
        (1, 7, "0.000000000007"),
        (2, 1, "0.000000000000"),
        (2, 3, "0.000000000002"),
        (2, 5, "0.000000000002"),
        (3, 1, "0.000000000000"),
        (3, 2, "0.000000000001"),
        (4, 7, "0.000000000002"),
        (3, 1_000_000_000_000, "0.333333333333"),
    ] {
        let average_cost = sums(messages, total).average_cost();
        assert_eq!(average_cost.to_string(), average, "{total} by {messages}");
    }
}

#[test]
fn a_range_is_checked_and_cut_into_hours() {
    let at = moment("2026-01-31T10:20:00Z");
    let year = TimeDelta::days(366);
    let micro = TimeDelta::microseconds(1);
    assert_eq!(
        TimeRange::try_new(at, at - micro),
        Err(RangeError::Backwards)
    );
    assert!(TimeRange::try_new(at, at + year).is_ok());
    assert_eq!(
        TimeRange::try_new(at, at + year + micro),
        Err(RangeError::TooLong)
    );
    let range = |from: &str, to: &str| TimeRange::try_new(moment(from), moment(to)).unwrap();
    for (from, to, hours) in [
        (
            "2026-01-31T10:00:00Z",
            "2026-01-31T11:00:00Z",
            Some((10, 11)),
        ),
        (
            "2026-01-31T10:00:00.000001Z",
            "2026-01-31T12:59:00Z",
            Some((11, 12)),
        ),
        ("2026-01-31T10:59:00Z", "2026-01-31T11:59:00Z", None),
        ("2026-01-31T10:10:00Z", "2026-01-31T10:20:00Z", None),
        ("2026-01-31T10:00:00Z", "2026-01-31T10:00:00Z", None),
    ] {
        let midnight = moment("2026-01-31T00:00:00Z");
        let hour = |hour| midnight + TimeDelta::hours(hour);
        let expected = hours.map(|(first, end)| (hour(first), hour(end)));
        assert_eq!(range(from, to).whole_hours(), expected, "{from} {to}");
    }
    let date = |month, day| NaiveDate::from_ymd_opt(2026, month, day).unwrap();
    let days = range("2026-01-30T23:59:59Z", "2026-02-01T00:00:00Z").days();
    assert_eq!(days, [date(1, 30), date(1, 31)]);
    let days = range("2026-01-30T00:00:00Z", "2026-01-30T00:00:00.000001Z").days();
    assert_eq!(days, [date(1, 30)]);
    assert_eq!(
        range("2026-01-30T00:00:00Z", "2026-01-30T00:00:00Z").days(),
        []
    );
}

#[test]
fn every_day_is_told_and_so_is_the_rest_of_the_models() {
    let range = TimeRange::try_new(
        moment("2026-01-30T12:00:00Z"),
        moment("2026-02-02T00:00:00Z"),
    );
    let date = |month, day| NaiveDate::from_ymd_opt(2026, month, day).unwrap();
    let counted = Counted {
        days: vec![(date(1, 30), sums(2, 10)), (date(2, 1), sums(3, 20))],
        models: vec![(ModelName::try_new("large-2").unwrap(), sums(4, 28))],
        recent: Vec::new(),
    };
    let analytics = Analytics::of(range.unwrap(), counted);
    let days: Vec<_> = analytics
        .days
        .iter()
        .map(|(_, sums)| sums.messages)
        .collect();
    assert_eq!(days, [2, 0, 3]);
    assert_eq!(analytics.days[1].0, date(1, 31));
    assert_eq!(analytics.sums, sums(5, 30));
    assert_eq!(analytics.other_models, sums(1, 2));
}

proptest! {
    #![proptest_config(cases(2_000))]

    /// What moves from one state to the next adds up to the last, under its own key.
    #[test]
    fn movements_lead_from_one_state_to_the_next(
        states in prop::collection::vec(
            (0_u64..9, 0_u64..9, prop::option::weighted(0.8, "[ab]"), any::<bool>()),
            1..6,
        ),
    ) {
        let mut former: Option<Trail> = None;
        let mut kept: Vec<(RollUpKey, Sums)> = Vec::new();
        for (prompt, completion, model, paid) in states {
            let next = trail(7, TrailContent {
                model: model.map(|name| ModelName::try_new(name).unwrap()),
                tokens: Some(tokens(prompt, completion)),
                cost: paid.then(|| cost(&prompt.to_string(), "0.1")),
                ..TrailContent::default()
            });
            let moved = movements(former.as_ref(), &next);
            prop_assert!(moved.is_sorted_by(|(one, _), (other, _)| one < other));
            for (key, sums) in moved {
                match kept.iter_mut().find(|(known, _)| *known == key) {
                    Some((_, before)) => *before = before.plus(sums),
                    None => kept.push((key, sums)),
                }
            }
            kept.retain(|(_, sums)| *sums != Sums::default());
            prop_assert_eq!(&kept, &[(RollUpKey::of(&next), Sums::of(&next))]);
            former = Some(next);
        }
    }
}
