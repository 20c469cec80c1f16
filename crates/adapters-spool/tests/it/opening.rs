//! Whose the file is, and what happens at its ends.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tranche_adapters_spool::{OpenError, Settings, SpoolQueue};
use tranche_application::ports::queue::{AuditQueue, Receipt};
use tranche_tests::queue_contract::{
    BRIEF, LONG, SOON, at, drain, event, events, ids, is_empty, push, take,
};

use crate::scene::{Scene, log_of, open};

async fn refused(file: &Path) -> OpenError {
    let opened = SpoolQueue::open(file, Settings::default()).await;
    opened.expect_err("it does not open")
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let scene = Scene::new();
    let queue = scene.open(Settings::default()).await;
    push(&queue, [1]).await;
    for (path, mode) in [
        (scene.file.clone(), 0o600),
        (log_of(&scene.file), 0o600),
        (scene.file.with_extension("db-shm"), 0o600),
        (scene.file.with_extension("db.lock"), 0o600),
        (scene.file.with_file_name(""), 0o700),
    ] {
        let metadata = fs::metadata(&path).expect("it is there");
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{path:?}");
    }
}

#[tokio::test]
async fn a_second_opener_is_told_so() {
    let scene = Scene::new();
    let queue = scene.open(Settings::default()).await;
    push(&queue, [1]).await;
    let error = refused(&scene.file).await;
    assert!(matches!(error, OpenError::InUse { .. }), "{error:?}");
    let name = scene.file.to_str().expect("a plain path");
    assert!(error.to_string().contains(name), "{error}");
    queue.close().await;
    let next = open(&scene.file, Settings::default()).await;
    assert_eq!(drain(&next, 1).await, ids([1]));
}

#[tokio::test]
#[ignore = "run by the next test, in a folder of its own"]
async fn opens_by_its_name_alone() {
    if crate::process::file().is_some() {
        let queue = open(Path::new("queue.db"), Settings::default()).await;
        push(&queue, [1]).await;
        queue.close().await;
    }
}

#[tokio::test]
async fn a_file_without_a_folder_is_in_the_folder_of_the_process() {
    let scene = Scene::new();
    let folder = scene.file.with_file_name("");
    fs::create_dir(&folder).expect("a folder");
    let test = "opening::opens_by_its_name_alone";
    let mut child = crate::process::child(test, &scene.file);
    let ended = child.current_dir(&folder).status().expect("it runs");
    assert!(ended.success());
    let queue = scene.open(Settings::default()).await;
    assert_eq!(drain(&queue, 1).await, ids([1]));
}

#[tokio::test]
async fn a_dropped_queue_lets_the_file_go() {
    let scene = Scene::new();
    let queue = scene.open(Settings::default()).await;
    push(&queue, [1]).await;
    drop(queue);
    let again = async {
        loop {
            match SpoolQueue::open(&scene.file, Settings::default()).await {
                Ok(queue) => return queue,
                Err(OpenError::InUse { .. }) => tokio::time::sleep(Duration::from_millis(5)).await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    let queue = timeout(LONG, again).await.expect("it is let go");
    assert_eq!(drain(&queue, 1).await, ids([1]));
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_named() {
    let scene = Scene::new();
    let file = scene.folder.path().join("a-file");
    fs::write(&file, "").expect("a file");
    for place in [
        file.join("queue.db"),
        scene.folder.path().to_owned(),
        "/proc/none/queue.db".into(),
    ] {
        let error = refused(&place).await;
        assert!(matches!(error, OpenError::Unusable { .. }), "{error:?}");
        let name = place.to_str().expect("a plain path");
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[tokio::test]
async fn what_is_no_queue_is_left_as_it_is() {
    let scene = Scene::new();
    let garbage = scene.folder.path().join("garbage.db");
    fs::write(&garbage, "a letter ".repeat(1_000)).expect("a file");
    let error = refused(&garbage).await;
    assert!(error.to_string().contains("garbage.db"), "{error}");
    assert_eq!(fs::read(&garbage).expect("a file").len(), 9_000);

    let other = Scene::new();
    let queue = other.open(Settings::default()).await;
    queue.close().await;
    renumber(&other.file, "PRAGMA user_version = 2").await;
    let error = refused(&other.file).await;
    assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
    renumber(&other.file, "PRAGMA user_version = 1").await;
    renumber(&other.file, "PRAGMA application_id = 7").await;
    let error = refused(&other.file).await;
    assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
}

async fn renumber(file: &Path, pragma: &'static str) {
    use sqlx::{Connection, SqliteConnection};
    let url = file.to_str().expect("a plain path");
    let mut connection = SqliteConnection::connect(url).await.expect("it opens");
    let done = sqlx::query(pragma).execute(&mut connection).await;
    done.expect("it is done");
    connection.close().await.expect("it closes");
}

/// Everybody gets an error, at once; those who waited too.
async fn answers_with_errors(queue: &SpoolQueue, receipt: &Receipt) {
    let asked = async {
        assert!(queue.push(&[event(1)], at(1)).await.is_err());
        assert!(queue.take(1, LONG * 4).await.is_err());
        assert!(queue.done(receipt).await.is_err());
        assert!(queue.depth().await.is_err());
    };
    timeout(LONG, asked).await.expect("nothing hangs");
}

#[tokio::test]
async fn a_closed_queue_says_so() {
    let scene = Scene::new();
    let queue = Arc::new(scene.open(Settings::default()).await);
    push(&*queue, [1]).await;
    let held = take(&*queue, 1).await;
    let waiting = Arc::clone(&queue);
    let waiting = tokio::spawn(async move { waiting.take(1, LONG * 4).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    queue.close().await;
    queue.close().await;
    let waited = timeout(LONG, waiting).await.expect("it is woken");
    assert!(waited.expect("no panic").is_err());
    answers_with_errors(&queue, &held.receipt).await;
    assert!(!log_of(&scene.file).exists(), "the log is in the database");
}

/// The writing task is gone without a word, as after a panic.
#[test]
fn a_queue_without_its_task_never_hangs() {
    let scene = Scene::new();
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
    };
    let (first, second) = (runtime().expect("threads"), runtime().expect("threads"));
    let (queue, held) = first.block_on(async {
        let queue = Arc::new(scene.open(Settings::default()).await);
        push(&*queue, [1]).await;
        let held = take(&*queue, 1).await;
        (queue, held)
    });
    let waiting = Arc::clone(&queue);
    let waiting = second.spawn(async move { waiting.take(1, LONG * 4).await });
    std::thread::sleep(Duration::from_millis(50));
    drop(first);
    second.block_on(async {
        let waited = timeout(LONG, waiting).await.expect("it is woken");
        assert!(waited.expect("no panic").is_err());
        answers_with_errors(&queue, &held.receipt).await;
        let again = open(&scene.file, Settings::default()).await;
        assert_eq!(drain(&again, 1).await, ids([1]));
    });
}

/// Somebody who does not wait for the answer leaves nothing behind that others stumble over.
#[tokio::test]
async fn a_caller_that_goes_away_takes_no_room_along() {
    let scene = Scene::new();
    let queue = scene.open(crate::scene::events(10)).await;
    for n in 1..=200 {
        let together = [event(n)];
        let pushing = queue.push(&together, at(n));
        let _ = timeout(Duration::from_micros(n), pushing).await;
        let taking = queue.take(10, Duration::ZERO);
        if let Ok(Ok(Some(taken))) = timeout(Duration::from_micros(n), taking).await {
            queue.done(&taken.receipt).await.expect("it answers");
        }
    }
    // Some may still be on their way.
    let all_fit = async {
        let together = events(301..=310);
        while queue.push(&together, at(1)).await.expect("it answers") < 10 {
            while let Some(taken) = queue.take(10, BRIEF).await.expect("it answers") {
                queue.done(&taken.receipt).await.expect("it answers");
            }
        }
    };
    timeout(LONG, all_fit).await.expect("there is room for all");
    assert_eq!(drain(&queue, 10).await, ids(301..=310));
}

/// Who counts as dead and speaks after all does not take from the living what they hold now.
#[tokio::test]
async fn a_late_word_gives_nothing_away() {
    let scene = Scene::new();
    let settings = Settings {
        hold: SOON,
        ..Settings::default()
    };
    let queue = scene.open(settings).await;
    push(&queue, [1]).await;
    let dead = take(&queue, 1).await;
    let living = take(&queue, 1).await;
    assert_eq!(living.events, dead.events);
    assert_ne!(living.receipt, dead.receipt);
    queue.give_back(&dead.receipt).await.expect("it answers");
    let given = queue.take(1, Duration::ZERO).await.expect("it answers");
    assert_eq!(given, None);
    queue.done(&dead.receipt).await.expect("it answers");
    queue.done(&living.receipt).await.expect("it answers");
    is_empty(&queue).await;
}

#[tokio::test]
async fn a_foreign_receipt_names_nothing() {
    let scene = Scene::new();
    let queue = scene.open(Settings::default()).await;
    push(&queue, [1]).await;
    let names = ["", ".", "1", "1.", "x.1", "99.1", "1-0", "-1.1"];
    let foreign = Receipt(names.map(str::to_owned).to_vec());
    queue.give_back(&foreign).await.expect("it answers");
    queue.done(&foreign).await.expect("it answers");
    assert_eq!(drain(&queue, 1).await, ids([1]));
}
