//! Mocks of every port around a use case, played by one strict script.
//!
//! Every unit of work, every step in it, every question to the ledger and every read of a
//! disbursement happens once and in the order in which it was written into the script, across all
//! mocks; whatever is not in the script fails the test, and so does what is left of it. A unit of
//! work without `Commit` must not be committed.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mockall::Sequence;
use tokio::sync::Notify;
use tokio::time::Instant;
use tranche_application::Services;
use tranche_application::disbursement::{Disbursements, Reads};
use tranche_application::milestones::Milestones;
use tranche_application::mocks::{
    MockBooks, MockChannels, MockClock, MockEntropy, MockLedgerBurner, MockMonitor, MockQueries,
    MockStore,
};
use tranche_application::ports::books::Watched;
use tranche_application::ports::burner::{BurnsSeen, LedgerBurner, LedgerError, SubmitHint};
use tranche_application::ports::monitor::Incident;
use tranche_application::ports::store::{Conflict, StoreError};
use tranche_domain::Disbursement;
use tranche_domain::disbursement::{Replacement, Verdict};
use uuid::Uuid;

use super::scene::{Scene, burn, time};
use super::script::{Script, Seen, Step};

/// What a store answers.
pub type Answer<T = ()> = Result<T, StoreError>;

/// Why a store is down.
pub fn refused() -> StoreError {
    StoreError::Unavailable("the disk is full".into())
}

/// The store is down.
pub fn down<T>() -> Answer<T> {
    Err(refused())
}

/// Something is in the way.
pub fn conflict<T>(what: Conflict) -> Answer<T> {
    Err(StoreError::Conflict(what))
}

/// What the ledger answers to a sending that it takes.
pub fn hint() -> SubmitHint {
    SubmitHint {
        said: "PENDING".to_owned(),
        fee_asked: None,
    }
}

/// The verdict that the scene's burn happened.
pub fn burned() -> Verdict {
    Verdict::Burned {
        burn: burn(41, [7; 32]).id,
        ledger: 110,
    }
}

/// The ledger does not answer.
pub fn silent<T>() -> Result<T, LedgerError> {
    Err(LedgerError::Unavailable("no answer".to_owned()))
}

/// The script and the mocks that play it.
pub struct Stage {
    pub seen: Arc<Mutex<Seen>>,
    pub store: MockStore,
    pub queries: MockQueries,
    pub burner: MockLedgerBurner,
    pub channels: MockChannels,
    pub books: MockBooks,
    /// Whether the watch has nothing to say and is not looked at.
    pub watched: bool,
    pub order: Sequence,
    pub outbox: Arc<Notify>,
    /// How many units of work are open.
    works: Arc<AtomicUsize>,
}

impl Stage {
    /// An empty script: nothing may happen.
    pub fn new() -> Self {
        Self {
            seen: Arc::default(),
            store: MockStore::new(),
            queries: MockQueries::new(),
            burner: MockLedgerBurner::new(),
            channels: MockChannels::new(),
            books: MockBooks::new(),
            watched: true,
            order: Sequence::new(),
            outbox: Arc::default(),
            works: Arc::default(),
        }
    }

    /// Then a unit of work with these steps, dropped or committed at the end.
    pub fn work(&mut self, steps: impl IntoIterator<Item = Step>) {
        let begin = self
            .store
            .expect_begin()
            .times(1)
            .in_sequence(&mut self.order);
        let script = Script::new(self.seen.clone(), &mut self.order);
        let (mut work, works) = (script.play(steps), self.works.clone());
        let seen = self.seen.clone();
        begin.return_once(move || {
            seen.lock().unwrap().begun.push(Instant::now());
            let open = Open::now(works);
            // Never called: it holds `open` for as long as there is this unit of work.
            work.expect_record().never().returning(move |_| {
                let _ = &open;
                Ok(())
            });
            Ok(Box::new(work))
        });
    }

    /// Then no unit of work can begin.
    pub fn begin_refused(&mut self, why: StoreError) {
        let seen = self.seen.clone();
        self.store
            .expect_begin()
            .times(1)
            .in_sequence(&mut self.order)
            .return_once(move || {
                seen.lock().unwrap().begun.push(Instant::now());
                Err(why)
            });
    }

    /// The committed milestone and project may be read at any time.
    pub fn committed(&mut self, scene: &Scene) {
        let (milestone, project) = (scene.milestone.clone(), scene.project.clone());
        self.queries
            .expect_milestone()
            .returning(move |_| Ok(Some(milestone.clone())));
        self.queries
            .expect_project()
            .returning(move |_| Ok(Some(project.clone())));
    }

    /// Then the committed disbursement is read.
    pub fn read(&mut self, answer: Answer<Option<Disbursement>>) {
        self.queries
            .expect_disbursement()
            .times(1)
            .in_sequence(&mut self.order)
            .return_once(move |_| answer);
    }

    /// Then the ledger signs a burn that takes `sequence`, with no unit of work open.
    pub fn sign(&mut self, sequence: i64) {
        let (seen, works) = (self.seen.clone(), self.works.clone());
        self.burner
            .expect_prepare()
            .times(1)
            .in_sequence(&mut self.order)
            .return_once(move |order| {
                assert_eq!(works.load(Ordering::SeqCst), 0, "a unit of work is open");
                seen.lock().unwrap().orders.push(order.clone());
                Ok(burn(sequence, order.memo))
            });
    }

    /// Then the burn is sent, with no unit of work open.
    pub fn submit(&mut self, answer: Result<SubmitHint, LedgerError>) {
        let (seen, works) = (self.seen.clone(), self.works.clone());
        self.burner
            .expect_submit()
            .times(1)
            .in_sequence(&mut self.order)
            .return_once(move |burn| {
                assert_eq!(works.load(Ordering::SeqCst), 0, "a unit of work is open");
                let bytes = burn.newest_envelope().to_vec();
                seen.lock().unwrap().sent.push(bytes);
                answer
            });
    }

    /// Then a further envelope is asked for, with no unit of work open.
    pub fn outbid(&mut self, answer: Result<Option<Replacement>, LedgerError>) {
        let (seen, works) = (self.seen.clone(), self.works.clone());
        self.burner
            .expect_outbid()
            .times(1)
            .in_sequence(&mut self.order)
            .return_once(move |burn, fee_asked| {
                assert_eq!(works.load(Ordering::SeqCst), 0, "a unit of work is open");
                let asked = (burn.id.clone(), fee_asked);
                seen.lock().unwrap().outbid.push(asked);
                answer
            });
    }

    /// Then the ledger is looked at for burns, with no unit of work open.
    pub fn look(&mut self, answer: Result<BurnsSeen, LedgerError>) {
        let (seen, works) = (self.seen.clone(), self.works.clone());
        self.burner
            .expect_burns_since()
            .times(1)
            .in_sequence(&mut self.order)
            .return_once(move |from, wallets| {
                assert_eq!(works.load(Ordering::SeqCst), 0, "a unit of work is open");
                let looked = (from, wallets.to_vec());
                seen.lock().unwrap().looked.push(looked);
                answer
            });
    }

    /// Then the ledger is asked for its verdict, with no unit of work open.
    pub fn verdict(&mut self, answer: Result<Verdict, LedgerError>) {
        let works = self.works.clone();
        self.burner
            .expect_verdict()
            .times(1)
            .in_sequence(&mut self.order)
            .return_once(move |_| {
                assert_eq!(works.load(Ordering::SeqCst), 0, "a unit of work is open");
                answer
            });
    }

    /// The shared services: the clock stands at `time(0)`, ids count up, every salt is another.
    pub fn services(&mut self) -> Services {
        let mut clock = MockClock::new();
        clock.expect_now().returning(|| time(0));
        let mut entropy = MockEntropy::new();
        let (ids, salts) = (AtomicU64::new(1), AtomicU64::new(1));
        entropy
            .expect_id()
            .returning(move || Uuid::from_u128(u128::from(ids.fetch_add(1, Ordering::Relaxed))));
        entropy
            .expect_salt()
            .returning(move || u128::from(salts.fetch_add(1, Ordering::Relaxed)).to_le_bytes());
        entropy.expect_secret().returning(|| [0xAB; 32]);
        let mut monitor = MockMonitor::new();
        let seen = self.seen.clone();
        monitor
            .expect_report()
            .returning(move |incident| seen.lock().unwrap().incidents.push(incident));
        let seen = self.seen.clone();
        monitor
            .expect_fallback()
            .returning(move |fallback| seen.lock().unwrap().fallbacks.push(fallback));
        Services {
            store: Arc::new(std::mem::take(&mut self.store)),
            clock: Arc::new(clock),
            entropy: Arc::new(entropy),
            monitor: Arc::new(monitor),
            outbox: self.outbox.clone(),
        }
    }

    /// The commands on milestones, on this stage.
    pub fn milestones(&mut self) -> Milestones {
        let services = self.services();
        Milestones::new(services, Arc::new(std::mem::take(&mut self.queries)))
    }

    /// The disbursement protocol, on this stage.
    pub fn disbursements(&mut self) -> Disbursements {
        let services = self.services();
        let ledger = Arc::new(self.ledger());
        self.protocol(services, ledger)
    }

    /// The disbursement protocol over these services and this ledger.
    pub fn protocol(&mut self, services: Services, ledger: Arc<dyn LedgerBurner>) -> Disbursements {
        self.channels.expect_channels().returning(|_| Ok(vec![]));
        if self.watched {
            let watched = Watched { from: 1, to: 100 };
            let books = &mut self.books;
            books.expect_watched().returning(move |_| Ok(Some(watched)));
            books.expect_wallets().returning(|| Ok(vec![]));
            books.expect_differences().returning(|_, _| Ok(vec![]));
        }
        let reads = Reads {
            queries: Arc::new(std::mem::take(&mut self.queries)),
            channels: Arc::new(std::mem::take(&mut self.channels)),
            books: Arc::new(std::mem::take(&mut self.books)),
        };
        Disbursements::new(services, reads, ledger)
    }

    /// The scripted ledger, on the network `test`; while the watch is not looked at, it shows
    /// nothing new.
    pub fn ledger(&mut self) -> MockLedgerBurner {
        let mut ledger = std::mem::take(&mut self.burner);
        ledger.expect_network().return_const("test".to_owned());
        if self.watched {
            ledger.expect_burns_since().returning(|from, _| {
                Ok(BurnsSeen {
                    from: from.unwrap_or(1),
                    to: 100,
                    burns: vec![],
                })
            });
        }
        ledger
    }

    /// Whether the outbox's bell was rung since it was last asked.
    pub async fn rung(&self) -> bool {
        tokio::time::timeout(Duration::ZERO, self.outbox.notified())
            .await
            .is_ok()
    }

    /// The incidents that were reported.
    pub fn incidents(&self) -> Vec<Incident> {
        self.seen.lock().unwrap().incidents.clone()
    }
}

/// A unit of work that is open, until dropped.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn now(works: Arc<AtomicUsize>) -> Self {
        works.fetch_add(1, Ordering::SeqCst);
        Self(works)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
