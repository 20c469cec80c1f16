//! Many open disbursements in one round of the reconciler: sixteen are looked at side by side, and
//! one that hangs or panics stops no other. Time is paused.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tranche_application::disbursement::Reconciler;
use tranche_application::disbursement::reconcile::Round;
use tranche_domain::disbursement::Verdict;
use tranche_domain::{BurnId, DisbursementId};

use super::kept::{self, Kept, Shared};
use super::scene::PROJECT;
use super::slow::SlowLedger;

const SECOND: Duration = Duration::from_secs(1);
/// The longest that one look may take.
const LONGEST: Duration = Duration::from_mins(1);

/// This many that are due, each burned.
fn due(count: i32) -> (Shared, Vec<DisbursementId>) {
    let mut kept = Kept::default();
    let ids = kept.add(PROJECT, count);
    kept.due = ids.iter().copied().collect();
    (Arc::new(Mutex::new(kept)), ids)
}

/// A reconciler whose ledger takes `by` for its verdict on `only` this burn, or on all, or panics
/// over it.
fn reconciler(kept: &Shared, by: Duration, only: Option<BurnId>, panics: bool) -> Reconciler {
    let mut stage = kept::stage(kept);
    stage.burner.expect_verdict().returning(|burn| {
        let (burn, ledger) = (burn.id.clone(), 110);
        Ok(Verdict::Burned { burn, ledger })
    });
    let services = stage.services();
    let ledger = SlowLedger {
        only,
        panics,
        ..SlowLedger::new(stage.ledger(), by)
    };
    Reconciler::new(stage.protocol(services, Arc::new(ledger)))
}

fn burn_of(kept: &Shared, id: DisbursementId) -> BurnId {
    kept.lock().unwrap().disbursement(id).burn.id
}

fn open(kept: &Shared) -> Vec<DisbursementId> {
    let kept = kept.lock().unwrap();
    let open = kept.rows.values().filter(|(_, row)| row.state.is_open());
    open.map(|(_, row)| row.id).collect()
}

// M8
#[tokio::test(start_paused = true)]
async fn sixteen_are_looked_at_side_by_side() {
    for (count, seconds) in [(16, 1), (17, 2), (32, 2), (33, 3)] {
        let (kept, _) = due(count);
        let start = Instant::now();
        let round = reconciler(&kept, SECOND, None, false).run_once().await;
        let ended = u64::from(count.unsigned_abs());
        let expected = Round {
            ended,
            ..Round::default()
        };
        assert_eq!(round.unwrap(), expected);
        assert_eq!(start.elapsed(), SECOND * seconds, "{count}");
    }
}

// M8
#[tokio::test(start_paused = true)]
async fn one_that_hangs_is_given_up_after_a_minute_and_stops_no_other() {
    let (kept, ids) = due(40);
    let stuck = burn_of(&kept, ids[3]);
    let reconciler = reconciler(&kept, LONGEST * 60, Some(stuck), false);
    let start = Instant::now();
    let round = tokio::spawn(async move { reconciler.run_once().await });
    sleep(SECOND).await;
    assert_eq!(open(&kept), [ids[3]], "all others are settled already");
    let expected = Round {
        ended: 39,
        open: 0,
        errors: 1,
    };
    assert_eq!(round.await.unwrap().unwrap(), expected);
    assert_eq!(start.elapsed(), LONGEST);
}

// M8
#[tokio::test(start_paused = true)]
async fn a_look_that_panics_is_an_error_of_its_own_disbursement_alone() {
    // The first of forty is waited for while others are leased, the last one after that.
    for panicking in [0, 39] {
        let (kept, ids) = due(40);
        let its = burn_of(&kept, ids[panicking]);
        let reconciler = reconciler(&kept, SECOND, Some(its), true);
        let expected = Round {
            ended: 39,
            open: 0,
            errors: 1,
        };
        assert_eq!(reconciler.run_once().await.unwrap(), expected);
        assert_eq!(open(&kept), [ids[panicking]]);
    }
}

// M8
#[tokio::test(start_paused = true)]
async fn the_longest_due_are_looked_at_first_and_the_round_ends_when_one_comes_back() {
    let (kept, ids) = due(3);
    kept.lock().unwrap().due = [ids[2], ids[0], ids[2], ids[1]].into();
    let round = reconciler(&kept, SECOND, None, false).run_once().await;
    assert_eq!(round.unwrap().ended, 2);
    let kept = kept.lock().unwrap();
    let first = kept.units.iter().find(|unit| !unit.locked.is_empty());
    assert_eq!(first.unwrap().locked, [ids[2]]);
    assert_eq!(kept.due, [ids[1]], "left for the next round");
}
