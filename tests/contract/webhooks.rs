//! Webhooks: kept as they were made, driven by one process at a time.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tokio::time::timeout;
use tranche_application::audit::filter::EventFilter;
use tranche_application::ports::custody::SealedSecret;
use tranche_application::ports::webhooks::{
    Lease, Leasing, Progress, Told, Webhook, WebhookSecret,
};
use tranche_domain::ProjectId;
use uuid::Uuid;

use super::StoreUnderTest;
use super::pipeline::events;
use super::scene::World;
use super::tools::an_event;
use super::tree::number;

/// Longer than word takes anywhere.
const FOR_EVER: Duration = Duration::from_secs(30);
const TERM: Duration = Duration::from_secs(30);

fn secret(name: &str) -> SealedSecret {
    SealedSecret {
        name: name.to_owned(),
        key_id: "key-1".to_owned(),
        sealed: name.bytes().chain([0, 255]).collect(),
    }
}

/// A webhook that has every field.
fn full(world: &World, project: Option<ProjectId>) -> Webhook {
    let at = world.now();
    Webhook {
        id: world.id(),
        url: "https://receiver.example/hook?token=1".to_owned(),
        description: Some("Accounting’s, “urgent”".to_owned()),
        filter: EventFilter {
            severities: vec!["critical".to_owned()],
            actions: vec!["invoice.sent".to_owned(), "milestone.approved".to_owned()],
            actors: vec!["ada".to_owned()],
            resource_types: vec!["invoice".to_owned()],
            resource_id: Some("7".to_owned()),
            project_id: Some(world.id()),
            milestone_id: Some(world.id()),
            from: Some(at),
            to: Some(at + TimeDelta::days(3)),
            text: Some("50%_\\".to_owned()),
            details: Some(json!({ "a": [1, { "b": null }] })),
        },
        project_id: project,
        created_by: "ifeoma".to_owned(),
        created_at: at,
        progress: Progress {
            position: 17,
            ..Progress::default()
        },
    }
}

pub(super) fn plain(world: &World) -> Webhook {
    Webhook {
        description: None,
        filter: EventFilter::default(),
        progress: Progress::default(),
        ..full(world, None)
    }
}

async fn keep(subject: &dyn StoreUnderTest, webhook: &Webhook) {
    let mut work = subject.store().begin().await.expect("it begins");
    let name = format!("webhook:{}:1", webhook.id);
    let kept = work.webhooks().keep_webhook(webhook, &secret(&name)).await;
    kept.expect("it is kept");
    work.commit().await.expect("it is committed");
}

async fn read(subject: &dyn StoreUnderTest, id: Uuid) -> Option<Webhook> {
    subject.webhooks().webhook(id).await.expect("it is read")
}

async fn lease(
    subject: &dyn StoreUnderTest,
    holder: &str,
    now: DateTime<Utc>,
) -> Vec<(Webhook, Lease)> {
    let leasing = Leasing {
        holder,
        now,
        term: TERM,
        limit: 2,
    };
    let leased = subject.webhooks().lease_webhooks(leasing).await;
    leased.expect("it leases")
}

async fn told(subject: &dyn StoreUnderTest, lease: Lease, told: Told, at: DateTime<Utc>) -> bool {
    let webhooks = subject.webhooks();
    let kept = webhooks.keep_progress(lease, &told, at + TERM).await;
    kept.expect("it answers")
}

/// Field by field; a project's webhooks are those of nobody else (S6).
pub async fn a_webhook_reads_back_as_it_was_kept(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = world.project(1_000).await;
    let (full, plain) = (full(&world, Some(project.id)), plain(&world));
    for webhook in [&full, &plain] {
        keep(subject, webhook).await;
        assert_eq!(read(subject, webhook.id).await.as_ref(), Some(webhook));
    }
    let list = async |only| subject.webhooks().webhooks(only).await.expect("it lists");
    assert_eq!(list(None).await, [plain.clone(), full.clone()]);
    assert_eq!(list(Some(project.id)).await, [full]);
    assert_eq!(list(Some(ProjectId(world.id()))).await, []);
    assert_eq!(read(subject, world.id()).await, None);
}

/// A webhook that is not committed never was, nor is its secret.
pub async fn a_dropped_webhook_never_was(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let webhook = plain(&world);
    let mut work = subject.store().begin().await.expect("it begins");
    let kept = work.webhooks().keep_webhook(&webhook, &secret("a")).await;
    kept.expect("it is kept");
    let event = an_event(&world, world.id());
    work.audit().post(&event).await.expect("it is posted");
    drop(work);
    assert_eq!(read(subject, webhook.id).await, None);
    assert_eq!(subject.count("webhook_secrets").await, 0);
    assert_eq!(subject.count("audit_outbox").await, 0);
}

/// Whoever leases it has it until the term is over; each lease has a greater fence.
pub async fn a_webhook_has_one_driver(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let hooks = [plain(&world), plain(&world), plain(&world)];
    for webhook in &hooks {
        keep(subject, webhook).await;
    }
    let now = world.now();
    let first = lease(subject, "a", now).await;
    assert_eq!(first.len(), 2, "no more than asked for");
    let second = lease(subject, "b", now).await;
    let mut seen: Vec<Uuid> = first
        .iter()
        .chain(&second)
        .map(|(hook, _)| hook.id)
        .collect();
    seen.sort();
    assert_eq!(seen, hooks.each_ref().map(|hook| hook.id), "each one once");
    assert_eq!(lease(subject, "a", now + TERM / 2).await, []);
    let late = now + TERM;
    let (_, renewed) = second[0];
    assert!(told(subject, renewed, Told::Passed(0), late).await);
    let again = lease(subject, "c", late).await;
    let ids = |leased: &[(Webhook, Lease)]| leased.iter().map(|(hook, _)| hook.id).collect();
    let (mut before, mut after): (Vec<Uuid>, Vec<Uuid>) = (ids(&first), ids(&again));
    before.sort();
    after.sort();
    assert_eq!(
        after, before,
        "those whose term is over, not the renewed one"
    );
    for (hook, new) in &again {
        let (_, old) = first
            .iter()
            .find(|(old, _)| old.id == hook.id)
            .expect("it was leased");
        assert!(new.fence > old.fence);
        assert!(
            !told(subject, *old, Told::Passed(9), late).await,
            "it was taken"
        );
        subject
            .webhooks()
            .release_webhook(*old)
            .await
            .expect("it answers");
    }
    assert_eq!(
        lease(subject, "d", late).await,
        [],
        "an old lease releases nothing"
    );
    let (_, given_back) = again[0];
    let released = subject.webhooks().release_webhook(given_back).await;
    released.expect("it is released");
    assert_eq!(lease(subject, "d", late).await.len(), 1);
}

/// A process whose clock ran ahead by a year does not keep a webhook for a year.
pub async fn a_webhook_lease_from_a_clock_ahead_ends(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    keep(subject, &plain(&world)).await;
    let now = world.now();
    assert_eq!(
        lease(subject, "a", now + TimeDelta::days(365)).await.len(),
        1
    );
    assert_eq!(lease(subject, "b", now).await.len(), 1);
    assert_eq!(lease(subject, "c", now + TERM / 2).await, []);
}

/// Drivers race for all of them: each has one.
pub async fn drivers_share_webhooks(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    for _ in 0..12 {
        keep(subject, &plain(&world)).await;
    }
    let now = world.now();
    let drive = async |holder: &str| {
        let mut mine = Vec::new();
        loop {
            let leased = lease(subject, holder, now).await;
            if leased.is_empty() {
                return mine;
            }
            mine.extend(leased.into_iter().map(|(hook, _)| hook.id));
        }
    };
    let (a, b, c) = tokio::join!(drive("a"), drive("b"), drive("c"));
    let mut all = [a, b, c].concat();
    // One that found the last ones locked may have stopped early.
    all.extend(drive("d").await);
    all.sort();
    let leases = all.len();
    all.dedup();
    assert_eq!((all.len(), leases), (12, 12), "each one once");
}

/// What happened is kept, and positions only grow.
pub async fn progress_is_kept(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let webhook = plain(&world);
    keep(subject, &webhook).await;
    let (began, failed, again) = (world.now(), world.now(), world.now());
    let (_, lease) = lease(subject, "a", began).await[0];
    assert!(told(subject, lease, Told::Passed(5), began).await);
    let failure = |position, at, due_at| Told::Failed {
        position,
        at,
        due_at,
        error: "HTTP 500".to_owned(),
    };
    let due = again + TimeDelta::minutes(1);
    assert!(told(subject, lease, failure(7, failed, again), began).await);
    assert!(told(subject, lease, failure(7, again, due), began).await);
    let progress = read(subject, webhook.id)
        .await
        .expect("it is there")
        .progress;
    let failing = Progress {
        position: 7,
        attempts: 2,
        failing_since: Some(failed),
        due_at: Some(due),
        last_error: Some("HTTP 500".to_owned()),
        ..Progress::default()
    };
    assert_eq!(progress, failing);
    assert!(told(subject, lease, Told::Passed(3), began).await);
    let progress = read(subject, webhook.id)
        .await
        .expect("it is there")
        .progress;
    assert_eq!(progress, failing, "neither back, nor mended by passing");
    assert!(told(subject, lease, Told::Taken(8, due), began).await);
    let progress = read(subject, webhook.id)
        .await
        .expect("it is there")
        .progress;
    let taken = Progress {
        position: 8,
        delivered: 1,
        delivered_at: Some(due),
        ..Progress::default()
    };
    assert_eq!(progress, taken);
}

/// A disabled webhook is not driven until it is replayed, and its driver knows at the next word.
pub async fn a_disabled_webhook_rests(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let webhook = plain(&world);
    keep(subject, &webhook).await;
    let (now, at) = (world.now(), world.now());
    let (_, held) = lease(subject, "a", now).await[0];
    assert!(told(subject, held, Told::Taken(9, now), now).await);
    let failed = Told::Failed {
        position: 9,
        at,
        due_at: at,
        error: "HTTP 500".to_owned(),
    };
    assert!(told(subject, held, failed, now).await);
    let disable = async |lease| {
        let mut work = subject.store().begin().await.expect("it begins");
        let done = work.webhooks().disable_webhook(lease, at, "410 Gone").await;
        work.commit().await.expect("it is committed");
        done.expect("it answers")
    };
    let replay = async |id, from| {
        let mut work = subject.store().begin().await.expect("it begins");
        let done = work.webhooks().replay_webhook(id, from).await;
        work.commit().await.expect("it is committed");
        done.expect("it answers")
    };
    let stale = Lease {
        fence: held.fence - 1,
        ..held
    };
    assert!(!disable(stale).await);
    assert!(disable(held).await);
    assert!(!told(subject, held, Told::Passed(10), now).await);
    assert_eq!(lease(subject, "b", now + TERM * 2).await, []);
    let free = plain(&world);
    keep(subject, &free).await;
    let leased = lease(subject, "b", now + TERM * 2).await;
    let leased: Vec<Uuid> = leased.iter().map(|(hook, _)| hook.id).collect();
    assert_eq!(leased, [free.id], "not beside another one either");
    let mut work = subject.store().begin().await.expect("it begins");
    let deleted = work.webhooks().delete_webhook(free.id).await;
    assert!(deleted.expect("it answers"));
    work.commit().await.expect("it is committed");
    let progress = read(subject, webhook.id)
        .await
        .expect("it is there")
        .progress;
    let why = (progress.disabled_at, progress.disabled_why.as_deref());
    assert_eq!(why, (Some(at), Some("410 Gone")));

    assert!(replay(webhook.id, None).await);
    let (again, held) = lease(subject, "b", now).await.remove(0);
    let anew = |position| Progress {
        position,
        delivered: 1,
        delivered_at: Some(now),
        ..Progress::default()
    };
    assert_eq!(again.progress, anew(9), "where it stood");
    assert!(replay(webhook.id, Some(2)).await);
    assert!(
        !told(subject, held, Told::Passed(10), now).await,
        "it began anew"
    );
    let (again, _) = lease(subject, "c", now).await.remove(0);
    assert_eq!(again.progress, anew(2));
    assert!(!replay(world.id(), None).await);
}

/// A new secret signs beside the former one for a time; a deleted webhook leaves none behind.
pub async fn a_webhooks_secret_is_replaced(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let (webhook, other) = (plain(&world), plain(&world));
    keep(subject, &webhook).await;
    keep(subject, &other).await;
    let (_, held) = lease(subject, "a", world.now()).await.remove(0);
    let put = async |name: &str, now, until| {
        let mut work = subject.store().begin().await.expect("it begins");
        let (webhooks, secret) = (work.webhooks(), secret(name));
        let put = webhooks.put_webhook_secret(held.webhook, &secret, now, until);
        put.await.expect("it is kept");
        work.commit().await.expect("it is committed");
    };
    let secrets = async || {
        let secrets = subject.webhooks().webhook_secrets(held.webhook).await;
        secrets.expect("they are read")
    };
    let one = |name: &str, expires_at| WebhookSecret {
        sealed: secret(name),
        expires_at,
    };
    let first = format!("webhook:{}:1", held.webhook);
    let (now, until) = (world.now(), world.now());
    put("second", now, until).await;
    let both = [one("second", None), one(&first, Some(until))];
    assert_eq!(secrets().await, both);
    assert!(
        !told(subject, held, Told::Passed(1), now).await,
        "it has old secrets"
    );
    let (now, until) = (world.now(), world.now());
    put("third", now, until).await;
    let both = [one("third", None), one("second", Some(until))];
    assert_eq!(secrets().await, both, "what expired is forgotten");

    let after = subject.webhooks().webhook_secrets_after("third", 10).await;
    assert_eq!(
        after.expect("they are read").len(),
        1,
        "the other webhook's"
    );
    let all = subject.webhooks().webhook_secrets_after("", 2).await;
    assert_eq!(
        all.expect("they are read"),
        [secret("second"), secret("third")]
    );
    let resealed = SealedSecret {
        key_id: "key-2".to_owned(),
        sealed: vec![9; 5],
        ..secret("third")
    };
    for (from, is_there) in [("key-0", false), ("key-1", true), ("key-1", false)] {
        let mut work = subject.store().begin().await.expect("it begins");
        let done = work.webhooks().reseal_webhook_secret(&resealed, from).await;
        work.commit().await.expect("it is committed");
        assert_eq!(done.expect("it answers"), is_there);
    }
    assert_eq!(secrets().await[0].sealed, resealed);

    for is_there in [true, false] {
        let mut work = subject.store().begin().await.expect("it begins");
        let deleted = work.webhooks().delete_webhook(held.webhook).await;
        assert_eq!(deleted.expect("it answers"), is_there);
        work.commit().await.expect("it is committed");
    }
    assert_eq!(subject.count("webhook_secrets").await, 1);
    assert_eq!(subject.count("webhooks").await, 1);
}

/// A process hears of what another one put into the log. Word may be lost with its connection, and no
/// reader relies on it; but while there is one it comes.
pub async fn word_comes_of_the_logs_growth(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let mut hints = subject.growth().listen().await.expect("it listens");
    for _ in 0..2 {
        let events = events(&world, 7);
        let appended = subject.audit_store().append(&events, world.now()).await;
        appended.expect("it is appended");
        let (heard, ()) = tokio::join!(timeout(FOR_EVER, hints.next()), async {
            let numbered = number(subject.tree().as_ref(), 100).await;
            assert_eq!(numbered.expect("it numbers"), Some(7));
        });
        heard.expect("word comes").expect("it listens still");
    }
}
