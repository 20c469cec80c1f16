//! An event that the log refuses although it takes others costs one dead letter and delays nobody.

use serde_json::{Value, json};
use tranche_tests::support::service::{Options, StoreKind, Tranche, eventually};

use crate::load::{event, id};

/// The database refuses events of this action, as any rule of its own might.
fn refusal(store: StoreKind) -> &'static str {
    match store {
        StoreKind::Postgres => {
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN RAISE EXCEPTION 'poison'; END $$;
             CREATE TRIGGER poison BEFORE INSERT ON audit_events FOR EACH ROW
             WHEN (NEW.action = 'poison') EXECUTE FUNCTION refuse()"
        }
        StoreKind::Sqlite => {
            "CREATE TRIGGER poison BEFORE INSERT ON audit_events WHEN NEW.action = 'poison'
             BEGIN SELECT RAISE(ABORT, 'poison'); END"
        }
    }
}

fn cure(store: StoreKind) -> &'static str {
    match store {
        StoreKind::Postgres => "DROP TRIGGER poison ON audit_events",
        StoreKind::Sqlite => "DROP TRIGGER poison",
    }
}

async fn poisoned(store: StoreKind) {
    let tranche = Tranche::start(
        store,
        Options {
            settings: vec![("TRANCHE_RATE_LIMIT", "off".to_owned())],
            ..Options::default()
        },
    );
    tranche.sql(refusal(store)).await;
    let service = tranche.caller("reports", "service", None);
    let auditor = tranche.caller("ada", "auditor", None);
    let poison = id();
    let mut entries: Vec<Value> = (0..60).map(|_| event(id(), "info")).collect();
    entries[30] = event(poison, "info");
    entries[30]["action"] = json!("poison");
    let answer = service
        .post("/v1/audit/events", &json!({ "entries": entries }))
        .await
        .json(202);
    assert_eq!(answer["accepted"], 60, "{answer}");

    let stored = "SELECT count(*) FROM audit_events WHERE action = 'load.sent'";
    eventually("the others are stored", async || {
        (tranche.sql(stored).await == "59").then_some(())
    })
    .await;
    let list = || {
        let output = tranche.command(&["dead-letters", "list"]);
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).expect("text");
        text.lines()
            .map(|line| serde_json::from_str(line).expect("a line of JSON"))
            .collect::<Vec<Value>>()
    };
    let letters = eventually("one dead letter", async || {
        let letters = list();
        (letters.len() == 1).then_some(letters)
    })
    .await;
    assert_eq!(letters[0]["event_id"], json!(poison));
    assert_eq!(letters[0]["event"]["action"], "poison");
    assert!(
        letters[0]["error"]
            .as_str()
            .is_some_and(|error| !error.is_empty())
    );
    let metrics = auditor.get("/v1/monitoring/audit-metrics").await.json(200);
    assert_eq!(metrics["dead_letters"], 1, "{metrics}");
    assert_eq!(metrics["queue_length"], 0, "{metrics}");

    let id = letters[0]["id"].as_str().expect("an id");
    let again = tranche.command(&["dead-letters", "redrive", id]);
    assert!(!again.status.success(), "the log still refuses it");
    assert_eq!(list().len(), 1, "and it is still there");
    tranche.sql(cure(store)).await;
    let again = tranche.command(&["dead-letters", "redrive", "--all"]);
    assert!(again.status.success(), "{again:?}");
    assert_eq!(list().len(), 0);
    let stored = "SELECT count(*) FROM audit_events WHERE action = 'poison'";
    assert_eq!(tranche.sql(stored).await, "1");
}

#[tokio::test]
async fn a_poisonous_event_delays_nobody_on_sqlite() {
    poisoned(StoreKind::Sqlite).await;
}

#[tokio::test]
async fn a_poisonous_event_delays_nobody_on_postgres() {
    poisoned(StoreKind::Postgres).await;
}
