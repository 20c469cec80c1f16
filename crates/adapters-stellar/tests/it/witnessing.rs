//! A second provider: nothing is final before it comes to the same.

use serde_json::json;
use tranche_adapters_stellar::{StellarBurner, StellarConfig};
use tranche_application::ports::burner::{LedgerBurner, LedgerError};
use tranche_domain::disbursement::verdict::Wait;
use tranche_domain::disbursement::{PreparedBurn, Verdict};

use crate::fake::Reply;
use crate::judging::envelope;
use crate::keys::{WALLET_SEED, custody_of};
use crate::sandbox::Ledger;
use crate::world::{
    MAX_TIME, SIGNED, USED, World, burned, config, included, network, not_found, success,
    underfunded, wallet,
};

/// A server, the witness, and a burner that wants both to agree.
struct Two {
    first: World,
    witness: World,
    burner: StellarBurner,
    burn: PreparedBurn,
}

impl Two {
    async fn new() -> Self {
        let (first, burn) = World::with_burn().await;
        let witness = World::new().await;
        let mut config = config(first.fake.url());
        config.witness_rpc_url = Some(format!("{}/key-0123", witness.fake.url()));
        Self {
            burner: StellarBurner::try_new(config, custody_of(&[WALLET_SEED])).unwrap(),
            first,
            witness,
            burn,
        }
    }

    async fn verdict(&self) -> Verdict {
        self.burner.verdict(&self.burn).await.unwrap()
    }

    async fn testimonies(&self) -> String {
        match self.verdict().await {
            Verdict::NeedsOperator { reason } => reason,
            other => panic!("{other:?}"),
        }
    }
}

/// Proves that it burned in this ledger.
fn proves_burned(world: &World, burn: &PreparedBurn, ledger: u32) {
    let found = included("SUCCESS", ledger, &envelope(burn), &success());
    world.fake.on("getTransaction", [found]);
    let state = wallet(ledger + 1, USED + 1);
    world.fake.on("getLedgerEntries", [state]);
}

fn proves_expired(world: &World) {
    let past = not_found(150, MAX_TIME + 1);
    world.fake.on("getTransaction", [past]);
    world.fake.on("getLedgerEntries", [wallet(151, USED)]);
}

fn proves_underfunded(world: &World, burn: &PreparedBurn) {
    let found = included("FAILED", 101, &envelope(burn), &underfunded());
    world.fake.on("getTransaction", [found]);
    let state = wallet(102, USED + 1);
    world.fake.on("getLedgerEntries", [state]);
}

#[tokio::test]
async fn a_witness_that_agrees_makes_it_final() {
    let two = Two::new().await;
    two.verdict().await;
    let asked = two.witness.fake.calls("getTransaction").len();
    assert_eq!(asked, 0, "there is nothing to confirm yet");
    for world in [&two.first, &two.witness] {
        proves_burned(world, &two.burn, 101);
    }
    assert_eq!(two.verdict().await, burned(&two.burn, 101));
    proves_expired(&two.first);
    proves_underfunded(&two.witness, &two.burn);
    match two.verdict().await {
        Verdict::Failed(failure) => assert_eq!(failure.code, "expired"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_witness_that_lags_or_is_down_is_asked_again_later() {
    let two = Two::new().await;
    proves_burned(&two.first, &two.burn, 101);
    let wait = Verdict::Undecided(Wait::MayStillHappen);
    assert_eq!(two.verdict().await, wait, "the witness has not seen it yet");
    proves_expired(&two.first);
    assert_eq!(two.verdict().await, wait);
    let before = wallet(SIGNED - 1, USED);
    two.witness.fake.on("getLedgerEntries", [before]);
    let behind = two.burner.verdict(&two.burn).await.unwrap_err();
    assert!(behind.to_string().contains("runs backwards"), "{behind}");
    two.witness.fake.on("getTransaction", [Reply::Http(503)]);
    let down = two.burner.verdict(&two.burn).await.unwrap_err();
    let LedgerError::Unavailable(why) = down else {
        panic!("{down}");
    };
    assert!(why.contains("the witness 127.0.0.1"), "{why}");
    assert!(!why.contains("key-0123"), "{why}");
    proves_expired(&two.witness);
    assert!(matches!(two.verdict().await, Verdict::Failed(_)));
}

#[tokio::test]
async fn a_witness_that_is_always_a_little_behind_still_confirms() {
    let two = Two::new().await;
    proves_expired(&two.first);
    let past = not_found(148, MAX_TIME + 1);
    two.witness.fake.on("getTransaction", [past]);
    two.witness.fake.on("getLedgerEntries", [wallet(148, USED)]);
    assert!(matches!(two.verdict().await, Verdict::Failed(_)));
}

#[tokio::test]
async fn a_witness_that_proves_the_opposite_calls_for_people() {
    let two = Two::new().await;
    proves_burned(&two.first, &two.burn, 101);
    for witness in ["expired", "underfunded"] {
        match witness {
            "expired" => proves_expired(&two.witness),
            _ => proves_underfunded(&two.witness, &two.burn),
        }
        let reason = two.testimonies().await;
        assert!(reason.contains("in ledger 101"), "{reason}");
        assert!(reason.contains(&two.burn.id.0), "{reason}");
        assert!(reason.contains(witness), "{reason}");
    }
    proves_expired(&two.first);
    proves_burned(&two.witness, &two.burn, 101);
    let reason = two.testimonies().await;
    assert!(reason.contains("expired"), "{reason}");
    assert!(reason.contains("in ledger 101"), "{reason}");
    assert!(!reason.contains("key-0123"), "{reason}");
    // The same burn in another ledger is another ledger's burn.
    proves_burned(&two.first, &two.burn, 103);
    two.testimonies().await;
    // And one that it cannot decide is not confirmed.
    let odd = included("SUCCESS", 103, &envelope(&two.burn), &underfunded());
    two.witness.fake.on("getTransaction", [odd]);
    assert!(two.testimonies().await.contains("not to be decided"));
    let other = network("Standalone Network ; February 2017");
    two.witness.fake.on("getNetwork", [other]);
    let error = two.burner.verdict(&two.burn).await.unwrap_err();
    assert!(matches!(error, LedgerError::Misconfigured(_)), "{error}");
}

#[tokio::test]
async fn two_doors_to_one_sandbox_agree() {
    let ledger = Ledger::start(StellarConfig::BURN_TTL).await;
    let mut config = ledger.config.clone();
    config.witness_rpc_url = Some(format!("{}/", ledger.sandbox.url()));
    let burner = StellarBurner::try_new(config, ledger.custody.clone()).unwrap();
    let burn = burner.prepare(&ledger.order("10")).await.unwrap();
    burner.submit(&burn).await.unwrap();
    let verdict = ledger.decided(&burn, true).await;
    let held = json!({ "held": true });
    ledger.post("/sandbox/clock", &held).await;
    assert_eq!(burner.verdict(&burn).await.unwrap(), verdict);
    assert!(matches!(verdict, Verdict::Burned { .. }), "{verdict:?}");
}
