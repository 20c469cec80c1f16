//! The way of an event: critical ones with their act, the others later, each exactly once.

use tranche_application::audit::record::{EventRecord, LoggedEvent};
use tranche_application::ports::audit_search::Scope;
use tranche_application::ports::queries::{Page, Timeline};
use tranche_application::ports::store::{Conflict, StoreError};
use tranche_domain::{MilestoneStatus, ProjectId};
use uuid::Uuid;

use super::StoreUnderTest;
use super::scene::World;
use super::tools::{an_event, census, ended};

const ALL: Page = Page {
    after: None,
    limit: 1_000,
};

/// Posts an event that stands alone.
pub async fn post(world: &World, project: Uuid) -> EventRecord {
    let event = an_event(world, project);
    let mut work = world.begin().await;
    work.audit().post(&event).await.expect("it is posted");
    work.commit().await.expect("it is committed");
    event
}

/// Moves up to `limit`; a loser of a race tries again.
async fn relay(world: &World, limit: u32) -> Result<u64, StoreError> {
    loop {
        let moved = try_relay(world, limit).await;
        if !matches!(moved, Err(StoreError::Conflict(Conflict::Retry))) {
            return moved;
        }
    }
}

async fn try_relay(world: &World, limit: u32) -> Result<u64, StoreError> {
    let mut work = world.store.begin().await?;
    let moved = work.audit().relay(limit, world.now()).await?;
    work.commit().await?;
    Ok(moved)
}

async fn timeline(world: &World, project: Uuid) -> Vec<LoggedEvent> {
    let of = Timeline::Project(ProjectId(project));
    world
        .queries
        .timeline(of, Scope::All, ALL)
        .await
        .expect("it is read")
}

/// A critical act whose event the log refuses does not happen (M6, M13).
pub async fn a_critical_act_needs_its_event(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = world.project(1_000).await.id;
    let id = world.draft(project, 1).await.id;
    let submitted = world.submit(id).await.expect("it is submitted");
    let before = census(subject).await;
    subject.break_audit_log().await;

    let approved = world.approve(id).await;
    let unavailable = matches!(approved, Err(StoreError::Unavailable(_)));
    assert!(unavailable, "{approved:?}");
    assert_eq!(census(subject).await, before);
    let read = world.queries.milestone(id).await.expect("it is read");
    assert_eq!(read, Some(submitted));

    subject.heal_audit_log().await;
    let approved = world.approve(id).await.expect("it is approved");
    assert_eq!(approved.status(), MilestoneStatus::Approved);
}

/// No burn is prepared and none is settled without its event (M13).
pub async fn no_money_moves_without_its_event(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = world.project(1_000).await.id;
    let first = world.payable(project, 1, 100).await.id;
    let second = world.payable(project, 2, 100).await.id;
    let open = world.prepare_beside(first).await;
    let before = census(subject).await;
    let books = world.queries.project(project).await.expect("it is read");
    subject.break_audit_log().await;

    let plan = world.plan(second).await.expect("it is payable");
    let kept = world.keep(second, plan, 2).await;
    assert!(matches!(kept, Err(StoreError::Unavailable(_))), "{kept:?}");
    let settled = world.settle(&open).await;
    let unavailable = matches!(settled, Err(StoreError::Unavailable(_)));
    assert!(unavailable, "{settled:?}");
    assert_eq!(census(subject).await, before);
    let read = world.queries.project(project).await.expect("it is read");
    assert_eq!(read, books);

    subject.heal_audit_log().await;
    world.settle(&open).await.expect("it is settled");
}

/// Any other act happens all the same; its event comes into the log once, when the log is back
/// (M13).
pub async fn other_acts_do_not_need_the_log(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    subject.break_audit_log().await;
    let project = world.project(1_000).await.id;
    let id = world.draft(project, 1).await.id;
    world.submit(id).await.expect("it is submitted");

    let moved = relay(&world, 10).await;
    assert!(
        matches!(moved, Err(StoreError::Unavailable(_))),
        "{moved:?}"
    );
    assert_eq!(subject.count("audit_outbox").await, 3);
    assert_eq!(subject.count("audit_events").await, 0);
    assert_eq!(timeline(&world, project.0).await.len(), 3);

    subject.heal_audit_log().await;
    assert_eq!(relay(&world, 10).await.expect("it relays"), 3);
    assert_eq!(relay(&world, 10).await.expect("it relays"), 0);
    assert_eq!(subject.count("audit_outbox").await, 0);
    assert_eq!(subject.count("audit_events").await, 3);
    assert_eq!(subject.count("audit_pending").await, 3);
    let events = timeline(&world, project.0).await;
    assert!(events.iter().all(|logged| logged.recorded_at.is_some()));
}

/// Four relays in two processes move each event once.
pub async fn an_event_is_relayed_exactly_once(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let second = world.through(subject.second_store().await);
    let project = world.id();
    let mut posted = Vec::new();
    for _ in 0..60 {
        posted.push(post(&world, project).await);
    }
    let tasks: Vec<_> = (0..4)
        .map(|n| {
            let world = if n % 2 == 0 { &world } else { &second }.clone();
            tokio::spawn(async move {
                let mut moved = 0;
                loop {
                    match relay(&world, 7).await.expect("it relays") {
                        0 => return moved,
                        more => moved += more,
                    }
                }
            })
        })
        .collect();
    let mut moved = 0;
    for task in tasks {
        moved += ended(task).await;
    }
    assert_eq!(moved, 60);
    assert_eq!(subject.count("audit_outbox").await, 0);
    assert_eq!(subject.count("audit_pending").await, 60);
    let mut logged = timeline(&world, project).await;
    logged.reverse();
    let logged: Vec<_> = logged.into_iter().map(|logged| logged.event).collect();
    assert_eq!(logged, posted);
}

/// Oldest first, no more than asked for.
pub async fn the_relay_keeps_order(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = world.id();
    for _ in 0..5 {
        post(&world, project).await;
    }
    for (round, logged) in [(2, 2), (2, 4), (2, 5)] {
        relay(&world, round).await.expect("it relays");
        let mut events = timeline(&world, project).await;
        events.reverse();
        let is_logged: Vec<_> = events.iter().map(|e| e.recorded_at.is_some()).collect();
        let expected: Vec<_> = (0..5).map(|n| n < logged).collect();
        assert_eq!(is_logged, expected);
    }
}

/// The waiting leaf is the one that anyone computes from the row: nothing of the event is lost (M10,
/// S8).
pub async fn a_leaf_is_computed_from_its_row(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = world.project(1_000).await.id;
    let paid = world.payable(project, 1, 100).await.id;
    let open = world.prepare(paid, 1).await;
    post(&world, project.0).await;
    let before = timeline(&world, project.0).await;
    let waiting = before.iter().filter(|e| e.recorded_at.is_none()).count();
    assert_eq!(waiting, 4, "opened, drafted, submitted, posted");
    relay(&world, 10).await.expect("it relays");

    let events = timeline(&world, project.0).await;
    assert_eq!(events.len(), 7);
    for (logged, was) in events.iter().zip(&before) {
        assert_eq!(logged.event, was.event, "the relay alters nothing");
        let recorded_at = logged.recorded_at.expect("it is in the log");
        if logged.event.severity == "critical" {
            assert_eq!(recorded_at, logged.event.occurred_at);
        }
        let leaf = logged.event.leaf_hash(recorded_at).expect("canonical");
        let pending = subject.pending_leaf(logged.event.id).await;
        assert_eq!(pending, Some(leaf.to_vec()));
        if logged.event.action == "disbursement.prepared" {
            assert_eq!(open.burn.memo, leaf, "the burn's memo proves its order");
        }
    }
}

/// An event that was posted is not posted again.
pub async fn an_event_is_posted_once(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let event = post(&world, world.id()).await;
    let mut work = world.begin().await;
    let again = work.audit().post(&event).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");
    drop(work);
    assert_eq!(subject.count("audit_outbox").await, 1);
}
