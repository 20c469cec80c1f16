//! What a worker holds of a queue. However the worker ends, what it holds is given back.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

use super::storing::PAUSES;
use crate::ports::monitor::{Incident, Monitor};
use crate::ports::queue::{AuditQueue, QueueError, Receipt};
use crate::services::with_causes;

/// The longest that a queue may take to answer.
const LONGEST_ANSWER: Duration = Duration::from_secs(1);

/// Holds one batch at a time. Dropped with one in them, as by a panic, they have it given back by a
/// task of its own: else nobody would get it before the process ends.
pub(super) struct Hands {
    source: Arc<dyn AuditQueue>,
    monitor: Arc<dyn Monitor>,
    held: Option<Receipt>,
}

impl Hands {
    /// Empty hands.
    pub(super) fn new(source: Arc<dyn AuditQueue>, monitor: Arc<dyn Monitor>) -> Self {
        Self {
            source,
            monitor,
            held: None,
        }
    }

    /// Holds a batch.
    pub(super) fn hold(&mut self, receipt: Receipt) {
        self.held = Some(receipt);
    }

    /// What is held is done.
    ///
    /// # Errors
    /// [`QueueError`] after a few tries; it is still held.
    pub(super) async fn done(&mut self) -> Result<(), QueueError> {
        let mut pauses = PAUSES.into_iter();
        while let Some(receipt) = &self.held {
            match (in_time(self.source.done(receipt)).await, pauses.next()) {
                (Ok(()), _) => self.held = None,
                (Err(_), Some(pause)) => sleep(pause).await,
                (Err(error), None) => return Err(error),
            }
        }
        Ok(())
    }

    /// What is held is others' to take.
    pub(super) async fn give_back(&mut self) {
        if let Some(receipt) = &self.held {
            give_back(self.source.as_ref(), self.monitor.as_ref(), receipt).await;
        }
        self.held = None;
    }
}

impl Drop for Hands {
    fn drop(&mut self) {
        // Without a runtime the process is ending, and its queue gives out again what was not done.
        if let (Some(receipt), Ok(runtime)) = (self.held.take(), Handle::try_current()) {
            let (source, monitor) = (self.source.clone(), self.monitor.clone());
            runtime.spawn(async move {
                give_back(source.as_ref(), monitor.as_ref(), &receipt).await;
            });
        }
    }
}

async fn give_back(source: &dyn AuditQueue, monitor: &dyn Monitor, receipt: &Receipt) {
    let mut pauses = PAUSES.into_iter();
    loop {
        match (in_time(source.give_back(receipt)).await, pauses.next()) {
            (Ok(()), _) => return,
            (Err(_), Some(pause)) => sleep(pause).await,
            (Err(error), None) => {
                return monitor.report(Incident {
                    operation: "audit.give_back",
                    critical: false,
                    error: with_causes(&error),
                    context: json!({ "entries": receipt.0.len() }),
                });
            }
        }
    }
}

async fn in_time(
    answer: impl Future<Output = Result<(), QueueError>> + Send,
) -> Result<(), QueueError> {
    let answered = timeout(LONGEST_ANSWER, answer).await;
    answered.unwrap_or_else(|_| Err(QueueError::timeout()))
}
