//! Counts: at every moment those that a recount of the rows gives.

use std::sync::Arc;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use tranche_application::audit::filter::EventFilter;
use tranche_application::audit::record::EventRecord;
use tranche_application::ports::audit_search::{AuditStats, Bucket, Scope, StatsQuery};
use tranche_domain::ProjectId;

use super::StoreUnderTest;
use super::log::{Dice, any_filter, filled, project, start};
use super::pipeline;
use super::scene::World;
use super::tools::ended;
use super::tree::number;

/// What the rows give.
fn recount(events: &[Arc<EventRecord>], query: &StatsQuery) -> AuditStats {
    let mut stats = AuditStats::default();
    let width = match query.bucket {
        Bucket::Hour => TimeDelta::hours(1),
        Bucket::Day => TimeDelta::days(1),
    };
    for event in events.iter().filter(|event| query.filter.matches(event)) {
        stats.total += 1;
        *stats.by_severity.entry(event.severity.clone()).or_default() += 1;
        *stats.by_action.entry(event.action.clone()).or_default() += 1;
        let kind = event.resource_type.clone();
        *stats.by_resource_type.entry(kind).or_default() += 1;
        let start = event.occurred_at.duration_trunc(width).expect("it fits");
        *stats.series.entry(start).or_default() += 1;
    }
    stats
}

/// A time on the day, on the hour, or anywhere.
fn moment(dice: &mut Dice) -> DateTime<Utc> {
    let hours = i64::try_from(dice.roll(2_500)).expect("few");
    let micros = i64::try_from(dice.roll(3_600_000_000)).expect("few");
    let hour = start() + TimeDelta::hours(hours);
    match dice.roll(3) {
        0 => hour.duration_trunc(TimeDelta::days(1)).expect("it fits"),
        1 => hour,
        _ => hour + TimeDelta::microseconds(micros),
    }
}

/// Whatever waits for its number, has it, or is archived (S5).
pub async fn statistics_are_a_recount(subject: &dyn StoreUnderTest) {
    let events = filled(subject, 400).await;
    let search = subject.search();
    let mut dice = Dice::new(23);
    for stage in ["waiting", "some", "most", "all", "archived"] {
        for round in 0..60 {
            let mut filter = any_filter(&mut dice);
            if round % 2 == 0 {
                // Conditions that the roll-ups know.
                filter = EventFilter {
                    severities: filter.severities,
                    actions: filter.actions,
                    resource_types: filter.resource_types,
                    ..EventFilter::default()
                };
                filter.from = (dice.roll(2) == 0).then(|| moment(&mut dice));
                filter.to = (dice.roll(2) == 0).then(|| moment(&mut dice));
            }
            let bucket = dice.of(&[Bucket::Hour, Bucket::Day]);
            let query = StatsQuery { filter, bucket };
            let stats = search.stats(&query, Scope::All).await;
            let stats = stats.expect("it is counted");
            assert_eq!(stats, recount(&events, &query), "{stage}: {query:?}");
        }
        match stage {
            "waiting" | "some" => {
                number(subject.tree().as_ref(), 150).await.expect("numbers");
            }
            "most" => drop(
                number(subject.tree().as_ref(), 1_000)
                    .await
                    .expect("numbers"),
            ),
            "all" => drop(subject.archive(start() + TimeDelta::days(32)).await),
            _ => {}
        }
    }
}

/// To the microsecond, whether they wait, have their numbers, or some of both (S5).
pub async fn counts_end_where_their_time_ends(subject: &dyn StoreUnderTest) {
    let midnight = start() + TimeDelta::days(3);
    let edges = [midnight, midnight + TimeDelta::hours(5)];
    let micro = TimeDelta::microseconds(1);
    let around = |edge| [edge - micro, edge, edge + micro];
    let moments: Vec<DateTime<Utc>> = edges.into_iter().flat_map(around).collect();
    // One every six hours: these were made soon after.
    let mut events = super::log::events(400).split_off(14);
    events.truncate(moments.len());
    for (event, moment) in events.iter_mut().zip(&moments) {
        // The same kind of thing, so that they share their roll-ups.
        *event = Arc::new(EventRecord {
            occurred_at: *moment,
            severity: "info".to_owned(),
            action: "user.login".to_owned(),
            resource_type: "user".to_owned(),
            ..(**event).clone()
        });
    }
    let appended = subject.audit_store().append(&events, start()).await;
    assert_eq!(appended.expect("it is appended"), events.len() as u64);
    let bound = || moments.iter().copied().map(Some).chain([None]);
    for _ in 0..3 {
        for (from, to) in bound().flat_map(|from| bound().map(move |to| (from, to))) {
            for bucket in [Bucket::Hour, Bucket::Day] {
                let filter = EventFilter {
                    from,
                    to,
                    ..EventFilter::default()
                };
                let query = StatsQuery { filter, bucket };
                let stats = subject.search().stats(&query, Scope::All).await;
                let stats = stats.expect("it is counted");
                assert_eq!(stats, recount(&events, &query), "{query:?}");
            }
        }
        // Half of them at a time, so that roll-ups of the other half are added to.
        number(subject.tree().as_ref(), 3)
            .await
            .expect("it numbers");
    }
}

/// One writer, so that the total can only be what it has committed, and it never goes back.
pub async fn counts_agree_while_writers_and_sealer_work(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let (log, tree) = (subject.audit_store(), subject.tree());
    let writer = tokio::spawn(async move {
        for _ in 0..40 {
            let some = pipeline::events(&world, 10);
            log.append(&some, world.now()).await.expect("appended");
        }
    });
    let sealer = tokio::spawn(async move {
        for _ in 0..200 {
            number(tree.as_ref(), 7).await.expect("it numbers");
        }
    });
    let search = subject.search();
    let mut last = 0;
    for bucket in [Bucket::Hour, Bucket::Day].iter().cycle() {
        let is_last = writer.is_finished() && sealer.is_finished();
        let query = StatsQuery {
            filter: EventFilter::default(),
            bucket: *bucket,
        };
        let stats = search.stats(&query, Scope::All).await.expect("counted");
        assert!(stats.total >= last, "{} after {last}", stats.total);
        assert_eq!(stats.total % 10, 0, "a commit is counted whole");
        for sum in [
            stats.by_severity.values().sum::<i64>(),
            stats.by_action.values().sum(),
            stats.by_resource_type.values().sum(),
            stats.series.values().sum(),
        ] {
            assert_eq!(sum, stats.total);
        }
        last = stats.total;
        if is_last {
            break;
        }
    }
    assert_eq!(last, 400);
    ended(writer).await;
    ended(sealer).await;
}

/// A project's reader counts its rows (S5, S9).
pub async fn a_projects_counts_are_its_own(subject: &dyn StoreUnderTest) {
    let events = filled(subject, 300).await;
    number(subject.tree().as_ref(), 150)
        .await
        .expect("it numbers");
    let mut dice = Dice::new(29);
    for n in 1..4 {
        for _ in 0..30 {
            let mut filter = any_filter(&mut dice);
            filter.project_id = None;
            let bucket = dice.of(&[Bucket::Hour, Bucket::Day]);
            let scope = Scope::Project(ProjectId(project(n)));
            let query = StatsQuery { filter, bucket };
            let stats = subject.search().stats(&query, scope).await;
            let mut own = query.clone();
            own.filter.project_id = Some(project(n));
            let own = recount(&events, &own);
            assert_eq!(stats.expect("it is counted"), own, "{query:?}");
        }
    }
}

/// Rows and bytes by severity and month, in the log and in the archive (S12).
pub async fn sizes_tell_every_row(subject: &dyn StoreUnderTest) {
    let events = filled(subject, 300).await;
    let october = start() + TimeDelta::days(32);
    let archived = subject.archive(october).await;
    subject.execute("ANALYZE").await.expect("it is analysed");
    let sizes = subject.search().sizes().await.expect("they are told");
    let rows = |archived| {
        let parts = sizes.iter().filter(|part| part.archived == archived);
        parts.map(|part| part.events).sum::<i64>()
    };
    let archived = i64::try_from(archived).expect("few");
    assert_eq!(rows(true), archived);
    assert_eq!(rows(false), 300 - archived);
    for severity in ["info", "warning", "critical"] {
        let parts = sizes.iter().filter(|part| part.severity == severity);
        let told: i64 = parts.map(|part| part.events).sum();
        let there = events.iter().filter(|event| event.severity == severity);
        assert_eq!(told, i64::try_from(there.count()).expect("few"));
    }
    for part in sizes.iter().filter(|part| part.events > 0) {
        assert!(part.bytes > 0, "{part:?}");
    }
    let first = "2026-10-01T00:00:00Z"
        .parse::<DateTime<Utc>>()
        .expect("a time");
    let months = sizes.iter().filter(|part| part.archived && part.events > 0);
    assert!(months.clone().count() > 0);
    for part in months {
        assert_eq!(part.month, Some(first), "{part:?}");
    }
}
