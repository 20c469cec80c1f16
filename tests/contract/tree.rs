//! The public tree: what is sealed is what RFC 6962 says, whole, and never another history (S8).

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Notify;
use tranche_application::Services;
use tranche_application::audit::record::EventRecord;
use tranche_application::audit::tree::keeper::Keeper;
use tranche_application::audit::tree::merkle::{Frontier, leaf_hash, root_over};
use tranche_application::audit::tree::note::LogKey;
use tranche_application::audit::tree::proof::{Tiles, extends, includes};
use tranche_application::audit::tree::sealer::Sealer;
use tranche_application::ports::clock::Clock;
use tranche_application::ports::entropy::Entropy;
use tranche_application::ports::kept::{KeepError, KeptCheckpoints};
use tranche_application::ports::monitor::{Fallback, Incident, Monitor};
use tranche_application::ports::store::StoreError;
use tranche_application::ports::tree::{Checkpoint, Hash, Node, Tree};
use uuid::Uuid;

use super::StoreUnderTest;
use super::pipeline::events;
use super::scene::World;
use super::tools::{census, ended};

/// Gives up to `limit` waiting leaves their places, as one turn; `None` while another has it.
///
/// # Errors
/// [`StoreError`].
pub async fn number(tree: &dyn Tree, limit: u32) -> Result<Option<u64>, StoreError> {
    let Some(mut sealing) = tree.begin_sealing().await? else {
        return Ok(None);
    };
    let leaves = sealing.number(Uuid::nil(), limit).await?;
    sealing.commit().await?;
    Ok(Some(leaves.len() as u64))
}

/// What a sealer needs of the world.
struct Outside(World);

impl Clock for Outside {
    fn now(&self) -> DateTime<Utc> {
        self.0.now()
    }
}

impl Entropy for Outside {
    fn id(&self) -> Uuid {
        self.0.id()
    }

    fn salt(&self) -> [u8; 16] {
        [7; 16]
    }

    fn secret(&self) -> [u8; 32] {
        [7; 32]
    }
}

impl Monitor for Outside {
    fn report(&self, incident: Incident) {
        // A rule whose store goes wrong fails by what it asserts.
        eprintln!("{incident:?}");
    }

    fn fallback(&self, _: Fallback) {}
}

/// Checkpoints outside of the database.
#[derive(Default)]
pub(super) struct Folder(Mutex<Option<String>>);

#[async_trait]
impl KeptCheckpoints for Folder {
    async fn newest(&self) -> Result<Option<String>, KeepError> {
        Ok(self.0.lock().expect("a folder").clone())
    }

    async fn keep(&self, checkpoint: &Checkpoint) -> Result<(), KeepError> {
        *self.0.lock().expect("a folder") = Some(checkpoint.note.clone());
        Ok(())
    }

    async fn set_aside(&self) -> Result<Option<String>, KeepError> {
        Ok(self.0.lock().expect("a folder").take())
    }
}

fn key() -> LogKey {
    LogKey::new(&[3; 32].into(), None)
}

/// A process that seals, with what it keeps.
pub(super) fn process(subject: &dyn StoreUnderTest, world: &World) -> (Sealer, Keeper) {
    process_with(subject, world, Arc::default())
}

/// As [`process`], with what is kept in this folder.
pub(super) fn process_with(
    subject: &dyn StoreUnderTest,
    world: &World,
    folder: Arc<Folder>,
) -> (Sealer, Keeper) {
    let outside = Arc::new(Outside(world.clone()));
    let services = Services {
        store: subject.store(),
        clock: outside.clone(),
        entropy: outside.clone(),
        monitor: outside,
        outbox: Arc::new(Notify::new()),
    };
    let keeper = Keeper::new(services.clone(), subject.tree(), folder, key());
    let sealer = Sealer::new(services, subject.tree(), keeper.clone());
    (sealer, keeper)
}

pub(super) async fn append(
    subject: &dyn StoreUnderTest,
    world: &World,
    count: usize,
) -> Vec<Arc<EventRecord>> {
    let events = events(world, count);
    let new = subject.audit_store().append(&events, world.now()).await;
    assert_eq!(new.expect("it is appended"), count as u64);
    events
}

async fn newest(subject: &dyn StoreUnderTest) -> Checkpoint {
    let newest = subject.tree().checkpoint().await.expect("it reads");
    newest.expect("a checkpoint")
}

/// Everything that the tree holds agrees with its leaves and with what was signed.
pub(super) async fn assert_sound(subject: &dyn StoreUnderTest) -> Checkpoint {
    let tree = subject.tree();
    let newest = newest(subject).await;
    key().verify(&newest).expect("the key signed it");
    let count = u32::try_from(newest.size).expect("a few");
    let leaves = tree.leaves(0, count + 9).await.expect("it reads");
    assert_eq!(leaves.len() as u64, newest.size, "no leaf is beyond");
    for (leaf, index) in leaves.iter().zip(0..) {
        assert_eq!(leaf.index, index, "dense");
        let found = tree.leaf_of(leaf.event_id).await.expect("it reads");
        assert_eq!(found, Some(*leaf));
    }
    let mut level: Vec<Hash> = leaves.iter().map(|leaf| leaf.hash).collect();
    assert_eq!(
        newest.root,
        root_over(&level),
        "the root that RFC 6962 gives"
    );
    for number in 0..3 {
        let kept = tree.hashes(number, 0, count + 9).await.expect("it reads");
        assert_eq!(kept, level, "level {number}");
        let some = tree.hashes(number, 1, 2).await.expect("it reads");
        let expected: Vec<Hash> = level.iter().copied().skip(1).take(2).collect();
        assert_eq!(some, expected);
        level = level.chunks_exact(256).map(root_over).collect();
    }
    newest
}

/// Over tile borders, in uneven turns: root, nodes, proofs of every leaf, and of every former tree.
pub async fn the_tree_is_that_of_its_leaves(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let (sealer, keeper) = process(subject, &world);
    assert_eq!(sealer.step(100).await.expect("it seals"), 0);
    let mut former = vec![assert_sound(subject).await];
    assert_eq!(former[0].size, 0, "of the empty tree too");
    for count in [1, 2, 252, 1, 1, 254, 2, 30] {
        append(subject, &world, count).await;
        assert_eq!(sealer.step(1_000).await.expect("it seals"), count as u64);
        former.push(assert_sound(subject).await);
    }
    keeper.follow().await.expect("it extends");
    let last = newest(subject).await;
    assert_eq!(last.size, 543);
    let tree = subject.tree();
    let records = tree.records(0, 600).await.expect("it reads");
    let mut hashes = tree.as_ref();
    let mut tiles = Tiles::new(&mut hashes, last.size);
    assert_eq!(tiles.whole().await.expect("it reads"), last.root);
    for index in [0, 1, 2, 254, 255, 256, 257, 510, 511, 512, 541, 542] {
        let path = tiles.inclusion(index).await.expect("it reads");
        let place = usize::try_from(index).expect("a few");
        let record = records[place].record.as_ref().expect("it is there");
        assert!(
            includes(record, index, last.size, &path, &last.root),
            "{index}"
        );
        assert!(!includes(b"another", index, last.size, &path, &last.root));
    }
    for former in &former {
        let proof = tiles.consistency(former.size).await.expect("it reads");
        let was = (former.size, &former.root);
        assert!(
            extends(was, (last.size, &last.root), &proof),
            "{}",
            former.size
        );
        let other = (former.size, &[9; 32]);
        assert!(!extends(other, (last.size, &last.root), &proof));
    }
}

/// Numbers, nodes and checkpoint are there together or not at all.
pub async fn a_dropped_turn_never_was(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    append(subject, &world, 300).await;
    let before = census(subject).await;
    let mut sealing = subject.tree().begin_sealing().await.expect("it begins");
    let turn = sealing.as_mut().expect("nobody else seals");
    let leaves = turn.number(Uuid::nil(), 1_000).await.expect("it numbers");
    let seen = turn.hashes(0, 10, 1_000).await.expect("it reads");
    let hashes: Vec<Hash> = leaves.iter().map(|leaf| leaf.hash).collect();
    assert_eq!(seen, hashes[10..], "its own too");
    let node = Node {
        level: 1,
        place: 0,
        hash: root_over(&hashes[..256]),
    };
    let checkpoint = key().sign(300, root_over(&hashes), world.now());
    let kept = turn.keep(&[node], &checkpoint).await;
    kept.expect("it is kept");
    let own = turn.checkpoint().await.expect("it reads");
    assert_eq!(own.expect("it is there").note, checkpoint.note);
    drop(sealing);
    assert_eq!(census(subject).await, before);
    let (sealer, _) = process(subject, &world);
    assert_eq!(sealer.step(1_000).await.expect("it seals"), 300);
    assert_sound(subject).await;
}

/// What stood for a minute, and one a minute while the tree grows; whatever the clock does.
pub async fn checkpoints_are_remembered_by_the_minute(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let start = world.now();
    let at = |second: i64| start + TimeDelta::seconds(second);
    // Each size with the second in which it was signed. The clock goes back before the sixth.
    let signed = [
        (1, 0),
        (2, 1),
        (3, 59),
        (4, 61),
        (5, 62),
        (6, -500),
        (7, -499),
        (8, 0),
    ];
    for (size, second) in signed {
        let mut sealing = subject.tree().begin_sealing().await.expect("it begins");
        let turn = sealing.as_mut().expect("nobody else seals");
        let checkpoint = key().sign(size, [1; 32], at(second));
        let kept = turn.keep(&[], &checkpoint).await;
        kept.expect("it is kept");
        let sealing = sealing.expect("it is there");
        sealing.commit().await.expect("it is committed");
    }
    let snapshot = subject.verifiable().snapshot().await.expect("it reads");
    let known = snapshot.checkpoints(0, 100).await.expect("it reads");
    let known: Vec<_> = known
        .iter()
        .map(|known| (known.size, (known.signed_at - start).num_seconds()))
        .collect();
    assert_eq!(known, [(1, 0), (4, 61), (6, -500), (7, -499), (8, 0)]);
    let some = snapshot.checkpoints(4, 2).await.expect("it reads");
    let sizes: Vec<u64> = some.iter().map(|known| known.size).collect();
    assert_eq!(sizes, [4, 6]);
    assert_eq!(newest(subject).await.size, 8);
}

/// Nothing of it is altered, taken away or made smaller (F6).
pub async fn the_tree_only_grows(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let (sealer, _) = process(subject, &world);
    sealer.step(1_000).await.expect("it seals");
    append(subject, &world, 257).await;
    sealer.step(1_000).await.expect("it seals");
    subject
        .execute(
            "INSERT INTO audit_checkpoints SELECT size + 1, root, note, signed_at FROM audit_tree",
        )
        .await
        .expect("it is remembered");
    let record = "INSERT INTO audit_leaf_records SELECT leaf_index, event_id FROM audit_leaves";
    let as_bytes = record.replace("event_id", "convert_to(event_id::text, 'UTF8')");
    let as_blob = record.replace("event_id", "CAST(event_id AS BLOB)");
    if subject.execute(&as_bytes).await.is_err() {
        subject.execute(&as_blob).await.expect("records are kept");
    }
    let before = (census(subject).await, assert_sound(subject).await);
    for statement in [
        "UPDATE audit_tree SET size = size - 1",
        "UPDATE audit_tree SET root = (SELECT hash FROM audit_nodes)",
        "DELETE FROM audit_tree",
        "INSERT INTO audit_tree SELECT * FROM audit_tree",
        "UPDATE audit_nodes SET place = 9",
        "DELETE FROM audit_nodes",
        "UPDATE audit_checkpoints SET note = ''",
        "DELETE FROM audit_checkpoints",
        "UPDATE audit_leaf_records SET leaf_index = leaf_index + 1000",
        "DELETE FROM audit_leaf_records",
    ] {
        let done = subject.execute(statement).await;
        assert!(done.is_err(), "taken: {statement}");
    }
    for table in [
        "audit_tree",
        "audit_nodes",
        "audit_checkpoints",
        "audit_leaf_records",
    ] {
        for statement in [
            format!("TRUNCATE {table}"),
            format!("REPLACE INTO {table} SELECT * FROM {table}"),
        ] {
            let done = subject.execute(&statement).await;
            assert!(done.is_err(), "taken: {statement}");
        }
    }
    assert_eq!((census(subject).await, assert_sound(subject).await), before);
}

/// It is computed from the row, or is the one that was kept when the row went.
pub async fn a_record_is_made_of_its_row(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let (sealer, _) = process(subject, &world);
    sealer.step(1_000).await.expect("it seals");
    let events = append(subject, &world, 6).await;
    sealer.step(1_000).await.expect("it seals");
    let tree = subject.tree();
    let records = tree.records(0, 10).await.expect("it reads");
    assert_eq!(records.len(), 6);
    for (record, event) in records.iter().zip(&events) {
        assert_eq!(record.leaf.event_id, event.id);
        assert_eq!(record.project_id.map(|id| id.0), event.project_id);
        let made = record.record.as_ref().expect("its row is there");
        assert_eq!(leaf_hash(made), record.leaf.hash);
    }
    let some = tree.records(2, 3).await.expect("it reads");
    assert_eq!(some, records[2..5]);

    subject.archive(events[0].occurred_at).await;
    let archived = tree.records(0, 10).await.expect("it reads");
    assert_eq!(archived, records, "of the archive too");

    // What no database lets a superuser switch off is taken away.
    for table in ["audit_events", "audit_archive"] {
        let guard = format!("DROP TRIGGER {table}_no_delete");
        let _ = subject.execute(&guard).await;
    }
    for event in &events[1..3] {
        let mut gone = 0;
        for table in ["audit_events", "audit_archive"] {
            let delete = format!("DELETE FROM {table} WHERE id = '{}'", event.id);
            gone += subject.force(&delete).await.expect("it is gone");
        }
        assert_eq!(gone, 1);
    }
    let kept = "INSERT INTO audit_leaf_records VALUES (1, ";
    if subject.execute(&format!("{kept}'\\x7b7d')")).await.is_err() {
        let blob = format!("{kept}x'7b7d')");
        subject.execute(&blob).await.expect("it is kept");
    }
    let after = tree.records(0, 10).await.expect("it reads");
    let texts: Vec<Option<&[u8]>> = after.iter().map(|leaf| leaf.record.as_deref()).collect();
    assert_eq!(texts[0], records[0].record.as_deref());
    assert_eq!(texts[1], Some(b"{}".as_slice()));
    assert_eq!(texts[2], None);
    assert_eq!(
        texts[3..],
        records[3..]
            .iter()
            .map(|leaf| leaf.record.as_deref())
            .collect::<Vec<_>>()
    );
    assert_eq!(after[1].project_id, None);
}

/// Two that take turns while others write: one tree, and each finds that it extends its own.
pub async fn two_sealers_sign_one_history(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let writers: Vec<_> = (0..2)
        .map(|_| {
            let (log, world) = (subject.audit_store(), world.clone());
            tokio::spawn(async move {
                for _ in 0..15 {
                    let new = log.append(&events(&world, 20), world.now()).await;
                    assert_eq!(new.expect("it is appended"), 20);
                }
            })
        })
        .collect();
    let sealers: Vec<_> = (0..2)
        .map(|_| {
            let (sealer, keeper) = process(subject, &world);
            tokio::spawn(async move {
                let mut count = 0;
                while count < 100 {
                    count += sealer.step(7).await.expect("it seals");
                    keeper.follow().await.expect("it extends");
                    tokio::task::yield_now().await;
                }
                count
            })
        })
        .collect();
    for writer in writers {
        ended(writer).await;
    }
    let mut count = 0;
    for sealer in sealers {
        count += ended(sealer).await;
    }
    let (sealer, keeper) = process(subject, &world);
    while count < 600 {
        count += sealer.step(1_000).await.expect("it seals");
    }
    keeper.follow().await.expect("it extends");
    assert_eq!(assert_sound(subject).await.size, 600);
    assert_eq!(subject.count("audit_pending").await, 0);
}

/// A store that gave places before it signed checkpoints; a leaf that waits beside its place.
pub async fn leaves_from_before_the_tree_are_sealed(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    append(subject, &world, 300).await;
    let copied = "CREATE TABLE kept AS SELECT * FROM audit_pending";
    subject.execute(copied).await.expect("it is copied");
    let numbered = number(subject.tree().as_ref(), 1_000).await;
    assert_eq!(numbered.expect("it numbers"), Some(300));
    append(subject, &world, 10).await;
    let (sealer, _) = process(subject, &world);
    let mut counts = Vec::new();
    for _ in 0..5 {
        counts.push(sealer.step(130).await.expect("it seals"));
    }
    assert_eq!(counts, [130, 130, 40, 10, 0]);
    assert_sound(subject).await;
    let again = "INSERT INTO audit_pending SELECT * FROM kept";
    assert_eq!(subject.execute(again).await, Ok(300));
    assert_eq!(sealer.step(1_000).await.expect("it seals"), 0);
    assert!(
        !subject
            .tree()
            .look(Uuid::nil())
            .await
            .expect("it reads")
            .is_waiting
    );
    assert_eq!(assert_sound(subject).await.size, 310);
    assert_eq!(Frontier::default().root(), root_over(&[]));
}
