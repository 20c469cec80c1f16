//! What the comparison must cover before a signed burn is kept: the ledger that the signing node saw,
//! in the store as it is now, and every difference.

use tranche_application::disbursement::DisburseError;
use tranche_application::disbursement::watch::Withheld;
use tranche_application::ports::books::DifferenceKind;
use tranche_application::ports::burner::LedgerError;

use super::scene::{ELSEWHERE, PROJECT, caller};
use super::watching::{
    ask, compare, compared, difference, halted, keep, kept, payable, prepare, shown,
    signed_and_kept, stands, unwatched, up_to,
};

// M8: the node that signs, at ledger 100, is ahead of the one that was compared with.
#[tokio::test]
async fn what_was_signed_ahead_of_the_comparison_is_not_kept_until_that_reaches_it() {
    let mut stage = unwatched();
    let scene = payable(&mut stage);
    let to = |to| shown(51, to);
    ask(&mut stage, Some(up_to(50)), Ok(to(60)));
    keep(&mut stage, to(60));
    compared(&mut stage, 60, vec![]);
    // Still behind: nothing is kept.
    stage.sign(41);
    stands(&mut stage, 60);
    ask(&mut stage, Some(up_to(60)), Ok(shown(61, 70)));
    keep(&mut stage, shown(61, 70));
    compared(&mut stage, 70, vec![]);
    // Reached: kept, and from now on without another comparison.
    stage.sign(41);
    stands(&mut stage, 70);
    ask(&mut stage, Some(up_to(70)), Ok(shown(71, 100)));
    keep(&mut stage, shown(71, 100));
    compared(&mut stage, 100, vec![]);
    kept(&mut stage, &scene);
    signed_and_kept(&mut stage, &scene);
    let disbursements = stage.disbursements();
    let behind = prepare(&disbursements).await;
    assert!(
        matches!(
            behind,
            Err(DisburseError::Ledger(LedgerError::Unavailable(_)))
        ),
        "{behind:?}"
    );
    for _ in 0..2 {
        prepare(&disbursements).await.unwrap();
    }
}

// M8, M11: the store was put back to an older state while this process ran.
#[tokio::test]
async fn a_store_that_forgot_is_compared_with_before_anything_is_kept() {
    let mut stage = unwatched();
    let scene = payable(&mut stage);
    compare(&mut stage, vec![]);
    signed_and_kept(&mut stage, &scene);
    stage.sign(42);
    stands(&mut stage, 40);
    ask(&mut stage, Some(up_to(40)), Ok(shown(41, 120)));
    keep(&mut stage, shown(41, 120));
    compared(
        &mut stage,
        120,
        vec![difference(DifferenceKind::UnknownBurn, PROJECT)],
    );
    let disbursements = stage.disbursements();
    prepare(&disbursements).await.unwrap();
    let withheld = prepare(&disbursements).await;
    assert!(
        matches!(
            withheld,
            Err(DisburseError::Withheld(Withheld::BooksDiffer(PROJECT)))
        ),
        "{withheld:?}"
    );
    let incidents = stage.incidents();
    assert!(incidents[0].error.contains("it was restored"));
}

// M8: which projects the rows that were not read are of, nobody knows.
#[tokio::test]
async fn more_differences_than_are_read_halt_everything() {
    let mut stage = unwatched();
    ask(&mut stage, Some(up_to(100)), Ok(shown(101, 110)));
    keep(&mut stage, shown(101, 110));
    let rows = vec![difference(DifferenceKind::UnknownBurn, ELSEWHERE); 1_000];
    stage
        .books
        .expect_differences()
        .times(1)
        .in_sequence(&mut stage.order)
        .return_once(|_, _| Ok(rows));
    let disbursements = stage.disbursements();
    assert!(halted(&disbursements.watch().compare().await));
}

// M8
#[tokio::test]
async fn accepting_a_gap_accepts_no_ledger_that_runs_backwards() {
    let mut stage = unwatched();
    ask(&mut stage, Some(up_to(1_000)), Ok(shown(1_001, 5)));
    let disbursements = stage.disbursements();
    let outcome = disbursements.watch().accept_gap(&caller("operator")).await;
    assert!(halted(&outcome));
}
