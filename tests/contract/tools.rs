//! Small tools of the rules.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tranche_application::audit::record::{EventRecord, RecordedActor};
use tranche_application::ports::store::{Conflict, StoreError};
use uuid::Uuid;

use super::StoreUnderTest;
use super::scene::World;

/// Long enough for whatever does not wait for a lock.
const A_WHILE: Duration = Duration::from_millis(250);
/// Longer than anything but a deadlock takes.
const FOR_EVER: Duration = Duration::from_secs(30);

/// The tables that the rules look at.
const TABLES: [&str; 21] = [
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
    "audit_leaves",
    "audit_leaf_records",
    "audit_nodes",
    "audit_tree",
    "audit_checkpoints",
    "audit_rollups",
    "audit_dead_letters",
    "audit_reports",
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

/// An event of another service, with everything in it that JSON allows. The long float comes back
/// altered, and its leaf with it, unless `serde_json` has the feature `float_roundtrip`.
pub fn an_event(world: &World, project: Uuid) -> EventRecord {
    let id = world.id();
    EventRecord {
        id,
        severity: "warning".to_owned(),
        occurred_at: world.now(),
        action: "loan.assessed".to_owned(),
        actor: RecordedActor {
            id: "service-7".to_owned(),
            role: None,
        },
        project_id: Some(project),
        milestone_id: None,
        resource_type: "loan".to_owned(),
        resource_id: None,
        previous_status: None,
        new_status: None,
        changes: json!({ "score": { "from": null, "to": 0.25 } }),
        metadata: Value::Null,
        details: json!({
            "text": "“Ọ̀nà” \\ / \" \n 🚰",
            "numbers": [0, -1, 1.5, 0.1, -273.15, 994_251_739.200_048_1, 9_007_199_254_740_991_i64],
            "empty": [{}, [], "", null, true, false],
            "nested": { "b": { "a": [1, [2, [3]]] }, "a": 1 },
        }),
        ip_address: Some([0, 0, 0, 0, 0, 0xffff, 0xc000, 0x0201].into()),
        user_agent: Some("curl/8 'x'".to_owned()),
        request_id: Some(String::new()),
        salt: *id.as_bytes(),
    }
}
