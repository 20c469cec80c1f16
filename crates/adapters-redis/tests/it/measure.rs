//! How fast it is, with every write on the disk before the answer.

use std::time::{Duration, Instant};

use tranche_application::ports::queue::AuditQueue;
use tranche_tests::queue_contract::{at, done, events, take};
use tranche_tests::support::redis::Redis;

use crate::scene::process;

const ROUNDS: u64 = 30;
const TOGETHER: u64 = 1_000;

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: run it alone, with --release and --nocapture"]
async fn a_thousand_in_and_a_thousand_out() {
    let redis = Redis::start().unwrap();
    let queue = process(&redis).await;
    let (mut one, mut push, mut taking, mut finish) = (vec![], vec![], vec![], vec![]);
    for round in 0..ROUNDS {
        let first = round * TOGETHER;
        let batch = events(first..first + TOGETHER);
        let start = Instant::now();
        queue.push(&batch, at(round)).await.unwrap();
        push.push(start.elapsed());
    }
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let taken = take(&*queue, 1_000).await;
        taking.push(start.elapsed());
        assert_eq!(taken.events.len(), 1_000);
        let start = Instant::now();
        done(&*queue, &taken.receipt).await;
        finish.push(start.elapsed());
    }
    for n in 0..500 {
        let single = events([n]);
        let start = Instant::now();
        queue.push(&single, at(n)).await.unwrap();
        one.push(start.elapsed());
    }
    one.sort_unstable();
    let slowest = one[one.len() * 99 / 100];
    println!("push of 1,000: {:?}", middle(push));
    println!("take of 1,000: {:?}", middle(taking));
    println!("done of 1,000: {:?}", middle(finish));
    println!("push of one: p50 {:?}, p99 {slowest:?}", middle(one));
}
