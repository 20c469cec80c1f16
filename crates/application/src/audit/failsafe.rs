//! Where events go that stand alone and that nothing may wait for (F2).
//!
//! ```text
//! record ─► ring in memory ─► queue            (room, and it answers)
//!                │         └► disk spool        (else)
//!                └ full: the oldest is lost, and its content told
//! ```
//!
//! An event is lost only when memory, queue and spool are all full or gone at once. An event in the
//! ring is lost with the process; the ring is empty but for the moment that a push takes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::pipeline::Pipeline;
use super::record::EventRecord;
use super::ring::Ring;
use crate::ports::monitor::{Fallback, Fate};
use crate::ports::queue::{AuditQueue, QueueError};
use crate::services::with_causes;

/// How many events the ring holds unless configured otherwise.
pub const RING: usize = 1_000;
/// How many events are pushed at a time.
const BATCH: usize = 100;
/// The longest that a push may take.
const LONGEST_PUSH: Duration = Duration::from_secs(2);

/// Takes events of Tranche's own whose operation must neither fail nor wait because of the log.
/// Clones share one ring.
#[derive(Clone)]
pub struct Failsafe {
    shared: Arc<Shared>,
}

struct Shared {
    pipeline: Pipeline,
    ring: Mutex<Ring>,
    bell: Notify,
    evicted: AtomicU64,
}

impl Shared {
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says how many events wait here.
    fn count(&self) {
        let held = self.ring().len();
        self.pipeline.meters.holds(held as u64);
    }

    fn tell(&self, fate: Fate, events: Vec<Arc<EventRecord>>, error: String) {
        if !events.is_empty() {
            self.pipeline.services.monitor.fallback(Fallback {
                fate,
                events,
                error,
            });
        }
    }

    fn lose(&self, events: Vec<Arc<EventRecord>>, why: &str) {
        self.pipeline.meters.dropped(events.len() as u64);
        self.tell(Fate::Lost, events, why.to_owned());
    }
}

/// Events that are being placed. Dropped, as by a panic, they are the ring's again.
struct Flight<'a> {
    shared: &'a Shared,
    events: Vec<Arc<EventRecord>>,
    placed: usize,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.shared.ring().landed(self.placed);
    }
}

impl Failsafe {
    /// A failsafe with a ring for `capacity` events.
    #[must_use]
    pub fn new(pipeline: Pipeline, capacity: usize) -> Self {
        Self {
            shared: Arc::new(Shared {
                pipeline,
                ring: Mutex::new(Ring::new(capacity)),
                bell: Notify::new(),
                evicted: AtomicU64::new(0),
            }),
        }
    }

    /// Takes an event. Never waits and never fails.
    pub fn record(&self, event: EventRecord) {
        let out = self.shared.ring().push(Arc::new(event));
        self.shared.count();
        if let Some(event) = out {
            self.shared.evicted.fetch_add(1, Ordering::Relaxed);
            self.shared
                .lose(vec![event], "memory, queue and spool are full or gone");
        }
        self.shared.bell.notify_one();
    }

    /// How many events wait in memory.
    #[must_use]
    pub fn held(&self) -> usize {
        self.shared.ring().len()
    }

    /// How many events had to make room for newer ones, or came after the end.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.shared.evicted.load(Ordering::Relaxed)
    }

    /// Moves events to the disk until cancelled; then until none is left or `drain` is over. What is
    /// left then is lost, and so is what comes later: cancel it when nobody records any more.
    pub async fn run(self, stop: CancellationToken, drain: Duration) {
        let over = async {
            stop.cancelled().await;
            sleep(drain).await;
        };
        tokio::select! {
            () = self.work(&stop) => {}
            () = over => {}
        }
        let left = self.shared.ring().close();
        self.shared.count();
        self.shared.lose(
            left,
            "the process ends, and queue and spool are full or gone",
        );
    }

    async fn work(&self, stop: &CancellationToken) {
        let (mut queue, mut backoff) = (Way::default(), Backoff::default());
        loop {
            self.shared.count();
            let events = self.shared.ring().begin(BATCH);
            if events.is_empty() {
                if stop.is_cancelled() {
                    return;
                }
                let _ = stop.run_until_cancelled(self.shared.bell.notified()).await;
                continue;
            }
            let mut flight = Flight {
                shared: &self.shared,
                events,
                placed: 0,
            };
            self.place(&mut flight, &mut queue).await;
            if flight.placed == flight.events.len() {
                backoff.succeeded();
                continue;
            }
            drop(flight);
            let pause = backoff.failed();
            if stop.is_cancelled() {
                sleep(pause).await;
            } else {
                let _ = timeout(pause, stop.cancelled()).await;
            }
        }
    }

    /// Puts the events where there is room, the first ones first.
    async fn place(&self, flight: &mut Flight<'_>, queue: &mut Way) {
        let pipeline = &self.shared.pipeline;
        let mut why = match self
            .push(pipeline.queue.as_ref(), &flight.events, queue)
            .await
        {
            Ok(pushed) => {
                flight.placed = pushed;
                "the queue is full".to_owned()
            }
            Err(error) => error,
        };
        let rest = flight.events.get(flight.placed..).unwrap_or_default();
        if rest.is_empty() {
            return;
        }
        match self
            .push(pipeline.spool.as_ref(), rest, &mut Way::default())
            .await
        {
            Ok(0) => why.push_str("; the spool is full"),
            Ok(pushed) => {
                let spooled = rest.iter().take(pushed).cloned().collect();
                pipeline.meters.spooled(pushed as u64);
                self.shared.tell(Fate::Spooled, spooled, why.clone());
                why.push_str("; the spool is full");
                flight.placed += pushed;
            }
            Err(error) => {
                why.push_str("; spool: ");
                why.push_str(&error);
            }
        }
        let held = self.shared.ring().untold(flight.placed);
        self.shared.tell(Fate::Held, held, why);
    }

    /// Pushes the events, unless it is too early after the last failure; says how many went in.
    async fn push(
        &self,
        to: &dyn AuditQueue,
        events: &[Arc<EventRecord>],
        way: &mut Way,
    ) -> Result<usize, String> {
        if let Some(error) = way.shut() {
            return Err(error.to_owned());
        }
        let now = self.shared.pipeline.services.clock.now();
        let pushed = timeout(LONGEST_PUSH, to.push(events, now)).await;
        match pushed.unwrap_or_else(|_| Err(QueueError::timeout())) {
            Ok(pushed) => {
                *way = Way::default();
                Ok(pushed)
            }
            Err(error) => Err(way.failed(with_causes(&error))),
        }
    }
}

/// A way that is not tried for a while after it failed: each try may take its whole time.
#[derive(Default)]
struct Way {
    backoff: Backoff,
    failure: Option<(Instant, String)>,
}

impl Way {
    fn shut(&self) -> Option<&str> {
        let (until, error) = self.failure.as_ref()?;
        (Instant::now() < *until).then_some(error)
    }

    fn failed(&mut self, error: String) -> String {
        let until = Instant::now() + self.backoff.failed();
        self.failure = Some((until, error.clone()));
        error
    }
}
