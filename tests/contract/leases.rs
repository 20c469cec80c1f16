//! Open disbursements are driven by one process at a time, and none starves.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tranche_application::ports::store::{BackOff, Conflict};
use tranche_domain::{Disbursement, DisbursementId};

use super::StoreUnderTest;
use super::scene::World;
use super::tools::{conflicts, ended};

const BACK_OFF: BackOff = BackOff {
    least: Duration::from_secs(2),
    most: Duration::from_mins(1),
};

async fn lease(world: &World, now: DateTime<Utc>) -> Option<DisbursementId> {
    let mut work = world.begin().await;
    let leased = work.disbursements().lease_next(now, BACK_OFF).await;
    work.commit().await.expect("it is committed");
    leased.expect("it answers")
}

async fn in_flight(world: &World, count: i32) -> Vec<Disbursement> {
    let project = world.project(1_000_000).await.id;
    let mut open = Vec::new();
    for number in 1..=count {
        let id = world.payable(project, number, 100).await.id;
        open.push(world.prepare_beside(id).await);
    }
    open
}

/// Each in turn, the longest unattended first; a leased one not before its lease is over.
pub async fn leases_go_round(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let open = in_flight(&world, 3).await;
    let ids: Vec<_> = open.iter().map(|open| open.id).collect();
    let start = world.now();
    let at = |millis| start + TimeDelta::milliseconds(millis);
    for (n, id) in ids.iter().enumerate() {
        let n = i64::try_from(n).expect("small");
        assert_eq!(lease(&world, at(n)).await, Some(*id));
    }
    assert_eq!(lease(&world, at(3)).await, None, "all are leased");
    assert_eq!(
        lease(&world, at(1_999)).await,
        None,
        "not before it is over"
    );
    assert_eq!(
        lease(&world, at(2_000)).await,
        Some(ids[0]),
        "when it is over"
    );
    for id in [ids[1], ids[2]] {
        assert_eq!(lease(&world, at(2_100)).await, Some(id), "oldest first");
    }
    assert_eq!(lease(&world, at(2_100)).await, None);
    assert_eq!(lease(&world, at(9_000)).await, Some(ids[0]));
}

/// What has ended needs no driver; what needs an operator is still looked at.
pub async fn ended_disbursements_are_not_leased(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let open = in_flight(&world, 4).await;
    world.settle(&open[0]).await.expect("it is settled");
    world.fail(&open[1]).await.expect("it fails");
    let called = world.conclude(&open[2], |d, m, _, act| {
        d.call_operator(&m, "nothing is proven".to_owned(), act)
            .expect("it is open")
    });
    called.await.expect("it is recorded");
    let now = world.now();
    assert_eq!(lease(&world, now).await, Some(open[2].id));
    assert_eq!(lease(&world, now).await, Some(open[3].id));
    assert_eq!(lease(&world, now).await, None);
    let empty = lease(&world, now + TimeDelta::days(1)).await;
    assert_eq!(empty, Some(open[2].id));
}

/// An eighth of the time it has been open, 2 s at least, 60 s at most.
pub async fn the_pause_grows_with_age(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let open = in_flight(&world, 1).await.remove(0);
    for (age, is_due) in [
        (0, true),
        (1_999, false),
        (2_000, true),
        (3_999, false),
        (4_000, true),
        (80_000, true),
        (89_999, false),
        (90_000, true),
        (101_249, false),
        (101_250, true),
        (9_000_000, true),
        (9_059_999, false),
        (9_060_000, true),
    ] {
        let now = open.prepared_at + TimeDelta::milliseconds(age);
        let expected = is_due.then_some(open.id);
        assert_eq!(lease(&world, now).await, expected, "{age} ms old");
    }
}

/// A clock that ran ahead does not keep a disbursement from the others for long.
pub async fn a_lease_from_a_clock_ahead_ends(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let open = in_flight(&world, 1).await.remove(0);
    let now = open.prepared_at;
    let later = |seconds| now + TimeDelta::seconds(seconds);
    assert_eq!(lease(&world, later(3_600)).await, Some(open.id));
    // It ends at 3 660 s: twice the longest pause away it may still be another's clock.
    assert_eq!(lease(&world, later(3_540)).await, None);
    assert_eq!(lease(&world, later(3_539)).await, Some(open.id));
}

/// A lease that was not committed was not given, as soon as the database has noticed the drop.
pub async fn a_dropped_lease_is_free(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let open = in_flight(&world, 1).await;
    let now = world.now();
    let mut work = world.begin().await;
    let leased = work.disbursements().lease_next(now, BACK_OFF).await;
    assert_eq!(leased.expect("it answers"), Some(open[0].id));
    drop(work);
    let mut again = None;
    for _ in 0..100 {
        again = lease(&world, now).await;
        if again.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(again, Some(open[0].id));
}

/// Many who lease at once never get the same.
pub async fn a_disbursement_has_one_driver(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let second = world.through(subject.second_store().await);
    let open = in_flight(&world, 4).await;
    let now = world.now();
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let world = if n % 2 == 0 { &world } else { &second }.clone();
            tokio::spawn(async move { lease(&world, now).await })
        })
        .collect();
    let mut leased = Vec::new();
    for task in tasks {
        leased.extend(ended(task).await);
    }
    // Whoever met only locked rows went away with nothing: the next round has them.
    for _ in 0..open.len() {
        leased.extend(lease(&world, now).await);
    }
    leased.sort_unstable();
    let ids: Vec<_> = open.iter().map(|open| open.id).collect();
    assert_eq!(leased, ids);
}

/// What sending changed is kept where the version before still stands.
pub async fn a_sending_is_noted_once(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let open = in_flight(&world, 1).await.remove(0);
    let sent = open.clone().sent();
    for expected in [true, false] {
        let mut work = world.begin().await;
        let noted = work.disbursements().note_sent(&sent).await;
        if expected {
            noted.expect("it is noted");
            work.commit().await.expect("it is committed");
        } else {
            assert!(conflicts(&noted, Conflict::Stale), "{noted:?}");
        }
    }
    let read = world.queries.disbursement(open.id).await;
    assert_eq!(read.expect("it is read"), Some(sent.clone()));

    world.settle(&open).await.expect("it is settled");
    let mut work = world.begin().await;
    let late = work.disbursements().note_sent(&sent.sent()).await;
    assert!(conflicts(&late, Conflict::Stale), "{late:?}");
}
