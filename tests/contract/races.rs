//! Many at once: money moves once, and nobody waits for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tranche_application::ports::store::StoreError;
use tranche_domain::disbursement::VerdictError;
use tranche_domain::{Disbursement, MilestoneId, MilestoneStatus, Role};

use super::StoreUnderTest;
use super::scene::{TREASURER, World, stroops};
use super::tools::{ended, lost_a_race};

/// Plans and keeps a burn as the application does, until it is kept or no longer allowed.
async fn disburse(world: &World, id: MilestoneId, ledger: &AtomicI64) -> Option<Disbursement> {
    loop {
        let sequence = ledger.load(Ordering::SeqCst) + 1;
        let plan = world.plan(id).await?;
        match world.keep(id, plan, sequence).await {
            Ok(Some(kept)) => return Some(kept),
            Ok(None) => {}
            Err(error) => assert!(lost_a_race(&error), "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn settle(world: &World, open: &Disbursement) {
    while let Err(error) = world.settle(open).await {
        assert!(lost_a_race(&error), "{error:?}");
    }
}

/// Eight who disburse one milestone make one disbursement and reserve its amount once (M8).
pub async fn one_milestone_is_disbursed_once(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let second = world.through(subject.second_store().await);
    let project = world.project(1_000).await.id;
    let id = world.payable(project, 1, 400).await.id;
    let ledger = Arc::new(AtomicI64::new(0));
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let world = if n % 2 == 0 { &world } else { &second }.clone();
            let ledger = Arc::clone(&ledger);
            tokio::spawn(async move { disburse(&world, id, &ledger).await.is_some() })
        })
        .collect();
    let mut winners = 0;
    for task in tasks {
        winners += i32::from(ended(task).await);
    }
    assert_eq!(winners, 1);
    assert_eq!(subject.count("disbursements").await, 1);
    let project = world.queries.project(project).await.expect("it is read");
    let project = project.expect("it is there");
    assert_eq!(project.nav_reserved, stroops(400));
    assert_eq!(project.nav, stroops(1_000));
}

/// Twelve milestones of one project, disbursed and settled at once by two processes: all settle,
/// and the books are exact (M8).
pub async fn many_milestones_settle_together(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let second = world.through(subject.second_store().await);
    let project = world.project(1_000_000_007).await.id;
    let ledger = Arc::new(AtomicI64::new(0));
    let mut tasks = Vec::new();
    let mut burned = 0;
    for number in 1..=12 {
        let amount = i64::from(number) * 10_000_019;
        burned += amount;
        let id = world.payable(project, number, amount).await.id;
        let world = if number % 2 == 0 { &world } else { &second }.clone();
        let ledger = Arc::clone(&ledger);
        tasks.push(tokio::spawn(async move {
            let kept = disburse(&world, id, &ledger).await;
            let open = kept.expect("nobody else disburses it");
            ledger.store(open.burn.slot.sequence, Ordering::SeqCst);
            settle(&world, &open).await;
            id
        }));
    }
    for task in tasks {
        let id = ended(task).await;
        let milestone = world.queries.milestone(id).await.expect("it is read");
        let status = milestone.expect("it is there").status();
        assert_eq!(status, MilestoneStatus::Disbursed);
    }
    let project = world.queries.project(project).await.expect("it is read");
    let project = project.expect("it is there");
    assert_eq!(project.nav, stroops(1_000_000_007 - burned));
    assert_eq!(project.nav_reserved, stroops(0));
    assert_eq!(
        (project.total_milestones, project.completed_milestones),
        (12, 12)
    );
    assert_eq!(
        subject.count("disbursements WHERE state = 'settled'").await,
        12
    );
    let settled = subject.count("audit_events WHERE action = 'milestone.disbursed'");
    assert_eq!(settled.await, 12);
    let prepared = subject.count("audit_events WHERE action = 'disbursement.prepared'");
    assert_eq!(prepared.await, 12);
}

/// Four drivers of one disbursement settle it once; the others find it ended (M8).
pub async fn one_disbursement_is_settled_once(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let second = world.through(subject.second_store().await);
    let project = world.project(1_000).await.id;
    let id = world.payable(project, 1, 400).await.id;
    let open = world.prepare(id, 1).await;
    let tasks: Vec<_> = (0..4)
        .map(|n| {
            let world = if n % 2 == 0 { &world } else { &second }.clone();
            let open = open.clone();
            tokio::spawn(async move {
                loop {
                    match drive(&world, &open).await {
                        Ok(won) => return won,
                        Err(error) => assert!(lost_a_race(&error), "{error:?}"),
                    }
                }
            })
        })
        .collect();
    let mut winners = 0;
    for task in tasks {
        winners += i32::from(ended(task).await);
    }
    assert_eq!(winners, 1);
    let project = world.queries.project(project).await.expect("it is read");
    let project = project.expect("it is there");
    assert_eq!(project.nav, stroops(600));
    assert_eq!(project.completed_milestones, 1);
}

/// Whether this driver settled it.
async fn drive(world: &World, open: &Disbursement) -> Result<bool, StoreError> {
    let mut work = world.store.begin().await?;
    let (project, milestone, locked) = world.lock(work.as_mut(), open).await?;
    let act = world.act(TREASURER, Role::Treasurer);
    match locked.settle(milestone, project, open.burn.id.clone(), 110, &act) {
        Ok(change) => {
            work.record(&change).await?;
            work.commit().await?;
            Ok(true)
        }
        Err(error) => {
            assert_eq!(error, VerdictError::Ended);
            Ok(false)
        }
    }
}
