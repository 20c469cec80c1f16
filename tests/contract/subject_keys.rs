//! The keys of subjects: one in force for each, and gone for good once erased (S9).

use std::slice::from_ref;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tranche_application::audit::record::EventRecord;
use tranche_application::ports::audit_store::AuditStore;
use tranche_application::ports::store::{Store, StoreError};
use tranche_application::ports::subject_keys::{KeptKey, Mentions, SubjectKey};
use uuid::Uuid;

use super::StoreUnderTest;
use super::scene::World;
use super::tools::an_event;

fn key(world: &World, subject: u8) -> SubjectKey {
    SubjectKey {
        id: world.id(),
        subject: [subject; 32],
        key_id: "key-1".to_owned(),
        sealed: vec![subject, 0, 255],
        created_at: world.now(),
    }
}

async fn keep(store: &dyn Store, keys: &[SubjectKey]) {
    let mut work = store.begin().await.expect("it begins");
    let kept = work.credentials().keep_subject_keys(keys).await;
    kept.expect("they are kept");
    work.commit().await.expect("it is committed");
}

async fn erase(world: &World, subject: u8) -> Option<Uuid> {
    let mut work = world.begin().await;
    let now = world.now();
    let erased = work
        .credentials()
        .erase_subject_key(&[subject; 32], now, "ada")
        .await
        .expect("it answers");
    work.commit().await.expect("it is committed");
    erased
}

/// Two processes that make a key for the same subject end up with the same one.
pub async fn of_keys_for_one_subject_the_first_stays(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let (one, other) = (key(&world, 1), key(&world, 2));
    keep(subject.store().as_ref(), &[one.clone(), other.clone()]).await;
    keep(subject.second_store().await.as_ref(), &[key(&world, 1)]).await;
    let keys = subject.subject_keys();
    let asked = [[1; 32], [2; 32], [3; 32]];
    let mut found = keys.in_force(&asked).await.expect("it is read");
    found.sort_by_key(|key| key.id);
    assert_eq!(found, [one.clone(), other]);
    let unknown = world.id();
    let known = keys.by_id(&[unknown, one.id]).await.expect("it is read");
    assert_eq!(known, [KeptKey::InForce(one)]);
    assert_eq!(keys.in_force(&[]).await.expect("it is read"), []);
}

/// Nothing of the key is left but its id, and the subject may have a new one.
pub async fn an_erased_key_is_gone_for_good(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let (gone, other) = (key(&world, 1), key(&world, 2));
    keep(subject.store().as_ref(), &[gone.clone(), other.clone()]).await;
    assert_eq!(erase(&world, 1).await, Some(gone.id));
    assert_eq!(erase(&world, 1).await, None, "it is gone already");
    let left = "audit_subject_keys WHERE erased_at IS NOT NULL AND subject IS NULL
        AND key_id IS NULL AND sealed IS NULL AND erased_by = 'ada'";
    assert_eq!(subject.count(left).await, 1);
    let keys = subject.subject_keys();
    let known = keys.by_id(&[gone.id]).await.expect("it is read");
    assert_eq!(known, [KeptKey::Erased(gone.id)]);
    assert_eq!(keys.in_force(&[[1; 32]]).await.expect("it is read"), []);

    let new = key(&world, 1);
    keep(subject.store().as_ref(), from_ref(&new)).await;
    assert_eq!(keys.in_force(&[[1; 32]]).await.expect("it is read"), [new]);
    assert_eq!(
        keys.in_force(&[[2; 32]]).await.expect("it is read"),
        [other]
    );
}

/// Nobody brings an erased key back, gives a key to another subject, or removes what tells of it.
pub async fn a_tombstone_is_never_changed(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    keep(subject.store().as_ref(), &[key(&world, 1), key(&world, 2)]).await;
    erase(&world, 1).await.expect("it is erased");
    for sql in [
        "UPDATE audit_subject_keys SET erased_at = NULL, erased_by = NULL,
             subject = (SELECT subject FROM audit_subject_keys WHERE erased_at IS NULL),
             key_id = 'key-1', sealed = subject WHERE erased_at IS NOT NULL",
        "UPDATE audit_subject_keys SET erased_by = 'somebody else' WHERE erased_at IS NOT NULL",
        "UPDATE audit_subject_keys SET subject = sealed WHERE erased_at IS NULL",
        "UPDATE audit_subject_keys SET created_at = created_at + created_at - created_at, id = '00000000-0000-7000-8000-000000000000'",
        "UPDATE audit_subject_keys SET sealed = NULL WHERE erased_at IS NULL",
        "DELETE FROM audit_subject_keys",
    ] {
        subject.execute(sql).await.expect_err(sql);
    }
    assert_eq!(subject.count("audit_subject_keys").await, 2);
}

/// In pages, without what is erased, and replaced only by whoever knows what was there.
pub async fn a_subject_key_is_resealed_from_the_key_it_was_under(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let all: Vec<_> = (1..=5).map(|n| key(&world, n)).collect();
    keep(subject.store().as_ref(), &all).await;
    erase(&world, 3).await.expect("it is erased");
    let secrets = subject.secrets();
    let (mut seen, mut last) = (Vec::new(), Uuid::nil());
    loop {
        let page = secrets
            .subject_keys_after(last, 2)
            .await
            .expect("it is read");
        let Some(end) = page.last() else { break };
        last = end.id;
        seen.extend(page);
    }
    let expected: Vec<_> = all
        .iter()
        .filter(|key| key.subject != [3; 32])
        .cloned()
        .collect();
    assert_eq!(seen, expected);

    let resealed = SubjectKey {
        key_id: "key-2".to_owned(),
        sealed: vec![7; 9],
        ..all[0].clone()
    };
    for (from, ours) in [("key-9", false), ("key-1", true), ("key-1", false)] {
        let mut work = world.begin().await;
        let done = work.credentials().reseal_subject_key(&resealed, from).await;
        work.commit().await.expect("it is committed");
        assert_eq!(done.expect("it answers"), ours, "{from}");
    }
    let found = subject.subject_keys().in_force(&[[1; 32]]).await;
    assert_eq!(found.expect("it is read"), [resealed]);
}

/// A key goes with the event that tells of it, or not at all.
pub async fn an_erasure_and_its_event_commit_together(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    keep(subject.store().as_ref(), &[key(&world, 1)]).await;
    let event = EventRecord {
        severity: "critical".to_owned(),
        ..an_event(&world, world.id())
    };
    subject.break_audit_log().await;
    let mut work = world.begin().await;
    let now = world.now();
    let erased = work.credentials().erase_subject_key(&[1; 32], now, "ada");
    assert!(erased.await.expect("it answers").is_some());
    work.audit()
        .log(&event, now)
        .await
        .expect_err("it is broken");
    work.commit().await.expect_err("a step failed");
    subject.heal_audit_log().await;
    let kept = subject.subject_keys().in_force(&[[1; 32]]).await;
    assert_eq!(kept.expect("it is read").len(), 1);

    let mut work = world.begin().await;
    let erased = work.credentials().erase_subject_key(&[1; 32], now, "ada");
    erased.await.expect("it answers");
    work.audit().log(&event, now).await.expect("it is healed");
    work.commit().await.expect("it is committed");
    assert_eq!(subject.count("audit_events").await, 1);
    let leaf = event.leaf_hash(now).expect("canonical").to_vec();
    assert_eq!(subject.pending_leaf(event.id).await, Some(leaf));
}

/// Events in log and outbox that hold what a key sealed, and those that name the actor.
pub async fn mentions_are_counted(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let (key, other) = (world.id(), world.id());
    let project = world.id();
    let event = |details, metadata, actor: &str| {
        let mut event = an_event(&world, project);
        (event.details, event.metadata) = (details, metadata);
        actor.clone_into(&mut event.actor.id);
        event
    };
    let mark = |key: Uuid| json!({ "deep": [{ "$sealed": key, "box": "AAAA" }] });
    let logged = [
        event(mark(key), json!({}), "ada"),
        event(mark(other), mark(key), "eve"),
        event(mark(other), json!(null), "ada"),
        event(json!(null), json!(null), "eve"),
    ];
    let logged: Vec<_> = logged.into_iter().map(Arc::new).collect();
    let log: Arc<dyn AuditStore> = subject.audit_store();
    log.append(&logged, world.now())
        .await
        .expect("they are appended");
    let mut work = world.begin().await;
    let posted = event(mark(key), json!({}), "ada");
    work.audit().post(&posted).await.expect("it is posted");
    work.commit().await.expect("it is committed");
    let keys = subject.subject_keys();
    let expected = Mentions {
        sealed: 3,
        acted: 3,
    };
    for longest in [None, Some(Duration::from_mins(1))] {
        let counted = keys.mentions(key, "ada", longest).await;
        assert_eq!(counted.expect("it is counted"), expected);
    }
    // Many events take longer than a moment, and then counting them ends.
    let many: Vec<_> = (0..5_000)
        .map(|_| Arc::new(event(mark(key), json!({ "note": "n".repeat(500) }), "ada")))
        .collect();
    for batch in many.chunks(1_000) {
        let appended = log.append(batch, world.now()).await;
        appended.expect("they are appended");
    }
    let moment = Some(Duration::from_millis(1));
    let counted = keys.mentions(key, "ada", moment).await;
    assert!(matches!(counted, Err(StoreError::TooMuch)), "{counted:?}");
}
