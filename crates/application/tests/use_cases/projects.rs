//! Opening a project: its wallet's seed is sealed before anything is kept, and a repeated call
//! opens no second wallet. Deleting one: only where no milestone ever was.

use std::sync::Arc;

use tranche_application::Outcome;
use tranche_application::idempotency::Claim;
use tranche_application::mocks::{MockCustody, MockWalletOpener};
use tranche_application::ports::custody::{CustodyError, SealedWallet, SecretSeed};
use tranche_application::ports::store::{Conflict, StoreError};
use tranche_application::projects::{
    DeleteProjectError, NewWallet, OpenProject, OpenProjectError, Projects,
};
use tranche_domain::text::ProjectName;
use tranche_domain::{Action, MilestoneStatus, Policy, Project, Write};

use super::scene::{PROJECT, Scene, answered, call, keyed, scoped, stroops};
use super::script::Step;
use super::stage::{Stage, conflict, down, refused};

const SEED: &str = "SEED-IN-CLEAR";

fn new(wallet: NewWallet) -> OpenProject {
    OpenProject {
        name: ProjectName::try_new("Water for Kano").unwrap(),
        nav: stroops(1_000),
        lp_tokens_outstanding: stroops(100),
        wallet,
        policy: Policy::default(),
    }
}

fn with_seed() -> OpenProject {
    new(NewWallet::Seed(SecretSeed::new(SEED.to_owned())))
}

fn sealed() -> SealedWallet {
    SealedWallet {
        account_id: "GWALLET".to_owned(),
        custody: "local".to_owned(),
        key_id: "master-1".to_owned(),
        sealed_seed: vec![1, 2, 3],
    }
}

/// Then the seed is sealed.
fn seal(stage: &mut Stage) -> MockCustody {
    let mut custody = MockCustody::new();
    custody
        .expect_seal()
        .times(1)
        .in_sequence(&mut stage.order)
        .return_once(|seed| {
            assert_eq!(seed.expose(), SEED);
            Ok(sealed())
        });
    custody
}

fn kept(record: Result<(), StoreError>) -> Vec<Step> {
    let end = match record {
        Ok(()) => vec![Step::Record(Ok(())), Step::Commit(Ok(()))],
        Err(error) => vec![Step::Record(Err(error))],
    };
    let wallet = [Step::KeepWallet(Ok(()))];
    wallet.into_iter().chain(end).collect()
}

fn projects(stage: &mut Stage, custody: MockCustody) -> Projects {
    Projects::new(stage.services(), Arc::new(custody), None)
}

#[tokio::test]
async fn the_seed_is_sealed_before_the_wallet_is_kept_with_its_project() {
    let mut stage = Stage::new();
    stage.work([Step::Claim(Ok(Claim::New))]);
    let custody = seal(&mut stage);
    stage.work([
        Step::Claim(Ok(Claim::New)),
        Step::KeepWallet(Ok(())),
        Step::Record(Ok(())),
        Step::Bind,
        Step::Commit(Ok(())),
    ]);
    let projects = projects(&mut stage, custody);
    let outcome = projects.open(with_seed(), &keyed("admin")).await;
    let Outcome::Done(project) = outcome.unwrap() else {
        panic!("it was not opened before");
    };
    assert_eq!(project.wallet_account_id, "GWALLET");
    assert_eq!(project.nav, stroops(1_000));
    assert!(stage.rung().await);
    let seen = stage.seen.lock().unwrap();
    assert_eq!(seen.wallets, [sealed()]);
    assert_eq!(seen.bound, [project.id.0]);
    let change = &seen.changes[0];
    assert_eq!(change.event().action, Action::ProjectCreated);
    assert_eq!(change.project(), Some(&Write::<Project>::Insert(project)));
    let told = format!("{change:?} {:?} {:?}", seen.wallets, with_seed());
    assert!(!told.contains(SEED), "a seed prints nowhere");
}

#[tokio::test]
async fn a_repeated_call_opens_and_seals_nothing() {
    for (claim, misuse) in [(Claim::Used(answered()), false), (Claim::Misused, true)] {
        let mut stage = Stage::new();
        stage.work([Step::Claim(Ok(claim))]);
        let opener = Some(Arc::new(MockWalletOpener::new()) as Arc<_>);
        let custody = Arc::new(MockCustody::new());
        let projects = Projects::new(stage.services(), custody, opener);
        let outcome = projects.open(new(NewWallet::Opened), &keyed("admin")).await;
        if misuse {
            assert!(matches!(outcome, Err(OpenProjectError::KeyMisused)));
        } else {
            assert_eq!(outcome.unwrap(), Outcome::AlreadyApplied(answered()));
        }
    }
}

#[tokio::test]
async fn a_call_that_was_overtaken_keeps_nothing() {
    let mut stage = Stage::new();
    stage.work([Step::Claim(Ok(Claim::New))]);
    let custody = seal(&mut stage);
    stage.work([Step::Claim(Ok(Claim::Used(answered())))]);
    let projects = projects(&mut stage, custody);
    let outcome = projects.open(with_seed(), &keyed("admin")).await;
    assert_eq!(outcome.unwrap(), Outcome::AlreadyApplied(answered()));
}

#[tokio::test]
async fn a_wallet_that_the_ledger_opens_is_funded_with_the_nav_and_sealed() {
    let mut stage = Stage::new();
    let mut opener = MockWalletOpener::new();
    opener
        .expect_open()
        .times(1)
        .in_sequence(&mut stage.order)
        .return_once(|balance| {
            assert_eq!(balance, stroops(1_000));
            Ok(SecretSeed::new(SEED.to_owned()))
        });
    let custody = seal(&mut stage);
    stage.work(kept(Ok(())));
    let projects = Projects::new(stage.services(), Arc::new(custody), Some(Arc::new(opener)));
    let outcome = projects.open(new(NewWallet::Opened), &call("admin")).await;
    assert!(matches!(outcome, Ok(Outcome::Done(_))));
    assert_eq!(stage.seen.lock().unwrap().wallets, [sealed()]);
}

#[tokio::test]
async fn a_ledger_that_opens_no_wallets_asks_for_one() {
    let mut stage = Stage::new();
    let projects = projects(&mut stage, MockCustody::new());
    let outcome = projects.open(new(NewWallet::Opened), &call("admin")).await;
    assert!(matches!(outcome, Err(OpenProjectError::WalletRequired)));
}

#[tokio::test]
async fn a_wallet_held_outside_is_adopted() {
    let mut stage = Stage::new();
    let mut custody = MockCustody::new();
    custody
        .expect_adopt()
        .times(1)
        .withf(|account, custodian| account == "GWALLET" && custodian == "vault")
        .return_once(|_, _| Ok(sealed()));
    stage.work(kept(Ok(())));
    let projects = projects(&mut stage, custody);
    let held = NewWallet::Held {
        account_id: "GWALLET".to_owned(),
        custody: "vault".to_owned(),
    };
    let outcome = projects.open(new(held), &call("admin")).await;
    assert!(matches!(outcome, Ok(Outcome::Done(_))));
}

#[tokio::test]
async fn a_seed_that_is_none_keeps_nothing() {
    let mut stage = Stage::new();
    let mut custody = MockCustody::new();
    custody
        .expect_seal()
        .return_once(|_| Err(CustodyError::NotASeed));
    let projects = projects(&mut stage, custody);
    let outcome = projects.open(with_seed(), &call("admin")).await;
    assert!(matches!(
        outcome,
        Err(OpenProjectError::Custody(CustodyError::NotASeed))
    ));
}

#[tokio::test]
async fn a_caller_for_one_project_opens_none_and_learns_nothing_of_keys() {
    let mut stage = Stage::new();
    let projects = projects(&mut stage, MockCustody::new());
    let mut call = scoped("admin", PROJECT);
    call.idempotency = keyed("admin").idempotency;
    let outcome = projects.open(with_seed(), &call).await;
    assert!(matches!(outcome, Err(OpenProjectError::OutOfScope)));
}

#[tokio::test]
async fn the_seed_is_sealed_once_though_the_database_asks_again() {
    let mut stage = Stage::new();
    let custody = seal(&mut stage);
    for _ in 0..4 {
        stage.work(kept(conflict(Conflict::Retry)));
    }
    stage.work(kept(Ok(())));
    let projects = projects(&mut stage, custody);
    let outcome = projects.open(with_seed(), &call("admin")).await;
    assert!(matches!(outcome, Ok(Outcome::Done(_))));
}

#[tokio::test]
async fn a_wallet_of_another_project_is_a_conflict() {
    let mut stage = Stage::new();
    let custody = seal(&mut stage);
    stage.work([Step::KeepWallet(conflict(Conflict::Wallet))]);
    let projects = projects(&mut stage, custody);
    let outcome = projects.open(with_seed(), &call("admin")).await;
    assert!(matches!(
        outcome,
        Err(OpenProjectError::Store(StoreError::Conflict(
            Conflict::Wallet
        )))
    ));
    assert_eq!(stage.incidents(), []);
}

// M11
#[tokio::test]
async fn a_store_that_refuses_is_reported() {
    let mut stage = Stage::new();
    let custody = seal(&mut stage);
    stage.work(kept(down()));
    stage.begin_refused(refused());
    let projects = projects(&mut stage, custody);
    let first = projects.open(with_seed(), &call("admin")).await;
    assert!(matches!(first, Err(OpenProjectError::Store(_))));
    let second = projects.open(with_seed(), &keyed("admin")).await;
    assert!(matches!(second, Err(OpenProjectError::Store(_))));
    let incidents = stage.incidents();
    assert_eq!(incidents.len(), 2);
    for incident in incidents {
        assert_eq!(incident.operation, "project.created");
        assert!(!incident.critical);
        assert_eq!(incident.context["request_id"], "request-7");
    }
}

/// A project as it was opened.
fn untouched() -> Project {
    Project {
        version: 1,
        ..Scene::at(MilestoneStatus::Draft).project
    }
}

// T7
#[tokio::test]
async fn a_project_without_milestones_is_deleted_with_its_event() {
    let mut stage = Stage::new();
    stage.work([
        Step::Claim(Ok(Claim::New)),
        Step::Project(Some(untouched())),
        Step::Record(Ok(())),
        Step::Bind,
        Step::Commit(Ok(())),
    ]);
    let projects = projects(&mut stage, MockCustody::new());
    let mut call = keyed("admin");
    call.expected_version = Some(1);
    let outcome = projects.delete(PROJECT, &call).await;
    assert_eq!(outcome.unwrap(), Outcome::Done(untouched()));
    assert!(stage.rung().await);
    let seen = stage.seen.lock().unwrap();
    assert_eq!(seen.bound, [PROJECT.0]);
    let change = &seen.changes[0];
    assert_eq!(change.event().action, Action::ProjectDeleted);
    let Some(Write::Delete(gone)) = change.project() else {
        panic!("it is deleted: {change:?}");
    };
    assert_eq!(gone.version, 2);
}

// T7
#[tokio::test]
async fn a_project_that_others_rely_on_stays() {
    let had = Project {
        version: 3,
        ..untouched()
    };
    let mut stage = Stage::new();
    stage.work([Step::Project(Some(had))]);
    stage.work([Step::Project(Some(untouched()))]);
    stage.work([Step::Project(None)]);
    stage.work([Step::Claim(Ok(Claim::Misused))]);
    stage.work([Step::Claim(Ok(Claim::Used(answered())))]);
    stage.work([
        Step::Project(Some(untouched())),
        Step::Record(conflict(Conflict::ProjectInUse)),
    ]);
    let projects = projects(&mut stage, MockCustody::new());
    let delete = async |call| projects.delete(PROJECT, &call).await;
    let had = delete(call("admin")).await;
    assert!(matches!(had, Err(DeleteProjectError::HadMilestones(_))));
    let mut late = call("admin");
    late.expected_version = Some(2);
    let late = delete(late).await;
    assert!(matches!(
        late,
        Err(DeleteProjectError::VersionMismatch { current: 1 })
    ));
    let none = delete(call("admin")).await;
    assert!(matches!(none, Err(DeleteProjectError::NotFound)));
    let misused = delete(keyed("admin")).await;
    assert!(matches!(misused, Err(DeleteProjectError::KeyMisused)));
    let again = delete(keyed("admin")).await.unwrap();
    assert_eq!(again, Outcome::AlreadyApplied(answered()));
    let told = delete(call("admin")).await;
    assert!(matches!(told, Err(DeleteProjectError::HasWebhooks)));
    let scoped = delete(scoped("admin", PROJECT)).await;
    assert!(matches!(scoped, Err(DeleteProjectError::OutOfScope)));
    assert_eq!(stage.incidents(), []);
}

// M11
#[tokio::test]
async fn a_deletion_is_tried_again_and_its_failure_reported() {
    let mut stage = Stage::new();
    for _ in 0..5 {
        stage.work([
            Step::Project(Some(untouched())),
            Step::Record(conflict(Conflict::Retry)),
        ]);
    }
    stage.begin_refused(refused());
    let projects = projects(&mut stage, MockCustody::new());
    let busy = projects.delete(PROJECT, &call("admin")).await;
    assert!(matches!(busy, Err(DeleteProjectError::Store(_))));
    let down = projects.delete(PROJECT, &call("admin")).await;
    assert!(matches!(down, Err(DeleteProjectError::Store(_))));
    let incidents = stage.incidents();
    assert_eq!(incidents.len(), 1);
    assert_eq!(incidents[0].operation, "project.deleted");
}
