//! What is there at most once.

use tranche_application::ports::custody::SealedWallet;
use tranche_application::ports::store::Conflict;
use tranche_domain::{Failure, Project, Role};

use super::StoreUnderTest;
use super::scene::{World, transfer};
use super::tools::{census, conflicts};

/// A milestone's number in its project (M1).
pub async fn a_milestone_number_is_used_once_in_a_project(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let id = world.project(1_000).await.id;
    world.draft(id, 1).await;
    let project = world.queries.project(id).await.expect("it is read");
    let before = census(subject).await;
    let again = world.drafting(1, project.expect("it is there"));
    let again = world.record(&again).await;
    assert!(conflicts(&again, Conflict::MilestoneNumber), "{again:?}");
    assert_eq!(census(subject).await, before);

    let other = world.project(1_000).await.id;
    assert_eq!(world.draft(other, 1).await.number, 1);
}

/// A bank reference in its project (M7).
pub async fn a_transfer_reference_is_used_once_in_a_project(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = world.project(1_000).await.id;
    let first = world.payable(project, 1, 100).await;
    let second = world.payable(project, 2, 100).await;
    let before = census(subject).await;
    let again = world.pay(second.id, transfer("REF-1", 100)).await;
    assert!(conflicts(&again, Conflict::TransferReference), "{again:?}");
    assert_eq!(census(subject).await, before);
    let read = world.queries.milestone(second.id).await;
    assert_eq!(read.expect("it is read"), Some(second));

    let itself = world.pay(first.id, transfer("REF-1", 101)).await;
    itself.expect("a transfer may be corrected under its own reference");
    let other = world.project(1_000).await.id;
    world.payable(other, 1, 100).await;
}

/// A wallet, by its project and by its seed.
pub async fn a_wallet_belongs_to_one_project(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = world.project(1_000).await;
    let mut new = world.new_project(1_000);
    new.wallet_account_id.clone_from(&project.wallet_account_id);
    let again = Project::open(new, &world.act("admin", Role::Admin));
    let again = world.record(&again).await;
    assert!(conflicts(&again, Conflict::Wallet), "{again:?}");

    let wallet = SealedWallet {
        account_id: project.wallet_account_id,
        custody: "local".to_owned(),
        key_id: "key-1".to_owned(),
        sealed_seed: vec![0, 1, 255],
    };
    let mut work = world.begin().await;
    let kept = work.credentials().keep_wallet(&wallet).await;
    kept.expect("it is kept");
    work.commit().await.expect("it is committed");
    let mut work = world.begin().await;
    let again = work.credentials().keep_wallet(&wallet).await;
    assert!(conflicts(&again, Conflict::Wallet), "{again:?}");
}

/// A ledger slot, by a burn in flight, settled, or included and refused: its sequence number is used.
/// One that expired unused gives it back.
pub async fn a_ledger_slot_holds_one_burn(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = world.project(1_000).await.id;
    let first = world.payable(project, 1, 100).await.id;
    let second = world.payable(project, 2, 100).await.id;
    let open = world.prepare(first, 7).await;

    let plan = world.plan(second).await.expect("it is payable");
    let before = census(subject).await;
    let taken = world.keep(second, plan.clone(), 7).await;
    assert!(conflicts(&taken, Conflict::LedgerSlot), "{taken:?}");
    assert_eq!(census(subject).await, before);

    world.fail(&open).await.expect("it fails");
    let kept = world.keep(second, plan, 7).await.expect("the slot is free");
    let open = kept.expect("the plan still stands");
    world.settle(&open).await.expect("it is settled");
    let plan = world.plan(first).await.expect("it is payable");
    let used = world.keep(first, plan, 7).await;
    assert!(conflicts(&used, Conflict::LedgerSlot), "{used:?}");

    let open = world.prepare(first, 8).await;
    let refused = Failure {
        code: "underfunded".to_owned(),
        detail: "the ledger refused it".to_owned(),
    };
    world.fail_with(&open, refused).await.expect("it fails");
    let plan = world.plan(first).await.expect("it is payable");
    let used = world.keep(first, plan, 8).await;
    assert!(conflicts(&used, Conflict::LedgerSlot), "{used:?}");

    let other = world.project(1_000).await.id;
    let elsewhere = world.payable(other, 1, 100).await.id;
    world.prepare(elsewhere, 7).await;
}

/// An open burn of a milestone.
pub async fn a_milestone_has_one_burn_in_flight(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = world.project(1_000).await.id;
    let id = world.payable(project, 1, 100).await.id;
    let late = world.plan(id).await.expect("it is payable");
    let milestone = world.queries.milestone(id).await.expect("it is read");
    let books = world.queries.project(project).await.expect("it is read");
    let burn = world.burn(&late, 2);
    let late = late
        .prepare(
            milestone.expect("it is there"),
            books.expect("it is there"),
            burn,
        )
        .expect("the rules allowed it then");
    world.prepare(id, 1).await;
    let before = census(subject).await;
    let again = world.record(&late).await;
    assert!(conflicts(&again, Conflict::Stale), "{again:?}");
    assert_eq!(census(subject).await, before);
}
