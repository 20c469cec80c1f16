//! Two processes on one store: that one of them is killed in the middle of a burn changes nothing.

use tranche_tests::support::service::StoreKind;

use crate::books;
use crate::step::Step;
use crate::worker::{Worker, insist};

#[tokio::test]
async fn a_killed_replica_changes_nothing_on_sqlite() {
    killed(StoreKind::Sqlite).await;
}

#[tokio::test]
async fn a_killed_replica_changes_nothing_on_postgres() {
    killed(StoreKind::Postgres).await;
}

// M8: the replica that took the order kills itself at each step; the other one, which nobody
// restarts, brings the burn to its end.
async fn killed(store: StoreKind) {
    let mut worker = Worker::start(store).await;
    let token = worker.scene.tranche.key("amaka", "treasurer", None);
    for step in Step::ALL {
        let kill = ("TRANCHE_KILL_AT", step.name().to_owned());
        let replica = worker.scene.tranche.replica(&[kill]);
        let milestone = worker.paid().await;
        let treasurer = replica.with_token(&token);
        let answer = insist(treasurer, milestone.clone(), milestone.clone()).await;
        if step <= Step::Prepared {
            assert!(
                answer.is_none(),
                "it alone can have come to {}",
                step.name()
            );
        }
        match answer {
            // The other was faster at this step.
            Some(answer) => drop(answer.json(200)),
            None => assert_eq!(replica.wait(), Some(9), "killed by itself"),
        }
        if !step.is_kept() {
            let again = worker.scene.disburse(&milestone, &milestone, 30).await;
            again.json(200);
        }
        assert_eq!(worker.quiet(&milestone).await, "disbursed");
        let rows = worker.disbursements(&milestone).await;
        assert_eq!(rows.len(), 1, "{rows:?}");
        books::check(&worker).await;
    }
}
