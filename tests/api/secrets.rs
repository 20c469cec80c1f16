//! Secrets stay secret: seeds, API keys and the master key are nowhere to be found afterwards.

use serde_json::json;
use tranche_tests::support::service::{Options, StoreKind, files_below};

use crate::scene::Scene;

on_both_stores! {
    nowhere: no_secret_is_found_anywhere_on_sqlite, no_secret_is_found_anywhere_on_postgres;
    sealed: no_sealed_detail_is_found_anywhere_on_sqlite,
        no_sealed_detail_is_found_anywhere_on_postgres;
}

/// Something that must not be found, in every form that it could have.
struct Secret {
    what: &'static str,
    forms: Vec<Vec<u8>>,
}

impl Secret {
    /// A text, and the bytes behind it raw, in hex and in base64.
    fn new(what: &'static str, text: &str, bytes: &[u8]) -> Self {
        let hex = hex::encode(bytes);
        let forms = vec![
            text.as_bytes().to_vec(),
            bytes.to_vec(),
            hex.to_uppercase().into_bytes(),
            hex.into_bytes(),
            base64(bytes).into_bytes(),
        ];
        Self { what, forms }
    }

    fn is_in(&self, place: &[u8]) -> bool {
        self.forms
            .iter()
            .any(|form| place.windows(form.len()).any(|window| window == form))
    }
}

/// Base64 without its padding and last digit, which depend on what follows.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: Vec<u8> = bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| (byte >> bit) & 1))
        .collect();
    let sixes = bits.chunks_exact(6);
    sixes
        .map(|six| {
            six.iter()
                .fold(0_usize, |digit, bit| digit * 2 + usize::from(*bit))
        })
        .map(|digit| char::from(DIGITS[digit]))
        .collect()
}

/// Everything the service left behind, by name.
async fn places(scene: &Scene) -> Vec<(String, Vec<u8>)> {
    let mut places = vec![
        (
            "the answers".to_owned(),
            scene.tranche.answers().into_bytes(),
        ),
        ("the log".to_owned(), scene.tranche.log().into_bytes()),
        (
            "the database".to_owned(),
            scene.tranche.database_bytes().await,
        ),
    ];
    for file in files_below(&scene.tranche.data_dir()) {
        if !file.ends_with("master.key") {
            places.push((
                file.display().to_string(),
                std::fs::read(&file).unwrap_or_default(),
            ));
        }
    }
    places
}

fn found(secrets: &[Secret], places: &[(String, Vec<u8>)]) -> Vec<String> {
    let pairs = secrets
        .iter()
        .flat_map(|secret| places.iter().map(move |place| (secret, place)));
    let leaks = pairs.filter(|(secret, (_, bytes))| secret.is_in(bytes));
    leaks
        .map(|(secret, (place, _))| format!("{} in {place}", secret.what))
        .collect()
}

// disbursement.md, keys: a seed never appears in a log, an error, an event or an answer; nor does a
// key or the master key. With everything logged, and the seed in every place a caller may put it.
async fn nowhere(store: StoreKind) {
    let options = Options {
        log: "trace",
        ..Options::default()
    };
    let mut scene = Scene::with(store, options);
    let tranche = &scene.tranche;
    let token = tranche.key("scanned", "admin", None);
    let admin = tranche.with_token(Some(&token));
    let wallet = tranche.ledger().wallet("1000").await;
    let body = json!({ "name": "Sealed", "nav": "1000", "lp_tokens_outstanding": "10",
        "wallet": { "secret_seed": wallet.seed } });
    // In the wrong place, twice, and with a mistake beside it.
    admin.post("/v1/projects?wallet", &body).await;
    for (name, value) in [("nav", json!("x")), ("wallet", json!(wallet.seed))] {
        let mut wrong = body.clone();
        wrong[name] = value;
        admin.keyed("sealed").post("/v1/projects", &wrong).await;
    }
    let project = admin.get("/v1/projects").await.json(200)["data"][0]["id"].clone();
    let project = project.as_str().expect("the project").to_owned();
    admin
        .post("/v1/projects", &body)
        .await
        .problem(409, "project.wallet_taken");
    let milestone = scene.paid(&project, 1, "10").await;
    scene.tranche.ledger().fault("fail_included", 1).await;
    scene
        .disburse(&milestone, "failed", 30)
        .await
        .problem(409, "disbursement.failed");
    scene.disburse(&milestone, "burned", 30).await.json(200);
    scene.events(&milestone).await;
    scene.tranche.restart_after(Some(0));
    scene.project_view(&project).await;

    let master = scene.tranche.master_key();
    let decoded = |hex: &str| hex::decode(hex).expect("hex");
    let secret = token.rsplit_once('_').map_or("", |(_, secret)| secret);
    let secrets = [
        Secret::new("the seed", &wallet.seed, &wallet.bytes),
        Secret::new("the API key", &token, &decoded(secret)),
        Secret::new("the master key", &master, &decoded(&master)),
    ];
    let places_now = places(&scene).await;
    assert!(places_now[..3].iter().all(|(_, bytes)| !bytes.is_empty()));
    assert!(places_now[1].1.len() > 10_000, "everything is logged");
    assert_eq!(found(&secrets, &places_now), [] as [String; 0]);
    // It would be found: the account next to it is, and so is a seed that somebody gives away.
    let public = Secret::new("the account", &wallet.account, &[0; 64]);
    let told = found(&[public], &places_now);
    assert!(
        told.iter().any(|place| place.ends_with("the answers")),
        "{told:?}"
    );
    assert!(
        told.iter().any(|place| place.ends_with("the database")),
        "{told:?}"
    );
    scene.open(&json!({ "name": wallet.seed })).await;
    let leaks = found(&secrets, &places(&scene).await);
    for place in ["the answers", "the database"] {
        assert!(leaks.contains(&format!("the seed in {place}")), "{leaks:?}");
    }
    let hidden = Secret::new("it", "text", &wallet.bytes);
    for form in &hidden.forms {
        assert!(hidden.is_in(&[b"...", &form[..], b"..."].concat()));
    }
}

// S9: what is sealed in events lies nowhere in clear: not in queue, spool, log, dead letters or the
// service's own log, with everything logged, and whichever way the event went.
async fn sealed(store: StoreKind) {
    let detail = "Mme Curie, 7 rue Cuvier";
    let options = Options {
        log: "trace",
        settings: vec![("TRANCHE_AUDIT_SEAL", "$.who.*,user_agent".to_owned())],
        ..Options::default()
    };
    let scene = Scene::with(store, options);
    let service = scene.tranche.caller("clinic", "service", None);
    let event = |severity: &str| {
        json!({ "action": "visit.made", "resource_type": "visit", "severity": severity,
            "user_agent": detail, "details": { "who": { "name": detail }, "ward": "ward-seven" } })
    };
    let entries = ["critical", "warning", "info"].map(event);
    let entries = json!({ "entries": entries });
    service.post("/v1/audit/events", &entries).await.json(202);
    // A log that takes nothing: the rest waits on the disk.
    scene.tranche.break_audit().await;
    let waiting = ["warning", "info"].map(event);
    let waiting = json!({ "entries": waiting });
    service.post("/v1/audit/events", &waiting).await.json(202);
    let secret = [Secret::new("the detail", detail, detail.as_bytes())];
    let places_now = places(&scene).await;
    assert_eq!(found(&secret, &places_now), [] as [String; 0]);
    let beside = [Secret::new("the ward", "ward-seven", b"ward-seven")];
    let told = found(&beside, &places_now);
    for place in ["the database", "queue.1.db"] {
        assert!(
            told.iter().any(|found| found.contains(place)),
            "{place}: {told:?}"
        );
    }
}
