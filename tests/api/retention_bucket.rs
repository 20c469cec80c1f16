//! What expires goes to a bucket first (S7).

use serde_json::Value;
use tranche_tests::support::s3::{BUCKET, Key, S3};
use tranche_tests::support::service::{Options, StoreKind, Tranche};

use crate::retention::{by_hand, of_2020, old_events, outcomes, run};

fn with_bucket(s3: &S3, key: &Key) -> Options {
    let mut options = by_hand();
    let url = format!("s3://{BUCKET}/tranche");
    options.settings.push(("TRANCHE_ARCHIVE_URL", url));
    options.settings.extend(s3.settings(key));
    options
}

// S7: files and manifests are in the bucket, and the log names them with their hashes.
#[tokio::test]
async fn what_expires_is_in_a_bucket() {
    let s3 = S3::start().expect("an S3 server");
    let tranche = Tranche::start(StoreKind::Sqlite, with_bucket(&s3, s3.key("writer")));
    let [admin] = tranche.callers([("ada", "admin")]);
    old_events(&tranche).await;
    run(&admin, false).await;
    let shown = admin.get("/v1/audit/retention").await.json(200);
    let gone = of_2020(&shown["expired"]);
    assert!(gone.len() >= 2, "{shown}");
    let objects = s3.objects().expect("the bucket");
    assert_eq!(objects.len(), 2 * gone.len());
    for gone in gone {
        let name = gone["archive_file"].as_str().expect("a name");
        assert!(name.starts_with("tranche/"), "{name}");
        assert_eq!(objects[name].sha256, gone["archive_sha256"]);
        let (stem, _) = name.rsplit_once('.').expect("an ending");
        let manifest = s3.read(&format!("{stem}.json")).expect("the manifest");
        let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
        assert_eq!(manifest["files"][0]["sha256"], gone["archive_sha256"]);
    }
}

// S7: what the bucket does not take stays, the log says what to mend, and nothing says the key.
#[tokio::test]
async fn what_a_bucket_refuses_stays() {
    let s3 = S3::start().expect("an S3 server");
    let (id, secret) = s3.key("writer").clone();
    let wrong = secret.chars().rev().collect::<String>();
    let mut tranche = Tranche::start(StoreKind::Sqlite, with_bucket(&s3, &(id, wrong.clone())));
    let [admin] = tranche.callers([("ada", "admin")]);
    old_events(&tranche).await;
    let refused = run(&admin, false).await;
    assert!(
        outcomes(&refused).contains(&"expire info failed".to_owned()),
        "{refused}"
    );
    assert_eq!(
        of_2020(&admin.get("/v1/audit/retention").await.json(200)["expired"]).len(),
        0
    );
    let log = tranche.log();
    assert!(log.contains("mend AWS_SECRET_ACCESS_KEY"), "{log}");
    assert!(!log.contains(&wrong), "{log}");

    tranche.set("AWS_SECRET_ACCESS_KEY", Some(&secret));
    tranche.restart_after(Some(0));
    let done = run(&admin, false).await;
    assert!(
        outcomes(&done).contains(&"expire info done".to_owned()),
        "{done}"
    );
    assert!(!tranche.log().contains(&secret));
}
