//! What messages spent, against a recount by brute force.

use chrono::{NaiveDate, TimeDelta};
use tranche_application::ports::audit_search::Scope;
use tranche_application::ports::trails::{MOST_MODELS, TrailStore};
use tranche_domain::trail::sums::{Analytics, TimeRange};
use tranche_domain::trail::{CostAmount, Part, Revised, TokenCount, TrailAmendment};
use tranche_domain::{ProjectId, Trail};

use super::TrailsUnderTest;
use super::keeping::saved;
use super::world::{
    RECENT, Recount, adopt, any_content, any_range, at, cost, message, model, noon, occasion,
    opened, placeholder, tokens, whole,
};
use crate::contract::log::Dice;

async fn analytics(trails: &dyn TrailStore, project: ProjectId, range: TimeRange) -> Analytics {
    let counted = trails.counted(project, range, RECENT).await;
    Analytics::of(range, counted.expect("it is counted"))
}

fn between(from: i64, to: i64) -> TimeRange {
    TimeRange::try_new(at(from), at(to)).expect("a range")
}

/// Puts, amendments, copies and clean-ups in any order, and any range between them (T6).
pub async fn analytics_are_what_a_recount_gives(subject: &dyn TrailsUnderTest) {
    walk(subject, 1, 240).await;
}

/// The walk of this seed: the same in every run.
///
/// # Panics
/// Where the backend counts otherwise than the recount.
pub async fn walk(subject: &dyn TrailsUnderTest, seed: u64, steps: u64) {
    let (trails, mut dice) = (subject.trails(), Dice::new(seed));
    let projects = [subject.project().await, subject.project().await];
    let mut recount = Recount::default();
    for step in 1..=steps {
        match dice.roll(20) {
            0 => expire(trails.as_ref(), &mut recount, &mut dice).await,
            1 => {
                let before = at(i64::try_from(dice.roll(72)).expect("few") * 60);
                recount.expire_sums(before);
                trails.expire_sums(before, 1_000).await.expect("they go");
            }
            _ => write(trails.as_ref(), &mut recount, &mut dice, &projects, step).await,
        }
        if step % 4 == 0 {
            let (project, range) = (dice.of(&projects), any_range(&mut dice));
            let expected = recount.analytics(project, range);
            let found = analytics(trails.as_ref(), project, range).await;
            assert_eq!(found, expected, "seed {seed}, step {step}");
        }
    }
}

async fn expire(trails: &dyn TrailStore, recount: &mut Recount, dice: &mut Dice) {
    let before = at(i64::try_from(dice.roll(3 * 24 * 60)).expect("few"));
    let gone = trails.expire(before, 1_000).await.expect("they go");
    assert_eq!(gone, recount.expire(before));
}

/// Puts or amends one of thirty messages; now and then it comes as a copy.
async fn write(
    trails: &dyn TrailStore,
    recount: &mut Recount,
    dice: &mut Dice,
    projects: &[ProjectId],
    step: u64,
) {
    let n = dice.roll(30);
    let name = message(n as u128);
    let there = trails.read(name, Scope::All).await.expect("it is read");
    assert_eq!(there.as_ref(), recount.there(name));
    let mut content = any_content(dice);
    let change = match there {
        None => opened(n as u128, projects[n % projects.len()], content),
        Some(trail) => {
            content.created_at = None;
            let act = occasion(step);
            let revised = if dice.roll(2) == 0 {
                trail.replace(content, &act)
            } else {
                trail.amend(any_amendment(dice, content), &act)
            };
            let Ok(Revised::Changed(change)) = revised else {
                return;
            };
            *change
        }
    };
    if dice.roll(6) == 0 {
        assert!(adopt(trails, change.trail()).await);
    } else {
        trails.save(&change).await.expect("it is saved");
    }
    recount.save(change.trail());
}

fn any_amendment(dice: &mut Dice, content: tranche_domain::trail::TrailContent) -> TrailAmendment {
    fn part<T>(dice: &mut Dice, value: Option<T>) -> Part<T> {
        match (dice.roll(3), value) {
            (0, _) => Part::Kept,
            (_, None) => Part::Cleared,
            (_, Some(value)) => Part::Given(value),
        }
    }
    TrailAmendment {
        model: part(dice, content.model),
        reasoning_traces: part(dice, content.reasoning_traces),
        context_layers: part(dice, content.context_layers),
        tokens: part(dice, content.tokens),
        cost: part(dice, content.cost),
    }
}

/// What it cost is told for longer than what was said (T5).
pub async fn sums_outlive_their_trails(subject: &dyn TrailsUnderTest) {
    let (trails, project) = (subject.trails(), subject.project().await);
    saved(trails.as_ref(), 1, project, whole(65, "large-2", "1")).await;
    saved(trails.as_ref(), 2, project, whole(125, "large-2", "2")).await;
    trails.expire(at(180), 10).await.expect("they go");
    let whole_hours = analytics(trails.as_ref(), project, between(60, 180)).await;
    assert_eq!(whole_hours.sums.messages, 2);
    assert_eq!(whole_hours.sums.total_cost().to_string(), "3.000000000002");
    assert_eq!(whole_hours.recent, []);
    let cut = analytics(trails.as_ref(), project, between(61, 180)).await;
    assert_eq!(cut.sums.messages, 1, "of a cut hour what is there");
}

/// No sum goes below what its trails add (T5).
pub async fn sums_go_when_no_trail_of_their_hour_is_left(subject: &dyn TrailsUnderTest) {
    let (trails, project) = (subject.trails(), subject.project().await);
    let old = saved(trails.as_ref(), 1, project, whole(65, "large-2", "1")).await;
    saved(trails.as_ref(), 2, project, whole(5, "large-2", "2")).await;
    saved(trails.as_ref(), 3, project, whole(185, "large-2", "4")).await;
    trails.expire(at(6), 10).await.expect("one goes");
    let gone = trails.expire_sums(at(180), 10).await.expect("they go");
    assert_eq!(gone, 1, "the first hour's");
    let day = between(0, 24 * 60);
    let left = analytics(trails.as_ref(), project, day).await;
    assert_eq!(left.sums.messages, 2);
    let change = super::world::amended(old, super::world::completion(9), 1);
    trails.save(&change).await.expect("it is saved");
    let left = analytics(trails.as_ref(), project, day).await;
    assert_eq!(left.sums.completion_tokens, 39);
    trails.expire(at(24 * 60), 10).await.expect("they go");
    assert_eq!(trails.expire_sums(at(180), 1).await.expect("one goes"), 1);
    assert_eq!(trails.expire_sums(at(180), 1).await.expect("none goes"), 0);
    let left = analytics(trails.as_ref(), project, day).await;
    assert_eq!(left.sums.messages, 1);
}

/// To the microsecond, across hours and days, on empty days too (T6).
pub async fn ranges_begin_and_end_where_they_say(subject: &dyn TrailsUnderTest) {
    let (trails, project) = (subject.trails(), subject.project().await);
    let day = 24 * 60;
    for (n, minutes) in [60, 61, 119, 120, day, 3 * day].into_iter().enumerate() {
        saved(
            trails.as_ref(),
            n as u128,
            project,
            whole(minutes, "m", "1"),
        )
        .await;
    }
    let count = async |from: i64, to: i64| {
        let found = analytics(trails.as_ref(), project, between(from, to)).await;
        found.sums.messages
    };
    for (from, to, messages) in [
        (60, 120, 3),
        (60, 121, 4),
        (61, 120, 2),
        (62, 119, 0),
        (62, 120, 1),
        (60, 60, 0),
        (0, 60, 0),
        (0, 61, 1),
        (0, 4 * day, 6),
        (day, day + 1, 1),
        (0, day, 4),
    ] {
        assert_eq!(count(from, to).await, messages, "{from} to {to}");
    }
    let micro = TimeDelta::microseconds(1);
    let range = TimeRange::try_new(at(60) + micro, at(61) + micro).expect("a range");
    let found = analytics(trails.as_ref(), project, range).await;
    assert_eq!(found.recent.len(), 1);
    assert_eq!(found.recent[0].message_id, message(1));
    let found = analytics(trails.as_ref(), project, between(0, 4 * day)).await;
    let date = |day| NaiveDate::from_ymd_opt(2026, 8, day).expect("a date");
    let september = |day| NaiveDate::from_ymd_opt(2026, 9, day).expect("a date");
    let days: Vec<_> = found
        .days
        .iter()
        .map(|(day, sums)| (*day, sums.messages))
        .collect();
    assert_eq!(
        days,
        [
            (date(30), 4),
            (date(31), 1),
            (september(1), 0),
            (september(2), 1)
        ]
    );
}

/// More than a float, an `i64`, or 38 digits of cents would hold (T1, T6).
pub async fn sums_are_exact_at_the_limits(subject: &dyn TrailsUnderTest) {
    let (trails, project) = (subject.trails(), subject.project().await);
    let (most, trails_each) = ("999999999999999999.999999999999", 1_100_u64);
    let mut content = whole(65, "large-2", "0");
    content.cost = Some(cost(most, "0"));
    content.tokens = Some(tokens(TokenCount::MAX, 0));
    content.reasoning_traces = None;
    for n in 0..trails_each {
        saved(trails.as_ref(), n.into(), project, content.clone()).await;
    }
    let found = analytics(trails.as_ref(), project, between(0, 180)).await;
    let all = i128::from(trails_each);
    assert_eq!(found.sums.total_tokens(), i128::from(TokenCount::MAX) * all);
    assert!(found.sums.total_tokens() > i128::from(i64::MAX));
    let cost = CostAmount::MAX.trillionths() * all;
    assert_eq!(found.sums.total_cost().trillionths(), cost);
    assert_eq!(found.sums.average_cost(), CostAmount::MAX);
    let rows = analytics(trails.as_ref(), project, between(61, 80)).await;
    assert_eq!(rows.sums, found.sums, "trail by trail as from the sums");
}

/// A hundred by name, the rest together (T6).
pub async fn the_dearest_models_are_listed(subject: &dyn TrailsUnderTest) {
    let (trails, project) = (subject.trails(), subject.project().await);
    let listed = usize::try_from(MOST_MODELS).expect("few");
    for n in 0..listed + 3 {
        let price = format!("0.{:06}", 1 + n / 2);
        let content = whole(65, &format!("model {n:03}"), &price);
        saved(trails.as_ref(), n as u128, project, content).await;
    }
    saved(trails.as_ref(), 9_999, project, placeholder(65)).await;
    let found = analytics(trails.as_ref(), project, between(0, 180)).await;
    assert_eq!(found.models.len(), listed);
    assert_eq!(found.models[0].0, model("model 102"));
    assert_eq!(found.models[1].0, model("model 100"), "of equals by name");
    assert_eq!(found.models[2].0, model("model 101"));
    assert_eq!(found.other_models.messages, 3);
    assert_eq!(found.other_models.prompt_cost, 1_000_000 * (2 + 1 + 1));
    assert_eq!(found.sums.open, 1);
    let total = found.models.iter().map(|(_, sums)| sums.messages);
    assert_eq!(total.sum::<i64>() + 3, found.sums.messages);
}

/// Placeholders among them, the newest first, of the range alone (T6).
pub async fn the_newest_trails_are_shown(subject: &dyn TrailsUnderTest) {
    let (trails, project) = (subject.trails(), subject.project().await);
    let mut all: Vec<Trail> = Vec::new();
    for n in 0..14_u128 {
        let minutes = i64::try_from(n / 2 * 7).expect("few");
        let content = if n % 3 == 0 {
            placeholder(minutes)
        } else {
            whole(minutes, "large-2", "1")
        };
        all.push(saved(trails.as_ref(), n, project, content).await);
    }
    let found = analytics(trails.as_ref(), project, between(0, 42)).await;
    let mut recount = Recount::default();
    for trail in &all {
        recount.save(trail);
    }
    assert_eq!(
        found.recent,
        recount.analytics(project, between(0, 42)).recent
    );
    assert_eq!(found.recent.len(), 10);
    assert_eq!(found.recent[0].message_id, message(11));
    assert!(
        found
            .recent
            .iter()
            .any(|trail| trail.completed_at.is_none())
    );
    assert!(
        found
            .recent
            .iter()
            .any(|trail| trail.completed_at == Some(noon()))
    );
}
