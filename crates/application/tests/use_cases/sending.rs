//! What the ledger answers to a sending is a hint. The one that is acted upon is the wish for a
//! higher fee, by a further envelope that is kept before it is sent.

use tranche_application::disbursement::{AdvanceError, Progress};
use tranche_application::ports::burner::SubmitHint;
use tranche_domain::disbursement::verdict::Wait;
use tranche_domain::disbursement::{Replacement, Verdict};
use tranche_domain::{Action, Disbursement, MilestoneStatus};

use super::scene::{DISBURSEMENT, PROJECT, Scene, time, written};
use super::script::Step;
use super::stage::{Stage, down, hint, silent};

const WAIT: Verdict = Verdict::Undecided(Wait::MayStillHappen);
const ASKED: u64 = 5_000;

fn in_flight() -> Scene {
    Scene::at(MilestoneStatus::Disbursing)
}

fn too_low() -> SubmitHint {
    SubmitHint {
        said: "TRY_AGAIN_LATER".to_owned(),
        fee_asked: Some(ASKED),
    }
}

/// The same transaction with a higher fee around it.
fn bumped(byte: u8) -> Replacement {
    Replacement {
        id: in_flight().disbursement().burn.id,
        envelope: vec![byte],
        valid_until: time(200),
    }
}

fn with(mut disbursement: Disbursement, replacements: Vec<Replacement>) -> Disbursement {
    disbursement.burn.replacements = replacements;
    disbursement
}

/// A prepared burn whose fee the ledger finds too low when it is sent.
fn sent_too_low() -> (Stage, Scene) {
    let scene = in_flight();
    let mut stage = Stage::new();
    stage.read(Ok(Some(scene.disbursement())));
    stage.work([Step::NoteSent(Ok(())), Step::Commit(Ok(()))]);
    stage.submit(Ok(too_low()));
    (stage, scene)
}

/// Then nothing is decided.
fn undecided(stage: &mut Stage, scene: &Scene) {
    stage.verdict(Ok(WAIT));
    stage.read(Ok(Some(scene.sent())));
}

async fn advance(stage: &mut Stage) -> Result<Progress, AdvanceError> {
    stage.disbursements().advance(DISBURSEMENT).await
}

// M8
#[tokio::test]
async fn a_higher_fee_is_kept_and_committed_before_it_is_sent() {
    let (mut stage, scene) = sent_too_low();
    stage.outbid(Ok(Some(bumped(9))));
    stage.work([
        Step::LockBooks(Some(scene.books(scene.sent()))),
        Step::Record(Ok(())),
        Step::Commit(Ok(())),
    ]);
    // What it asks for now is for the next sending.
    stage.submit(Ok(too_low()));
    undecided(&mut stage, &scene);
    assert!(matches!(advance(&mut stage).await, Ok(Progress::Open(_))));
    let seen = stage.seen.lock().unwrap();
    let first = scene.disbursement().burn.envelope;
    assert_eq!(seen.sent, [first, vec![9]]);
    assert_eq!(seen.outbid, [(scene.disbursement().burn.id, ASKED)]);
    assert_eq!(seen.locked, [(PROJECT, vec![DISBURSEMENT])]);
    let change = &seen.changes[0];
    let kept = written(change.disbursement());
    assert_eq!(kept.burn, with(scene.sent(), vec![bumped(9)]).burn);
    assert!(change.milestone().is_none() && change.project().is_none());
    let event = change.event();
    assert_eq!(event.action, Action::DisbursementReplaced);
    assert_eq!(event.actor.id, "treasurer", "in the name of who ordered it");
}

// M8
#[tokio::test]
async fn a_fee_that_this_side_does_not_pay_leaves_the_burn_waiting() {
    let (mut stage, scene) = sent_too_low();
    stage.outbid(Ok(None));
    undecided(&mut stage, &scene);
    assert!(matches!(advance(&mut stage).await, Ok(Progress::Open(_))));
    assert_eq!(stage.incidents(), []);
}

// M8
#[tokio::test]
async fn an_envelope_that_another_driver_kept_first_stands() {
    let kept = with(in_flight().sent(), vec![bumped(8)]);
    let (mut stage, scene) = sent_too_low();
    stage.outbid(Ok(Some(bumped(9))));
    stage.work([Step::LockBooks(Some(scene.books(kept)))]);
    undecided(&mut stage, &scene);
    assert!(matches!(advance(&mut stage).await, Ok(Progress::Open(_))));
    assert_eq!(stage.seen.lock().unwrap().sent.len(), 1);
}

// M8
#[tokio::test]
async fn what_ended_meanwhile_gets_no_further_envelope() {
    let after = Scene::at(MilestoneStatus::Disbursed);
    let (mut stage, scene) = sent_too_low();
    stage.outbid(Ok(Some(bumped(9))));
    stage.work([Step::LockBooks(Some(after.books(after.disbursement())))]);
    undecided(&mut stage, &scene);
    assert!(matches!(advance(&mut stage).await, Ok(Progress::Open(_))));
    assert_eq!(stage.seen.lock().unwrap().sent.len(), 1);
}

// M8
#[tokio::test]
async fn an_envelope_that_cannot_be_kept_is_not_sent() {
    for end in [
        vec![Step::Record(down())],
        vec![Step::Record(Ok(())), Step::Commit(down())],
    ] {
        let (mut stage, scene) = sent_too_low();
        stage.outbid(Ok(Some(bumped(9))));
        let lock = Step::LockBooks(Some(scene.books(scene.sent())));
        stage.work([lock].into_iter().chain(end));
        let progress = advance(&mut stage).await;
        assert!(matches!(progress, Err(AdvanceError::Store(_))));
        assert_eq!(stage.seen.lock().unwrap().sent.len(), 1);
    }
}

// M8
#[tokio::test]
async fn a_ledger_that_cannot_be_asked_for_a_further_envelope_is_an_error() {
    let (mut stage, _) = sent_too_low();
    stage.outbid(silent());
    let progress = advance(&mut stage).await;
    assert!(matches!(progress, Err(AdvanceError::Ledger(_))));
}

// M8
#[tokio::test]
async fn a_burn_is_outbid_five_times_at_most_and_its_newest_envelope_is_sent_again() {
    for (kept, asked) in [(4_u8, true), (5, false)] {
        let scene = in_flight();
        let sent = with(scene.sent(), (1..=kept).map(bumped).collect());
        let mut stage = Stage::new();
        stage.read(Ok(Some(sent.clone())));
        stage.verdict(Ok(WAIT));
        stage.read(Ok(Some(sent)));
        stage.work([Step::NoteSent(Ok(())), Step::Commit(Ok(()))]);
        stage.submit(Ok(too_low()));
        if asked {
            stage.outbid(Ok(None));
        }
        let disbursements = stage.disbursements();
        let progress = disbursements.push(DISBURSEMENT).await;
        assert!(matches!(progress, Ok(Progress::Open(_))));
        assert_eq!(stage.seen.lock().unwrap().sent, [vec![kept]]);
    }
}

// M8
#[tokio::test]
async fn without_a_wish_nothing_is_outbid() {
    let scene = in_flight();
    let mut stage = Stage::new();
    stage.read(Ok(Some(scene.disbursement())));
    stage.work([Step::NoteSent(Ok(())), Step::Commit(Ok(()))]);
    stage.submit(Ok(hint()));
    undecided(&mut stage, &scene);
    assert!(matches!(advance(&mut stage).await, Ok(Progress::Open(_))));
}
