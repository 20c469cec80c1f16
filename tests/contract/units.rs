//! Units of work: whole or not at all, one after the other where they touch the same rows.

use tranche_application::ports::store::Conflict;
use tranche_domain::{DisbursementId, MilestoneId, MilestoneStatus, ProjectId, Role};

use super::StoreUnderTest;
use super::scene::{World, written};
use super::tools::{census, conflicts, ended, is_waiting};

/// Project, milestone, evidence and event arrive together, and only with the commit.
pub async fn a_change_and_its_event_commit_together(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = world.project(1_000).await;
    let change = world.drafting(1, project);
    let milestone = written(change.milestone());

    let mut work = world.begin().await;
    work.record(&change).await.expect("it is recorded");
    let unseen = world.queries.milestone(milestone.id).await;
    assert_eq!(unseen.expect("reads do not wait"), None);
    work.commit().await.expect("it is committed");

    let read = world.queries.milestone(milestone.id).await;
    assert_eq!(read.expect("it is read"), Some(milestone.clone()));
    let project = written(change.project());
    let read = world.queries.project(project.id).await;
    assert_eq!(read.expect("it is read"), Some(project));
    let evidence = subject.evidence(milestone.id.0).await;
    assert_eq!(evidence, [(1, change.event().id.0)]);
    assert_eq!(subject.count("audit_outbox").await, 2);
}

/// Without a commit there is no trace.
pub async fn a_dropped_unit_of_work_never_was(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = world.project(1_000).await;
    let before = census(subject).await;

    let mut work = world.begin().await;
    let change = world.drafting(1, project.clone());
    work.record(&change).await.expect("it is recorded");
    drop(work);

    let read = world.queries.project(project.id).await;
    assert_eq!(read.expect("it is read"), Some(project));
    assert_eq!(census(subject).await, before);
    world.record(&change).await.expect("nothing is in the way");
}

/// However many are dropped, finished or in the middle of a statement, the store goes on.
pub async fn a_dropped_unit_of_work_returns_its_connection(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = world.project(1_000).await.id;
    for _ in 0..20 {
        let mut work = world.begin().await;
        work.projects().lock(project).await.expect("it locks");
    }
    for _ in 0..20 {
        let mut holder = world.begin().await;
        holder.projects().lock(project).await.expect("it locks");
        let other = world.clone();
        let cancelled = tokio::spawn(async move {
            let mut work = other.begin().await;
            work.projects().lock(project).await.map(|_| ())
        });
        tokio::task::yield_now().await;
        cancelled.abort();
    }
    let world = world.clone();
    let done = tokio::spawn(async move { world.draft(project, 1).await });
    assert_eq!(ended(done).await.number, 1);
}

/// A change of a version that no longer stands is refused, and nothing of it is written.
pub async fn a_stale_change_is_refused_and_writes_nothing(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = world.project(1_000).await;
    let late = world.drafting(2, project.clone());
    let milestone = world.draft(project.id, 1).await;
    let submitted = world.submit(milestone.id).await.expect("it is submitted");
    let before = census(subject).await;

    let by_project = world.record(&late).await;
    assert!(conflicts(&by_project, Conflict::Stale), "{by_project:?}");

    let act = world.act("late", Role::Manager);
    let again = milestone.submit(&act).expect("it was a draft once");
    let by_milestone = world.record(&again).await;
    assert!(
        conflicts(&by_milestone, Conflict::Stale),
        "{by_milestone:?}"
    );

    assert_eq!(census(subject).await, before);
    let read = world.queries.milestone(submitted.id).await;
    assert_eq!(read.expect("it is read"), Some(submitted));
}

/// A unit of work whose step failed commits nothing, not even what came before the step.
pub async fn a_failed_step_spoils_its_unit_of_work(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = world.project(1_000).await;
    let stale = world.drafting(2, project.clone());
    let milestone = world.draft(project.id, 1).await;
    let before = census(subject).await;

    let act = world.act("maker", Role::Manager);
    let mut work = world.begin().await;
    let submitted = milestone.submit(&act).expect("a draft");
    work.record(&submitted).await.expect("it is recorded");
    let refused = work.record(&stale).await;
    assert!(conflicts(&refused, Conflict::Stale), "{refused:?}");
    assert!(work.commit().await.is_err(), "it does not claim to commit");
    assert_eq!(census(subject).await, before);
}

/// Whoever locks second waits, and then sees what the first committed.
pub async fn a_lock_makes_the_next_wait(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = world.project(1_000).await.id;
    let id = world.draft(project, 1).await.id;

    let mut first = world.begin().await;
    let locked = first.milestones().lock(id).await.expect("it locks");
    let other = world.through(subject.second_store().await);
    let second = tokio::spawn(async move {
        let mut work = other.begin().await;
        let seen = work.milestones().lock(id).await.expect("it locks");
        seen.map(|milestone| milestone.status())
    });
    assert!(is_waiting(&second).await, "the second lock waits");

    let act = world.act("maker", Role::Manager);
    let change = locked.expect("it is there").submit(&act).expect("a draft");
    first.record(&change).await.expect("it is recorded");
    first.commit().await.expect("it is committed");
    assert_eq!(ended(second).await, Some(MilestoneStatus::Submitted));
}

/// Not found is an answer.
pub async fn what_is_not_there_locks_nothing(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let mut work = world.begin().await;
    let project = work.projects().lock(ProjectId(world.id())).await;
    assert_eq!(project.expect("it answers"), None);
    let milestone = work.milestones().lock(MilestoneId(world.id())).await;
    assert_eq!(milestone.expect("it answers"), None);
    let project = ProjectId(world.id());
    let ids = [DisbursementId(world.id())];
    let books = work.disbursements().lock_books(project, &ids).await;
    assert_eq!(books.expect("it answers"), None);
}
