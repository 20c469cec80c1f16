//! Dead letters: what the log refuses is kept for people, and can be driven again.

use std::slice::from_ref;
use std::sync::Arc;

use serde_json::json;
use tranche_application::audit::record::EventRecord;
use tranche_application::ports::books::DifferenceKind;
use tranche_application::ports::dead_letters::{DeadLetter, Redriven};
use tranche_application::ports::queries::Page;
use uuid::Uuid;

use super::StoreUnderTest;
use super::evidence::post;
use super::scene::World;
use super::tools::{an_event, census};

fn letter(world: &World, event: &EventRecord) -> DeadLetter {
    DeadLetter {
        id: world.id(),
        event_id: Some(event.id),
        content: serde_json::to_string(event).expect("an event is JSON"),
        error: "“refused”, they said\n".to_owned(),
        source: "queue".to_owned(),
        buried_at: world.now(),
    }
}

/// What is left of an entry.
fn remains(world: &World, content: &str) -> DeadLetter {
    DeadLetter {
        id: world.id(),
        event_id: None,
        content: content.to_owned(),
        error: "its checksum is wrong".to_owned(),
        source: "spool".to_owned(),
        buried_at: world.now(),
    }
}

async fn bury(subject: &dyn StoreUnderTest, letters: &[DeadLetter]) {
    let buried = subject.dead_letters().bury(letters).await;
    buried.expect("they are kept");
}

async fn all(subject: &dyn StoreUnderTest) -> Vec<DeadLetter> {
    page(subject, None, 1_000).await
}

async fn page(subject: &dyn StoreUnderTest, after: Option<Uuid>, limit: u32) -> Vec<DeadLetter> {
    let letters = subject.dead_letters().letters(Page { after, limit }).await;
    letters.expect("they are read")
}

async fn count(subject: &dyn StoreUnderTest) -> u64 {
    subject.dead_letters().count().await.expect("it counts")
}

/// Newest first, in pages, counted; whole as they were (P5).
pub async fn letters_are_kept_in_order(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    assert_eq!(all(subject).await, []);
    assert_eq!(count(subject).await, 0);
    bury(subject, &[]).await;
    let mut letters: Vec<_> = (0..5)
        .map(|n| match n {
            0 | 3 => remains(&world, "{\"half an ev"),
            _ => letter(&world, &an_event(&world, world.id())),
        })
        .collect();
    bury(subject, &letters[..2]).await;
    bury(subject, &letters[2..]).await;
    letters.reverse();
    assert_eq!(all(subject).await, letters);
    assert_eq!(count(subject).await, 5);
    assert_eq!(page(subject, None, 2).await, letters[..2]);
    let next = page(subject, Some(letters[1].id), 2).await;
    assert_eq!(next, letters[2..4]);
}

/// One letter for an event, and none for one that is in the log.
pub async fn an_event_has_one_letter(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let event = an_event(&world, world.id());
    let first = letter(&world, &event);
    bury(subject, &[first.clone(), letter(&world, &event)]).await;
    bury(subject, &[letter(&world, &event), first.clone()]).await;
    assert_eq!(all(subject).await, from_ref(&first));

    let logged = an_event(&world, world.id());
    let new = subject.audit_store();
    let new = new.append(&[Arc::new(logged.clone())], world.now()).await;
    new.expect("it is appended");
    bury(subject, &[letter(&world, &logged)]).await;
    assert_eq!(all(subject).await, from_ref(&first));
    // Another event under its id is not in the log, and must not be lost.
    let other = EventRecord {
        severity: "critical".to_owned(),
        ..logged
    };
    let second = letter(&world, &other);
    bury(subject, from_ref(&second)).await;
    assert_eq!(all(subject).await, [second.clone(), first]);
    let redriven = subject.dead_letters();
    let redriven = redriven.redrive(second.id, world.now()).await;
    redriven.expect_err("its id is taken");
    assert_eq!(count(subject).await, 2);
}

/// Two events under one id, neither in the log: whichever is the true one, a letter keeps it (F5).
pub async fn what_differs_under_one_id_is_kept_apart(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let event = an_event(&world, world.id());
    let differs = EventRecord {
        details: json!({ "amount": "12.51" }),
        ..event.clone()
    };
    let (first, second) = (letter(&world, &event), letter(&world, &differs));
    bury(subject, from_ref(&first)).await;
    bury(subject, &[second.clone(), letter(&world, &event)]).await;
    bury(subject, &[letter(&world, &differs)]).await;
    assert_eq!(all(subject).await, [second.clone(), first.clone()]);

    // The one that is driven first has the id; the other is passed over, as it would have been.
    let letters = subject.dead_letters();
    for letter in [&second, &first] {
        let redriven = letters.redrive(letter.id, world.now()).await;
        assert_eq!(redriven.expect("it answers"), Redriven::Stored);
    }
    assert_eq!(count(subject).await, 0);
    assert_eq!(subject.count("audit_events").await, 1);
    assert_eq!(subject.count("audit_pending").await, 1);
}

/// Whatever JSON and broken bytes can hold is kept as text, zero characters too: escaped ones as they
/// are, raw ones marked.
pub async fn what_poisons_the_log_is_kept(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let poison = EventRecord {
        details: json!({ "text": "a\u{0}b", "k\u{0}": 1 }),
        ..an_event(&world, world.id())
    };
    let poisoned = letter(&world, &poison);
    assert!(poisoned.content.contains("\\u0000"));
    let raw = remains(&world, "a\0b");
    bury(subject, &[poisoned.clone(), raw.clone()]).await;
    let marked = DeadLetter {
        content: "a\u{fffd}b".to_owned(),
        ..raw
    };
    assert_eq!(all(subject).await, [marked, poisoned.clone()]);

    // A log that holds text takes it; one that looks into it refuses, and the letter stays.
    let letters = subject.dead_letters();
    let redriven = letters.redrive(poisoned.id, world.now()).await;
    let (stored, kept) = match redriven {
        Ok(redriven) => {
            assert_eq!(redriven, Redriven::Stored);
            (1, 1)
        }
        Err(_) => (0, 2),
    };
    assert_eq!(subject.count("audit_events").await, stored);
    assert_eq!(count(subject).await, kept);
}

/// Its event comes into the log with its leaf, and the letter goes, both or neither (P5).
pub async fn a_letter_is_driven_again(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let letters = subject.dead_letters();
    let event = an_event(&world, world.id());
    let first = letter(&world, &event);
    let broken = remains(&world, "{}");
    bury(subject, &[first.clone(), broken.clone()]).await;

    let recorded_at = world.now();
    let redrive = async |id| letters.redrive(id, recorded_at).await.expect("it answers");
    assert_eq!(redrive(world.id()).await, Redriven::Unknown);
    assert_eq!(redrive(broken.id).await, Redriven::Unreadable);
    assert_eq!(redrive(first.id).await, Redriven::Stored);
    assert_eq!(redrive(first.id).await, Redriven::Unknown);
    assert_eq!(all(subject).await, [broken]);
    let leaf = event.leaf_hash(recorded_at).expect("canonical");
    assert_eq!(subject.pending_leaf(event.id).await, Some(leaf.to_vec()));

    // One that came into the log by another way only leaves.
    let late = an_event(&world, world.id());
    let second = letter(&world, &late);
    bury(subject, from_ref(&second)).await;
    let log = subject.audit_store();
    let new = log.append(&[Arc::new(late)], world.now()).await;
    assert_eq!(new.expect("it is appended"), 1);
    assert_eq!(redrive(second.id).await, Redriven::Stored);
    assert_eq!(count(subject).await, 1);
    assert_eq!(subject.count("audit_events").await, 2);
    assert_eq!(subject.count("audit_pending").await, 2);
}

/// While the log refuses it, the letter stays.
pub async fn a_letter_that_cannot_be_stored_stays(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let letters = subject.dead_letters();
    let kept = letter(&world, &an_event(&world, world.id()));
    bury(subject, from_ref(&kept)).await;
    subject.break_audit_log().await;
    let before = census(subject).await;
    let refused = letters.redrive(kept.id, world.now()).await;
    refused.expect_err("the log is broken");
    assert_eq!(census(subject).await, before);
    assert_eq!(all(subject).await, from_ref(&kept));
    subject.heal_audit_log().await;
    let stored = letters.redrive(kept.id, world.now()).await;
    assert_eq!(stored.expect("it is healed"), Redriven::Stored);
}

/// The oldest event leaves the outbox for the dead letters, with its unit of work.
pub async fn the_oldest_of_the_outbox_is_buried(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let mut posted = Vec::new();
    for _ in 0..3 {
        posted.push(post(&world, world.id()).await);
    }
    let (id, at) = (world.id(), world.now());
    for committed in [false, true] {
        let mut work = world.begin().await;
        let buried = work.audit().bury_oldest(id, "refused", at).await;
        assert_eq!(buried.expect("it is open").as_ref(), Some(&posted[0]));
        if committed {
            work.commit().await.expect("it is committed");
        }
        let left = if committed { 2 } else { 3 };
        assert_eq!(subject.count("audit_outbox").await, left);
    }
    let buried = all(subject).await;
    assert_eq!(buried.len(), 1, "{buried:?}");
    let kept = &buried[0];
    assert_eq!((kept.id, kept.buried_at), (id, at));
    assert_eq!(kept.event_id, Some(posted[0].id));
    assert_eq!((&*kept.error, &*kept.source), ("refused", "outbox"));
    let content: EventRecord = serde_json::from_str(&kept.content).expect("an event");
    assert_eq!(content, posted[0]);

    let mut work = world.begin().await;
    for next in [Some(&posted[1]), Some(&posted[2]), None] {
        let buried = work.audit().bury_oldest(world.id(), "refused", at).await;
        assert_eq!(buried.expect("it is open").as_ref(), next);
    }
    work.commit().await.expect("it is committed");
    assert_eq!(count(subject).await, 3);
}

/// A milestone's event that lies in the dead letters is missing in the books, until it is in the log
/// (M14).
pub async fn a_dead_letter_is_not_in_the_log(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let books = subject.books();
    let missing = async || books.missing_events(10).await.expect("it answers");
    let project = world.project(1_000).await.id;
    let draft = world.draft(project, 1).await.id;
    let mut work = world.begin().await;
    for _ in ["opened", "drafted"] {
        let buried = work.audit().bury_oldest(world.id(), "refused", world.now());
        buried.await.expect("it is open").expect("it waits");
    }
    work.commit().await.expect("it is committed");
    let found = missing().await;
    assert_eq!(found.len(), 1, "{found:?}");
    let lost = &found[0];
    assert_eq!(lost.kind, DifferenceKind::MissingEvent);
    assert_eq!(lost.subject, format!("{draft}:1"));
    assert_eq!(lost.found, "a dead letter");
    for letter in all(subject).await {
        let redriven = subject.dead_letters();
        let redriven = redriven.redrive(letter.id, world.now()).await;
        assert_eq!(redriven.expect("the log takes it"), Redriven::Stored);
    }
    assert_eq!(missing().await, []);
}
