//! A log that is sealed, and whoever has its database in hand.

use std::ops::Range;

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;
use tranche_application::audit::filter::EventFilter;
use tranche_application::audit::record::LoggedEvent;
use tranche_application::audit::tree::merkle::Frontier;
use tranche_application::audit::tree::note::LogKey;
use tranche_application::audit::verify::finding::{Finding, Kind};
use tranche_application::audit::verify::key::VerifierKey;
use tranche_application::audit::verify::{Course, KeptCheckpoint, Trusted, Verified, verify};
use tranche_application::ports::audit_search::Scope;
use tranche_application::ports::tree::{Checkpoint, Hash, Node};
use tranche_domain::RetentionPolicies;
use uuid::Uuid;

use super::pipeline::events;
use super::scene::World;
use super::{Dialect, StoreUnderTest, log};

/// How many events of other services the log has.
const OTHERS: usize = 600;
/// Of how many leaves the first checkpoints are.
const TURNS: [u32; 2] = [100, 200];
pub(super) fn key(secret: u8) -> LogKey {
    LogKey::new(&[secret; 32].into(), None)
}

/// A log with milestones' whole lives in it, sealed in several turns, and one event that waits.
pub(super) struct Sealed<'a> {
    pub(super) subject: &'a dyn StoreUnderTest,
    pub(super) world: World,
    /// Every sealed event, by its leaf.
    pub(super) events: Vec<LoggedEvent>,
    /// The checkpoints, as they were kept outside.
    pub(super) kept: Vec<Checkpoint>,
    pub(super) waiting: Uuid,
    /// The time at which it is verified.
    pub(super) now: DateTime<Utc>,
}

/// The tree over these leaves.
pub(super) fn tree_of(leaves: impl IntoIterator<Item = Hash>) -> (Frontier, Vec<Node>) {
    let (mut tree, mut nodes) = (Frontier::default(), Vec::new());
    for leaf in leaves {
        tree.push(leaf, &mut nodes);
    }
    (tree, nodes)
}

/// Gives up to `limit` waiting leaves their places, and signs the tree.
pub(super) async fn seal(subject: &dyn StoreUnderTest, world: &World, limit: u32) -> Checkpoint {
    let tree = subject.tree();
    let before = tree.leaves(0, 100_000).await.expect("the leaves");
    let (mut frontier, _) = tree_of(before.iter().map(|leaf| leaf.hash));
    let mut nodes = Vec::new();
    let mut sealing = tree.begin_sealing().await.expect("a turn").expect("ours");
    for leaf in sealing
        .number(Uuid::nil(), limit)
        .await
        .expect("it numbers")
    {
        frontier.push(leaf.hash, &mut nodes);
    }
    // Minutes apart, so that each is remembered.
    let at = world.now() + chrono::TimeDelta::minutes(i64::try_from(frontier.size()).expect("few"));
    let checkpoint = key(3).sign(frontier.size(), frontier.root(), at);
    sealing.keep(&nodes, &checkpoint).await.expect("it is kept");
    sealing.commit().await.expect("it is committed");
    checkpoint
}

pub(super) async fn lives(world: &World) {
    let project = world.project(1_000_000).await.id;
    let paid = world.payable(project, 1, 500).await.id;
    let burn = world.prepare(paid, 1).await;
    world.settle(&burn).await.expect("it settles");
    let failing = world.payable(project, 2, 200).await.id;
    let burn = world.prepare(failing, 2).await;
    world.fail(&burn).await.expect("it fails");
    let gone = world.draft(project, 3).await.id;
    world.delete(project, gone).await;
    loop {
        let mut work = world.begin().await;
        let moved = work.audit().relay(100, world.now()).await;
        work.commit().await.expect("it is committed");
        if moved.expect("it is relayed") == 0 {
            return;
        }
    }
}

impl<'a> Sealed<'a> {
    pub(super) async fn of(subject: &'a dyn StoreUnderTest) -> Self {
        let world = World::of(subject);
        log::filled(subject, OTHERS).await;
        lives(&world).await;
        let mut kept = Vec::new();
        for limit in TURNS.into_iter().chain([10_000]) {
            kept.push(seal(subject, &world, limit).await);
        }
        let late = events(&world, 1);
        let new = subject.audit_store().append(&late, world.now()).await;
        assert_eq!(new.expect("it is appended"), 1);
        let search = subject.search();
        let filter = EventFilter::default();
        let all = search.in_order(0, &filter, Scope::All, 10_000).await;
        let events = all.expect("the log").events;
        assert_eq!(events.len(), OTHERS + 15);
        subject.drop_triggers().await;
        Self {
            subject,
            now: world.now(),
            world,
            events,
            kept,
            waiting: late[0].id,
        }
    }

    /// Verifies, with what was kept outside.
    pub(super) async fn verified(&self) -> (Verified, Vec<Finding>) {
        self.verified_by(&self.kept).await
    }

    pub(super) async fn verified_by(&self, kept: &[Checkpoint]) -> (Verified, Vec<Finding>) {
        let trusted = Trusted {
            key: VerifierKey::parse(&key(3).verifier()).expect("a key"),
            kept: kept
                .iter()
                .map(|kept| KeptCheckpoint {
                    name: "the folder".to_owned(),
                    note: kept.note.clone(),
                })
                .collect(),
            policies: RetentionPolicies::default(),
            now: self.now,
        };
        verified(self.subject, trusted).await
    }

    pub(super) async fn findings(&self) -> Vec<Finding> {
        self.verified().await.1
    }

    pub(super) async fn force(&self, sql: &str) {
        let done = self.subject.force(sql).await;
        assert!(done.expect(sql) > 0, "{sql} touched nothing");
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.subject.dialect()
    }

    pub(super) fn id(&self, leaf: usize) -> Uuid {
        self.events[leaf].event.id
    }

    /// The hashes of the leaves, with one of them replaced.
    pub(super) fn leaves_with(&self, leaf: usize, hash: Hash) -> Vec<Hash> {
        let hash_of = |logged: &LoggedEvent| {
            let recorded_at = logged.recorded_at.expect("it is in the log");
            logged.event.leaf_hash(recorded_at).expect("canonical")
        };
        let mut leaves: Vec<Hash> = self.events.iter().map(hash_of).collect();
        leaves[leaf] = hash;
        leaves
    }

    /// Alters an event with its leaf and every hash above it, and gives the leaves as they are then.
    pub(super) async fn rewrite(&self, leaf: usize) -> Vec<Hash> {
        let logged = &self.events[leaf];
        let mut event = logged.event.clone();
        "forger".clone_into(&mut event.actor.id);
        let recorded_at = logged.recorded_at.expect("it is in the log");
        let hash = event.leaf_hash(recorded_at).expect("canonical");
        let (id, dialect) = (event.id, self.dialect());
        self.force(&format!(
            "UPDATE audit_events SET actor_id = 'forger' WHERE id = '{id}'"
        ))
        .await;
        let (column, bytes) = (dialect.leaf_column(), dialect.bytes(&hash));
        self.force(&format!(
            "UPDATE audit_leaves SET {column} = {bytes} WHERE event_id = '{id}'"
        ))
        .await;
        let leaves = self.leaves_with(leaf, hash);
        for node in tree_of(leaves.iter().copied()).1 {
            let (level, place, hash) = (node.level, node.place, dialect.bytes(&node.hash));
            self.force(&format!(
                "UPDATE audit_nodes SET hash = {hash} WHERE level = {level} AND place = {place}"
            ))
            .await;
        }
        leaves
    }

    /// Signs everything that the database holds anew, over these leaves.
    pub(super) async fn resign(&self, by: &LogKey, leaves: &[Hash]) {
        for kept in &self.kept {
            let size = usize::try_from(kept.size).expect("few");
            let (tree, _) = tree_of(leaves[..size].iter().copied());
            let forged = by.sign(kept.size, tree.root(), kept.signed_at);
            let (root, note) = (self.dialect().bytes(&forged.root), &forged.note);
            let table = if size == leaves.len() {
                "audit_tree"
            } else {
                "audit_checkpoints"
            };
            self.force(&format!(
                "UPDATE {table} SET root = {root}, note = '{note}' WHERE size = {size}"
            ))
            .await;
        }
    }
}

/// What a verification of this store comes to, and what it finds.
pub(super) async fn verified(
    subject: &dyn StoreUnderTest,
    trusted: Trusted,
) -> (Verified, Vec<Finding>) {
    let (into, mut found) = mpsc::channel(10_000);
    let store = subject.verifiable();
    let course = Course::new(into);
    let verified = verify(store.as_ref(), trusted, &course).await;
    drop(course);
    let mut findings = Vec::new();
    while let Some(finding) = found.recv().await {
        findings.push(finding);
    }
    let verified = verified.expect("it is read");
    assert_eq!(verified.findings, findings.len() as u64);
    (verified, findings)
}

pub(super) fn kinds(findings: &[Finding]) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = findings.iter().map(|finding| finding.kind).collect();
    kinds.sort_unstable();
    kinds
}

pub(super) fn names(findings: &[Finding], id: Uuid) -> bool {
    findings.iter().any(|finding| finding.event_id == Some(id))
}

pub(super) fn range(findings: &[Finding], kind: Kind) -> Option<Range<u64>> {
    let found = findings.iter().find(|finding| finding.kind == kind);
    assert!(found.is_some(), "no {kind} in {findings:?}");
    found.and_then(|finding| finding.leaves.clone())
}
