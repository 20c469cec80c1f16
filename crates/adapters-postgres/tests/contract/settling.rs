//! How much faster one hot project's burns settle fifty at a time than one by one: a measurement,
//! through the ports, on a server that flushes every commit.
//!
//! ```sh
//! tests/support/with-postgres.sh cargo test --release --locked -p tranche-adapters-postgres \
//!     settling -- --ignored --nocapture
//! ```

use std::time::{Duration, Instant};

use tranche_domain::{Disbursement, Project, Role};
use tranche_tests::contract::StoreUnderTest;
use tranche_tests::contract::scene::{TREASURER, World, written};

use super::subject::fresh;

const AT_ONCE: usize = 50;
const ROUNDS: usize = 4;

/// Settles these in one unit of work and says how long that took.
async fn settle(world: &World, project: &Project, open: &[Disbursement]) -> Duration {
    let ids: Vec<_> = open.iter().map(|open| open.id).collect();
    let began = Instant::now();
    let mut work = world.begin().await;
    let books = work.disbursements().lock_books(project.id, &ids).await;
    let books = books.expect("it locks").expect("it is there");
    let mut project = books.project;
    let mut changes = Vec::with_capacity(ids.len());
    for (milestone, disbursement) in books.disbursements {
        let burn = disbursement.burn.id.clone();
        let act = world.act(TREASURER, Role::Treasurer);
        let change = disbursement.settle(milestone, project, burn, 110, &act);
        let change = change.expect("it is in flight");
        project = written(change.project());
        changes.push(change);
    }
    let recorded = match changes.as_slice() {
        [change] => work.record(change).await,
        changes => work.record_settlements(changes).await,
    };
    recorded.expect("it is recorded");
    work.commit().await.expect("it is committed");
    began.elapsed()
}

#[tokio::test]
#[ignore = "a measurement: run it alone, with --release and --nocapture"]
async fn fifty_at_a_time_against_one_by_one() {
    let subject = fresh().await;
    let world = World::of(&subject);
    let project = world.project(1_000_000).await;
    let mut open = Vec::new();
    for number in 1..=i32::try_from(2 * AT_ONCE * (ROUNDS + 1)).expect("a few") {
        let paid = world.payable(project.id, number, 10).await.id;
        open.push(world.prepare_beside(paid).await);
    }
    subject
        .execute("VACUUM (ANALYZE)")
        .await
        .expect("it is tidy");
    let (mut single, mut together) = (Duration::ZERO, Duration::ZERO);
    for (round, burns) in open.chunks(2 * AT_ONCE).enumerate() {
        let (first, second) = burns.split_at(AT_ONCE);
        let at_once = settle(&world, &project, second).await;
        let mut each = Duration::ZERO;
        for open in first {
            each += settle(&world, &project, std::slice::from_ref(open)).await;
        }
        // The first round prepares the statements.
        if round > 0 {
            single += each;
            together += at_once;
        }
    }
    let ratio = single.as_micros() * 10 / together.as_micros().max(1);
    println!(
        "{} settlements of one project: {single:?} one by one, {together:?} {AT_ONCE} at a time: \
         {}.{} times as many a second",
        AT_ONCE * ROUNDS,
        ratio / 10,
        ratio % 10
    );
    assert!(ratio > 10, "together is faster");
}
