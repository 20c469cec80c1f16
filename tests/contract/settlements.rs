//! Several settlements at once are what they would be one after the other.

use tranche_application::audit::record::EventRecord;
use tranche_application::ports::store::{Conflict, LockedBooks, StoreError};
use tranche_domain::{Change, Disbursement, DisbursementId, MilestoneStatus, Project, Role};

use super::StoreUnderTest;
use super::scene::{TREASURER, World, failure, stroops, written};
use super::tools::{census, conflicts, ended, lost_a_race};

/// Burns in flight of one project, each of another amount.
async fn in_flight(world: &World, count: i32) -> (Project, Vec<Disbursement>) {
    let project = world.project(1_000_000).await;
    let mut open = Vec::new();
    for number in 1..=count {
        let paid = world.payable(project.id, number, 100 + i64::from(number));
        open.push(world.prepare_beside(paid.await.id).await);
    }
    (project, open)
}

fn ids(open: &[Disbursement]) -> Vec<DisbursementId> {
    open.iter().map(|open| open.id).collect()
}

/// Settles what is still open, each from the project as the one before left it.
fn settle_all(world: &World, books: LockedBooks) -> Vec<Change> {
    let mut project = books.project;
    let mut changes = Vec::new();
    for (milestone, disbursement) in books.disbursements {
        if !disbursement.state.is_open() {
            continue;
        }
        let burn = disbursement.burn.id.clone();
        let act = world.act(TREASURER, Role::Treasurer);
        let change = disbursement.settle(milestone, project, burn, 110, &act);
        let change = change.expect("it is in flight");
        project = written(change.project());
        changes.push(change);
    }
    changes
}

async fn is_kept(subject: &dyn StoreUnderTest, world: &World, change: &Change) {
    let milestone = written(change.milestone());
    let disbursement = written(change.disbursement());
    let read = world.queries.milestone(milestone.id).await;
    assert_eq!(read.expect("it is read").as_ref(), Some(&milestone));
    let read = world.queries.disbursement(disbursement.id).await;
    assert_eq!(read.expect("it is read"), Some(disbursement));
    let proven = (milestone.version, change.event().id.0);
    let evidence = subject.evidence(milestone.id.0).await;
    assert_eq!(evidence.last(), Some(&proven));
    let event = EventRecord::from(change.event());
    let leaf = event.leaf_hash(event.occurred_at).expect("canonical");
    let pending = subject.pending_leaf(event.id).await;
    assert_eq!(pending, Some(leaf.to_vec()), "its leaf waits");
}

/// Books are locked in the order asked, without what is not there or another project's.
pub async fn books_come_in_the_order_asked(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let (project, open) = in_flight(&world, 3).await;
    let (_, others) = in_flight(&world, 1).await;
    let unknown = DisbursementId(world.id());
    let asked = [open[2].id, unknown, open[0].id, others[0].id, open[1].id];
    let mut work = world.begin().await;
    let books = work.disbursements().lock_books(project.id, &asked).await;
    let books = books.expect("it locks").expect("the project is there");
    let read = world.queries.project(project.id).await;
    assert_eq!(Some(books.project), read.expect("it is read"));
    let expected = [&open[2], &open[0], &open[1]];
    for ((milestone, disbursement), expected) in books.disbursements.iter().zip(expected) {
        assert_eq!(disbursement, expected);
        let read = world.queries.milestone(expected.milestone_id).await;
        assert_eq!(read.expect("it is read").as_ref(), Some(milestone));
    }
    assert_eq!(books.disbursements.len(), 3);
}

/// Every row of every one of them is there, with its evidence and its leaf (M8, M14).
pub async fn several_settle_together(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let (project, open) = in_flight(&world, 7).await;
    let ids = ids(&open);
    let mut work = world.begin().await;
    work.record_settlements(&[]).await.expect("nothing to do");
    let books = work.disbursements().lock_books(project.id, &ids).await;
    let changes = settle_all(&world, books.expect("it locks").expect("it is there"));
    let recorded = work.record_settlements(&changes).await;
    recorded.expect("it is recorded");
    work.commit().await.expect("it is committed");

    assert_eq!(changes.len(), 7);
    for change in &changes {
        is_kept(subject, &world, change).await;
    }
    let read = world.queries.project(project.id).await;
    let read = read.expect("it is read").expect("it is there");
    assert_eq!(read, written(changes[6].project()));
    assert_eq!(read.nav, stroops(1_000_000 - 7 * 100 - 28));
    let events = subject.count("audit_events WHERE action = 'milestone.disbursed'");
    assert_eq!(events.await, 7);
}

/// One that is late spoils all: nothing of any of them is written.
pub async fn one_late_settlement_stops_all(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let (project, open) = in_flight(&world, 3).await;
    let ids = ids(&open);
    let mut work = world.begin().await;
    let books = work.disbursements().lock_books(project.id, &ids).await;
    let late = settle_all(&world, books.expect("it locks").expect("it is there"));
    drop(work);
    let sent = open[1].clone().sent();
    let mut work = world.begin().await;
    let noted = work.disbursements().note_sent(&sent).await;
    noted.expect("it is noted");
    work.commit().await.expect("it is committed");

    let before = census(subject).await;
    let events = subject.count("audit_events").await;
    let mut work = world.begin().await;
    let recorded = work.record_settlements(&late).await;
    assert!(conflicts(&recorded, Conflict::Stale), "{recorded:?}");
    assert!(work.commit().await.is_err(), "it does not claim to commit");
    assert_eq!(census(subject).await, before);

    world.draft(project.id, 9).await;
    let mut work = world.begin().await;
    let others = [late[0].clone(), late[1].clone()];
    let recorded = work.record_settlements(&others).await;
    assert!(conflicts(&recorded, Conflict::Stale), "{recorded:?}");
    drop(work);
    assert_eq!(subject.count("audit_events").await, events);
    for open in &open {
        let read = world.queries.milestone(open.milestone_id).await;
        let status = read.expect("it is read").map(|m| m.status());
        assert_eq!(status, Some(MilestoneStatus::Disbursing));
    }
}

/// Other ends among them are recorded as well, each as it is.
pub async fn other_ends_come_along(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let (project, open) = in_flight(&world, 2).await;
    let ids = ids(&open);
    let mut work = world.begin().await;
    let books = work.disbursements().lock_books(project.id, &ids).await;
    let mut books = books.expect("it locks").expect("it is there");
    let (milestone, disbursement) = books.disbursements.remove(0);
    let act = world.act(TREASURER, Role::Treasurer);
    let failed = disbursement.fail(milestone, books.project, failure(), &act);
    let failed = failed.expect("it is in flight");
    books.project = written(failed.project());
    let mut changes = vec![failed];
    changes.extend(settle_all(&world, books));
    let recorded = work.record_settlements(&changes).await;
    recorded.expect("it is recorded");
    work.commit().await.expect("it is committed");
    for change in &changes {
        is_kept(subject, &world, change).await;
    }
}

async fn drain(
    world: &World,
    project: &Project,
    ids: &[DisbursementId],
) -> Result<usize, StoreError> {
    let mut work = world.store.begin().await?;
    let books = work.disbursements().lock_books(project.id, ids).await?;
    let changes = settle_all(world, books.expect("it is there"));
    work.record_settlements(&changes).await?;
    work.commit().await?;
    Ok(changes.len())
}

/// Four who settle the same burns in different orders settle each once, and nobody waits for ever.
pub async fn drainers_take_turns(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let second = world.through(subject.second_store().await);
    let (project, open) = in_flight(&world, 9).await;
    let tasks: Vec<_> = (0..4)
        .map(|n| {
            let world = if n % 2 == 0 { &world } else { &second }.clone();
            let project = project.clone();
            let mut ids = ids(&open);
            ids.rotate_left(n * 2);
            if n > 1 {
                ids.reverse();
            }
            tokio::spawn(async move {
                loop {
                    match drain(&world, &project, &ids[..6]).await {
                        Ok(settled) => return settled,
                        Err(error) => assert!(lost_a_race(&error), "{error:?}"),
                    }
                }
            })
        })
        .collect();
    let mut settled = 0;
    for task in tasks {
        settled += ended(task).await;
    }
    settled += drain(&world, &project, &ids(&open)).await.expect("no race");
    assert_eq!(settled, 9);
    let read = world.queries.project(project.id).await;
    let read = read.expect("it is read").expect("it is there");
    assert_eq!(read.nav, stroops(1_000_000 - 9 * 100 - 45));
    assert_eq!(read.nav_reserved, stroops(0));
}
