//! From memory to the database and back, while trails are written: nothing that was acknowledged is
//! lost (T2).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tranche_application::ports::audit_search::Scope;
use tranche_application::ports::trails::{Adopted, TrailStore};
use tranche_application::trails::backend::SwitchError;
use tranche_application::trails::copying::Mismatch;
use tranche_application::trails::{Backend, MemoryLimits};
use tranche_domain::trail::sums::TimeRange;
use tranche_domain::trail::{Revised, TrailContent};
use tranche_domain::{Occasion, Trail};

use super::scene::{ELSEWHERE, PROJECT, caller, scoped, time};
use super::trail_room::{
    Gate, LIMITS, Room, by, completed_with, completion, message, placeholder, text, whole,
};

async fn switch(room: &Room, to: Backend) -> Result<bool, SwitchError> {
    room.trails.switch(to, &caller("admin")).await
}

fn not_copied(answer: &Result<bool, SwitchError>, count: u64) -> bool {
    matches!(answer, Err(SwitchError::NotCopied { missing, .. }) if *missing == count)
}

/// Migrates in batches of this many; says how many were copied.
async fn migrate(room: &Room, limit: u32) -> u64 {
    let (mut after, mut copied) = (None, 0);
    loop {
        let batch = room.trails.migrate(after, limit).await.unwrap();
        copied += batch.copied;
        after = batch.next_after;
        if after.is_none() {
            return copied;
        }
    }
}

/// The next state of a trail, past every store.
fn next(trail: Trail, tokens: u64, room: &Room) -> Trail {
    let occasion: Occasion = room.services.occasion(&by().caller);
    match trail.amend(completion(tokens), &occasion).unwrap() {
        Revised::Changed(change) => change.into_trail(),
        Revised::Unchanged(_) => panic!("it changes something"),
    }
}

#[tokio::test]
async fn a_read_copies_what_the_database_has_not() {
    let room = Room::new(Backend::Memory);
    let trail = room.put(1, whole(5)).await;
    room.put(2, whole(5)).await;
    assert_eq!(room.database.trail(1), None);
    assert!(switch(&room, Backend::Dual).await.unwrap());
    assert_eq!(room.read(1).await, Some(trail.clone()));
    assert_eq!(room.database.trail(1), Some(trail));
    room.amend(2, 6).await.unwrap();
    assert_eq!(completed_with(&room.database.trail(2).unwrap()), 6);
    assert_eq!(room.database.events(), ["trail.changed"]);
    assert_eq!(room.trails.figures().mismatches, 0);
    let hidden = scoped("reader", ELSEWHERE).caller;
    room.put(3, placeholder(0)).await;
    assert_eq!(room.trails.read(message(3), &hidden).await.unwrap(), None);
}

#[tokio::test]
async fn mismatches_are_counted_and_the_later_version_wins() {
    let room = Room::new(Backend::Dual);
    let first = room.put(1, whole(5)).await;
    room.read(1).await;
    // Another process writes to the database: memory here is merely behind.
    let second = next(first.clone(), 6, &room);
    assert!(room.database.rows.take(&second));
    assert_eq!(room.read(1).await, Some(second.clone()));
    assert_eq!(room.trails.figures().mismatches, 0);
    // The same version with another content: the database is the truth.
    room.memory.clear();
    let otherwise = next(first, 7, &room);
    assert!(room.memory.take(&otherwise));
    assert_eq!(room.read(1).await, Some(second.clone()));
    assert_eq!(room.trails.figures().mismatches, 1);
    let compared = room.trails.compare(None, 10).await.unwrap();
    assert_eq!((compared.compared, compared.missing), (1, vec![]));
    let tokens = Mismatch {
        message_id: message(1),
        fields: vec!["tokens"],
    };
    assert_eq!(compared.differing, [tokens]);
    // A later version in memory, as of a database from a backup: it is copied over.
    let later = next(otherwise, 8, &room);
    assert!(room.memory.take(&later));
    assert_eq!(room.read(1).await, Some(later.clone()));
    assert_eq!(room.database.trail(1), Some(later));
    assert_eq!(room.trails.figures().mismatches, 2);
    room.read(1).await;
    assert_eq!(room.trails.figures().mismatches, 2);
}

/// A database that has a message from before, and a memory that began it anew an hour later.
async fn begun_anew(content: TrailContent) -> (Room, Trail) {
    let room = Room::new(Backend::Memory);
    let first = Trail::open(message(1), PROJECT, whole(5), time(0)).unwrap();
    let before = next(first.into_trail(), 6, &room);
    assert!(room.database.rows.take(&before));
    room.clock.set(time(3_600));
    let later = room.put(1, content).await;
    assert_eq!(later.record().version, 1, "memory knew nothing of it");
    (room, later)
}

#[tokio::test]
async fn what_memory_began_anew_is_the_later() {
    let (room, later) = begun_anew(whole(7)).await;
    let compared = room.trails.compare(None, 10).await.unwrap();
    assert_eq!(compared.missing, [message(1)]);
    let refused = switch(&room, Backend::Database).await;
    assert!(not_copied(&refused, 1), "{refused:?}");
    assert_eq!(migrate(&room, 10).await, 1);
    assert_eq!(migrate(&room, 10).await, 0);
    let there = room.database.trail(1).unwrap();
    assert_eq!(there.differences(&later), [] as [&str; 0]);
    assert_eq!(there.record().version, 3, "versions only grow");
    let compared = room.trails.compare(None, 10).await.unwrap();
    assert_eq!((compared.missing, compared.differing), (vec![], vec![]));
    assert!(switch(&room, Backend::Database).await.unwrap());
    assert_eq!(room.read(1).await, Some(there));
}

#[tokio::test]
async fn a_read_gives_what_memory_began_anew() {
    let (room, _) = begun_anew(whole(7)).await;
    assert!(switch(&room, Backend::Dual).await.unwrap());
    let read = room.read(1).await.unwrap();
    assert_eq!((completed_with(&read), read.record().version), (7, 3));
    assert_eq!(room.trails.figures().mismatches, 1);
    room.amend(1, 8).await.unwrap();
    let read = room.read(1).await.unwrap();
    assert_eq!((completed_with(&read), read.record().version), (8, 4));
    assert_eq!(
        room.memory.get(message(1), Scope::All).as_deref(),
        Some(&read)
    );
    assert_eq!(room.trails.figures().mismatches, 1);
}

#[tokio::test]
async fn a_later_row_stands_whatever_the_version_in_memory() {
    let room = Room::new(Backend::Memory);
    room.put(1, whole(5)).await;
    room.amend(1, 6).await.unwrap();
    let ahead = room.amend(1, 7).await.unwrap().trail;
    // Meanwhile another process began the message in the database.
    let occasion = Occasion {
        at: time(60),
        ..room.services.occasion(&by().caller)
    };
    let elsewhere = Trail::open(message(1), PROJECT, whole(8), occasion.at).unwrap();
    let elsewhere = elsewhere.into_trail();
    assert!(room.database.rows.take(&elsewhere));
    assert_eq!(migrate(&room, 10).await, 0);
    let adopted = room.database.adopt(std::slice::from_ref(&ahead)).await;
    assert_eq!(adopted.unwrap(), [Adopted::Present]);
    assert_eq!(room.database.trail(1), Some(elsewhere.clone()));
    let compared = room.trails.compare(None, 10).await.unwrap();
    assert_eq!(compared.missing, []);
    assert_eq!(
        compared.differing[0].fields,
        ["tokens", "completed_at", "version"]
    );
    assert!(switch(&room, Backend::Dual).await.unwrap());
    assert_eq!(room.read(1).await, Some(elsewhere));
    assert_eq!(room.trails.figures().mismatches, 1);
}

#[tokio::test]
async fn what_differs_at_one_moment_holds_up_the_database() {
    let room = Room::new(Backend::Memory);
    let trail = room.put(1, whole(5)).await;
    let there = Trail::open(message(1), PROJECT, whole(6), trail.record().updated_at);
    assert!(room.database.rows.take(there.unwrap().trail()));
    let refused = switch(&room, Backend::Database).await;
    assert!(not_copied(&refused, 1), "{refused:?}");
    assert_eq!(migrate(&room, 10).await, 1);
    let there = room.database.trail(1).unwrap();
    assert_eq!((completed_with(&there), there.record().version), (5, 2));
    assert!(switch(&room, Backend::Database).await.unwrap());
}

#[tokio::test]
async fn trails_of_projects_that_are_gone_are_not_copied() {
    let room = Room::new(Backend::Memory);
    room.put(1, whole(5)).await;
    room.put(2, whole(5)).await;
    room.put_into(ELSEWHERE, 3, whole(5)).await;
    room.database.gone.lock().unwrap().insert(PROJECT);
    let batch = room.trails.migrate(None, 10).await.unwrap();
    assert_eq!((batch.copied, batch.gone, batch.total), (1, 2, 3));
    assert_eq!(room.memory.len(), 1);
    room.database.gone.lock().unwrap().insert(ELSEWHERE);
    switch(&room, Backend::Dual).await.unwrap();
    room.database.rows.clear();
    assert_eq!(room.read(3).await, None);
    assert!(room.memory.is_empty());
}

#[tokio::test]
async fn a_migration_goes_on_where_it_was_and_copies_once() {
    let room = Room::new(Backend::Memory);
    for n in 0..25 {
        room.put(n, whole(5)).await;
    }
    let first = room.trails.migrate(None, 10).await.unwrap();
    assert_eq!((first.copied, first.present, first.total), (10, 0, 25));
    assert_eq!(first.next_after, Some(message(9)));
    *room.database.away.lock().unwrap() = true;
    assert!(room.trails.migrate(first.next_after, 10).await.is_err());
    *room.database.away.lock().unwrap() = false;
    assert_eq!(migrate(&room, 7).await, 15);
    assert_eq!(migrate(&room, 7).await, 0);
    assert_eq!(room.trails.figures().copied, 25);
    room.amend(3, 9).await.unwrap();
    room.put(30, placeholder(0)).await;
    let compared = room.trails.compare(None, 100).await.unwrap();
    assert_eq!(compared.missing, [message(3), message(30)]);
    assert_eq!(compared.differing, []);
    assert_eq!(compared.next_after, None);
    assert_eq!(migrate(&room, 100).await, 2);
}

#[tokio::test]
async fn a_migration_copies_many_at_once_but_not_too_much() {
    let room = Room::new(Backend::Memory);
    let long = format!("[\"{}\"]", "x".repeat(250_000));
    for n in 0..40 {
        let mut content = whole(5);
        if n < 20 {
            content.reasoning_traces = Some(text(&long));
            content.context_layers = Some(text(&long));
        }
        room.put(n, content).await;
    }
    assert_eq!(migrate(&room, 100).await, 40);
    let pages = room.database.pages.lock().unwrap().clone();
    assert_eq!(pages, [8, 8, 24], "of 4 MiB each");
    assert_eq!(room.trails.figures().copied, 40);
}

#[tokio::test]
async fn nothing_that_was_acknowledged_is_left_behind() {
    let room = Room::new(Backend::Memory);
    room.put(1, whole(5)).await;
    room.put(2, whole(5)).await;
    let refused = switch(&room, Backend::Database).await;
    assert!(not_copied(&refused, 2), "{refused:?}");
    assert!(switch(&room, Backend::Dual).await.unwrap());
    assert!(!switch(&room, Backend::Dual).await.unwrap());
    let refused = switch(&room, Backend::Database).await;
    assert!(not_copied(&refused, 2), "{refused:?}");
    assert_eq!(migrate(&room, 1).await, 2);
    assert!(switch(&room, Backend::Database).await.unwrap());
    assert!(room.memory.is_empty());
    assert_eq!(completed_with(&room.read(1).await.unwrap()), 5);
    assert_eq!(room.failsafe.held(), 2, "each change is recorded once");
    // The way back: memory must hold everything that is not too old for it.
    let refused = switch(&room, Backend::Memory).await;
    assert!(not_copied(&refused, 2), "{refused:?}");
    assert!(switch(&room, Backend::Dual).await.unwrap());
    let refused = switch(&room, Backend::Memory).await;
    assert!(not_copied(&refused, 2), "{refused:?}");
    for n in [1, 2] {
        assert!(room.memory.take(&room.database.trail(n).unwrap()));
    }
    let newer = next(room.database.trail(2).unwrap(), 6, &room);
    assert!(room.database.rows.take(&newer));
    let refused = switch(&room, Backend::Memory).await;
    assert!(
        not_copied(&refused, 1),
        "in an earlier version: {refused:?}"
    );
    assert!(room.memory.take(&newer));
    assert!(switch(&room, Backend::Memory).await.unwrap());
    assert_eq!(room.trails.backend().await, Backend::Memory);
    let scoped = scoped("admin", PROJECT).caller;
    let scoped = room.trails.switch(Backend::Dual, &scoped).await;
    assert!(matches!(scoped, Err(SwitchError::OutOfScope)));
}

#[tokio::test]
async fn what_memory_has_no_room_for_keeps_the_database() {
    let limits = MemoryLimits {
        trails: 2,
        ..LIMITS
    };
    let room = Room::with(Backend::Memory, limits);
    room.put(1, whole(5)).await;
    room.put(2, whole(5)).await;
    switch(&room, Backend::Dual).await.unwrap();
    room.put(3, whole(5)).await;
    assert_eq!((room.memory.len(), room.memory.turned_away()), (2, 1));
    assert_eq!(room.trails.figures().evicted, 0);
    assert_eq!(
        migrate(&room, 10).await,
        2,
        "what was not copied yet stayed"
    );
    let refused = switch(&room, Backend::Memory).await;
    assert!(not_copied(&refused, 1), "{refused:?}");
}

#[tokio::test]
async fn a_write_between_look_and_change_is_seen() {
    let room = Arc::new(Room::new(Backend::Memory));
    room.put(1, whole(5)).await;
    migrate(&room, 10).await;
    let gate = Arc::new(Gate::default());
    *room.database.gate.lock().unwrap() = Some(gate.clone());
    let switching = tokio::spawn({
        let room = room.clone();
        async move { switch(&room, Backend::Database).await }
    });
    gate.reached.notified().await;
    room.put(1, whole(6)).await;
    *room.database.gate.lock().unwrap() = None;
    gate.open.notify_one();
    let refused = switching.await.unwrap();
    assert!(not_copied(&refused, 1), "{refused:?}");
    assert_eq!(room.trails.backend().await, Backend::Memory);
    assert_eq!(completed_with(&room.read(1).await.unwrap()), 6);
}

#[tokio::test]
async fn a_change_of_the_backend_waits_for_writes() {
    let room = Arc::new(Room::new(Backend::Dual));
    let gate = Arc::new(Gate::default());
    *room.database.gate.lock().unwrap() = Some(gate.clone());
    let writing = tokio::spawn({
        let room = room.clone();
        async move { room.put(1, whole(5)).await }
    });
    gate.reached.notified().await;
    *room.database.gate.lock().unwrap() = None;
    let switching = tokio::spawn({
        let room = room.clone();
        async move { switch(&room, Backend::Database).await }
    });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!switching.is_finished());
    gate.open.notify_one();
    writing.await.unwrap();
    assert!(switching.await.unwrap().unwrap());
    assert_eq!(completed_with(&room.read(1).await.unwrap()), 5);
}

/// Writers never stop while the backend goes all the way, and every acknowledged write is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_whole_way_loses_nothing_under_writers() {
    let room = Arc::new(Room::new(Backend::Memory));
    let stop = Arc::new(AtomicBool::new(false));
    let writers = (0..6_u128).map(|writer| {
        let (room, stop) = (room.clone(), stop.clone());
        tokio::spawn(async move {
            let mut acknowledged = Vec::new();
            for n in 0_u64.. {
                let name = writer * 1_000 + u128::from(n / 4);
                if n % 4 == 0 {
                    room.put(name, whole(0)).await;
                } else {
                    let amended = room.amend(name, n).await.unwrap();
                    assert_eq!(completed_with(&amended.trail), n);
                    acknowledged.push((name, n));
                }
                if stop.load(Ordering::SeqCst) && n % 4 == 3 {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_micros(300)).await;
            }
            acknowledged
        })
    });
    let writers: Vec<_> = writers.collect();
    let some = async |count| {
        while room.memory.len() + room.database.rows.len() < count {
            tokio::task::yield_now().await;
        }
    };
    some(60).await;
    assert!(switch(&room, Backend::Dual).await.unwrap());
    some(120).await;
    migrate(&room, 7).await;
    let compared = room.trails.compare(None, 100).await.unwrap();
    assert_eq!((compared.missing, compared.differing), (vec![], vec![]));
    assert!(switch(&room, Backend::Database).await.unwrap());
    let there = room.database.rows.len();
    while room.database.rows.len() < there + 30 {
        tokio::task::yield_now().await;
    }
    stop.store(true, Ordering::SeqCst);
    let mut last = std::collections::BTreeMap::new();
    for writer in writers {
        last.extend(writer.await.unwrap());
    }
    assert!(last.len() > 90);
    for (name, tokens) in last {
        let trail = room.database.trail(name).unwrap();
        assert_eq!(completed_with(&trail), tokens, "{name}");
    }
    assert_eq!(room.trails.figures().mismatches, 0);
    let range = TimeRange::try_new(time(-7_200), time(7_200));
    let caller = by().caller;
    let told = room.trails.analytics(PROJECT, range.unwrap(), &caller);
    let told = told.await.unwrap().unwrap();
    let there = i64::try_from(room.database.rows.len()).unwrap();
    assert_eq!(told.sums.messages, there);
}
