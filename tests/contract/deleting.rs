//! A project that never had a milestone may go; what others rely on stays.

use tranche_application::ports::channels::NewChannel;
use tranche_application::ports::custody::{SealedSecret, SealedWallet};
use tranche_application::ports::store::{Conflict, StoreError};
use tranche_application::ports::webhooks::Webhook;
use tranche_domain::{Change, Project, ProjectId, Role};

use super::StoreUnderTest;
use super::scene::{NETWORK, World};
use super::tools::{census, conflicts, ended, is_waiting};
use super::webhooks::plain;

fn deleting(world: &World, project: Project) -> Change {
    let act = world.act("admin", Role::Admin);
    project.delete(&act).expect("it never had a milestone")
}

async fn keep_wallet(world: &World, project: &Project) -> SealedWallet {
    let wallet = SealedWallet {
        account_id: project.wallet_account_id.clone(),
        custody: "local".to_owned(),
        key_id: "key-1".to_owned(),
        sealed_seed: vec![0, 1, 255],
    };
    let mut work = world.begin().await;
    let kept = work.credentials().keep_wallet(&wallet).await;
    kept.expect("it is kept");
    work.commit().await.expect("it is committed");
    wallet
}

/// The project goes, its event comes, and its wallet's seed stays sealed: tokens may lie there.
pub async fn a_project_without_milestones_goes(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let (project, other) = (world.project(1_000).await, world.project(1_000).await);
    let wallet = keep_wallet(&world, &project).await;
    let change = deleting(&world, project.clone());
    world.record(&change).await.expect("it is deleted");

    let read = world.queries.project(project.id).await;
    assert_eq!(read.expect("it is read"), None);
    let read = world.queries.project(other.id).await;
    assert_eq!(read.expect("it is read"), Some(other));
    let posted = format!(
        "audit_outbox WHERE action = 'project.deleted' AND project_id = '{}'",
        project.id
    );
    assert_eq!(subject.count(&posted).await, 1);
    let kept = subject.wallets().sealed_wallet(&wallet.account_id).await;
    assert_eq!(kept.expect("it is read"), Some(wallet));
    let mut work = world.begin().await;
    assert_eq!(work.audit().relay(10, world.now()).await.ok(), Some(3));
    work.commit().await.expect("it is committed");
    let differences = subject.books().missing_events(10).await;
    assert_eq!(differences.expect("it is compared"), []);
}

/// What was read before somebody else worked on the project deletes nothing.
pub async fn a_project_that_changed_stays(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = world.project(1_000).await;
    world.draft(project.id, 1).await;
    let before = census(subject).await;
    let late = world.record(&deleting(&world, project.clone())).await;
    assert!(conflicts(&late, Conflict::Stale), "{late:?}");
    assert_eq!(census(subject).await, before);
    let read = world.queries.project(project.id).await;
    let read = read.expect("it is read").expect("it is there");
    let act = world.act("admin", Role::Admin);
    assert!(read.delete(&act).is_err(), "it had a milestone");
}

async fn keep(subject: &dyn StoreUnderTest, webhook: &Webhook) -> Result<(), StoreError> {
    let secret = SealedSecret {
        name: format!("webhook:{}:1", webhook.id),
        key_id: "key-1".to_owned(),
        sealed: vec![1],
    };
    let mut work = subject.store().begin().await?;
    work.webhooks().keep_webhook(webhook, &secret).await?;
    work.commit().await
}

/// Whoever is told of a project's events is not cut off unawares; and nobody is told of one that is
/// gone.
pub async fn a_project_with_webhooks_stays(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = world.project(1_000).await;
    let of_project = |project: ProjectId| Webhook {
        project_id: Some(project),
        ..plain(&world)
    };
    let webhook = of_project(project.id);
    keep(subject, &webhook).await.expect("it is kept");
    let before = census(subject).await;
    let refused = world.record(&deleting(&world, project.clone())).await;
    assert!(conflicts(&refused, Conflict::ProjectInUse), "{refused:?}");
    assert_eq!(census(subject).await, before);

    let mut work = world.begin().await;
    let gone = work.webhooks().delete_webhook(webhook.id).await;
    assert!(gone.expect("it is deleted"));
    work.commit().await.expect("it is committed");
    let deleted = world.record(&deleting(&world, project.clone())).await;
    deleted.expect("nothing is in the way");
    let late = keep(subject, &of_project(project.id)).await;
    assert!(conflicts(&late, Conflict::ProjectGone), "{late:?}");
}

/// Whoever drafts a milestone while the project is deleted waits, and finds it gone.
pub async fn a_project_goes_or_is_worked_on(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let id = world.project(1_000).await.id;
    let mut work = world.begin().await;
    let locked = work.projects().lock(id).await.expect("it locks");
    let other = world.through(subject.second_store().await);
    let waiting = tokio::spawn(async move {
        let mut work = other.begin().await;
        work.projects().lock(id).await
    });
    assert!(is_waiting(&waiting).await);
    let change = deleting(&world, locked.expect("it is there"));
    work.record(&change).await.expect("it is recorded");
    work.commit().await.expect("it is committed");
    assert_eq!(ended(waiting).await.expect("it answers"), None);
}

/// A project may be opened again with the wallet that it had, by the reference that is given then: the
/// one that was left behind may lead nowhere by now. A sealed seed gives way to no other custodian, and
/// what a channel has stays the channel's.
pub async fn a_wallet_left_behind_serves_again(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let project = world.project(1_000).await;
    let wallet = keep_wallet(&world, &project).await;
    let keep = async |wallet: SealedWallet| {
        let mut work = world.begin().await;
        work.credentials().keep_wallet(&wallet).await?;
        work.commit().await
    };
    let kept = async || {
        let kept = subject.wallets().sealed_wallet(&wallet.account_id).await;
        kept.expect("it is read").expect("it is there")
    };
    let in_vault = |key: &str| SealedWallet {
        custody: "vault".to_owned(),
        key_id: key.to_owned(),
        sealed_seed: Vec::new(),
        ..wallet.clone()
    };
    let sealed_anew = SealedWallet {
        key_id: "key-2".to_owned(),
        sealed_seed: vec![7],
        ..wallet.clone()
    };
    let early = keep(sealed_anew.clone()).await;
    assert!(conflicts(&early, Conflict::Wallet), "{early:?}");
    assert_eq!(kept().await, wallet);
    let deleted = world.record(&deleting(&world, project.clone())).await;
    deleted.expect("it is deleted");

    let elsewhere = keep(in_vault("fund/v1")).await;
    assert!(conflicts(&elsewhere, Conflict::Wallet), "{elsewhere:?}");
    assert_eq!(kept().await, wallet);
    keep(sealed_anew.clone()).await.expect("nobody has it");
    assert_eq!(kept().await, sealed_anew, "under the key of now");

    // The same of a key that is held outside, which nothing here is lost with.
    let of_row = format!("account_id = '{}'", wallet.account_id);
    let outside = "UPDATE wallets SET custody = 'vault', key_id = 'fund/v1', \
        sealed_seed = substr(sealed_seed, 1, 0)";
    let outside = subject.execute(&format!("{outside} WHERE {of_row}")).await;
    assert_eq!(outside.expect("it is held outside"), 1);
    keep(in_vault("fund-2/v3")).await.expect("nobody has it");
    assert_eq!(kept().await, in_vault("fund-2/v3"));
    keep(wallet.clone()).await.expect("nobody has it");
    assert_eq!(kept().await, wallet, "its seed is here now");

    let channel = NewChannel {
        network: NETWORK.to_owned(),
        account_id: wallet.account_id.clone(),
        created_at: world.now(),
    };
    let mut work = world.begin().await;
    let joined = work.credentials().keep_channel(&channel).await;
    joined.expect("it is kept");
    work.commit().await.expect("it is committed");
    let taken = keep(sealed_anew).await;
    assert!(conflicts(&taken, Conflict::Wallet), "{taken:?}");
    assert_eq!(kept().await, wallet);
}
