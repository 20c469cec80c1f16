//! Calls to a store that end in time, whatever the store does.

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use crate::ports::store::StoreError;

/// What the call answers, within this time. A call that panics has failed like any other: it may be
/// one event that makes the store panic, and it must not take down who stores the rest. A call that
/// is no longer waited for is cancelled.
///
/// # Errors
/// The call's own; [`StoreError::Unavailable`] when it took too long or panicked.
pub(crate) async fn bounded<T: Send + 'static>(
    limit: Duration,
    call: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, StoreError> {
    match timeout(limit, AbortOnDropHandle::new(tokio::spawn(call))).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => Err(StoreError::Unavailable(Box::new(error))),
        Err(_) => Err(StoreError::timeout()),
    }
}
