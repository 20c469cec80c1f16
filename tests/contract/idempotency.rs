//! The same request twice: one effect, one answer.

use tranche_application::idempotency::{Answered, Claim, IdempotencyKey};
use tranche_application::ports::store::StoreError;
use tranche_domain::ProjectId;

use super::StoreUnderTest;
use super::scene::World;
use super::tools::{ended, is_waiting, lost_a_race};

fn key(subject: &str, fingerprint: u8) -> IdempotencyKey {
    IdempotencyKey {
        subject: subject.to_owned(),
        key: "key-1 “x”".to_owned(),
        fingerprint: [fingerprint; 32],
    }
}

async fn claim(world: &World, key: &IdempotencyKey) -> Claim {
    let mut work = world.begin().await;
    let claim = work.idempotency().claim(key).await.expect("it answers");
    work.commit().await.expect("it is committed");
    claim
}

/// A used key knows what it made and what was answered.
pub async fn a_key_gives_its_answer_again(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let key = key("anna", 1);
    let made = world.id();
    assert_eq!(claim(&world, &key).await, Claim::New);
    assert_eq!(claim(&world, &key).await, Claim::Used(Answered::default()));

    let mut work = world.begin().await;
    let bound = work.idempotency().bind(&key, made).await;
    bound.expect("it is bound");
    work.commit().await.expect("it is committed");
    let mut answered = Answered {
        made: Some(made),
        answer: None,
    };
    assert_eq!(claim(&world, &key).await, Claim::Used(answered.clone()));

    let body = "{\"id\": \"…\", \"n\": [1, 2]}\n";
    let mut work = world.begin().await;
    let kept = work.idempotency().keep_answer(&key, 201, body).await;
    kept.expect("it is kept");
    work.commit().await.expect("it is committed");
    answered.answer = Some((201, body.to_owned()));
    assert_eq!(claim(&world, &key).await, Claim::Used(answered));
}

/// One key, one request; the keys of different callers never meet.
pub async fn a_key_is_for_one_request(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    assert_eq!(claim(&world, &key("anna", 1)).await, Claim::New);
    assert_eq!(claim(&world, &key("anna", 2)).await, Claim::Misused);
    assert_eq!(claim(&world, &key("ben", 2)).await, Claim::New);
    let mut work = world.begin().await;
    let made = world.id();
    let unclaimed = work.idempotency().bind(&key("carol", 1), made).await;
    assert!(unclaimed.is_err(), "what nobody claimed cannot be bound");
}

/// A unit of work that never was leaves its key free.
pub async fn a_dropped_unit_of_work_frees_its_key(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let key = key("anna", 1);
    let mut work = world.begin().await;
    let first = work.idempotency().claim(&key).await;
    assert_eq!(first.expect("it answers"), Claim::New);
    drop(work);
    assert_eq!(claim(&world, &key).await, Claim::New);
}

/// A claim waits for the one before it, and sees what became of it.
pub async fn a_claim_waits_for_the_one_before(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let second = world.through(subject.second_store().await);
    let made = world.id();
    let key = key("anna", 1);
    let mut work = world.begin().await;
    let first = work.idempotency().claim(&key).await;
    assert_eq!(first.expect("it answers"), Claim::New);
    let later = key.clone();
    let waiting = tokio::spawn(async move { claim(&second, &later).await });
    assert!(is_waiting(&waiting).await, "the second claim waits");
    let bound = work.idempotency().bind(&key, made).await;
    bound.expect("it is bound");
    work.commit().await.expect("it is committed");
    let answered = Answered {
        made: Some(made),
        answer: None,
    };
    assert_eq!(ended(waiting).await, Claim::Used(answered));
}

/// However many send a request at once, it has one effect.
pub async fn one_key_has_one_effect(subject: &dyn StoreUnderTest) {
    let world = World::of(subject);
    let second = world.through(subject.second_store().await);
    let project = world.project(1_000).await.id;
    let tasks: Vec<_> = (0..6)
        .map(|n| {
            let world = if n % 2 == 0 { &world } else { &second }.clone();
            tokio::spawn(async move {
                loop {
                    match effect(&world, project, n).await {
                        Ok(was_new) => return was_new,
                        Err(error) => assert!(lost_a_race(&error), "{error:?}"),
                    }
                }
            })
        })
        .collect();
    let mut effects = 0;
    for task in tasks {
        effects += i32::from(ended(task).await);
    }
    assert_eq!(effects, 1);
    assert_eq!(subject.count("milestones").await, 1);
}

/// Drafts a milestone, unless the key was used.
async fn effect(world: &World, project: ProjectId, n: i32) -> Result<bool, StoreError> {
    let mut work = world.store.begin().await?;
    if work.idempotency().claim(&key("anna", 1)).await? != Claim::New {
        return Ok(false);
    }
    let locked = work.projects().lock(project).await?;
    let change = world.drafting(n + 1, locked.expect("it is there"));
    work.record(&change).await?;
    work.commit().await?;
    Ok(true)
}
