//! The one task that writes. It takes all requests that wait, does them in one transaction, and
//! answers them when that is on the disk: requests share a flush, and nobody waits for company.

use std::collections::BTreeSet;
use std::sync::Arc;

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Error};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::Shared;
use crate::errors::{Failure, is_damage};
use crate::file;
use crate::frame::{Content, Draft};
use crate::place::Place;
use crate::shrinking::Shrinking;
use crate::state::{Amount, Frame, State};

/// The most bytes in one transaction, but for one push that has more.
const MOST_BYTES: usize = 8 << 20;
/// The most requests in one transaction.
const MOST_REQUESTS: usize = 1_000;

/// The answer, when what was asked is on the disk.
pub(crate) type Answer = oneshot::Sender<Result<(), Failure>>;

/// Room that is kept for events on their way; given back unless they arrive.
#[derive(Debug)]
pub(crate) struct Reservation {
    pub(crate) shared: Arc<Shared>,
    pub(crate) amount: Amount,
    /// As long as this waits, whoever pushed it may be gone.
    pub(crate) _turn: OwnedSemaphorePermit,
}

impl Reservation {
    /// The events arrived: what was kept for them is in use.
    fn settle(&mut self, state: &mut State) {
        state.release(std::mem::take(&mut self.amount));
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shared.state().release(self.amount);
    }
}

#[derive(Debug)]
pub(crate) enum Request {
    Push(Vec<Draft>, Reservation, Answer),
    Done(Vec<i64>, Answer),
    Close(oneshot::Sender<()>),
}

/// What one transaction does.
#[derive(Default)]
struct Batch {
    drafts: Vec<Draft>,
    pushers: Vec<(Reservation, Answer)>,
    done: BTreeSet<i64>,
    finishers: Vec<Answer>,
    close: Option<oneshot::Sender<()>>,
    bytes: usize,
}

impl Batch {
    fn add(&mut self, request: Request) {
        match request {
            Request::Push(drafts, reservation, answer) => {
                for draft in drafts {
                    self.bytes += draft.payload.len();
                    let rest = match self.drafts.last_mut() {
                        Some(last) => last.absorb(draft),
                        None => Err(draft),
                    };
                    self.drafts.extend(rest.err());
                }
                self.pushers.push((reservation, answer));
            }
            Request::Done(sequences, answer) => {
                self.done.extend(sequences);
                self.finishers.push(answer);
            }
            Request::Close(answer) => self.close = Some(answer),
        }
    }

    fn is_full(&self) -> bool {
        self.bytes >= MOST_BYTES
            || self.pushers.len() + self.finishers.len() >= MOST_REQUESTS
            || self.close.is_some()
    }
}

/// Tells everybody when the task ends, however it does.
struct Farewell(Arc<Shared>);

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.state().closed = true;
        self.0.news.notify_waiters();
    }
}

pub(crate) struct Committer {
    shared: Arc<Shared>,
    requests: mpsc::Receiver<Request>,
    /// `None` after a failed write, until the file could be opened again.
    connection: Option<SqliteConnection>,
    next: i64,
    place: Place,
    shrinking: Shrinking,
}

impl Committer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        requests: mpsc::Receiver<Request>,
        connection: SqliteConnection,
        last: i64,
        place: Place,
    ) -> Self {
        Self {
            shared,
            requests,
            connection: Some(connection),
            next: last + 1,
            place,
            shrinking: Shrinking::default(),
        }
    }

    /// Works until it is closed, or nobody is left to ask for anything.
    pub(crate) async fn run(mut self) {
        let _farewell = Farewell(Arc::clone(&self.shared));
        let mut close = None;
        while let Some(request) = self.requests.recv().await {
            let mut batch = Batch::default();
            batch.add(request);
            while !batch.is_full()
                && let Ok(request) = self.requests.try_recv()
            {
                batch.add(request);
            }
            close = batch.close.take();
            self.commit(batch).await;
            if close.is_some() {
                break;
            }
        }
        // Whoever asks from now on is told that it is closed.
        self.requests.close();
        self.shared.readers.close().await;
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(file = %self.place.file.display(), %error, "the queue was not closed cleanly");
        }
        drop(self.place);
        if let Some(close) = close {
            let _ = close.send(());
        }
    }

    async fn commit(&mut self, batch: Batch) {
        let Batch {
            drafts,
            mut pushers,
            done,
            finishers,
            ..
        } = batch;
        let done: Vec<i64> = done.into_iter().collect();
        let mut frames = Vec::new();
        let mut writes = Vec::new();
        for draft in drafts {
            let frame = file::frame(self.next, &draft);
            self.next += 1;
            writes.push((frame, draft.payload));
            frames.push((frame, draft.events));
        }
        let pushed = self.write(&done, writes).await;
        // Where there is no room for more, there may be room for less.
        let finished = match &pushed {
            Err(_) if !frames.is_empty() && !done.is_empty() => self.write(&done, Vec::new()).await,
            same => *same,
        };
        {
            let mut state = self.shared.state();
            if finished.is_ok() {
                for sequence in done {
                    state.removed(sequence);
                }
            }
            if pushed.is_ok() {
                for (reservation, _) in &mut pushers {
                    reservation.settle(&mut state);
                }
                for (frame, events) in frames {
                    let unreadable = Vec::new();
                    state.stored(frame, Content { events, unreadable });
                }
            }
        }
        if pushed.is_ok() {
            self.shared.news.notify_waiters();
        }
        for (reservation, answer) in pushers {
            drop(reservation);
            let _ = answer.send(pushed);
        }
        for answer in finishers {
            let _ = answer.send(finished);
        }
        self.shrink_when_empty().await;
    }

    /// One transaction. After an error nobody knows what the file holds: the connection goes, and
    /// the next one is asked.
    async fn write(&mut self, done: &[i64], frames: Vec<(Frame, Vec<u8>)>) -> Result<(), Failure> {
        if done.is_empty() && frames.is_empty() {
            return Ok(());
        }
        let written = match self.connect().await {
            Ok(connection) => transact(connection, done, frames).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &written {
            tracing::error!(file = %self.place.file.display(), %error, "the queue cannot be written");
            self.disconnect().await;
        }
        written.map_err(|_| Failure::NotWritten)
    }

    async fn disconnect(&mut self) {
        if let Some(connection) = self.connection.take() {
            // It failed before; whatever it says now changes nothing.
            let _ = connection.close().await;
        }
    }

    async fn connect(&mut self) -> Result<&mut SqliteConnection, Error> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.reconnect().await?,
        };
        Ok(self.connection.insert(connection))
    }

    async fn reconnect(&mut self) -> Result<SqliteConnection, Error> {
        let opened = file::open(&self.place.file).await?;
        let mut connection = opened.ok_or_else(|| Error::Protocol("it is no queue".to_owned()))?;
        let census = file::census(&mut connection).await?;
        let to = self.shared.state().known();
        let sequences = file::sequences(&mut connection, to).await?;
        self.shared.state().recount(census, &sequences);
        self.next = self.next.max(census.last + 1);
        self.shrinking = Shrinking::default();
        self.shared.news.notify_waiters();
        Ok(connection)
    }

    async fn shrink_when_empty(&mut self) {
        if self.requests.is_empty()
            && self.shared.state().is_empty()
            && let Some(connection) = &mut self.connection
            && let Err(error) = self.shrinking.shrink(connection).await
        {
            tracing::warn!(file = %self.place.file.display(), %error, "the queue's file did not shrink");
        }
    }
}

async fn transact(
    connection: &mut SqliteConnection,
    done: &[i64],
    frames: Vec<(Frame, Vec<u8>)>,
) -> Result<(), Error> {
    let mut transaction = connection.begin_with(BEGIN).await?;
    if let Err(error) = file::delete(&mut transaction, done).await {
        if !is_damage(&error) {
            return Err(error);
        }
        transaction.rollback().await?;
        delete_apart(connection, done).await?;
        transaction = connection.begin_with(BEGIN).await?;
    }
    for (frame, payload) in frames {
        file::insert(&mut transaction, frame, payload).await?;
    }
    transaction.commit().await
}

/// Deletes each by itself: one whose pages are damaged cannot be deleted, and nothing can in its
/// transaction. It stays, in nobody's way, and comes again when the file is opened again.
async fn delete_apart(connection: &mut SqliteConnection, done: &[i64]) -> Result<(), Error> {
    for sequence in done {
        let mut transaction = connection.begin_with(BEGIN).await?;
        match file::delete(&mut transaction, &[*sequence]).await {
            Ok(()) => transaction.commit().await?,
            Err(error) => {
                if !is_damage(&error) {
                    return Err(error);
                }
                transaction.rollback().await?;
                tracing::error!(sequence, %error, "a damaged part of the queue's file stays in it");
            }
        }
    }
    Ok(())
}

const BEGIN: &str = "BEGIN IMMEDIATE";
