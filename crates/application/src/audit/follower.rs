//! Follows the log by leaf index, once for a process, and hands events to whoever subscribed.
//!
//! ```text
//! word of growth, or a short poll ─► page of the log ─► broadcast ─► subscriptions, each by its filter
//!                                         ▲                             │ behind: pages of its own
//!                                         └─────────────────────────────┘
//! ```
//!
//! What is broadcast says from where to where in the log it reaches. A subscription that finds a gap
//! before it, because it resumes, was too slow, or the follower began anew, reads the gap from the log:
//! nothing is skipped and nothing comes twice, whatever was lost on the way.

mod subscription;
mod weight;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::{Notify, Semaphore, broadcast};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

pub use subscription::{Stretch, Subscription};

use super::backoff::Backoff;
use super::bounded::bounded;
use super::filter::EventFilter;
use super::record::LoggedEvent;
use crate::ports::audit_search::{AuditSearch, InOrder, Scope};
use crate::ports::growth::{GrowthHints, LogGrowth};
use crate::ports::store::StoreError;
use crate::services::Services;

/// How many leaves are looked at in one read.
const PAGE: u32 = 256;
/// How many events travel together at most.
const TOGETHER: usize = 32;
/// How many bytes travel together, or one event that takes more.
const TOGETHER_BYTES: usize = 64 * 1024;
/// How much of the broadcast is kept for subscribers: so many times what travels together.
const KEPT: usize = 128;
/// How many bytes of a page of its own a subscriber holds, or one event that takes more.
const HELD_BYTES: usize = 256 * 1024;
/// How many subscribers of a process read pages of their own at once.
const READS: usize = 4;
/// How often the log is looked at while word of its growth comes.
const CALM_POLL: Duration = Duration::from_secs(1);
/// How often while no word comes.
const POLL: Duration = Duration::from_millis(50);
/// How often word is asked for again.
const LISTEN_AGAIN: Duration = Duration::from_secs(2);
/// The longest that one read, or beginning to listen, may take.
const LONGEST_READ: Duration = Duration::from_secs(12);

/// A part of the log that was read: every event in `from..next`.
#[derive(Debug)]
struct Part {
    from: i64,
    next: i64,
    events: Vec<Arc<LoggedEvent>>,
}

/// Follows the log; cheap to clone.
#[derive(Clone)]
pub struct Follower {
    services: Services,
    search: Arc<dyn AuditSearch>,
    growth: Arc<dyn LogGrowth>,
    parts: broadcast::Sender<Arc<Part>>,
    wanted: Arc<Notify>,
    reads: Arc<Semaphore>,
}

impl Follower {
    /// A follower of this log. Nothing comes before it runs.
    #[must_use]
    pub fn new(
        services: Services,
        search: Arc<dyn AuditSearch>,
        growth: Arc<dyn LogGrowth>,
    ) -> Self {
        Self {
            services,
            search,
            growth,
            parts: broadcast::channel(KEPT).0,
            wanted: Arc::default(),
            reads: Arc::new(Semaphore::new(READS)),
        }
    }

    /// The leaf index that the next event gets.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end(&self) -> Result<i64, StoreError> {
        let search = self.search.clone();
        bounded(LONGEST_READ, async move { search.end().await }).await
    }

    /// Subscribes to what the filter lets through, from this leaf index on.
    #[must_use]
    pub fn subscribe(&self, from: i64, filter: EventFilter, scope: Scope) -> Subscription {
        let subscription = Subscription::new(self.clone(), from, filter, scope);
        self.wanted.notify_one();
        subscription
    }

    /// Follows until cancelled. While nobody is subscribed it reads nothing.
    pub async fn run(self, stop: CancellationToken) {
        let follow = async {
            loop {
                if self.parts.receiver_count() == 0 {
                    self.wanted.notified().await;
                } else {
                    self.follow().await;
                }
            }
        };
        stop.run_until_cancelled(follow).await;
    }

    /// Follows from the end of the log until nobody is subscribed.
    async fn follow(&self) {
        let mut backoff = Backoff::default();
        let mut position = loop {
            match self.end().await {
                Ok(end) => break end,
                Err(error) => self.failed(&mut backoff, &error).await,
            }
        };
        // Whoever subscribed before this knows from it how far to read.
        self.publish(position, position, Vec::new());
        let mut word = Word::default();
        while self.parts.receiver_count() > 0 {
            let everything = EventFilter::default();
            match self.read(position, &everything, Scope::All, PAGE).await {
                Ok(page) => {
                    backoff.succeeded();
                    let (from, next) = (position, page.next);
                    position = self.spread(position, page);
                    if next - from < i64::from(PAGE) {
                        word.wait(self.growth.as_ref()).await;
                    }
                }
                Err(error) => self.failed(&mut backoff, &error).await,
            }
        }
    }

    /// Hands a page on, in parts; gives where the next one begins.
    fn spread(&self, from: i64, page: InOrder) -> i64 {
        let mut from = from;
        let mut events = page.events.into_iter().map(Arc::new).peekable();
        while events.peek().is_some() {
            let mut together = Vec::new();
            let mut bytes = 0;
            while together.len() < TOGETHER
                && let Some(event) = events.next_if(|event| {
                    bytes += weight::of(event);
                    together.is_empty() || bytes <= TOGETHER_BYTES
                })
            {
                together.push(event);
            }
            let last = together.last().and_then(|event| event.leaf_index);
            let next = match events.peek() {
                Some(_) => last.map_or(page.next, |index| index + 1),
                None => page.next,
            };
            self.publish(from, next, together);
            from = next;
        }
        if from < page.next {
            self.publish(from, page.next, Vec::new());
        }
        page.next.max(from)
    }

    fn publish(&self, from: i64, next: i64, events: Vec<Arc<LoggedEvent>>) {
        // Nobody to take it is no error: then nobody misses it.
        let _ = self.parts.send(Arc::new(Part { from, next, events }));
    }

    /// A page of the log.
    async fn read(
        &self,
        from: i64,
        filter: &EventFilter,
        scope: Scope,
        leaves: u32,
    ) -> Result<InOrder, StoreError> {
        let (search, filter) = (self.search.clone(), filter.clone());
        let read = async move { search.in_order(from, &filter, scope, leaves).await };
        bounded(LONGEST_READ, read).await
    }

    async fn failed(&self, backoff: &mut Backoff, error: &StoreError) {
        if backoff.tells() {
            let context = json!({ "retrying": true });
            self.services
                .report_store("audit.follow", false, error, context);
        }
        sleep(backoff.failed()).await;
    }
}

/// Word of the log's growth, as far as it can be had.
#[derive(Default)]
struct Word {
    hints: Option<Box<dyn GrowthHints>>,
    asked: Option<Instant>,
}

impl Word {
    /// Waits until the log may have grown, but not for long.
    async fn wait(&mut self, growth: &dyn LogGrowth) {
        if let Some(hints) = &mut self.hints {
            if let Ok(Err(_)) = timeout(CALM_POLL, hints.next()).await {
                self.hints = None;
            }
            return;
        }
        if self
            .asked
            .is_none_or(|asked| asked.elapsed() >= LISTEN_AGAIN)
        {
            self.asked = Some(Instant::now());
            let listening = timeout(LISTEN_AGAIN, growth.listen()).await;
            self.hints = listening.ok().and_then(Result::ok);
            // What came while nobody listened is found by looking at once.
            return;
        }
        sleep(POLL).await;
    }
}
