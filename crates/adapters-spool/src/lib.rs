//! The embedded audit queue: one SQLite file, one process, no server.
//!
//! # What it promises
//! - What [`push`](AuditQueue::push) counted is on the disk, flushed. A `kill -9`, a power cut and a
//!   torn last write lose none of it, and nothing comes in half.
//! - What [`done`](AuditQueue::done) was said of does not come back, not even after a crash.
//! - What was taken and not done is given again: at once after a crash of the process, and after
//!   [`Settings::hold`] when a worker says nothing.
//! - It never holds more than its [`Limits`], however many push at once, and its memory does not
//!   grow with what it holds.
//! - Damage is noticed by checksums, costs the events that it touches, and blocks nobody.
//! - A full disk is an error of the push, never half of it. Once there is room the queue works again
//!   without anybody's help. Until then even `done` may fail, and what it named comes again later.
//! - One process has the file. A second one is told so.
//!
//! # In which order things happen
//! 1. A push reserves room, then writes its events as JSON lines, once ([`frame`]).
//! 2. The committer takes all requests that wait, packs small pushes into common frames, and writes
//!    frames and deletions in one transaction: one flush for all ([`committer`]).
//! 3. Only then are they counted, given to takers, and answered ([`state`]).
//! 4. A take gets the oldest frames that nobody holds: their events from memory where they are
//!    fresh, else from the file, read and checked in the taker's task.
//!
//! # What it costs
//! A push costs one flush, shared with all that come meanwhile. Each event is written twice, into
//! the log (WAL) and later into the database, less what is done before. On the disk it takes its
//! JSON, ten bytes, and its part of the pages' overhead: up to twice as much when events are pushed
//! one by one. The file has a log beside it of about 16 MiB. Space that comes free is used again, and
//! the file becomes small when it is empty.
//!
//! Memory: [`Settings::memory`] bytes of fresh events, at most 64 pushes in flight, a few hundred
//! bytes for each frame that is held.

mod committer;
mod errors;
mod file;
mod frame;
mod peek;
mod place;
mod shrinking;
mod state;

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, SubsecRound, Utc};
use sqlx::SqlitePool;
use sqlx::sqlite::SqlitePoolOptions;
use tokio::sync::{Mutex as Turn, Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use tranche_application::audit::record::EventRecord;
use tranche_application::ports::queue::{AuditQueue, Depth, QueueError, Receipt, Taken};

use committer::{Answer, Committer, Request, Reservation};
use errors::{Failure, not_read};
use frame::Lines;
use place::Place;
use state::{Amount, Claim, State};

pub use errors::OpenError;
pub use peek::{Entry, Peek};
pub use state::Limits;

/// How many pushes are written and wait for the disk at once. The others wait before that.
const MOST_PUSHES: usize = 64;
/// How many requests wait for the committer.
const MOST_REQUESTS: usize = 1_024;
/// How many frames are looked up in the file at once.
const LOOK_UP: u32 = 256;
/// How many connections read.
const READERS: u32 = 2;

/// How a queue behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How much it may hold.
    pub limits: Limits,
    /// How many bytes of fresh events stay in memory, so that they are not read back.
    pub memory: u64,
    /// How long a worker may hold what it took. Later it counts as dead, and others get it.
    pub hold: Duration,
}

impl Default for Settings {
    /// No limits, 16 MiB of memory, five minutes.
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            memory: 16 << 20,
            hold: Duration::from_mins(5),
        }
    }
}

/// What callers, takers and the committer share.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Something came, was given back, or ended.
    news: Notify,
    readers: SqlitePool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The queue. Dropping it lets the file go once the last write has ended;
/// [`close`](SpoolQueue::close) waits for that.
#[derive(Debug)]
pub struct SpoolQueue {
    shared: Arc<Shared>,
    requests: mpsc::Sender<Request>,
    pushes: Arc<Semaphore>,
    /// One taker at a time looks for more in the file.
    looking: Turn<()>,
    hold: Duration,
}

impl SpoolQueue {
    /// Opens the queue in this file, makes folder and file where they are missing (for their
    /// owner's eyes only), and counts what is there. The file is this queue's alone.
    ///
    /// # Errors
    /// [`OpenError`], which names the file.
    pub async fn open(file: impl Into<PathBuf>, settings: Settings) -> Result<Self, OpenError> {
        let place = Place::take(file.into())?;
        let file = place.file.clone();
        let unusable = |source: sqlx::Error| unusable(&file, source);
        let connection = file::open(&file).await.map_err(unusable)?;
        let mut connection = connection.ok_or_else(|| OpenError::Foreign { file: file.clone() })?;
        let census = file::census(&mut connection).await.map_err(unusable)?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_lazy_with(file::reading(&file));
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(settings.limits, settings.memory, census)),
            news: Notify::new(),
            readers,
        });
        let (requests, receiver) = mpsc::channel(MOST_REQUESTS);
        let committer = Committer::new(
            Arc::clone(&shared),
            receiver,
            connection,
            census.last,
            place,
        );
        tokio::spawn(committer.run());
        Ok(Self {
            shared,
            requests,
            pushes: Arc::new(Semaphore::new(MOST_PUSHES)),
            looking: Turn::new(()),
            hold: settings.hold,
        })
    }

    /// Ends it when all that was asked before is answered. Whoever asks later gets an error, and the
    /// file may be opened again. Twice is once.
    pub async fn close(&self) {
        let (answer, closed) = oneshot::channel();
        if self.requests.send(Request::Close(answer)).await.is_ok() {
            let _ = closed.await;
        }
    }

    async fn ask(&self, request: impl FnOnce(Answer) -> Request) -> Result<(), QueueError> {
        let (answer, answered) = oneshot::channel();
        let sent = self.requests.send(request(answer)).await;
        sent.map_err(|_| Failure::Closed)?;
        // Without an answer the committer is gone.
        Ok(answered.await.unwrap_or(Err(Failure::Closed))?)
    }

    /// Keeps room for the first of so many events.
    fn reserve(&self, events: usize, turn: OwnedSemaphorePermit) -> (Reservation, usize) {
        let mut state = self.shared.state();
        let room = state.room();
        let events = if room.bytes == 0 { 0 } else { events };
        let events = usize::try_from(room.events).map_or(events, |room| room.min(events));
        let amount = Amount {
            events: events as u64,
            bytes: 0,
        };
        state.reserve(amount);
        let shared = Arc::clone(&self.shared);
        let reservation = Reservation {
            shared,
            amount,
            _turn: turn,
        };
        (reservation, events)
    }

    /// Keeps what those of them need that there is room for.
    fn fit(&self, lines: &Lines, reservation: &mut Reservation) -> usize {
        let mut state = self.shared.state();
        let (fit, bytes) = lines.within(state.room().bytes);
        let events = fit as u64;
        state.release(reservation.amount);
        reservation.amount = Amount { events, bytes };
        state.reserve(reservation.amount);
        fit
    }

    /// What nobody holds, or when to look again at the latest.
    async fn try_take(&self, limit: usize) -> Result<Result<Taken, Option<Instant>>, QueueError> {
        loop {
            let (claims, next, behind) = {
                let mut state = self.shared.state();
                if state.closed {
                    return Err(Failure::Closed.into());
                }
                let now = Instant::now();
                let next = state.bury(now);
                let claims = state.claim(limit, now, self.hold);
                (claims, next, state.behind())
            };
            if !claims.is_empty() {
                return self.read(claims).await.map(Ok);
            }
            if behind.is_none() {
                return Ok(Err(next));
            }
            self.look_up().await?;
        }
    }

    /// Learns the headers of the next frames that are on the disk only.
    async fn look_up(&self) -> Result<(), QueueError> {
        let _turn = self.looking.lock().await;
        let behind = self.shared.state().behind();
        if let Some((after, to)) = behind {
            let frames = file::after(&self.shared.readers, after, LOOK_UP).await;
            let frames = frames.map_err(not_read)?;
            self.shared.state().found((after, to), frames);
        }
        Ok(())
    }

    /// Reads what is not in memory. Dropped or failed, it gives everything back.
    async fn read(&self, claims: Vec<Claim>) -> Result<Taken, QueueError> {
        let mut holding = Holding {
            shared: &self.shared,
            frames: claims
                .iter()
                .map(|claim| (claim.sequence, claim.holding))
                .collect(),
        };
        let (mut events, mut unreadable) = (Vec::new(), Vec::new());
        for claim in claims {
            let content = match claim.content {
                Some(content) => content,
                None => file::content(&self.shared.readers, claim.sequence, claim.events)
                    .await
                    .map_err(not_read)?,
            };
            events.extend(content.events);
            unreadable.extend(content.unreadable);
        }
        let frames = std::mem::take(&mut holding.frames);
        let named = frames
            .into_iter()
            .map(|(sequence, holding)| name(sequence, holding));
        Ok(Taken {
            receipt: Receipt(named.collect()),
            events,
            unreadable,
        })
    }
}

/// Frames that go back when nobody gets them.
struct Holding<'a> {
    shared: &'a Shared,
    frames: Vec<(i64, u64)>,
}

impl Drop for Holding<'_> {
    fn drop(&mut self) {
        if self.frames.is_empty() {
            return;
        }
        let mut state = self.shared.state();
        for (sequence, holding) in self.frames.drain(..) {
            state.give_back(sequence, holding);
        }
        drop(state);
        self.shared.news.notify_waiters();
    }
}

/// A holding of a frame, as a receipt has it.
fn name(sequence: i64, holding: u64) -> String {
    format!("{sequence}.{holding}")
}

/// What a receipt names. What is no name of ours names nothing.
fn named(receipt: &Receipt) -> Vec<(i64, u64)> {
    let parse = |name: &String| {
        let (sequence, holding) = name.split_once('.')?;
        Some((sequence.parse().ok()?, holding.parse().ok()?))
    };
    receipt.0.iter().filter_map(parse).collect()
}

fn unusable(file: &Path, source: sqlx::Error) -> OpenError {
    OpenError::Unusable {
        file: file.to_owned(),
        source: Box::new(source),
    }
}

#[async_trait]
impl AuditQueue for SpoolQueue {
    async fn push(
        &self,
        events: &[Arc<EventRecord>],
        at: DateTime<Utc>,
    ) -> Result<usize, QueueError> {
        let turn = Arc::clone(&self.pushes).acquire_owned().await;
        let turn = turn.map_err(|_| Failure::Closed)?;
        let (mut reservation, room) = self.reserve(events.len(), turn);
        let first = events.get(..room).unwrap_or_default();
        let lines = Lines::of(first).map_err(|error| QueueError(Box::new(error)))?;
        let fit = self.fit(&lines, &mut reservation);
        if fit == 0 {
            return Ok(0);
        }
        let first = first.get(..fit).unwrap_or_default();
        // The file has microseconds.
        let drafts = lines.into_drafts(first, at.trunc_subsecs(6));
        self.ask(|answer| Request::Push(drafts, reservation, answer))
            .await?;
        Ok(fit)
    }

    async fn take(&self, limit: usize, wait: Duration) -> Result<Option<Taken>, QueueError> {
        let begun = Instant::now();
        let end = begun.checked_add(wait);
        loop {
            let mut news = pin!(self.shared.news.notified());
            news.as_mut().enable();
            let next = match self.try_take(limit).await? {
                Ok(taken) => return Ok(Some(taken)),
                Err(next) => next,
            };
            if end.is_some_and(|end| end <= Instant::now()) {
                return Ok(None);
            }
            match [end, next].into_iter().flatten().min() {
                // Whether something came or the time is over, the next round sees it.
                Some(until) => drop(timeout_at(until, news).await),
                None => news.await,
            }
        }
    }

    async fn done(&self, receipt: &Receipt) -> Result<(), QueueError> {
        let frames = named(receipt).into_iter().map(|(sequence, _)| sequence);
        let known: Vec<i64> = {
            let state = self.shared.state();
            frames.filter(|sequence| state.knows(*sequence)).collect()
        };
        if known.is_empty() {
            return Ok(());
        }
        self.ask(|answer| Request::Done(known, answer)).await
    }

    async fn give_back(&self, receipt: &Receipt) -> Result<(), QueueError> {
        let frames = named(receipt);
        drop(Holding {
            shared: &self.shared,
            frames,
        });
        Ok(())
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        let (mut depth, behind) = {
            let state = self.shared.state();
            if state.closed {
                return Err(Failure::Closed.into());
            }
            (state.depth(), state.behind())
        };
        if let (None, Some((after, _))) = (depth.oldest, behind) {
            let first = file::after(&self.shared.readers, after, 1).await;
            let first = first.map_err(not_read)?;
            depth.oldest = first.first().map(|frame| frame.pushed_at);
        }
        Ok(depth)
    }
}
