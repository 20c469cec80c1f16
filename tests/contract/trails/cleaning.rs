//! The turns of the daily clean-up: one process at a time, once.

use chrono::TimeDelta;
use tokio::task::JoinSet;
use tranche_application::audit::record::EventRecord;
use tranche_application::ports::audit_search::Scope;
use tranche_application::ports::store::Conflict;
use tranche_application::ports::trails::Adopted;
use tranche_domain::audit::Resource;
use tranche_domain::trail::sums::{Counted, TimeRange};
use tranche_domain::{Action, AuditEvent, Project, ProjectId, Role};

use super::TrailsOnStore;
use super::world::{RECENT, amended, at, completion, message, noon, occasion, opened, whole};
use crate::contract::scene::World;
use crate::contract::tools::conflicts;

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
    let ended = turns.has_clean_up_ended(at(0)).await;
    assert!(!ended.expect("it is answered"), "it was only begun");
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
    for (day, ended) in [(104, true), (105, false)] {
        let has = turns.has_clean_up_ended(at(day * 24 * 60)).await;
        assert_eq!(has.expect("it is answered"), ended, "{day}");
    }
    let last = turns.take_clean_up(at(104 * 24 * 60), until, until).await;
    assert!(!last.expect("it is answered"));
}

/// A project with this many trails of as many hours, messages from here on.
async fn with_trails(
    world: &World,
    subject: &dyn TrailsOnStore,
    first: u128,
    trails: u128,
) -> Project {
    let project = world.project(1_000).await;
    for n in 0..trails {
        let minutes = i64::try_from(n).expect("few") * 60;
        let change = opened(first + n, project.id, whole(minutes, "large-2", "1"));
        let saved = subject.trails().save(&change).await;
        saved.expect("it is saved");
    }
    project
}

async fn delete(world: &World, project: Project) {
    let act = world.act("admin", Role::Admin);
    let change = project.delete(&act).expect("it never had a milestone");
    world.record(&change).await.expect("it is deleted");
}

async fn counted(subject: &dyn TrailsOnStore, project: ProjectId) -> Counted {
    let range = TimeRange::try_new(at(0), noon()).expect("a range");
    let counted = subject.trails().counted(project, range, RECENT).await;
    counted.expect("it is counted")
}

/// However many trails it has, a project goes at once, and nothing of them is there; they are deleted
/// after it, so many at a time, by whoever comes, again and again (T7).
pub async fn what_a_deleted_project_leaves_goes_in_batches(subject: &dyn TrailsOnStore) {
    let world = World::of(subject);
    let gone = with_trails(&world, subject, 0, 25).await;
    let other = with_trails(&world, subject, 100, 3).await;
    let (id, trails, turns) = (gone.id, subject.trails(), subject.trail_clean_ups());
    assert_eq!(turns.clear_removed(10).await.expect("it is asked"), 0);
    delete(&world, gone).await;
    let of = |table: &str| format!("{table} WHERE project_id = '{id}'");
    let (rows, sums) = (of("assessment_trails"), of("trail_rollups"));
    let mut left = vec![(subject.count(&rows).await, subject.count(&sums).await)];
    loop {
        for n in [0, 24] {
            let read = trails.read(message(n), Scope::All).await;
            assert_eq!(read.expect("it is read"), None);
        }
        let page = trails.page(None, 100).await.expect("it is read");
        assert_eq!(page.len(), 3, "the other's");
        let several = trails.several(&[message(3), message(100)]).await;
        assert_eq!(several.expect("they are read").len(), 1);
        assert_eq!(trails.count(None).await.expect("they are counted"), 3);
        let early = trails.count(Some(at(1))).await;
        assert_eq!(early.expect("they are counted"), 1);
        assert_eq!(counted(subject, id).await, Counted::default());
        let deleted = turns.clear_removed(10).await.expect("it is cleared");
        if deleted == 0 {
            break;
        }
        assert!(deleted <= 10, "{deleted}");
        left.push((subject.count(&rows).await, subject.count(&sums).await));
    }
    assert_eq!(left[..4], [(25, 27), (15, 27), (5, 27), (0, 27)]);
    assert_eq!(left.last(), Some(&(0, 0)));
    assert_eq!(subject.count("trail_removals").await, 0);
    assert_eq!(counted(subject, other.id).await.days[0].1.messages, 3);
}

/// What is not there any more is in nobody's way (T7).
pub async fn a_message_is_free_when_its_project_is_gone(subject: &dyn TrailsOnStore) {
    let world = World::of(subject);
    let gone = with_trails(&world, subject, 0, 3).await;
    let other = with_trails(&world, subject, 100, 1).await;
    let (trails, id) = (subject.trails(), other.id);
    let read = trails.read(message(0), Scope::All).await;
    let former = read.expect("it is read").expect("it is there");
    delete(&world, gone.clone()).await;
    let late = trails.save(&amended(former, completion(9), 1)).await;
    assert!(conflicts(&late, Conflict::ProjectGone), "{late:?}");
    let late = opened(2, gone.id, whole(0, "large-2", "1"));
    let late = trails.save(&late).await;
    assert!(conflicts(&late, Conflict::ProjectGone), "{late:?}");
    let first = opened(0, id, whole(0, "large-2", "1"));
    trails.save(&first).await.expect("nobody has it");
    let copy = opened(1, id, whole(0, "large-2", "1")).into_trail();
    let adopted = trails.adopt(std::slice::from_ref(&copy)).await;
    assert_eq!(adopted.expect("nobody has it"), [Adopted::Kept]);
    for n in [0, 1] {
        let read = trails.read(message(n), Scope::Project(id)).await;
        assert!(read.expect("it is read").is_some(), "{n}");
    }
    assert_eq!(counted(subject, id).await.days[0].1.messages, 3);
    let turns = subject.trail_clean_ups();
    while turns.clear_removed(10).await.expect("it is cleared") > 0 {}
    assert_eq!(subject.count("assessment_trails").await, 3);
    assert_eq!(counted(subject, id).await.days[0].1.messages, 3);
}
