//! A Redis of one's own, and queues on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tranche_adapters_redis::{RedisQueue, Settings};
use tranche_tests::support::redis::Redis;

/// Generous: the machine may be busy.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);
/// No test waits longer, whatever hangs.
pub(crate) const LONG: Duration = Duration::from_mins(2);

/// As an operator would have it, with patience for a busy machine. Nobody is taken for dead.
pub(crate) fn settings() -> Settings {
    Settings {
        limit: 100_000,
        claim_after: Duration::from_hours(1),
        deadline: DEADLINE,
        ..Settings::default()
    }
}

/// The key of the stream.
pub(crate) fn key() -> String {
    settings().key
}

/// A queue as another process has it.
pub(crate) async fn process_with(redis: &Redis, settings: Settings) -> RedisQueue {
    static STARTED: AtomicUsize = AtomicUsize::new(0);
    let name = format!("process-{}", STARTED.fetch_add(1, Ordering::Relaxed));
    process_called(redis, &name, settings).await
}

/// The same under a name.
pub(crate) async fn process_called(redis: &Redis, name: &str, settings: Settings) -> RedisQueue {
    RedisQueue::connect(&redis.url(), name, settings)
        .await
        .unwrap()
}

/// The same with [`settings`].
pub(crate) async fn process(redis: &Redis) -> Arc<RedisQueue> {
    Arc::new(process_with(redis, settings()).await)
}

/// Waits until it is so.
pub(crate) async fn until(mut so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !so().await {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LONG, waiting).await.expect("it never came so");
}
