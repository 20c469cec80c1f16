//! Services that send events for as long as they are let, and remember what was acknowledged.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tranche_tests::support::service::{Caller, Tranche, eventually};
use uuid::{NoContext, Timestamp, Uuid};

/// The action of every event that a load sends.
pub const ACTION: &str = "load.sent";

/// How long everything may take to come into the log.
const PATIENCE: Duration = Duration::from_mins(2);

/// A fresh id, as a client makes it.
pub fn id() -> Uuid {
    Uuid::new_v7(Timestamp::now(NoContext))
}

/// An event of this id and severity.
pub fn event(id: Uuid, severity: &str) -> Value {
    json!({
        "id": id, "action": ACTION, "severity": severity, "actor_id": "usr_000001",
        "resource_type": "report", "resource_id": "rep_1",
        "details": { "note": "inspection foundation verified", "region": "lagos" },
    })
}

/// What came of a load.
#[derive(Debug, Default)]
pub struct Sent {
    /// The events that a 201 or 202 accepted.
    pub acknowledged: BTreeSet<Uuid>,
    /// Requests that were answered 503.
    pub refused: u64,
}

/// Senders at work.
pub struct Load {
    stop: Arc<AtomicBool>,
    accepted: Arc<AtomicU64>,
    senders: Vec<JoinHandle<Sent>>,
}

impl Load {
    /// Starts as many senders, each of which sends one batch after another.
    pub fn start(caller: &Caller, senders: usize, batch: usize, severity: &'static str) -> Self {
        let (stop, accepted) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let senders = (0..senders).map(|_| {
            let (caller, stop, accepted) = (caller.clone(), stop.clone(), accepted.clone());
            tokio::spawn(async move {
                let mut sent = Sent::default();
                while !stop.load(Ordering::SeqCst) {
                    send(&caller, batch, severity, &mut sent, &accepted).await;
                }
                sent
            })
        });
        Self {
            senders: senders.collect(),
            stop,
            accepted,
        }
    }

    /// How many events were acknowledged until now.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Waits until so many more were acknowledged.
    pub async fn more(&self, events: u64) {
        let from = self.accepted();
        eventually("the load goes on", async || {
            (self.accepted() >= from + events).then_some(())
        })
        .await;
    }

    /// Lets the senders end and adds up what they sent.
    pub async fn stop(self) -> Sent {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = Sent::default();
        for sender in self.senders {
            let sent = sender.await.expect("a sender ends");
            all.acknowledged.extend(sent.acknowledged);
            all.refused += sent.refused;
        }
        all
    }
}

/// Sends one batch. No answer, or one that accepts nothing, acknowledges nothing.
async fn send(
    caller: &Caller,
    batch: usize,
    severity: &str,
    sent: &mut Sent,
    accepted: &AtomicU64,
) {
    let ids: Vec<Uuid> = (0..batch).map(|_| id()).collect();
    let entries: Vec<Value> = ids.iter().map(|id| event(*id, severity)).collect();
    let body = json!({ "entries": entries }).to_string().into_bytes();
    let caller = caller.with("content-type", "application/json");
    let call = caller.try_send(Method::POST, "/v1/audit/events", Some(body));
    let Ok(answer) = call.await else {
        tokio::time::sleep(Duration::from_millis(5)).await;
        return;
    };
    match answer.status {
        status @ (201 | 202) => {
            let told = answer.json(status);
            let rejected = told["rejected"].as_array().cloned().unwrap_or_default();
            let refused: BTreeSet<u64> = rejected
                .iter()
                .filter_map(|item| item["index"].as_u64())
                .collect();
            let kept = (0..)
                .zip(&ids)
                .filter(|(index, _)| !refused.contains(index));
            let kept: Vec<Uuid> = kept.map(|(_, id)| *id).collect();
            assert_eq!(told["accepted"], kept.len(), "{told}");
            accepted.fetch_add(kept.len() as u64, Ordering::SeqCst);
            sent.acknowledged.extend(kept);
        }
        503 => {
            sent.refused += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        other => panic!("{other}: {}", answer.text),
    }
}

/// The events of loads that are in the log.
async fn stored(tranche: &Tranche) -> BTreeSet<Uuid> {
    let ids = format!("SELECT id FROM audit_events WHERE action = '{ACTION}'");
    let listed = tranche.sql(&ids).await;
    let listed: Vec<Uuid> = listed
        .lines()
        .map(|id| id.parse().expect("an id"))
        .collect();
    let once: BTreeSet<Uuid> = listed.iter().copied().collect();
    assert_eq!(once.len(), listed.len(), "an event is in the log twice");
    once
}

/// Waits until every acknowledged event is in the log, then judges: each once, each with one leaf.
pub async fn all_are_in_the_log(tranche: &Tranche, sent: &Sent) {
    let began = Instant::now();
    let once = loop {
        let once = stored(tranche).await;
        // What is stored may be more than what was acknowledged.
        if sent.acknowledged.is_subset(&once) || began.elapsed() > PATIENCE {
            break once;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    let missing: Vec<&Uuid> = sent.acknowledged.difference(&once).collect();
    assert!(
        missing.is_empty(),
        "{} acknowledged events are lost, such as {}",
        missing.len(),
        missing[0]
    );
    let leaves = "SELECT (SELECT count(*) FROM audit_events) || ' ' ||
        ((SELECT count(*) FROM audit_pending) + (SELECT count(*) FROM audit_leaves))";
    let counts = tranche.sql(leaves).await;
    let (events, leaves) = counts.split_once(' ').expect("two counts");
    assert_eq!(events, leaves, "each event has one leaf");
}
