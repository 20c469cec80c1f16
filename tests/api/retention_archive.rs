//! What expires is in a table first, which anybody can judge (S7).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tranche_tests::support::service::{Caller, StoreKind, Tranche};

use crate::retention::{by_hand, of_2020, old_events, run};

on_both_stores! {
    judged: a_table_is_judged_without_the_service_on_sqlite,
        a_table_is_judged_without_the_service_on_postgres;
}

/// A service whose archive is a folder, with old events; and the folder.
async fn begun(store: StoreKind) -> (Tranche, Caller, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut options = by_hand();
    let url = format!("file://{}/archive", folder.path().display());
    options.settings.push(("TRANCHE_ARCHIVE_URL", url));
    let tranche = Tranche::start(store, options);
    let [admin] = tranche.callers([("ada", "admin")]);
    old_events(&tranche).await;
    (tranche, admin, folder)
}

/// What expired of January 2020, and the file that it is in.
async fn expired(admin: &Caller, folder: &TempDir) -> Vec<(Value, PathBuf)> {
    let shown = admin.get("/v1/audit/retention").await.json(200);
    let gone = of_2020(&shown["expired"]);
    assert!(gone.len() >= 2, "{shown}");
    let file = |gone: &Value| {
        let name = gone["archive_file"].as_str().expect("a name");
        folder.path().join("archive").join(name)
    };
    gone.into_iter()
        .map(|gone| (gone.clone(), file(gone)))
        .collect()
}

fn manifest_of(file: &Path) -> Value {
    let manifest = fs::read(file.with_extension("json")).expect("the manifest");
    serde_json::from_slice(&manifest).expect("JSON")
}

// S7: what expires lies in the archive's folder first, with a manifest that says what it is and bears a
// checkpoint, whether the service lets it go or a process that does not answer. A library that is not ours
// reads it and computes its leaves, which are those of the log.
#[tokio::test]
async fn what_expires_is_in_a_file() {
    for by_command in [false, true] {
        let (tranche, admin, folder) = begun(StoreKind::Sqlite).await;
        if by_command {
            let output = tranche.command(&["retention", "run"]);
            let complaint = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{complaint}");
        } else {
            run(&admin, false).await;
        }
        for (gone, file) in expired(&admin, &folder).await {
            let manifest = manifest_of(&file);
            assert_eq!(manifest["files"][0]["sha256"], gone["archive_sha256"]);
            assert_eq!(manifest["run_id"], gone["run_id"]);
            let note = manifest["checkpoint"].as_str().expect("a signed note");
            assert!(note.contains("\u{2014} "), "{note}");
            for (index, leaf) in judge(&file).as_object().expect("leaves") {
                let kept =
                    format!("SELECT lower(hex(leaf)) FROM audit_leaves WHERE leaf_index = {index}");
                assert_eq!(leaf, &tranche.sql(&kept).await);
            }
        }
    }
}

/// The leaves in a file, by a library that is not ours.
fn judge(file: &Path) -> Value {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = tests.join("../.judges/venv/bin/python");
    assert!(python.exists(), "the judge is missing: run make setup");
    let output = Command::new(python)
        .arg(tests.join("judges/python_archive.py"))
        .arg(file)
        .output()
        .expect("python runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// What `tranche verify` says of a file: its exit code, and its lines.
fn verify(tranche: &Tranche, file: &Path, more: &[&str]) -> (Option<i32>, String, String) {
    let file = file.to_str().expect("a plain path");
    let done = tranche.command(&[&["verify", "--export", file], more].concat());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (done.status.code(), text(&done.stdout), text(&done.stderr))
}

/// Alters bytes of a file wherever they are.
fn alter(file: &Path, from: &[u8], to: &[u8]) {
    let mut bytes = fs::read(file).expect("the file");
    let found: Vec<usize> = (0..bytes.len() - from.len())
        .filter(|at| bytes[*at..].starts_with(from))
        .collect();
    assert!(!found.is_empty());
    for at in found {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    fs::write(file, bytes).expect("it is written");
}

/// Makes a manifest tell of a file as it is now.
fn retell(file: &Path) {
    let mut manifest = manifest_of(file);
    let sha256 = Sha256::digest(fs::read(file).expect("the file"));
    manifest["files"][0]["sha256"] = json!(hex::encode(sha256));
    fs::write(file.with_extension("json"), manifest.to_string()).expect("it is written");
}

// S7 S8: on another machine, with no database and no network: an altered row is named, a file that the
// log did not announce is told, and so is one that breaks off.
async fn judged(store: StoreKind) {
    let (mut tranche, admin, folder) = begun(store).await;
    run(&admin, false).await;
    let files = expired(&admin, &folder).await;
    let announced = "/v1/audit/export?format=ndjson&action=retention.expiring";
    let copy = folder.path().join("announced.ndjson");
    fs::write(&copy, admin.get(announced).await.text).expect("it is written");
    let key = tranche.command(&["log", "key"]);
    let key = String::from_utf8(key.stdout).expect("text");
    assert_eq!(tranche.terminate(), Some(0));
    // Nothing there to be asked.
    tranche.set("TRANCHE_DATABASE_URL", Some("postgres://127.0.0.1:1/none"));
    let copy = copy.to_str().expect("a plain path");
    let by = ["--key", key.trim(), "--announced", copy];

    for (_, file) in &files {
        let (code, words, warned) = verify(&tranche, file, &by);
        assert_eq!(
            (code, warned.contains("WARNING")),
            (Some(0), false),
            "{words}{warned}"
        );
        assert!(
            words.contains("the log announced the file: 1 events"),
            "{words}"
        );
        let (code, words, warned) = verify(&tranche, file, &[]);
        assert_eq!(code, Some(0), "{words}");
        assert_eq!(warned.matches("WARNING").count(), 2, "{warned}");
    }
    let (_, file) = &files[0];
    let (_, other) = &files[1];
    let whole = fs::read(file).expect("the file");

    alter(file, b"loan.assessed", b"loan.forgiven");
    let (code, words, _) = verify(&tranche, file, &by);
    assert_eq!(code, Some(1));
    assert!(
        words.contains("row_altered event 016f6000-0000-7000-8000-00000000000"),
        "{words}"
    );
    assert!(words.contains("file_altered"), "{words}");
    retell(file);
    let (code, words, _) = verify(&tranche, file, &by);
    assert!(
        code == Some(1) && words.contains("row_altered event"),
        "{words}"
    );
    assert!(
        words.contains("file_unannounced") && !words.contains("file_altered"),
        "{words}"
    );

    fs::write(file, &whole[..whole.len() - 9]).expect("it is written");
    let (code, words, _) = verify(&tranche, file, &by);
    assert!(
        code == Some(1) && words.contains("row_unreadable"),
        "{words}"
    );

    // Somebody else's file in its place, with its manifest.
    fs::copy(other, file).expect("it is copied");
    retell(file);
    let (code, words, _) = verify(&tranche, file, &by);
    assert!(
        code == Some(1) && words.contains("file_unannounced"),
        "{words}"
    );
    fs::remove_file(file.with_extension("json")).expect("it goes");
    let (code, _, why) = verify(&tranche, file, &by);
    assert!(code == Some(2) && why.contains("manifest"), "{why}");
    let (code, _, why) = verify(&tranche, Path::new(copy), &by);
    assert!(code == Some(2) && why.contains("--announced"), "{why}");
}
