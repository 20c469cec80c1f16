//! Sending: the same bytes each time, and every answer only a hint.

use std::time::Duration;

use base64::Engine as _;
use serde_json::json;
use stellar_xdr::TransactionResultResult as Outcome;
use tranche_adapters_stellar::{StellarBurner, StellarConfig};
use tranche_application::ports::burner::{LedgerBurner, LedgerError};

use crate::fake::Reply;
use crate::keys::{WALLET_SEED, custody_of};
use crate::world::{World, base64, burner_for, config, result};

fn answer(status: &str) -> Reply {
    Reply::Result(json!({ "status": status, "hash": "", "latestLedger": 101 }))
}

fn error(outcome: Outcome) -> Reply {
    let result = base64(&result(outcome));
    Reply::Result(json!({ "status": "ERROR", "errorResultXdr": result, "latestLedger": 101 }))
}

#[tokio::test]
async fn hands_on_what_the_server_says() {
    let (world, burn) = World::with_burn().await;
    for (reply, hint) in [
        (answer("PENDING"), "PENDING"),
        (answer("DUPLICATE"), "DUPLICATE"),
        (answer("TRY_AGAIN_LATER"), "TRY_AGAIN_LATER"),
        (error(Outcome::TxBadSeq), "ERROR tx_bad_seq"),
        (error(Outcome::TxTooLate), "ERROR tx_too_late"),
        (
            error(Outcome::TxInsufficientFee),
            "ERROR tx_insufficient_fee",
        ),
        (answer("ERROR"), "ERROR"),
        (answer("SOMETHING_NEW"), "SOMETHING_NEW"),
    ] {
        world.fake.on("sendTransaction", [reply]);
        assert_eq!(world.burner.submit(&burn).await.unwrap().said, hint);
    }
    let bytes = base64::engine::general_purpose::STANDARD.encode(&burn.envelope);
    let sent = world.fake.calls("sendTransaction");
    assert_eq!(sent, vec![json!({ "transaction": bytes }); 8]);
}

#[tokio::test]
async fn no_answer_is_unavailable_whatever_became_of_it() {
    let (world, burn) = World::with_burn().await;
    let quick = StellarConfig {
        timeout: Duration::from_millis(200),
        ..config(world.fake.url())
    };
    let burner = StellarBurner::try_new(quick, custody_of(&[WALLET_SEED])).unwrap();
    for reply in [
        Reply::Hang,
        Reply::Http(500),
        Reply::Http(503),
        Reply::Http(504),
        Reply::Error(-32603, "could not submit transaction to stellar-core"),
        Reply::Error(-32001, "request exceeded processing limit threshold"),
        Reply::Body("not json"),
    ] {
        world.fake.on("sendTransaction", [reply]);
        let error = burner.submit(&burn).await.unwrap_err();
        assert!(matches!(error, LedgerError::Unavailable(_)), "{error}");
    }
    let nobody = burner_for("http://127.0.0.1:1".to_owned());
    let error = nobody.submit(&burn).await.unwrap_err();
    assert!(matches!(error, LedgerError::Unavailable(_)), "{error}");
}

#[tokio::test]
async fn a_burn_of_another_network_is_not_sent() {
    let (world, mut burn) = World::with_burn().await;
    "Standalone Network ; February 2017".clone_into(&mut burn.slot.network);
    let error = world.burner.submit(&burn).await.unwrap_err();
    assert!(matches!(error, LedgerError::Misconfigured(_)));
    let error = world.burner.verdict(&burn).await.unwrap_err();
    assert!(matches!(error, LedgerError::Misconfigured(_)));
    assert!(world.fake.calls("sendTransaction").is_empty());
}
