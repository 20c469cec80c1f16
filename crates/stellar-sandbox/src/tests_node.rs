//! The running ledger, driven by hand: queue, store, lag and faults.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use stellar_xdr::TransactionResultResult as Code;
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::chain::{Chain, LAG_LEDGERS};
use crate::clock::hand::HandClock;
use crate::error::SandboxError;
use crate::faults::{Fault, Setting};
use crate::ledger::grant::Grant;
use crate::ledger::testing::{GENESIS_TIME, account, burn, draft, network};
use crate::node::{Answer, Node, Parts, Request};
use crate::store::{LEASE, Opened, Store};
use crate::xdr::{self, UNIT};

struct Rig {
    node: Arc<Node>,
    clock: Arc<HandClock>,
    folder: TempDir,
}

async fn open(folder: &Path, clock: &Arc<HandClock>, capacity: i64) -> Arc<Node> {
    let network = network();
    let now = crate::clock::Clock::now(&**clock);
    let Opened {
        store,
        state,
        tip,
        close_times,
    } = Store::open(folder, &network, now)
        .await
        .expect("the store opens");
    Arc::new(Node::new(Parts {
        network,
        clock: Arc::clone(clock) as Arc<dyn crate::clock::Clock>,
        interval: Duration::from_secs(1),
        store,
        chain: Chain::new(state, tip, close_times),
        operations_per_ledger: capacity,
        url: "http://sandbox.test".to_owned(),
    }))
}

impl Rig {
    async fn new(capacity: i64) -> Self {
        let clock = Arc::new(HandClock::at(GENESIS_TIME));
        let folder = tempfile::tempdir().expect("a folder");
        let node = open(folder.path(), &clock, capacity).await;
        let rig = Self {
            node,
            clock,
            folder,
        };
        for number in 1..=3 {
            rig.fund(number).await;
        }
        rig
    }

    /// As after SIGKILL: nothing is flushed.
    async fn crash(&mut self) {
        self.node = open(self.folder.path(), &self.clock, 1000).await;
    }

    async fn fund(&self, number: u8) {
        let grant = Grant {
            account: account(number),
            credit: Some((network().asset(), 50 * UNIT)),
            lumens: 100 * UNIT,
        };
        let (to, answer) = oneshot::channel();
        self.node.ask(Request::Grant(grant, to));
        self.close().await;
        answer.await.expect("an answer").expect("granted");
    }

    async fn close(&self) -> u32 {
        self.clock.advance(1);
        self.node.close_ledger().await.expect("a ledger closes")
    }

    fn sequence(&self, number: u8, fault: Option<Fault>) -> Option<i64> {
        let key = xdr::account_key(&account(number));
        let (_, found) = self.node.entries(&[key], fault);
        match &found.first()?.as_ref()?.data {
            stellar_xdr::LedgerEntryData::Account(entry) => Some(entry.seq_num.0),
            _ => None,
        }
    }

    fn burn_by(&self, number: u8, fee: u32) -> Arc<crate::ledger::frame::Frame> {
        let next = self.sequence(number, None).expect("an account") + 1;
        draft(number, next, vec![burn(1)]).fee(fee).sign(&[number])
    }

    fn submit(&self, frame: &Arc<crate::ledger::frame::Frame>) -> Answer {
        self.node.submit(Arc::clone(frame)).expect("an answer")
    }
}

fn code(answer: Answer) -> Code {
    match answer {
        Answer::Error(result) => result.result,
        other => panic!("not an error but {other:?}"),
    }
}

#[tokio::test]
async fn the_queue_holds_one_transaction_for_each_source() {
    let rig = Rig::new(1000).await;
    let next = rig.sequence(1, None).expect("an account") + 1;
    let first = draft(1, next, vec![burn(1)]).sign(&[1]);
    let rival = draft(1, next, vec![burn(2)]).sign(&[1]);
    let later = draft(1, next + 1, vec![burn(1)]).sign(&[1]);
    let earlier = draft(1, next - 1, vec![burn(1)]).sign(&[1]);
    assert!(matches!(rig.submit(&first), Answer::Pending));
    assert!(matches!(rig.submit(&first), Answer::Duplicate));
    assert!(matches!(rig.submit(&rival), Answer::TryAgainLater));
    assert!(matches!(rig.submit(&later), Answer::TryAgainLater));
    assert_eq!(code(rig.submit(&earlier)), Code::TxBadSeq);
}

#[tokio::test]
async fn a_bump_replaces_at_ten_times_the_rate() {
    let rig = Rig::new(1000).await;
    let next = rig.sequence(1, None).expect("an account") + 1;
    let inner = draft(1, next, vec![burn(1)]);
    let plain = inner.sign(&[1]);
    assert!(matches!(rig.submit(&plain), Answer::Pending));
    let Answer::Error(refused) = rig.submit(&inner.bump(&[1], 2, 1999)) else {
        panic!("not refused");
    };
    assert_eq!(refused.result, Code::TxInsufficientFee);
    assert_eq!(refused.fee_charged, 2000, "the fee that would do");
    let bump = inner.bump(&[1], 2, 2000);
    assert!(matches!(rig.submit(&bump), Answer::Pending));
    assert!(
        matches!(rig.submit(&plain), Answer::TryAgainLater),
        "banned"
    );
    let ledger = rig.close().await;
    for hash in [bump.hash, bump.inner_hash] {
        let row = rig
            .node
            .store
            .transaction(&hash, ledger)
            .await
            .expect("read");
        assert!(row.is_some_and(|row| row.succeeded && row.is_bump));
    }
}

#[tokio::test]
async fn an_applied_transaction_is_banned_for_ten_ledgers_and_then_has_a_bad_sequence() {
    let rig = Rig::new(1000).await;
    let frame = rig.burn_by(1, 100);
    assert!(matches!(rig.submit(&frame), Answer::Pending));
    rig.close().await;
    for _ in 0..9 {
        assert!(matches!(rig.submit(&frame), Answer::TryAgainLater));
        rig.close().await;
    }
    assert_eq!(code(rig.submit(&frame)), Code::TxBadSeq);
}

#[tokio::test]
async fn what_waits_four_ledgers_is_dropped_and_banned() {
    let rig = Rig::new(1).await;
    let patient = rig.burn_by(1, 100);
    assert!(matches!(rig.submit(&patient), Answer::Pending));
    for _ in 0..4 {
        // Someone always bids more, and a ledger has room for one.
        let richer = rig.burn_by(2, 10_000);
        assert!(matches!(rig.submit(&richer), Answer::Pending));
        rig.close().await;
    }
    assert!(matches!(rig.submit(&patient), Answer::TryAgainLater));
    for _ in 0..5 {
        rig.close().await;
    }
    let row = rig.node.store.transaction(&patient.hash, u32::MAX).await;
    assert!(row.expect("read").is_none(), "never included");
}

#[tokio::test]
async fn a_full_ledger_charges_the_lowest_rate_that_got_in() {
    let rig = Rig::new(1).await;
    let winner = rig.burn_by(1, 700);
    let loser = rig.burn_by(2, 300);
    rig.submit(&winner);
    rig.submit(&loser);
    let ledger = rig.close().await;
    let row = rig.node.store.transaction(&winner.hash, ledger).await;
    let row = row.expect("read").expect("included");
    let result: stellar_xdr::TransactionResult =
        stellar_xdr::ReadXdr::from_xdr(&row.result, stellar_xdr::Limits::none()).expect("xdr");
    assert_eq!(result.fee_charged, 700);
}

#[tokio::test]
async fn submission_looks_two_ledgers_ahead() {
    let rig = Rig::new(1000).await;
    let next = rig.sequence(1, None).expect("an account") + 1;
    let now = rig.node.view(None).latest_close_time;
    let until = |time| draft(1, next, vec![burn(1)]).until(time).sign(&[1]);
    assert_eq!(code(rig.submit(&until(now + 1))), Code::TxTooLate);
    rig.clock.advance(3);
    assert_eq!(code(rig.submit(&until(now + 4))), Code::TxTooLate);
    assert!(matches!(rig.submit(&until(now + 5)), Answer::Pending));
}

#[tokio::test]
async fn a_payer_cannot_promise_the_same_lumens_twice() {
    let rig = Rig::new(1000).await;
    let fee = 60 * UNIT;
    let by = |number: u8| {
        let next = rig.sequence(number, None).expect("an account") + 1;
        draft(number, next, vec![burn(1)]).bump(&[number], 3, fee)
    };
    assert!(matches!(rig.submit(&by(1)), Answer::Pending));
    assert_eq!(code(rig.submit(&by(2))), Code::TxInsufficientBalance);
}

#[tokio::test]
async fn what_was_closed_survives_a_crash_and_what_waited_does_not() {
    let mut rig = Rig::new(1000).await;
    let applied = rig.burn_by(1, 100);
    rig.submit(&applied);
    let ledger = rig.close().await;
    let waiting = rig.burn_by(2, 100);
    rig.submit(&waiting);
    let (one, two) = (rig.sequence(1, None), rig.sequence(2, None));
    rig.crash().await;
    assert_eq!((rig.sequence(1, None), rig.sequence(2, None)), (one, two));
    let row = rig.node.store.transaction(&applied.hash, ledger).await;
    assert!(row.expect("read").is_some());
    assert!(matches!(rig.submit(&waiting), Answer::Pending), "forgotten");
    assert_eq!(code(rig.submit(&applied)), Code::TxBadSeq, "no ban either");
}

#[tokio::test]
async fn ledger_numbers_and_times_do_not_go_back_over_a_crash_or_a_stop() {
    let mut rig = Rig::new(1000).await;
    for _ in 0..LEASE + 20 {
        rig.close().await;
    }
    let before = rig.node.view(None);
    rig.crash().await;
    let after = rig.node.view(None);
    assert!(after.latest >= before.latest);
    assert!(after.latest_close_time >= before.latest_close_time);

    rig.close().await;
    let before = rig.node.view(None);
    rig.node.flush().await.expect("flushed");
    rig.clock.set(GENESIS_TIME);
    rig.crash().await;
    assert_eq!(rig.node.view(None).latest, before.latest, "an orderly stop");
    rig.close().await;
    assert!(rig.node.view(None).latest_close_time >= before.latest_close_time);
}

#[tokio::test]
async fn a_second_sandbox_in_the_folder_stops_the_first() {
    let mut rig = Rig::new(1000).await;
    let first = Arc::clone(&rig.node);
    rig.crash().await;
    let frame = rig.burn_by(1, 100);
    first.submit(frame).expect("an answer");
    let refused = first.close_ledger().await;
    assert!(matches!(refused, Err(SandboxError::TakenOver)));
}

#[tokio::test]
async fn another_network_cannot_open_the_folder() {
    let rig = Rig::new(1000).await;
    let other = crate::keys::Network::new("another network");
    let opened = Store::open(rig.folder.path(), &other, GENESIS_TIME).await;
    assert!(matches!(opened, Err(SandboxError::OtherNetwork { .. })));
}

#[tokio::test]
async fn lag_answers_from_some_ledgers_ago() {
    let rig = Rig::new(1000).await;
    for _ in 0..LAG_LEDGERS {
        rig.close().await;
    }
    let before = rig.sequence(1, None).expect("an account");
    let frame = rig.burn_by(1, 100);
    rig.submit(&frame);
    let ledger = rig.close().await;
    assert_eq!(rig.sequence(1, None), Some(before + 1));
    assert_eq!(rig.sequence(1, Some(Fault::Lag)), Some(before));
    let lagging = rig.node.view(Some(Fault::Lag)).latest;
    assert_eq!(usize::try_from(ledger - lagging), Ok(LAG_LEDGERS));
    let row = rig.node.store.transaction(&frame.hash, lagging).await;
    assert!(row.expect("read").is_none());
    for _ in 0..LAG_LEDGERS {
        rig.close().await;
    }
    assert_eq!(rig.sequence(1, Some(Fault::Lag)), Some(before + 1));
}

#[tokio::test]
async fn fail_included_dooms_the_next_payment() {
    let rig = Rig::new(1000).await;
    rig.node.faults.set(Fault::FailIncluded, Setting::calls(1));
    let doomed = rig.burn_by(1, 100);
    let sequence = rig.sequence(1, None).expect("an account");
    rig.submit(&doomed);
    rig.submit(&doomed);
    let fine = rig.burn_by(2, 100);
    rig.submit(&fine);
    let ledger = rig.close().await;
    let doomed = rig.node.store.transaction(&doomed.hash, ledger).await;
    let fine = rig.node.store.transaction(&fine.hash, ledger).await;
    assert!(!doomed.expect("read").expect("included").succeeded);
    assert!(fine.expect("read").expect("included").succeeded);
    assert_eq!(rig.sequence(1, None), Some(sequence + 1));
}

#[tokio::test]
async fn fee_pressure_names_the_fee_that_would_do_and_bans_what_bids_less() {
    let rig = Rig::new(1000).await;
    let pressure = |calls| Setting {
        calls,
        method: None,
        fee: 500,
    };
    rig.node.faults.set(Fault::FeePressure, pressure(2));
    let low = rig.burn_by(1, 499);
    match rig.submit(&low) {
        Answer::Error(refused) => {
            assert_eq!(refused.result, Code::TxInsufficientFee);
            assert_eq!(refused.fee_charged, 500);
        }
        other => panic!("not refused but {other:?}"),
    }
    assert!(matches!(rig.submit(&rig.burn_by(1, 500)), Answer::Pending));
    assert!(rig.node.faults.in_force().is_empty(), "both were counted");
    assert!(matches!(rig.submit(&low), Answer::TryAgainLater), "banned");
}

#[tokio::test]
async fn an_evicted_payment_is_pending_then_banned_and_never_included() {
    let rig = Rig::new(1000).await;
    rig.node.faults.set(Fault::Evict, Setting::calls(1));
    let burn = rig.burn_by(1, 100);
    assert!(matches!(rig.submit(&burn), Answer::Pending));
    let ledger = rig.close().await;
    let row = rig.node.store.transaction(&burn.hash, ledger).await;
    assert!(row.expect("read").is_none());
    assert!(matches!(rig.submit(&burn), Answer::TryAgainLater));
    for _ in 0..10 {
        rig.close().await;
    }
    assert!(matches!(rig.submit(&burn), Answer::Pending), "free again");
}

#[tokio::test]
async fn time_is_skipped_for_the_next_ledger_and_all_after() {
    let rig = Rig::new(1000).await;
    let before = rig.node.view(None).latest_close_time;
    rig.node.skip(300);
    rig.node.close_ledger().await.expect("a ledger closes");
    assert_eq!(rig.node.view(None).latest_close_time, before + 300);
    rig.close().await;
    assert_eq!(rig.node.view(None).latest_close_time, before + 301);
}

#[tokio::test]
async fn an_empty_ledger_writes_nothing() {
    let rig = Rig::new(1000).await;
    let size = || {
        let wal = rig.folder.path().join("sandbox.db-wal");
        std::fs::metadata(wal).expect("a log").len()
    };
    let before = size();
    for _ in 0..50 {
        rig.close().await;
    }
    assert_eq!(size(), before);
}
