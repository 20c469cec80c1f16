//! The turns of the daily clean-up: one process at a time, once.

use chrono::TimeDelta;
use tokio::task::JoinSet;
use tranche_application::audit::record::EventRecord;
use tranche_domain::audit::Resource;
use tranche_domain::{Action, AuditEvent};

use super::TrailsOnStore;
use super::world::{at, noon, occasion};

fn event(act: u64) -> EventRecord {
    let (action, resource) = (Action::TrailsCleaned, Resource::AssessmentTrail);
    EventRecord::from(&AuditEvent::new(
        action,
        resource,
        "clean-up",
        &occasion(act),
    ))
}

/// Of several that ask at once one has the turn, and after its end none (T5).
pub async fn a_clean_up_is_of_one_process(subject: &dyn TrailsOnStore) {
    let (now, until) = (noon(), noon() + TimeDelta::minutes(15));
    let mut asking = JoinSet::new();
    for _ in 0..8 {
        let turns = subject.trail_clean_ups();
        asking.spawn(async move {
            let taken = turns.take_clean_up(at(0), now, until).await;
            taken.expect("it is answered")
        });
    }
    let taken = asking.join_all().await;
    assert_eq!(taken.iter().filter(|taken| **taken).count(), 1);
    let turns = subject.trail_clean_ups();
    let ended = turns.end_clean_up(at(0), now, 7, &event(1)).await;
    assert!(ended.expect("it ends"));
    let later = now + TimeDelta::days(30);
    let again = turns.take_clean_up(at(0), later, later + TimeDelta::minutes(15));
    assert!(!again.await.expect("it is answered"), "it is done");
    let next = turns.take_clean_up(at(24 * 60), now, until).await;
    assert!(next.expect("it is answered"), "the next day's is another");
}

/// A process that was killed has its turn for as long as it was given (T5).
pub async fn a_turn_that_was_not_ended_is_taken_over(subject: &dyn TrailsOnStore) {
    let turns = subject.trail_clean_ups();
    let minutes = |minutes| noon() + TimeDelta::minutes(minutes);
    let take = async |now: i64| {
        let taken = turns.take_clean_up(at(0), minutes(now), minutes(now + 15));
        taken.await.expect("it is answered")
    };
    assert!(take(0).await);
    assert!(!take(14).await);
    assert!(take(15).await);
    assert!(!take(16).await);
}

/// Who ends it second changes nothing and posts nothing (T5).
pub async fn an_end_and_its_event_come_together_once(subject: &dyn TrailsOnStore) {
    let turns = subject.trail_clean_ups();
    let until = noon() + TimeDelta::minutes(15);
    let taken = turns.take_clean_up(at(0), noon(), until).await;
    assert!(taken.expect("it is answered"));
    let posted = "audit_outbox WHERE action = 'trails.cleaned' AND severity = 'info'";
    for (act, ends, events) in [(1, true, 1), (2, false, 1)] {
        let ended = turns.end_clean_up(at(0), noon(), act, &event(act)).await;
        assert_eq!(ended.expect("it is answered"), ends);
        assert_eq!(subject.count(posted).await, events);
    }
}

/// A hundred are remembered, the last one always (T5).
pub async fn ends_of_long_ago_are_forgotten(subject: &dyn TrailsOnStore) {
    let turns = subject.trail_clean_ups();
    let until = noon() + TimeDelta::minutes(15);
    for day in 0..105 {
        let due_at = at(day * 24 * 60);
        let taken = turns.take_clean_up(due_at, noon(), until).await;
        assert!(taken.expect("it is answered"));
        let act = u64::try_from(day).expect("few") + 1;
        let ended = turns.end_clean_up(due_at, noon(), 0, &event(act)).await;
        assert!(ended.expect("it ends"));
    }
    assert_eq!(subject.count("trail_clean_ups").await, 100);
    let last = turns.take_clean_up(at(104 * 24 * 60), until, until).await;
    assert!(!last.expect("it is answered"));
}
