//! Small tools of the rules.

use std::time::Duration;

use tokio::task::JoinHandle;
use tranche_application::ports::store::{Conflict, StoreError};

use super::StoreUnderTest;

/// Long enough for whatever does not wait for a lock.
const A_WHILE: Duration = Duration::from_millis(250);
/// Longer than anything but a deadlock takes.
const FOR_EVER: Duration = Duration::from_secs(30);

/// The tables that the rules look at.
const TABLES: [&str; 13] = [
    "projects",
    "milestones",
    "milestone_evidence",
    "disbursements",
    "channel_accounts",
    "ledger_watch",
    "ledger_burns",
    "wallets",
    "api_keys",
    "idempotency_keys",
    "audit_events",
    "audit_pending",
    "audit_outbox",
];

/// How many rows each table has.
pub async fn census(subject: &dyn StoreUnderTest) -> Vec<(&'static str, i64)> {
    let mut rows = Vec::new();
    for table in TABLES {
        rows.push((table, subject.count(table).await));
    }
    rows
}

/// Whether it is this conflict.
pub fn conflicts<T>(result: &Result<T, StoreError>, with: Conflict) -> bool {
    matches!(result, Err(StoreError::Conflict(conflict)) if *conflict == with)
}

/// Whether a loser of a race may simply begin again.
pub fn lost_a_race(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Conflict(Conflict::Retry | Conflict::Stale | Conflict::LedgerSlot)
    )
}

/// Whether the task is still waiting after a while.
pub async fn is_waiting<T>(task: &JoinHandle<T>) -> bool {
    tokio::time::sleep(A_WHILE).await;
    !task.is_finished()
}

/// The task's result; a deadlock is a failure, not a hang.
pub async fn ended<T>(task: JoinHandle<T>) -> T {
    let joined = tokio::time::timeout(FOR_EVER, task).await;
    joined
        .expect("it ends: no deadlock")
        .expect("the task does not panic")
}
