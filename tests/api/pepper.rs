//! The pepper of API keys: one for all replicas, and the one that older keys were hashed under.

use tranche_application::keys::keyed_hash;
use tranche_tests::support::postgres::Database;
use tranche_tests::support::service::{
    MASTER_KEY, Options, Process, StoreKind, Tranche, binary, run,
};

on_both_stores! {
    at_once: replicas_that_start_at_once_share_a_pepper_on_sqlite,
        replicas_that_start_at_once_share_a_pepper_on_postgres;
    adopted: keys_from_before_the_sealed_pepper_go_on_on_sqlite,
        keys_from_before_the_sealed_pepper_go_on_on_postgres;
}

const NEXT: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00123456789abcdef5ca1ab1e5ca1ab1e";

async fn at_once(store: StoreKind) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut settings = vec![("TRANCHE_MASTER_KEY", MASTER_KEY.to_owned())];
    let database = (store == StoreKind::Postgres)
        .then(|| Database::create().unwrap_or_else(|error| panic!("{error}")));
    if let Some(database) = &database {
        settings.push(("TRANCHE_DATABASE_URL", database.url.clone()));
    }
    let issue = || {
        run(
            &["key", "issue", "--subject", "ada", "--role", "viewer"],
            &settings,
            folder.path(),
        )
    };
    let tokens: Vec<String> = std::thread::scope(|scope| {
        let issued: Vec<_> = (0..6).map(|_| scope.spawn(issue)).collect();
        let outputs = issued.into_iter().map(|key| key.join().expect("it ends"));
        outputs
            .map(|output| {
                let errors = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{errors}");
                String::from_utf8(output.stdout)
                    .expect("text")
                    .trim()
                    .to_owned()
            })
            .collect()
    });
    let log = folder.path().join("log");
    settings.push(("TRANCHE_LISTEN", "127.0.0.1:0".to_owned()));
    let service = Process::start(&binary(), &["serve"], &settings, folder.path(), &log);
    let http = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client");
    for token in tokens {
        let url = format!("{}/v1/projects", service.url());
        let answer = http
            .get(url)
            .bearer_auth(token)
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 200);
    }
}

/// Makes the store one of a former version, which has a key and no pepper.
async fn grow_old(tranche: &Tranche, token: &str) {
    let bytes = hex::decode(MASTER_KEY).expect("hex");
    let master = bytes.try_into().expect("32 bytes");
    let pepper = keyed_hash(&master, b"tranche api key pepper v1");
    let hash = hex::encode(keyed_hash(&pepper, token.as_bytes()));
    let id = &token[4..20];
    tranche
        .sql(&match tranche.store {
            StoreKind::Postgres => format!(
                "DELETE FROM secrets; INSERT INTO api_keys (id, subject, roles, hash, created_at)
                 VALUES ('{id}', 'old', '{{admin}}', '\\x{hash}', now())"
            ),
            StoreKind::Sqlite => format!(
                "DELETE FROM secrets; INSERT INTO api_keys (id, subject, roles, hash, created_at)
                 VALUES ('{id}', 'old', 'admin', x'{hash}', 0)"
            ),
        })
        .await;
}

async fn adopted(store: StoreKind) {
    let settings = vec![("TRANCHE_MASTER_KEY", MASTER_KEY.to_owned())];
    let options = Options {
        settings,
        ..Options::default()
    };
    let mut tranche = Tranche::start(store, options);
    let token = format!("trk_{}_{}", "0a".repeat(8), "5b".repeat(32));
    grow_old(&tranche, &token).await;
    assert_eq!(tranche.terminate(), Some(0));
    let both = format!("{NEXT} {MASTER_KEY}");
    tranche.set("TRANCHE_MASTER_KEY", Some(&both));
    let refused = tranche.command(&["custody", "rotate"]);
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && told.contains("start once"),
        "{told}"
    );
    tranche.set("TRANCHE_MASTER_KEY", Some(MASTER_KEY));
    tranche.restart();
    let old = tranche.with_token(Some(&token));
    old.get("/v1/projects").await.json(200);
    // From now on it is sealed, and outlives the master key that it came from.
    tranche.set("TRANCHE_MASTER_KEY", Some(&both));
    let rotated = tranche.command(&["custody", "rotate"]);
    assert!(rotated.status.success(), "{rotated:?}");
    tranche.set("TRANCHE_MASTER_KEY", Some(NEXT));
    tranche.restart_after(Some(0));
    old.get("/v1/projects").await.json(200);
    let new = tranche.caller("new", "viewer", None);
    new.get("/v1/projects").await.json(200);
}
