//! The numberer: at once while there is much, now and then while there is little.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mockall::Sequence;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tranche_application::audit::numberer::Numberer;
use tranche_application::mocks::MockNumbering;
use tranche_application::ports::store::Conflict;

use super::stage::{Answer, Stage, conflict, down};

/// Runs the numberer for so long with these answers, and then none: when it asked, and for how many.
async fn run_for(
    stage: &mut Stage,
    ms: u64,
    answers: impl IntoIterator<Item = Answer<Option<u64>>>,
) -> Vec<(u128, u32)> {
    let (start, asked) = (Instant::now(), Arc::new(Mutex::new(vec![])));
    let (mut numbering, mut order) = (MockNumbering::new(), Sequence::new());
    for answer in answers {
        let asked = asked.clone();
        numbering
            .expect_number()
            .times(1)
            .in_sequence(&mut order)
            .return_once(move |limit| {
                asked
                    .lock()
                    .unwrap()
                    .push((start.elapsed().as_millis(), limit));
                answer
            });
    }
    let stop = CancellationToken::new();
    let numberer = Numberer::new(stage.services(), Arc::new(numbering));
    let task = tokio::spawn(numberer.run(stop.clone()));
    sleep(Duration::from_millis(ms)).await;
    stop.cancel();
    task.await.unwrap();
    assert_eq!(
        start.elapsed().as_millis(),
        u128::from(ms),
        "it stops at once"
    );
    asked.lock().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_is_followed_at_once_and_a_smaller_one_after_a_pause() {
    let answers = [Some(10_000), Some(10_000), Some(7), None, Some(0)].map(Ok);
    let asked = run_for(&mut Stage::new(), 250, answers).await;
    let full = 10_000;
    let all = [0, 0, 0, 100, 200].map(|at| (at, full));
    assert_eq!(asked, all);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_is_asked_less_and_less_and_told_of_once() {
    let mut stage = Stage::new();
    let answers = [down(), down(), down(), Ok(Some(1)), down()];
    let asked = run_for(&mut stage, 850, answers).await;
    let halved = [
        (0, 10_000),
        (100, 5_000),
        (300, 2_500),
        (700, 1_250),
        (800, 2_500),
    ];
    assert_eq!(asked, halved, "a batch may be too much for its time");
    let incidents = stage.incidents();
    assert_eq!(incidents.len(), 2, "one for each outage");
    assert_eq!(incidents[0].operation, "audit.number");
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_tried_again_untold() {
    let mut stage = Stage::new();
    let answers = [conflict(Conflict::Retry), down(), Ok(None)];
    let asked = [(0, 10_000), (100, 10_000), (300, 5_000)];
    assert_eq!(run_for(&mut stage, 350, answers).await, asked);
    assert_eq!(stage.incidents().len(), 1, "a conflict hides no outage");
}

#[tokio::test(start_paused = true)]
async fn numbering_that_hangs_is_given_up_after_a_minute() {
    struct Hangs;
    #[async_trait::async_trait]
    impl tranche_application::ports::numbering::Numbering for Hangs {
        async fn number(&self, _: u32) -> Answer<Option<u64>> {
            std::future::pending().await
        }
    }
    let mut stage = Stage::new();
    let stop = CancellationToken::new();
    let numberer = Numberer::new(stage.services(), Arc::new(Hangs));
    let task = tokio::spawn(numberer.run(stop.clone()));
    sleep(Duration::from_secs(61)).await;
    assert_eq!(stage.incidents().len(), 1);
    stop.cancel();
    sleep(Duration::from_mins(2)).await;
    assert!(task.is_finished());
}
