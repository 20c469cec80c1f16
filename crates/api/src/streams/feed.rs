//! Feeds one stream from the log, with a bounded buffer between the two.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::Stream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tranche_application::audit::follower::Subscription;

use super::frame::{self, End};
use super::{Seat, Streams};
use crate::listening::Peer;

/// How many bytes wait for a reader at most.
const BUFFER: usize = 256 * 1024;
/// How often a stream says that it lives. Longer than any read of the log takes.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How often it is asked whether the credential is still in force.
const RECHECK: Duration = Duration::from_secs(5);

/// Bytes on their way, with the room that they take.
type Piece = (Bytes, OwnedSemaphorePermit);

/// What one stream is made of.
pub struct Feed {
    /// The streams that it is one of.
    pub streams: Streams,
    /// Its place among them.
    pub seat: Seat,
    /// Where its events come from.
    pub subscription: Subscription,
    /// Who reads.
    pub peer: Peer,
    /// Names the request in the log.
    pub request_id: String,
}

/// The writing end.
struct Pen {
    pieces: UnboundedSender<Piece>,
    room: Arc<Semaphore>,
    stall: Duration,
}

/// What is read: pieces, and the last word after them.
struct Answer {
    pieces: UnboundedReceiver<Piece>,
    end: Arc<OnceLock<End>>,
    is_over: bool,
}

impl Stream for Answer {
    type Item = Result<Bytes, std::convert::Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        self.pieces.poll_recv(context).map(|piece| {
            let bytes = piece.map(|(bytes, _room)| bytes).or_else(|| {
                self.is_over = true;
                self.end.get().copied().map(frame::end)
            });
            bytes.map(Ok)
        })
    }
}

impl Pen {
    /// Waits until there is room, but not for ever.
    async fn write(&self, bytes: Bytes) -> Result<(), End> {
        let size = u32::try_from(bytes.len().min(BUFFER)).unwrap_or(u32::MAX);
        let room = self.room.clone().acquire_many_owned(size);
        let room = tokio::select! {
            room = timeout(self.stall, room) => room,
            () = self.pieces.closed() => return Err(End::ReaderLeft),
        };
        let Ok(Ok(room)) = room else {
            return Err(End::SlowReader);
        };
        self.pieces.send((bytes, room)).map_err(|_| End::ReaderLeft)
    }
}

impl Feed {
    /// Begins; `is_denied` tells whether the credential is no longer good. The stream ends by itself
    /// for each [`End`].
    pub fn begin<F>(self, is_denied: impl Fn() -> F + Send + Sync + 'static) -> Body
    where
        F: Future<Output = bool> + Send + 'static,
    {
        let (pieces, read) = unbounded_channel();
        let end = Arc::new(OnceLock::new());
        let pen = Pen {
            pieces,
            room: Arc::new(Semaphore::new(BUFFER)),
            stall: self.streams.stall,
        };
        let answer = Answer {
            pieces: read,
            end: end.clone(),
            is_over: false,
        };
        tokio::spawn(self.run(pen, is_denied, end));
        Body::from_stream(answer)
    }

    async fn run<F>(
        mut self,
        pen: Pen,
        is_denied: impl Fn() -> F + Send + Sync,
        last_word: Arc<OnceLock<End>>,
    ) where
        F: Future<Output = bool> + Send,
    {
        let metrics = self.streams.metrics.clone();
        metrics.stream_opened();
        let end = tokio::select! {
            () = self.streams.stop.cancelled() => End::Shutdown,
            () = denied(is_denied) => End::Denied,
            () = pen.pieces.closed() => End::ReaderLeft,
            Err(end) = feed(&mut self.subscription, &pen, &self.streams) => end,
        };
        let end = match end {
            End::ReaderLeft if self.peer.has_stalled() => End::SlowReader,
            end => end,
        };
        let lagged = self.subscription.lagged();
        metrics.stream_closed(end.as_str(), lagged);
        tracing::info!(
            request_id = self.request_id,
            reason = end.as_str(),
            position = self.subscription.position(),
            lagged,
            "a stream ended"
        );
        // Set before the pen is dropped: the reader looks for it after the last piece.
        let _ = last_word.set(end);
        drop(pen);
        drop(self.seat);
    }
}

/// Ends when the credential is no longer good.
async fn denied<F: Future<Output = bool>>(is_denied: impl Fn() -> F) {
    loop {
        sleep(RECHECK).await;
        if is_denied().await {
            return;
        }
    }
}

/// Writes what comes; ends with the reason why it cannot.
async fn feed(
    subscription: &mut Subscription,
    pen: &Pen,
    streams: &Streams,
) -> Result<std::convert::Infallible, End> {
    pen.write(frame::hello(subscription.position())).await?;
    let mut said = tokio::time::Instant::now();
    loop {
        if let Ok(stretch) = timeout(HEARTBEAT, subscription.next()).await {
            for event in &stretch.events {
                let Some(bytes) = frame::event(event) else {
                    tracing::error!(event = %event.event.id, "an event cannot be streamed");
                    continue;
                };
                pen.write(bytes).await?;
                said = tokio::time::Instant::now();
            }
            let count = u64::try_from(stretch.events.len()).unwrap_or_default();
            streams.metrics.streamed(count);
        }
        if said.elapsed() >= HEARTBEAT {
            pen.write(frame::heartbeat(subscription.position())).await?;
            said = tokio::time::Instant::now();
        }
    }
}

#[cfg(test)]
mod tests;
