//! A run of retention whose store is in the way: what is told, and what stays.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use tranche_application::audit::retention::{Outlook, Report, Retention};
use tranche_application::mocks::{MockQueries, MockRetentionStore};
use tranche_application::ports::retention::{
    Expiry, LeafRecord, Leaves, Leaving, Part, Run, Step, Term, Turn,
};
use tranche_application::ports::store::{Conflict, StoreError};
use tranche_domain::{RetentionPolicies, Severity};
use uuid::Uuid;

use super::scene::caller;
use super::script::Step as Act;
use super::stage::Stage;

/// A turn in which nothing is archived because of this, and what is archived has a leaf and goes; each for
/// as many days as its policy says.
struct Scripted(Option<Conflict>);

#[async_trait]
impl Turn for Scripted {
    async fn begin(&mut self, _: &Run) -> Result<(), StoreError> {
        Ok(())
    }

    async fn archive(&mut self, part: &Part, term: Term) -> Result<Step, StoreError> {
        let policies = RetentionPolicies::default();
        assert_eq!(term.days, policies.of(part.severity).archive_after());
        match self.0 {
            Some(conflict) => Err(StoreError::Conflict(conflict)),
            None => Ok(Step::Done(1)),
        }
    }

    async fn events(
        &mut self,
        _: &Part,
        _: Option<Uuid>,
        _: u32,
    ) -> Result<Vec<Leaving>, StoreError> {
        unreachable!("nothing is exported")
    }

    async fn unkept(&mut self, _: &Part, _: u32) -> Result<Vec<Leaving>, StoreError> {
        Ok(Vec::new())
    }

    async fn keep(&mut self, _: &Part, _: &[LeafRecord]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn leaves(&mut self, _: &Part) -> Result<Option<Leaves>, StoreError> {
        Ok(Some(Leaves {
            events: 1,
            first: 7,
            last: 7,
        }))
    }

    async fn expire(&mut self, part: &Part, term: Term, _: &Expiry) -> Result<Step, StoreError> {
        let policies = RetentionPolicies::default();
        assert_eq!(term.days, policies.of(part.severity).keep());
        Ok(Step::Done(1))
    }

    async fn end(&mut self, _: &Run) -> Result<(), StoreError> {
        Ok(())
    }

    async fn release(self: Box<Self>) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A store with one old part, whose turn is this one.
fn store(archived: bool, refusal: Option<Conflict>) -> MockRetentionStore {
    let mut store = MockRetentionStore::new();
    store.expect_runs().returning(|_| Ok(Vec::new()));
    store.expect_parts().returning(move || {
        Ok(vec![Part {
            name: "info of long ago".to_owned(),
            severity: Severity::Info,
            month: "2020-01".parse().unwrap(),
            archived,
            events: 1,
            bytes: None,
            held_by: Vec::new(),
        }])
    });
    store
        .expect_take_turn()
        .returning(move || Ok(Some(Box::new(Scripted(refusal)))));
    store
}

async fn run(stage: &mut Stage, store: MockRetentionStore) -> Report {
    stage.work([Act::Post(Ok(())), Act::Commit(Ok(()))]);
    let retention = Retention::new(
        stage.services(),
        Arc::new(store),
        Arc::new(MockQueries::new()),
        RetentionPolicies::default(),
    );
    retention.run(&caller("admin"), None).await.unwrap()
}

// S7: a part stays until the next run. That others hold it is no news; whatever else is in its way is.
#[tokio::test]
async fn what_keeps_a_part_is_told_unless_it_is_only_busy() {
    for (conflict, told) in [(Conflict::Retry, 0), (Conflict::Stale, 1)] {
        let mut stage = Stage::new();
        let report = run(&mut stage, store(false, Some(conflict))).await;
        let figures = report.run.as_ref().unwrap().figures;
        assert_eq!((figures.archived_parts, figures.failed_parts), (0, 1));
        assert!(matches!(&report.done[0].outlook, Outlook::Failed(_)));
        let incidents = stage.incidents();
        assert_eq!(incidents.len(), told, "{conflict}: {incidents:?}");
        if let Some(incident) = incidents.first() {
            assert_eq!(incident.operation, "retention.run");
            assert!(incident.error.contains("changed by someone else"));
        }
    }
}

// S7, S8: a part goes once the event that says so has its place, and waits for it no longer than
// half a minute.
#[tokio::test(start_paused = true)]
async fn nothing_goes_before_its_announcement_is_sealed() {
    for (looks, goes) in [(20, true), (u32::MAX, false)] {
        let mut store = store(true, None);
        let asked = Arc::new(AtomicU32::new(0));
        store.expect_announced().returning({
            let asked = asked.clone();
            move |name| {
                assert_eq!(name, "info/2020-01/7-7");
                Ok(Some(asked.fetch_add(1, Ordering::SeqCst) >= looks))
            }
        });
        let (mut stage, began) = (Stage::new(), Instant::now());
        let report = run(&mut stage, store).await;
        let figures = report.run.as_ref().unwrap().figures;
        let expected = (u32::from(goes), u32::from(!goes));
        assert_eq!((figures.expired_parts, figures.failed_parts), expected);
        let took = began.elapsed();
        if goes {
            assert!(asked.load(Ordering::SeqCst) > looks);
        } else {
            assert!(took >= Duration::from_secs(30) && took < Duration::from_secs(31));
            let told = matches!(&report.done[0].outlook,
                Outlook::Failed(why) if why.contains("no place in the tree yet"));
            assert!(told, "{report:?}");
        }
    }
}
