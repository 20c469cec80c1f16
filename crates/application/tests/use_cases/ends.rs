//! Many ends of one project at once: the burned ones that arrive together are written in one unit
//! of work, each from the project as the one before left it. Time is paused; a commit takes a
//! second.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tranche_application::disbursement::{AdvanceError, Disbursements, Progress};
use tranche_domain::disbursement::Verdict;
use tranche_domain::{Action, DisbursementId, DisbursementState, Write};

use super::kept::{self, Kept, Shared};
use super::scene::{ELSEWHERE, PAID, PROJECT, failure};
use super::slow::SlowStore;
use super::stage::Stage;

const COMMIT: Duration = Duration::from_secs(1);

fn kept(count: i32) -> (Shared, Vec<DisbursementId>) {
    let mut kept = Kept::default();
    let ids = kept.add(PROJECT, count);
    (Arc::new(Mutex::new(kept)), ids)
}

/// The protocol over what is kept, with this verdict on each burn.
fn with_verdicts(
    kept: &Shared,
    verdict: impl Fn(i64) -> Option<Verdict> + Send + 'static,
) -> (Stage, Disbursements) {
    let mut stage = kept::stage(kept);
    stage.burner.expect_verdict().returning(move |burn| {
        let burned = || Verdict::Burned {
            burn: burn.id.clone(),
            ledger: 110,
        };
        Ok(verdict(burn.slot.sequence).unwrap_or_else(burned))
    });
    let mut services = stage.services();
    services.store = Arc::new(SlowStore {
        inner: services.store,
        by: COMMIT,
    });
    let ledger = Arc::new(stage.ledger());
    let disbursements = stage.protocol(services, ledger);
    (stage, disbursements)
}

fn all_burned(kept: &Shared) -> (Stage, Disbursements) {
    with_verdicts(kept, |_| None)
}

type Came = (DisbursementId, Result<Progress, AdvanceError>);

/// Advances all of them side by side, in this order.
async fn advance(disbursements: &Disbursements, ids: &[DisbursementId]) -> Vec<Came> {
    let mut all = JoinSet::new();
    for id in ids.iter().copied() {
        let disbursements = disbursements.clone();
        all.spawn(async move { (id, disbursements.advance(id).await) });
    }
    all.join_all().await
}

fn settled(ids: &[DisbursementId]) -> Vec<(Action, DisbursementId)> {
    let settled = ids.iter().map(|id| (Action::MilestoneDisbursed, *id));
    settled.collect()
}

// M8
#[tokio::test(start_paused = true)]
async fn burns_that_are_confirmed_together_are_settled_together_fifty_at_most() {
    let (kept, ids) = kept(61);
    let (_stage, disbursements) = all_burned(&kept);
    let start = Instant::now();
    let came = advance(&disbursements, &ids).await;
    assert_eq!(start.elapsed(), COMMIT * 3);
    assert_eq!(came.len(), 61);
    let kept = kept.lock().unwrap();
    for (id, progress) in came {
        let own = Progress::Ended(Box::new(kept.disbursement(id)));
        assert_eq!(progress.unwrap(), own, "each hears of its own");
    }
    let units = [&ids[..1], &ids[1..51], &ids[51..]];
    assert_eq!(kept.done(), units.map(settled), "first come, first written");
    assert!(
        kept.units
            .iter()
            .zip(units)
            .all(|(unit, ids)| unit.locked == ids)
    );
    let project = &kept.projects[&PROJECT];
    assert_eq!(
        (project.nav.stroops(), project.nav_reserved.stroops()),
        (0, 0)
    );
    assert_eq!(project.completed_milestones, 61);
}

// M8
#[tokio::test(start_paused = true)]
async fn each_settlement_goes_on_from_the_project_that_the_one_before_left() {
    let (kept, ids) = kept(6);
    let before = kept.lock().unwrap().projects[&PROJECT].clone();
    let (_stage, disbursements) = all_burned(&kept);
    advance(&disbursements, &ids).await;
    let kept = kept.lock().unwrap();
    assert_eq!(kept.units[1].changes.len(), 5);
    let changes = kept.units.iter().flat_map(|unit| &unit.changes);
    let mut events = BTreeSet::new();
    for (nth, change) in (1_i64..).zip(changes) {
        let Some(Write::Update(project)) = change.project() else {
            panic!("a settlement moves the project");
        };
        assert_eq!(project.version, before.version + nth);
        assert_eq!(project.nav.stroops(), (6 - nth) * PAID);
        assert_eq!(project.nav_reserved.stroops(), (6 - nth) * PAID);
        assert_eq!(project.completed_milestones, nth);
        events.insert(change.event().id.0);
    }
    assert_eq!(events.len(), 6, "each with its own evidence");
}

// M8, M11
#[tokio::test(start_paused = true)]
async fn one_that_cannot_be_written_stops_no_other() {
    let (kept, ids) = kept(4);
    kept.lock().unwrap().refused = Some(ids[2]);
    let (stage, disbursements) = all_burned(&kept);
    for (id, progress) in advance(&disbursements, &ids).await {
        if id == ids[2] {
            assert!(matches!(progress, Err(AdvanceError::Store(_))));
        } else {
            assert!(matches!(progress, Ok(Progress::Ended(_))), "{progress:?}");
        }
    }
    let incidents = stage.incidents();
    assert_eq!(incidents.len(), 1);
    let of = serde_json::json!({ "disbursement_id": ids[2].0 });
    assert_eq!(incidents[0].context, of);
    let kept = kept.lock().unwrap();
    let alone = [ids[0], ids[1], ids[3]].map(|id| settled(&[id]));
    let mut done = kept.done();
    done.sort_by_key(|unit| unit[0].1.0);
    assert_eq!(done, alone, "after the batch failed, one by one");
    assert_eq!(kept.units[1].locked, ids[1..], "together first");
    assert!(kept.disbursement(ids[2]).state.is_open());
}

// M8
#[tokio::test(start_paused = true)]
async fn a_writer_that_gives_up_does_not_lose_the_ends_of_others() {
    let (kept, ids) = kept(4);
    let (_stage, disbursements) = all_burned(&kept);
    let first = disbursements.advance(ids[0]);
    // It writes for all behind the first, and gives up before it commits.
    let writer = timeout(COMMIT * 3 / 2, disbursements.advance(ids[1]));
    let others = advance(&disbursements, &ids[2..]);
    let (first, writer, others) = tokio::join!(first, writer, others);
    assert!(first.is_ok() && writer.is_err());
    for (_, progress) in others {
        assert!(matches!(progress, Ok(Progress::Ended(_))), "{progress:?}");
    }
    let kept = kept.lock().unwrap();
    assert_eq!(kept.units[1].locked, ids[1..]);
    assert!(!kept.units[1].committed);
    assert!(kept.disbursement(ids[1]).state.is_open());
    assert_eq!(kept.projects[&PROJECT].completed_milestones, 3);
}

// M8
#[tokio::test(start_paused = true)]
async fn what_gave_up_in_line_is_written_by_the_next() {
    let (kept, ids) = kept(3);
    let (_stage, disbursements) = all_burned(&kept);
    let first = disbursements.advance(ids[0]);
    let gone = timeout(COMMIT / 2, disbursements.advance(ids[1]));
    let last = disbursements.advance(ids[2]);
    let (first, gone, last) = tokio::join!(first, gone, last);
    assert!(first.is_ok() && gone.is_err() && last.is_ok());
    let done = kept.lock().unwrap().done();
    assert_eq!(done, [settled(&ids[..1]), settled(&ids[1..])]);
}

// M8
#[tokio::test(start_paused = true)]
async fn two_drivers_of_one_disbursement_in_line_write_it_once_and_both_hear_of_it() {
    let (kept, ids) = kept(2);
    let (_stage, disbursements) = all_burned(&kept);
    let came = advance(&disbursements, &[ids[0], ids[1], ids[1]]).await;
    let kept = kept.lock().unwrap();
    for (id, progress) in came {
        let own = Progress::Ended(Box::new(kept.disbursement(id)));
        assert_eq!(progress.unwrap(), own);
    }
    assert_eq!(kept.done(), [settled(&ids[..1]), settled(&ids[1..])]);
    assert_eq!(kept.units[1].locked, ids[1..]);
}

// M8
#[tokio::test(start_paused = true)]
async fn other_projects_are_not_held_up() {
    let (kept, ids) = kept(1);
    let others = kept.lock().unwrap().add(ELSEWHERE, 1);
    let (_stage, disbursements) = all_burned(&kept);
    let start = Instant::now();
    let came = advance(&disbursements, &[ids[0], others[0]]).await;
    assert!(came.iter().all(|(_, progress)| progress.is_ok()));
    assert_eq!(start.elapsed(), COMMIT, "side by side");
    let done = kept.lock().unwrap().done();
    assert_eq!(done, [settled(&ids), settled(&others)]);
}

// M8
#[tokio::test(start_paused = true)]
async fn what_failed_or_needs_a_person_is_written_alone() {
    let (kept, ids) = kept(6);
    // The first one's sequence number is 41.
    let (_stage, disbursements) = with_verdicts(&kept, |sequence| match sequence {
        43 => Some(Verdict::Failed(failure())),
        44 => Some(Verdict::NeedsOperator {
            reason: "gone".to_owned(),
        }),
        _ => None,
    });
    let came = advance(&disbursements, &ids).await;
    assert!(came.iter().all(|(_, progress)| progress.is_ok()));
    let kept = kept.lock().unwrap();
    let mut done = kept.done();
    done.sort_by_key(|unit| unit[0].1.0);
    let burned = [ids[1], ids[4], ids[5]];
    let expected = [
        settled(&ids[..1]),
        settled(&burned),
        vec![(Action::DisbursementFailed, ids[2])],
        vec![(Action::DisbursementNeedsOperator, ids[3])],
    ];
    assert_eq!(done, expected);
    let failed = kept.disbursement(ids[2]).state;
    assert!(matches!(failed, DisbursementState::Failed { .. }));
    let project = &kept.projects[&PROJECT];
    assert_eq!(project.nav.stroops(), 2 * PAID);
    assert_eq!(project.nav_reserved.stroops(), PAID, "the operator's");
}

// M8
#[tokio::test(start_paused = true)]
async fn a_line_that_emptied_forms_again() {
    let (kept, ids) = kept(2);
    let (_stage, disbursements) = all_burned(&kept);
    for id in &ids {
        disbursements.advance(*id).await.unwrap();
        sleep(COMMIT).await;
    }
    let done = kept.lock().unwrap().done();
    assert_eq!(done, [settled(&ids[..1]), settled(&ids[1..])]);
}
