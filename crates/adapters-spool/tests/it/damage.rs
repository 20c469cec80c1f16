//! What a disk does to a file: single bytes, whole lines, torn writes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use tranche_adapters_spool::{Peek, Settings, SpoolQueue};
use tranche_application::ports::queue::{AuditQueue, Taken};
use tranche_tests::queue_contract::{
    BRIEF, at, done, drain, gives_nothing, ids, is_empty, push, take, taken_ids,
};

use crate::scene::{Scene, execute, log_of, open};

/// A closed queue with events 1 to 5 in one frame.
async fn five() -> Scene {
    let scene = Scene::new();
    let queue = scene.open(Settings::default()).await;
    push(&queue, 1..=5).await;
    queue.close().await;
    scene
}

fn position(all: &[u8], text: &str) -> usize {
    let mut windows = all.windows(text.len());
    let found = windows.position(|window| window == text.as_bytes());
    found.expect("the text is in the file")
}

fn flip(file: &Path, text: &str) {
    let mut all = fs::read(file).expect("a file");
    let place = position(&all, text);
    let byte = all.get_mut(place).expect("a byte");
    *byte ^= 1;
    fs::write(file, all).expect("a file");
}

async fn taken_after_damage(scene: &Scene) -> (SpoolQueue, Taken) {
    let queue = scene.open(Settings::default()).await;
    let taken = take(&queue, 10).await;
    (queue, taken)
}

#[tokio::test]
async fn a_flipped_byte_costs_one_event() {
    let scene = five().await;
    flip(&scene.file, "report-3");
    let (queue, taken) = taken_after_damage(&scene).await;
    assert_eq!(taken_ids(&taken), ids([1, 2, 4, 5]));
    let [unreadable] = taken.unreadable.as_slice() else {
        panic!("{:?}", taken.unreadable)
    };
    assert_eq!(unreadable.error, "the checksum is wrong");
    assert!(unreadable.content.contains("seport-3") || unreadable.content.contains("sdport"));
    done(&queue, &taken.receipt).await;
    is_empty(&queue).await;
}

#[tokio::test]
async fn a_lost_line_end_costs_two_events() {
    let scene = five().await;
    let mut all = fs::read(&scene.file).expect("a file");
    let second = position(&all, "report-2");
    let rest = all.get(second..).expect("more");
    let end = rest.iter().position(|byte| *byte == b'\n').expect("an end");
    *all.get_mut(second + end).expect("a byte") = b' ';
    fs::write(&scene.file, all).expect("a file");
    let (_queue, taken) = taken_after_damage(&scene).await;
    assert_eq!(taken_ids(&taken), ids([1, 4, 5]));
    assert_eq!(taken.unreadable.len(), 1);
}

#[tokio::test]
async fn a_missing_line_is_noticed() {
    let scene = five().await;
    let cut = "UPDATE frames SET payload =
        substr(payload, 1, instr(CAST(payload AS TEXT), char(10)))";
    execute(&scene.file, cut).await;
    let (queue, taken) = taken_after_damage(&scene).await;
    assert_eq!(taken_ids(&taken), ids([1]));
    let errors: Vec<_> = taken.unreadable.iter().map(|entry| &entry.error).collect();
    assert_eq!(errors, ["1 of 5 events are left of a frame"]);
    done(&queue, &taken.receipt).await;
    is_empty(&queue).await;
}

/// Lines that are all right by themselves, in the place of others.
#[tokio::test]
async fn a_stale_frame_is_noticed() {
    let scene = five().await;
    execute(&scene.file, "UPDATE frames SET checksum = checksum - 1").await;
    let (_queue, taken) = taken_after_damage(&scene).await;
    assert_eq!(taken_ids(&taken), ids(1..=5));
    let errors: Vec<_> = taken.unreadable.iter().map(|entry| &entry.error).collect();
    assert_eq!(errors, ["the checksum of a frame is wrong"]);
}

#[tokio::test]
async fn a_line_that_is_no_event_is_unreadable() {
    let scene = five().await;
    let text = "UPDATE frames SET payload = CAST('no line at all' || char(10) ||
        '00000000 ' || char(10) || 'ffffffff {}' || char(10) || x'ff' AS BLOB)";
    execute(&scene.file, text).await;
    let (_queue, taken) = taken_after_damage(&scene).await;
    assert_eq!(taken.events, []);
    let errors: Vec<_> = taken
        .unreadable
        .iter()
        .map(|entry| entry.error.as_str())
        .collect();
    let [first, second, third, fourth] = errors.as_slice() else {
        panic!("{errors:?}")
    };
    assert_eq!(*first, "the line is not whole");
    assert!(second.starts_with("it is no event: "), "{second}");
    assert_eq!(*third, "the checksum is wrong");
    assert_eq!(*fourth, "the line is not whole");
}

/// Wherever the log breaks off, what was acknowledged before is there, and what was being written is
/// there whole or not at all.
#[tokio::test]
async fn a_torn_log_loses_nothing_that_was_acknowledged() {
    let scene = Scene::new();
    let queue = scene.open(Settings::default()).await;
    push(&queue, 1..=3).await;
    let acknowledged = fs::metadata(log_of(&scene.file)).expect("a log").len();
    push(&queue, 4..=40).await;
    let all = fs::metadata(log_of(&scene.file)).expect("a log").len();
    assert!(all > acknowledged, "{all} of {acknowledged}");
    let mut outcomes = BTreeSet::new();
    for cut in (acknowledged..=all).step_by(1_111).chain([all - 1, all]) {
        let image = scene.image();
        let log = fs::OpenOptions::new().write(true).open(log_of(&image.file));
        log.expect("a log").set_len(cut).expect("it is cut");
        let torn = open(&image.file, Settings::default()).await;
        let depth = torn.depth().await.expect("it answers").events;
        outcomes.insert(depth);
        let expected = if depth == 3 { ids(1..=3) } else { ids(1..=40) };
        assert_eq!(drain(&torn, expected.len()).await, expected, "cut at {cut}");
        push(&torn, [99]).await;
        assert_eq!(drain(&torn, 1).await, ids([99]));
    }
    assert_eq!(outcomes, BTreeSet::from([3, 40]));
}

/// A damaged page of the tree is SQLite's to notice: no answer is made up.
#[tokio::test]
async fn a_damaged_tree_is_an_error() {
    let scene = Scene::new();
    let queue = scene.open(Settings::default()).await;
    push(&queue, [1]).await;
    queue.close().await;
    let mut all = fs::read(&scene.file).expect("a file");
    // The page after the schema's is the table's.
    all.get_mut(4_096..4_104).expect("a page").fill(0xff);
    fs::write(&scene.file, all).expect("a file");
    let opened = SpoolQueue::open(&scene.file, Settings::default()).await;
    let error = opened.expect_err("it is damaged").to_string();
    assert!(error.contains("queue.db"), "{error}");
}

#[tokio::test]
async fn nothing_is_made_up_for_what_is_gone() {
    let scene = Scene::new();
    let queue = scene.open(crate::scene::forgetful()).await;
    push(&queue, [1]).await;
    execute(&scene.file, "DELETE FROM frames").await;
    gives_nothing(&queue).await;
    push(&queue, [2]).await;
    let taken = queue.take(10, BRIEF).await.expect("it answers");
    assert_eq!(taken.map(|taken| taken_ids(&taken)), Some(ids([2])));
}

/// A page that holds the middle of a large event: its frame is lost, said to be so, and in nobody's way.
#[tokio::test]
async fn a_damaged_page_of_an_event_costs_its_frame() {
    let scene = Scene::new();
    let queue = scene.open(Settings::default()).await;
    push(&queue, [1]).await;
    let pushed = queue.push(&[crate::scene::large(2, 20_000)], at(2)).await;
    assert_eq!(pushed.expect("it answers"), 1);
    push(&queue, [3]).await;
    queue.close().await;
    let mut all = fs::read(&scene.file).expect("a file");
    // The page after the table's is the first that holds nothing but event 2; its first bytes name the next.
    all.get_mut(8_192..8_196).expect("a page").fill(0xff);
    fs::write(&scene.file, all).expect("a file");
    let queue = scene.open(crate::scene::forgetful()).await;
    let taken = take(&queue, 3).await;
    assert_eq!(taken_ids(&taken), ids([1, 3]));
    let [lost] = taken.unreadable.as_slice() else {
        panic!("{:?}", taken.unreadable)
    };
    let error = &lost.error;
    assert!(error.starts_with("frame 2 cannot be read: "), "{error}");
    // It cannot be deleted either, and stands in nobody's way.
    done(&queue, &taken.receipt).await;
    is_empty(&queue).await;
    push(&queue, [4]).await;
    assert_eq!(drain(&queue, 1).await, ids([4]));
}

/// Somebody took the table away: that is no event's fault, and nothing is given up.
#[tokio::test]
async fn a_file_that_cannot_be_read_is_an_error_to_all_who_ask() {
    let scene = Scene::new();
    let queue = scene.open(crate::scene::forgetful()).await;
    push(&queue, 1..=2).await;
    let held = take(&queue, 2).await;
    queue.give_back(&held.receipt).await.expect("it answers");
    let mut peek = Peek::open(&scene.file).await.expect("it opens");
    rename(&scene.file, "ALTER TABLE frames RENAME TO elsewhere").await;
    let error = queue.take(2, BRIEF).await.expect_err("no table");
    assert!(error.to_string().contains("frames"), "{error}");
    let error = peek.next().await.expect_err("no table").to_string();
    assert!(
        error.contains("queue.db") && error.contains("frames"),
        "{error}"
    );
    rename(&scene.file, "ALTER TABLE elsewhere RENAME TO frames").await;
    assert_eq!(drain(&queue, 2).await, ids(1..=2));
}

async fn rename(file: &Path, sql: &'static str) {
    use sqlx::{Connection, SqliteConnection};
    let url = file.to_str().expect("a plain path");
    let mut connection = SqliteConnection::connect(url).await.expect("it opens");
    let renamed = sqlx::query(sql).execute(&mut connection).await;
    renamed.expect("it is renamed");
    connection.close().await.expect("it closes");
}
