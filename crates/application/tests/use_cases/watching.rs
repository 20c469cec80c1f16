//! The watch: nothing is signed for or sent before ledger and books were compared, nothing for a
//! project whose wallet burned more than its books know, and every difference is told once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;
use tranche_application::Outcome;
use tranche_application::disbursement::watch::{WatchError, Withheld};
use tranche_application::disbursement::{AdvanceError, DisburseError, Disbursements, Progress};
use tranche_application::ports::books::{Difference, DifferenceKind, Watched};
use tranche_application::ports::burner::{BurnsSeen, LedgerError, SeenBurn};
use tranche_domain::disbursement::Verdict;
use tranche_domain::disbursement::verdict::Wait;
use tranche_domain::{BurnId, MilestoneStatus, ProjectId};

use super::scene::{
    DISBURSEMENT, ELSEWHERE, MILESTONE, PROJECT, Scene, call, caller, stroops, time,
};
use super::script::Step;
use super::stage::{Stage, burned, down, hint, silent};

const WAIT: Verdict = Verdict::Undecided(Wait::MayStillHappen);
const KINDS: [(DifferenceKind, bool); 7] = [
    (DifferenceKind::UnknownBurn, true),
    (DifferenceKind::ExcessBurn, true),
    (DifferenceKind::OtherBurn, true),
    (DifferenceKind::MissingBurn, false),
    (DifferenceKind::Nav, false),
    (DifferenceKind::Reservation, false),
    (DifferenceKind::MissingEvent, false),
];

/// A stage on which every comparison is in the script.
pub fn unwatched() -> Stage {
    let mut stage = Stage::new();
    stage.watched = false;
    stage
}

pub const fn up_to(to: u32) -> Watched {
    Watched { from: 1, to }
}

pub fn shown(from: u32, to: u32) -> BurnsSeen {
    let burns = vec![SeenBurn {
        id: BurnId("seen".to_owned()),
        ledger: to,
        wallet_account_id: "GWALLET".to_owned(),
        amount: stroops(1),
        memo: None,
    }];
    BurnsSeen { from, to, burns }
}

pub fn difference(kind: DifferenceKind, project_id: ProjectId) -> Difference {
    Difference {
        kind,
        project_id,
        subject: "subject".to_owned(),
        books: "one".to_owned(),
        found: "two".to_owned(),
    }
}

/// Then the watch asks how far it came, and the ledger for what followed.
pub fn ask(stage: &mut Stage, watched: Option<Watched>, seen: Result<BurnsSeen, LedgerError>) {
    let books = &mut stage.books;
    books
        .expect_watched()
        .withf(|network| network == "test")
        .times(1)
        .in_sequence(&mut stage.order)
        .return_once(move |_| Ok(watched));
    if watched.is_none() {
        books
            .expect_first_signed()
            .times(1)
            .in_sequence(&mut stage.order)
            .return_once(|_| Ok(Some(90)));
    }
    books
        .expect_wallets()
        .times(1)
        .in_sequence(&mut stage.order)
        .return_once(|| Ok(vec!["GWALLET".to_owned()]));
    stage.look(seen);
}

/// Then what was shown is kept.
pub fn keep(stage: &mut Stage, seen: BurnsSeen) {
    stage
        .books
        .expect_keep_seen()
        .withf(move |network, kept, at| network == "test" && *kept == seen && *at == time(0))
        .times(1)
        .in_sequence(&mut stage.order)
        .return_once(|_, _, _| Ok(()));
}

/// Then the books are compared.
pub fn compared(stage: &mut Stage, to: u32, differences: Vec<Difference>) {
    let books = &mut stage.books;
    books
        .expect_differences()
        .times(1)
        .in_sequence(&mut stage.order)
        .return_once(|_, _| Ok(differences));
    books
        .expect_watched()
        .times(1)
        .in_sequence(&mut stage.order)
        .return_once(move |_| Ok(Some(up_to(to))));
}

/// Then one whole comparison, from ledger 101 to 110.
pub fn compare(stage: &mut Stage, differences: Vec<Difference>) {
    ask(stage, Some(up_to(100)), Ok(shown(101, 110)));
    keep(stage, shown(101, 110));
    compared(stage, 110, differences);
}

pub fn payable(stage: &mut Stage) -> Scene {
    let scene = Scene::at(MilestoneStatus::Approved);
    stage.committed(&scene);
    scene
}

pub fn signed_and_kept(stage: &mut Stage, scene: &Scene) {
    stage.sign(41);
    stands(stage, 10_000);
    kept(stage, scene);
}

/// Then the store says how far the ledger was watched.
pub fn stands(stage: &mut Stage, to: u32) {
    stage
        .books
        .expect_watched()
        .times(1)
        .in_sequence(&mut stage.order)
        .return_once(move |_| Ok(Some(up_to(to))));
}

pub fn kept(stage: &mut Stage, scene: &Scene) {
    stage.work([
        Step::Project(Some(scene.project.clone())),
        Step::Milestone(Some(scene.milestone.clone())),
        Step::Record(Ok(())),
        Step::Commit(Ok(())),
    ]);
}

pub async fn prepare(
    disbursements: &Disbursements,
) -> Result<Outcome<tranche_domain::DisbursementId>, DisburseError> {
    let call = call("treasurer");
    disbursements.prepare(MILESTONE, None, &call).await
}

fn in_flight() -> Scene {
    Scene::at(MilestoneStatus::Disbursing)
}

fn sent(stage: &mut Stage, scene: &Scene) {
    stage.work([Step::NoteSent(Ok(())), Step::Commit(Ok(()))]);
    stage.submit(Ok(hint()));
    stage.verdict(Ok(WAIT));
    stage.read(Ok(Some(scene.sent())));
}

// M8
#[tokio::test]
async fn nothing_is_signed_before_the_first_comparison_and_one_is_enough() {
    let mut stage = unwatched();
    let scene = payable(&mut stage);
    compare(&mut stage, vec![]);
    signed_and_kept(&mut stage, &scene);
    signed_and_kept(&mut stage, &scene);
    let disbursements = stage.disbursements();
    for _ in 0..2 {
        prepare(&disbursements).await.unwrap();
    }
    let looked = stage.seen.lock().unwrap().looked.clone();
    assert_eq!(looked, [(Some(101), vec!["GWALLET".to_owned()])]);
}

// M8
#[tokio::test]
async fn nothing_is_sent_before_the_first_comparison_and_one_is_enough() {
    let scene = in_flight();
    let mut stage = unwatched();
    stage.read(Ok(Some(scene.disbursement())));
    compare(&mut stage, vec![]);
    sent(&mut stage, &scene);
    stage.read(Ok(Some(scene.disbursement())));
    sent(&mut stage, &scene);
    let disbursements = stage.disbursements();
    for _ in 0..2 {
        disbursements.advance(DISBURSEMENT).await.unwrap();
    }
}

// M8
#[tokio::test]
async fn without_a_comparison_nothing_is_signed_or_sent_and_the_next_try_compares() {
    let mut stage = unwatched();
    let scene = payable(&mut stage);
    ask(&mut stage, Some(up_to(100)), silent());
    stage.read(Ok(Some(in_flight().disbursement())));
    ask(&mut stage, Some(up_to(100)), silent());
    compare(&mut stage, vec![]);
    signed_and_kept(&mut stage, &scene);
    let disbursements = stage.disbursements();
    let outcome = prepare(&disbursements).await;
    assert!(matches!(outcome, Err(DisburseError::Ledger(_))));
    let progress = disbursements.advance(DISBURSEMENT).await;
    assert!(matches!(progress, Err(AdvanceError::Ledger(_))));
    prepare(&disbursements).await.unwrap();
}

// M8
#[tokio::test]
async fn books_that_cannot_be_read_stop_signing_too() {
    let mut stage = unwatched();
    payable(&mut stage);
    ask(&mut stage, Some(up_to(100)), Ok(shown(101, 110)));
    keep(&mut stage, shown(101, 110));
    stage.books.expect_differences().return_once(|_, _| down());
    let disbursements = stage.disbursements();
    let outcome = prepare(&disbursements).await;
    assert!(matches!(outcome, Err(DisburseError::Store(_))));
}

// M8
#[tokio::test]
async fn a_project_whose_wallet_burned_more_than_its_books_know_is_withheld_from_signing() {
    for (kind, withheld) in KINDS {
        let mut stage = unwatched();
        let scene = payable(&mut stage);
        compare(&mut stage, vec![difference(kind, PROJECT)]);
        if !withheld {
            signed_and_kept(&mut stage, &scene);
        }
        let disbursements = stage.disbursements();
        let outcome = prepare(&disbursements).await;
        let why = Withheld::BooksDiffer(PROJECT);
        assert_eq!(kind.forbids_sending(), withheld);
        match outcome {
            Err(DisburseError::Withheld(told)) => assert!(withheld && told == why),
            other => assert!(!withheld && other.is_ok(), "{kind:?}: {other:?}"),
        }
    }
}

// M8
#[tokio::test]
async fn a_withheld_project_sends_nothing_and_its_verdicts_still_settle() {
    let scene = in_flight();
    let mut stage = unwatched();
    stage.read(Ok(Some(scene.disbursement())));
    let unknown = difference(DifferenceKind::UnknownBurn, PROJECT);
    compare(&mut stage, vec![unknown]);
    // The store may be a backup that forgot the sending.
    stage.verdict(Ok(WAIT));
    stage.read(Ok(Some(scene.disbursement())));
    stage.read(Ok(Some(scene.disbursement())));
    stage.verdict(Ok(burned()));
    stage.work([
        Step::LockBooks(Some(scene.books(scene.disbursement()))),
        Step::Record(Ok(())),
        Step::Commit(Ok(())),
    ]);
    let disbursements = stage.disbursements();
    let progress = disbursements.advance(DISBURSEMENT).await;
    let Err(AdvanceError::Withheld(why)) = progress else {
        panic!("it waits, and says why: {progress:?}");
    };
    assert_eq!(why, Withheld::BooksDiffer(PROJECT));
    let progress = disbursements.advance(DISBURSEMENT).await;
    assert!(matches!(progress, Ok(Progress::Ended(_))), "{progress:?}");
}

// M8
#[tokio::test]
async fn pushing_sends_nothing_again_for_a_withheld_project() {
    let scene = in_flight();
    let mut stage = unwatched();
    stage.read(Ok(Some(scene.sent())));
    stage.verdict(Ok(WAIT));
    stage.read(Ok(Some(scene.sent())));
    let unknown = difference(DifferenceKind::UnknownBurn, PROJECT);
    compare(&mut stage, vec![unknown]);
    let disbursements = stage.disbursements();
    let progress = disbursements.push(DISBURSEMENT).await;
    assert!(matches!(progress, Err(AdvanceError::Withheld(_))));
}

// M8
#[tokio::test]
async fn another_project_goes_on_and_the_withheld_one_once_its_books_agree() {
    let mut stage = unwatched();
    let scene = payable(&mut stage);
    let unknown = |project| vec![difference(DifferenceKind::UnknownBurn, project)];
    compare(&mut stage, unknown(ELSEWHERE));
    signed_and_kept(&mut stage, &scene);
    compare(&mut stage, unknown(PROJECT));
    compare(&mut stage, vec![]);
    signed_and_kept(&mut stage, &scene);
    let disbursements = stage.disbursements();
    prepare(&disbursements).await.unwrap();
    disbursements.watch().compare().await.unwrap();
    let outcome = prepare(&disbursements).await;
    assert!(matches!(outcome, Err(DisburseError::Withheld(_))));
    disbursements.watch().compare().await.unwrap();
    prepare(&disbursements).await.unwrap();
}

pub fn halted(outcome: &Result<impl std::fmt::Debug, WatchError>) -> bool {
    matches!(outcome, Err(WatchError::Withheld(Withheld::Halted(_))))
}

// M8, M11
#[tokio::test]
async fn a_ledger_that_runs_backwards_halts_everything_until_it_is_well_again() {
    let mut stage = unwatched();
    let scene = payable(&mut stage);
    for _ in 0..2 {
        ask(&mut stage, Some(up_to(1_000)), Ok(shown(1_001, 879)));
    }
    // A node may lie a little behind: nothing new is kept.
    ask(&mut stage, Some(up_to(1_000)), Ok(shown(1_001, 880)));
    compared(&mut stage, 1_000, vec![]);
    signed_and_kept(&mut stage, &scene);
    let disbursements = stage.disbursements();
    for _ in 0..2 {
        assert!(halted(&disbursements.watch().compare().await));
    }
    let outcome = prepare(&disbursements).await;
    assert!(matches!(
        outcome,
        Err(DisburseError::Withheld(Withheld::Halted(_)))
    ));
    let incidents = stage.incidents();
    assert_eq!(incidents.len(), 1, "told once");
    assert_eq!(incidents[0].operation, "disbursement.watch");
    assert!(incidents[0].critical);
    assert!(incidents[0].error.contains("1000") && incidents[0].error.contains("879"));
    assert_eq!(incidents[0].context, json!({ "network": "test" }));
    disbursements.watch().compare().await.unwrap();
    prepare(&disbursements).await.unwrap();
}

// M8, M11
#[tokio::test]
async fn ledgers_that_no_node_shows_halt_everything_unless_somebody_accepts_it() {
    let mut stage = unwatched();
    let scene = payable(&mut stage);
    for _ in 0..2 {
        ask(&mut stage, Some(up_to(100)), Ok(shown(150, 160)));
    }
    ask(&mut stage, Some(up_to(100)), Ok(shown(150, 170)));
    stage.work([Step::Post(Ok(())), Step::Commit(Ok(()))]);
    keep(&mut stage, shown(150, 170));
    compared(&mut stage, 170, vec![]);
    signed_and_kept(&mut stage, &scene);
    let disbursements = stage.disbursements();
    for _ in 0..2 {
        assert!(halted(&disbursements.watch().compare().await));
    }
    let outcome = prepare(&disbursements).await;
    assert!(matches!(
        outcome,
        Err(DisburseError::Withheld(Withheld::Halted(_)))
    ));
    let incidents = stage.incidents();
    assert_eq!(incidents.len(), 1, "told once");
    assert!(incidents[0].error.contains("101 to 149"));
    let operator = caller("operator");
    let report = disbursements.watch().accept_gap(&operator).await.unwrap();
    assert_eq!(report.watched, Some(up_to(170)));
    assert!(stage.rung().await);
    let posted = stage.seen.lock().unwrap().posted[0].clone();
    let posted = serde_json::to_value(&posted).unwrap();
    assert_eq!(posted["action"], "ledger.gap_accepted");
    assert_eq!(posted["resource_id"], "test");
    assert!(posted.to_string().contains("operator"), "the log says who");
    prepare(&disbursements).await.unwrap();
}

// M8
#[tokio::test]
async fn the_first_look_reaches_back_to_the_oldest_signature() {
    let mut stage = unwatched();
    ask(&mut stage, None, Ok(shown(91, 110)));
    ask(&mut stage, None, Ok(shown(90, 110)));
    keep(&mut stage, shown(90, 110));
    compared(&mut stage, 110, vec![]);
    let disbursements = stage.disbursements();
    assert!(halted(&disbursements.watch().compare().await));
    disbursements.watch().compare().await.unwrap();
    assert_eq!(stage.seen.lock().unwrap().looked[0].0, Some(90));
}

// M11
#[tokio::test]
async fn each_difference_is_told_once_for_as_long_as_it_lasts() {
    let nav = || difference(DifferenceKind::Nav, PROJECT);
    let unknown = || difference(DifferenceKind::UnknownBurn, PROJECT);
    let mut stage = unwatched();
    let rounds = [
        vec![nav()],
        vec![nav(), unknown()],
        vec![nav()],
        vec![],
        vec![nav()],
    ];
    for (differences, to) in rounds.iter().zip(110..) {
        ask(&mut stage, Some(up_to(to - 1)), Ok(shown(to, to)));
        keep(&mut stage, shown(to, to));
        compared(&mut stage, to, differences.clone());
    }
    let disbursements = stage.disbursements();
    let mut told = Vec::new();
    for differences in rounds {
        let report = disbursements.watch().compare().await.unwrap();
        assert_eq!(report.differences, differences);
        told.push(stage.incidents().len());
    }
    assert_eq!(told, [1, 2, 2, 2, 3], "again when it comes back");
    let incident = stage.incidents()[1].clone();
    assert!(incident.critical);
    assert_eq!(
        incident.error,
        "unknown_burn subject: the books say one, found two"
    );
    let context = json!({ "project_id": PROJECT.0, "kind": "unknown_burn", "subject": "subject" });
    assert_eq!(incident.context, context);
}

// M11, M14
#[tokio::test]
async fn a_missing_event_is_told_once_whatever_else_is_compared() {
    let missing = || difference(DifferenceKind::MissingEvent, PROJECT);
    let mut stage = unwatched();
    stage
        .books
        .expect_missing_events()
        .times(2)
        .returning(move |_| Ok(vec![missing()]));
    compare(&mut stage, vec![]);
    let disbursements = stage.disbursements();
    let watch = disbursements.watch();
    assert_eq!(watch.missing_events().await.unwrap(), [missing()]);
    watch.compare().await.unwrap();
    watch.missing_events().await.unwrap();
    assert_eq!(stage.incidents().len(), 1);
}

// M8, M14
#[tokio::test(start_paused = true)]
async fn it_compares_twice_a_minute_and_looks_for_missing_events_hourly_whatever_fails() {
    let mut stage = unwatched();
    let (compared, searched) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let count = compared.clone();
    stage.books.expect_watched().returning(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        down()
    });
    let count = searched.clone();
    stage.books.expect_missing_events().returning(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        down()
    });
    let watch = stage.disbursements().watch().clone();
    let stop = CancellationToken::new();
    let task = tokio::spawn(watch.run(stop.clone()));
    let counts = || {
        let counts = [&compared, &searched];
        counts.map(|count| count.load(Ordering::Relaxed))
    };
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(counts(), [1, 1], "at start");
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(counts(), [2, 1]);
    tokio::time::sleep(Duration::from_secs(3_560)).await;
    assert_eq!(counts(), [120, 1]);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(counts(), [121, 2], "after an hour");
    stop.cancel();
    task.await.unwrap();
}
