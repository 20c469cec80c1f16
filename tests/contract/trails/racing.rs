//! Writers at the same time: none is lost, and sums are what is there.

use std::sync::Arc;

use tokio::task::JoinSet;
use tranche_application::ports::audit_search::Scope;
use tranche_application::ports::store::{Conflict, StoreError};
use tranche_application::ports::trails::{Adopted, TrailStore};
use tranche_domain::trail::sums::{Analytics, TimeRange};
use tranche_domain::{MessageId, ProjectId, Trail, TrailChange};

use super::TrailsUnderTest;
use super::keeping::saved;
use super::world::{RECENT, Recount, adopt, amended, at, completion, message, noon, opened, whole};

const WRITERS: u64 = 8;

async fn there(trails: &dyn TrailStore, message: MessageId) -> Trail {
    let read = trails.read(message, Scope::All).await;
    read.expect("it is read").expect("it is there")
}

fn lost_a_race(saved: &Result<(), StoreError>) -> bool {
    matches!(
        saved,
        Err(StoreError::Conflict(Conflict::Stale | Conflict::Retry))
    )
}

/// Adds one to the completion, however often another is faster.
async fn add_one(trails: Arc<dyn TrailStore>, message: MessageId, act: u64) {
    for again in 0..10_000 {
        let trail = there(trails.as_ref(), message).await;
        let tokens = trail.record().tokens.expect("it is completed");
        let act = act * 10_000 + again;
        let change = amended(trail, completion(tokens.completion().get() + 1), act);
        let saved = trails.save(&change).await;
        if saved.is_ok() {
            return;
        }
        assert!(lost_a_race(&saved), "{saved:?}");
    }
    unreachable!("it never had its turn");
}

/// Of several that open one message's trail, one does.
pub async fn one_of_many_first_saves_wins(subject: &dyn TrailsUnderTest) {
    let (trails, project) = (subject.trails(), subject.project().await);
    let mut crowd = JoinSet::new();
    for n in 0..WRITERS {
        let change = opened(1, project, whole(5, &format!("model {n}"), "1"));
        let trails = trails.clone();
        crowd.spawn(async move {
            let saved = trails.save(&change).await;
            assert!(saved.is_ok() || lost_a_race(&saved), "{saved:?}");
            saved.is_ok().then(|| change.into_trail())
        });
    }
    let won: Vec<_> = crowd.join_all().await.into_iter().flatten().collect();
    assert_eq!(won, [there(trails.as_ref(), message(1)).await]);
    let mut recount = Recount::default();
    recount.save(&won[0]);
    assert_eq!(
        analytics(trails.as_ref(), project).await,
        recount.analytics(project, all())
    );
}

fn all() -> TimeRange {
    TimeRange::try_new(at(0), noon()).expect("a range")
}

async fn analytics(trails: &dyn TrailStore, project: ProjectId) -> Analytics {
    let counted = trails.counted(project, all(), RECENT).await;
    Analytics::of(all(), counted.expect("it is counted"))
}

/// Each adds to what the one before left.
pub async fn no_write_of_many_is_lost(subject: &dyn TrailsUnderTest) {
    let (trails, project) = (subject.trails(), subject.project().await);
    saved(trails.as_ref(), 1, project, whole(5, "large-2", "1")).await;
    let mut crowd = JoinSet::new();
    for n in 0..WRITERS {
        let trails = trails.clone();
        crowd.spawn(async move {
            for m in 0..5 {
                add_one(trails.clone(), message(1), n * 5 + m + 1).await;
            }
        });
    }
    crowd.join_all().await;
    let trail = there(trails.as_ref(), message(1)).await;
    let writes = WRITERS * 5;
    assert_eq!(
        trail.record().version,
        1 + i64::try_from(writes).expect("few")
    );
    let tokens = trail.record().tokens.expect("it is completed");
    assert_eq!(tokens.completion().get(), 30 + writes);
    let sums = analytics(trails.as_ref(), project).await.sums;
    assert_eq!(sums.messages, 1);
    assert_eq!(sums.completion_tokens, i128::from(30 + writes));
    let posted = subject.posted(message(1)).await;
    if let Some(posted) = posted {
        assert_eq!(posted, i64::try_from(writes).expect("few"), "an event each");
    }
}

/// A migration beside writers copies nothing over what is later (T2).
pub async fn copies_and_writes_come_to_the_latest(subject: &dyn TrailsUnderTest) {
    let (trails, project) = (subject.trails(), subject.project().await);
    let first = opened(1, project, whole(5, "large-2", "1")).into_trail();
    assert!(adopt(trails.as_ref(), &first).await);
    let mut crowd = JoinSet::new();
    for n in 0..WRITERS {
        let (trails, first) = (trails.clone(), first.clone());
        crowd.spawn(async move {
            for m in 0..5 {
                if n % 2 == 0 {
                    add_one(trails.clone(), message(1), n * 5 + m + 1).await;
                } else {
                    assert!(!adopt(trails.as_ref(), &first).await);
                }
            }
        });
    }
    crowd.join_all().await;
    let trail = there(trails.as_ref(), message(1)).await;
    let writes = WRITERS / 2 * 5;
    assert_eq!(
        trail.record().version,
        1 + i64::try_from(writes).expect("few")
    );
    let sums = analytics(trails.as_ref(), project).await.sums;
    assert_eq!(sums.completion_tokens, i128::from(30 + writes));
}

/// Pages of the same copies, and writers of the same hours and models: nobody waits in a circle (T2).
pub async fn pages_of_copies_and_writes_do_not_hinder_one_another(subject: &dyn TrailsUnderTest) {
    let (trails, project) = (subject.trails(), subject.project().await);
    let name = |n: u128| ["one", "two", "three"][usize::try_from(n % 3).expect("few")];
    let minutes = |n: u128| i64::try_from(n % 4).expect("few") * 20;
    let trail = |n: u128| opened(n, project, whole(minutes(n), name(n), "0.25"));
    let copies: Vec<_> = (0..40).map(|n| trail(n).into_trail()).collect();
    let mut crowd = JoinSet::new();
    for n in 0..WRITERS {
        let (trails, mut copies) = (trails.clone(), copies.clone());
        if n % 4 == 1 {
            copies.reverse();
        }
        let own: Vec<_> = (0..10)
            .map(|m| trail(u128::from(n + 1) * 100 + m))
            .collect();
        crowd.spawn(async move {
            if n % 2 == 1 {
                let adopted = trails.adopt(&copies).await.expect("they are copied");
                return adopted.iter().filter(|one| **one == Adopted::Kept).count();
            }
            for change in own {
                insist(&trails, change).await;
            }
            0
        });
    }
    let kept: usize = crowd.join_all().await.into_iter().sum();
    assert_eq!(kept, copies.len(), "each once");
    let mut recount = Recount::default();
    for copy in &copies {
        recount.save(copy);
    }
    for n in (0..WRITERS).filter(|n| n % 2 == 0) {
        for m in 0..10 {
            recount.save(trail(u128::from(n + 1) * 100 + m).trail());
        }
    }
    let expected = recount.analytics(project, all());
    assert_eq!(analytics(trails.as_ref(), project).await, expected);
}

/// Many messages of the same hours and models, opened, changed and expired at once (T6).
pub async fn sums_agree_after_a_crowd(subject: &dyn TrailsUnderTest) {
    let (trails, project) = (subject.trails(), subject.project().await);
    let mut crowd = JoinSet::new();
    for n in 0..WRITERS {
        let trails = trails.clone();
        crowd.spawn(async move {
            let mut last = Vec::new();
            for m in 0..10_u64 {
                let name = ["one", "two", "three"][usize::try_from((n + m) % 3).expect("few")];
                let minutes = 60 * i64::try_from(m % 2).expect("few") + 3;
                let number = u128::from(n * 100 + m);
                let change = opened(number, project, whole(minutes, name, "0.25"));
                let trail = insist(&trails, change).await;
                let act = (n * 10 + m + 1) * 2;
                let change = amended(trail, completion(m), act);
                last.push(insist(&trails, change).await);
            }
            last
        });
    }
    for n in 0..20 {
        trails.expire(at(n - 20), 10).await.expect("none is so old");
    }
    let mut recount = Recount::default();
    for trail in crowd.join_all().await.iter().flatten() {
        recount.save(trail);
    }
    let expected = recount.analytics(project, all());
    assert_eq!(analytics(trails.as_ref(), project).await, expected);
    assert_eq!(
        expected.sums.messages,
        i64::try_from(WRITERS * 10).expect("few")
    );
}

/// Saves what nobody else writes; a database may ask to try again.
async fn insist(trails: &Arc<dyn TrailStore>, change: TrailChange) -> Trail {
    for _ in 0..1_000 {
        match trails.save(&change).await {
            Ok(()) => return change.into_trail(),
            Err(error) => {
                let again = matches!(error, StoreError::Conflict(Conflict::Retry));
                assert!(again, "nobody else writes it: {error}");
            }
        }
    }
    unreachable!("it never had its turn");
}
