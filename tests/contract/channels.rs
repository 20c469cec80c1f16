//! Channel accounts: one burn in flight for each, released by a verdict alone.

use tranche_application::ports::channels::{Channel, NewChannel};
use tranche_application::ports::store::{Conflict, StoreError};
use tranche_domain::DisbursementId;

use super::StoreUnderTest;
use super::scene::{NETWORK, World};
use super::tools::{conflicts, ended};

async fn pool(subject: &dyn StoreUnderTest, network: &str) -> Vec<Channel> {
    let channels = subject.channels().channels(network).await;
    channels.expect("it is read")
}

async fn keep(world: &World, network: &str, account_id: &str) -> Result<(), StoreError> {
    let channel = NewChannel {
        network: network.to_owned(),
        account_id: account_id.to_owned(),
        created_at: world.now(),
    };
    let mut work = world.begin().await;
    work.credentials().keep_channel(&channel).await?;
    work.commit().await
}

/// Oldest first, by network; funded once.
pub async fn a_pool_is_what_was_kept(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    for account in ["CZ", "CA", "CM"] {
        keep(&world, NETWORK, account).await.expect("it is kept");
    }
    keep(&world, "elsewhere", "CX").await.expect("it is kept");
    let again = keep(&world, NETWORK, "CZ").await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");

    let first = world.now();
    for at in [first, world.now()] {
        let mut work = world.begin().await;
        let accounts = ["CA".to_owned(), "CM".to_owned(), "nobody".to_owned()];
        let funded = work.credentials().channels_funded(&accounts, at).await;
        funded.expect("it answers");
        work.commit().await.expect("it is committed");
    }
    let pool: Vec<_> = pool(subject, NETWORK).await;
    let seen: Vec<_> = pool.iter().map(|c| (&*c.account_id, c.funded_at)).collect();
    let expected = [("CZ", None), ("CA", Some(first)), ("CM", Some(first))];
    assert_eq!(seen, expected);
    assert!(pool.is_sorted_by_key(|channel| channel.created_at));
    assert!(pool.iter().all(|channel| channel.leased_by.is_none()));
}

async fn leased_by(subject: &dyn StoreUnderTest) -> Option<DisbursementId> {
    pool(subject, NETWORK).await[0].leased_by
}

/// From the moment it is named until the verdict, whatever happens in between.
pub async fn a_channel_is_leased_until_the_verdict(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    keep(&world, NETWORK, "CHANNEL").await.expect("it is kept");
    let project = world.project(1_000).await.id;
    let first = world.payable(project, 1, 100).await.id;
    let second = world.payable(project, 2, 100).await.id;
    let mut sequence = 0;
    for settles in [false, true] {
        sequence += 1;
        let plan = world.plan_through(first, Some("CHANNEL")).await;
        let plan = plan.expect("it is payable");
        let kept = world.keep(first, plan, sequence).await.expect("it is kept");
        let open = kept.expect("nothing changed");
        assert_eq!(leased_by(subject).await, Some(open.id));

        let called = world.conclude(&open, |d, m, _, act| {
            d.call_operator(&m, "nothing is proven".to_owned(), act)
                .expect("it is open")
        });
        called.await.expect("it is recorded");
        assert_eq!(leased_by(subject).await, Some(open.id));
        let plan = world.plan_through(second, Some("CHANNEL")).await;
        let plan = plan.expect("it is payable");
        let taken = world.keep(second, plan, sequence + 10).await;
        assert!(conflicts(&taken, Conflict::LedgerSlot), "{taken:?}");

        if settles {
            world.settle(&open).await.expect("it is settled");
        } else {
            world.fail(&open).await.expect("it fails");
        }
        assert_eq!(leased_by(subject).await, None);
    }
}

/// Two who prepare for one account at once, with whatever sequence numbers: one has it.
pub async fn a_channel_has_one_burn_in_flight(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let second = world.through(subject.second_store().await);
    for round in 0..5 {
        let channel = format!("C{round}");
        let mut tasks = Vec::new();
        for n in 0..4 {
            let world = if n % 2 == 0 { &world } else { &second }.clone();
            let project = world.project(1_000).await.id;
            let id = world.payable(project, 1, 100).await.id;
            let plan = world.plan_through(id, Some(&channel)).await;
            let plan = plan.expect("it is payable");
            tasks.push(tokio::spawn(async move {
                world
                    .keep(id, plan, 10 + n)
                    .await
                    .map(|kept| kept.is_some())
            }));
        }
        let mut winners = 0;
        for task in tasks {
            match ended(task).await {
                Ok(kept) => winners += i32::from(kept),
                lost => assert!(conflicts(&lost, Conflict::LedgerSlot), "{lost:?}"),
            }
        }
        assert_eq!(winners, 1);
    }
    // A wallet that is its own source is leased as well.
    let project = world.project(1_000).await.id;
    let first = world.payable(project, 1, 100).await.id;
    let other = world.payable(project, 2, 100).await.id;
    world.prepare(first, 1).await;
    let plan = world.plan(other).await.expect("it is payable");
    let taken = world.keep(other, plan, 2).await;
    assert!(conflicts(&taken, Conflict::LedgerSlot), "{taken:?}");
    world.prepare_beside(other).await;
}
