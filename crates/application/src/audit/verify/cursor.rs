//! One feed of a snapshot, read a row at a time.

use std::vec::IntoIter;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::ports::store::StoreError;
use crate::ports::verification::Feed;

/// How many chunks wait to be read.
const AHEAD: usize = 4;

/// Reads a feed. Its end is only believed when the feeding says that it is through: a connection
/// that broke must not look like rows that are missing.
pub(super) struct Cursor<T> {
    chunks: mpsc::Receiver<Vec<T>>,
    chunk: IntoIter<T>,
    feeding: Option<JoinHandle<Result<(), StoreError>>>,
}

impl<T: Send + 'static> Cursor<T> {
    /// Has `feed` fed.
    pub(super) fn over<F>(feed: impl FnOnce(Feed<T>) -> F) -> Self
    where
        F: Future<Output = Result<(), StoreError>> + Send + 'static,
    {
        let (into, chunks) = mpsc::channel(AHEAD);
        Self {
            chunks,
            chunk: Vec::new().into_iter(),
            feeding: Some(tokio::spawn(feed(into))),
        }
    }

    /// The next row, left where it is.
    pub(super) async fn peek(&mut self) -> Result<Option<&T>, StoreError> {
        while self.chunk.as_slice().is_empty() {
            if let Some(chunk) = self.chunks.recv().await {
                self.chunk = chunk.into_iter();
                continue;
            }
            if let Some(feeding) = self.feeding.take() {
                feeding
                    .await
                    .map_err(|error| StoreError::Unavailable(Box::new(error)))??;
            }
            return Ok(None);
        }
        Ok(self.chunk.as_slice().first())
    }

    /// The next row.
    pub(super) async fn next(&mut self) -> Result<Option<T>, StoreError> {
        self.peek().await?;
        Ok(self.chunk.next())
    }
}

impl<T> Drop for Cursor<T> {
    fn drop(&mut self) {
        if let Some(feeding) = &self.feeding {
            feeding.abort();
        }
    }
}
