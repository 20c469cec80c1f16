//! One subscriber's way through the log.

use std::sync::Arc;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::{Follower, HELD_BYTES, PAGE, Part, weight};
use crate::audit::backoff::Backoff;
use crate::audit::filter::EventFilter;
use crate::audit::record::LoggedEvent;
use crate::ports::audit_search::{InOrder, Scope};

/// The next stretch of the log.
#[derive(Debug)]
pub struct Stretch {
    /// What the filter let through, by leaf index.
    pub events: Vec<Arc<LoggedEvent>>,
    /// The first leaf index that was not looked at.
    pub next: i64,
}

/// Gives every event that its filter and scope let through once, in the order of the log.
pub struct Subscription {
    follower: Follower,
    filter: EventFilter,
    scope: Scope,
    position: i64,
    parts: Receiver<Arc<Part>>,
    /// There is, or may be, something between its position and what is broadcast.
    is_behind: bool,
    /// How many leaves its next page looks at: fewer where events are large.
    leaves: u32,
    backoff: Backoff,
    lagged: u64,
}

impl Subscription {
    pub(super) fn new(follower: Follower, from: i64, filter: EventFilter, scope: Scope) -> Self {
        Self {
            parts: follower.parts.subscribe(),
            follower,
            filter,
            scope,
            position: from,
            is_behind: true,
            leaves: PAGE,
            backoff: Backoff::default(),
            lagged: 0,
        }
    }

    /// The first leaf index that was not given yet.
    #[must_use]
    pub const fn position(&self) -> i64 {
        self.position
    }

    /// How often the broadcast was too fast for it.
    #[must_use]
    pub const fn lagged(&self) -> u64 {
        self.lagged
    }

    /// The next stretch, when there is one; it may hold no event. While the store is away it waits.
    /// Dropped while it waits, nothing is lost.
    pub async fn next(&mut self) -> Stretch {
        loop {
            let stretch = if self.is_behind {
                self.catch_up().await
            } else {
                self.join().await
            };
            if let Some(stretch) = stretch {
                self.position = stretch.next;
                return stretch;
            }
        }
    }

    /// A page from the log itself, until there is no more.
    async fn catch_up(&mut self) -> Option<Stretch> {
        let page = {
            // Never closed.
            let _turn = self.follower.reads.acquire().await.ok();
            self.follower
                .read(self.position, &self.filter, self.scope, self.leaves)
                .await
        };
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                self.follower.failed(&mut self.backoff, &error).await;
                return None;
            }
        };
        self.backoff.succeeded();
        if page.next <= self.position {
            self.is_behind = false;
            return None;
        }
        Some(self.held(page))
    }

    /// What of a page it holds while its reader takes it: the rest is read again later.
    fn held(&mut self, page: InOrder) -> Stretch {
        let mut next = page.next;
        let (mut events, mut bytes) = (Vec::new(), 0);
        for event in page.events {
            bytes += weight::of(&event);
            if bytes > HELD_BYTES && !events.is_empty() {
                next = event.leaf_index.unwrap_or(next);
                break;
            }
            events.push(Arc::new(event));
        }
        let looked = u32::try_from(next - self.position).unwrap_or(PAGE);
        self.leaves = looked.saturating_mul(2).clamp(1, PAGE);
        Stretch { events, next }
    }

    /// The next part that is broadcast, if it goes on where this stands.
    async fn join(&mut self) -> Option<Stretch> {
        match self.parts.recv().await {
            Ok(part) if part.from > self.position => {
                self.is_behind = true;
                None
            }
            Ok(part) if part.next <= self.position => None,
            Ok(part) => Some(Stretch {
                events: part
                    .events
                    .iter()
                    .filter(|event| self.wants(event))
                    .cloned()
                    .collect(),
                next: part.next,
            }),
            Err(RecvError::Lagged(_)) => {
                self.lagged += 1;
                self.is_behind = true;
                None
            }
            // Its own follower holds the other end.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }

    fn wants(&self, event: &LoggedEvent) -> bool {
        let is_new = event.leaf_index.is_some_and(|index| index >= self.position);
        let in_scope = match self.scope {
            Scope::All => true,
            Scope::Project(id) => event.event.project_id == Some(id.0),
        };
        is_new && in_scope && self.filter.matches(&event.event)
    }
}
