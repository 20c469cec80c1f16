//! What the ledger does in a cell, and the proof that it did.
//!
//! Most behaviours are faults of the sandbox that wait for the burn's sending. Four need the ledger
//! to stand still while the burn is under way: it is held before the order and let go at a moment
//! that the cell chooses.

use serde_json::{Value, json};
use tranche_tests::support::service::eventually;

use crate::worker::{BURN_TTL_SECONDS, Worker};

/// A behaviour of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Behaviour {
    Accepted,
    AnswerLost,
    Rejected,
    FeePressure,
    IncludedAndFailed,
    TryAgainLater,
    Duplicate,
    Lagging,
    Banned,
    Expired,
    SequenceTaken,
    NodeRestart,
    Error500,
    Hang,
}

impl Behaviour {
    pub const ALL: [Self; 14] = [
        Self::Accepted,
        Self::AnswerLost,
        Self::Rejected,
        Self::FeePressure,
        Self::IncludedAndFailed,
        Self::TryAgainLater,
        Self::Duplicate,
        Self::Lagging,
        Self::Banned,
        Self::Expired,
        Self::SequenceTaken,
        Self::NodeRestart,
        Self::Error500,
        Self::Hang,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::AnswerLost => "answer lost",
            Self::Rejected => "rejected",
            Self::FeePressure => "fee pressure",
            Self::IncludedAndFailed => "included and failed",
            Self::TryAgainLater => "try again later",
            Self::Duplicate => "duplicate",
            Self::Lagging => "lagging",
            Self::Banned => "banned resend",
            Self::Expired => "expired",
            Self::SequenceTaken => "sequence taken",
            Self::NodeRestart => "node restart",
            Self::Error500 => "error 500",
            Self::Hang => "hang",
        }
    }

    /// The fault that makes it, with how many calls of it must at least have happened.
    fn fault(self) -> Option<(Value, u64)> {
        let fault = |name, calls| json!({ "fault": name, "calls": calls });
        let of = |name, calls, method| json!({ "fault": name, "calls": calls, "method": method });
        Some(match self {
            Self::AnswerLost => (fault("lose_answer", 1), 1),
            // No burn bids a lumen.
            Self::Rejected => {
                let fee = 10_000_000;
                (
                    json!({ "fault": "fee_pressure", "calls": 1, "fee": fee }),
                    1,
                )
            }
            // As much as a further envelope may offer, and for as long as the cell lasts.
            Self::FeePressure => {
                let fee = 150_000;
                (
                    json!({ "fault": "fee_pressure", "calls": 1000, "fee": fee }),
                    1,
                )
            }
            Self::IncludedAndFailed => (fault("fail_included", 1), 1),
            Self::TryAgainLater => (fault("try_again_later", 2), 2),
            Self::Duplicate => (fault("repeat", 1), 1),
            // The first is asked before the burn is signed.
            Self::Lagging => (of("lag", 6, "getTransaction"), 2),
            Self::Banned => (fault("evict", 1), 1),
            Self::Error500 => (of("error_500", 2, "sendTransaction"), 2),
            Self::Hang => (of("hang", 1, "sendTransaction"), 1),
            Self::Accepted | Self::Expired | Self::SequenceTaken | Self::NodeRestart => {
                return None;
            }
        })
    }

    /// Whether the ledger stands still until [`Behaviour::let_go`].
    pub fn is_held(self) -> bool {
        matches!(
            self,
            Self::Banned | Self::Expired | Self::SequenceTaken | Self::NodeRestart
        )
    }

    /// Whether the service must live while the ledger stands still.
    pub fn needs_the_service(self) -> bool {
        self == Self::Banned
    }

    /// The code of the failure that the burn under way ends with, if it is not settled.
    pub fn failure(self) -> Option<&'static str> {
        match self {
            Self::IncludedAndFailed => Some("underfunded"),
            Self::Expired => Some("expired"),
            Self::SequenceTaken => Some("sequence_taken"),
            _ => None,
        }
    }

    /// Sets the scene, before the order.
    pub async fn set(self, worker: &Worker) -> Set {
        let ledger = worker.sandbox.client();
        let mut set = Set {
            sandbox_starts: worker.sandbox.starts(),
            service_starts: worker.scene.tranche.starts() - 1,
            foreign: None,
        };
        if self.is_held() {
            ledger.hold(true).await;
        }
        if let Some((fault, _)) = self.fault() {
            ledger.set_fault(&fault).await;
        }
        if self == Self::SequenceTaken {
            let used = ledger.sequence(&worker.wallet.account).await;
            let (envelope, hash) = worker.wallet.pays_itself(used + 1);
            let answer = ledger
                .call("sendTransaction", json!({ "transaction": envelope }))
                .await;
            assert_eq!(answer["status"], "PENDING", "{answer}");
            set.foreign = Some(hash);
        }
        set
    }

    /// Lets a held ledger go, and what waited for that happen.
    pub async fn let_go(self, worker: &mut Worker, set: &Set) {
        let ledger = worker.sandbox.client();
        match self {
            Self::Banned => {
                // The sending that got in was dropped; the next must have met the ban.
                eventually("a resend that is banned", async || {
                    let log = worker.scene.tranche.log_since(set.service_starts);
                    log.contains("TRY_AGAIN_LATER").then_some(())
                })
                .await;
            }
            Self::Expired => ledger.skip(BURN_TTL_SECONDS + 10).await,
            Self::NodeRestart => {
                worker.sandbox.kill();
                worker.sandbox.restart();
            }
            _ => {}
        }
        ledger.hold(false).await;
    }

    /// Asserts that it happened, and ends it.
    pub async fn happened(self, worker: &Worker, set: &Set) {
        let ledger = worker.sandbox.client();
        if let Some((fault, least)) = self.fault() {
            let name = fault["fault"].as_str().unwrap_or("");
            let calls = fault["calls"].as_u64().unwrap_or(0);
            let taken = calls.saturating_sub(ledger.fault_left(name).await);
            assert!(taken >= least, "{name} happened {taken} times");
            ledger.fault("clear", 1).await;
        }
        if let Some(hash) = &set.foreign {
            let found = ledger.call("getTransaction", json!({ "hash": hash })).await;
            assert_eq!(found["status"], "SUCCESS", "the foreign transaction");
        }
        let restarted = worker.sandbox.starts() > set.sandbox_starts;
        assert_eq!(
            restarted,
            self == Self::NodeRestart,
            "the sandbox's restarts"
        );
    }
}

/// What was set for a cell.
pub struct Set {
    sandbox_starts: usize,
    service_starts: usize,
    foreign: Option<String>,
}
