//! A look into a queue changes nothing.

use std::path::Path;

use tranche_adapters_spool::{Entry, OpenError, Peek, Settings};
use tranche_application::ports::queue::AuditQueue;
use tranche_tests::queue_contract::{at, done, event, id, push, take};

use crate::scene::{Scene, execute};

async fn entries(file: &Path) -> Vec<Entry> {
    let mut peek = Peek::open(file).await.expect("it opens");
    let mut entries = Vec::new();
    while let Some(entry) = peek.next().await.expect("it is read") {
        entries.push(entry);
    }
    entries
}

#[tokio::test]
async fn what_waits_is_shown_while_the_service_runs() {
    let scene = Scene::new();
    let queue = scene.open(Settings::default()).await;
    assert_eq!(entries(&scene.file).await, []);
    push(&queue, [1]).await;
    push(&queue, [2, 3]).await;
    push(&queue, [4]).await;
    let first = take(&queue, 1).await;
    done(&queue, &first.receipt).await;
    let held = take(&queue, 2).await;
    let shown = entries(&scene.file).await;
    let seen: Vec<_> = shown
        .iter()
        .map(|entry| {
            let event = entry.event.as_ref().map(|event| event.id);
            (entry.position.as_str(), entry.pushed_at, event)
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("2.1", at(2), Some(id(2))),
            ("2.2", at(2), Some(id(3))),
            ("3.1", at(4), Some(id(4))),
        ]
    );
    done(&queue, &held.receipt).await;
    assert_eq!(entries(&scene.file).await.len(), 1);
    assert_eq!(queue.depth().await.expect("it answers").events, 1);
}

#[tokio::test]
async fn an_entry_is_a_line_of_json() {
    let scene = Scene::new();
    let queue = scene.open(Settings::default()).await;
    push(&queue, [1]).await;
    push(&queue, [2]).await;
    queue.close().await;
    let damage = "UPDATE frames SET payload = x'6e6f0a' WHERE sequence = 2";
    execute(&scene.file, damage).await;
    let shown = entries(&scene.file).await;
    let lines: Vec<_> = shown
        .iter()
        .map(|entry| serde_json::to_value(entry).expect("JSON"))
        .collect();
    let expected = [
        serde_json::json!({ "position": "1.1", "pushed_at": at(1), "event": *event(1) }),
        serde_json::json!({
            "position": "2.1", "pushed_at": at(2),
            "unreadable": "no", "error": "the line is not whole",
        }),
    ];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn nothing_is_made_where_there_is_no_queue() {
    let scene = Scene::new();
    let error = Peek::open(&scene.file).await.expect_err("nothing there");
    assert!(error.to_string().contains("queue.db"), "{error}");
    assert!(!scene.file.exists());
    let other = scene.folder.path().join("other.db");
    std::fs::write(&other, "").expect("a file");
    let error = Peek::open(&other).await.expect_err("no queue");
    assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
    assert_eq!(std::fs::read(&other).expect("a file"), b"");
}
