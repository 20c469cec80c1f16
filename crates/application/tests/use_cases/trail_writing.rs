//! Putting and amending trails: the same on every backend (T1, T3).

use std::sync::atomic::Ordering;

use tranche_application::ports::store::{Conflict, StoreError};
use tranche_application::trails::{Backend, TrailError};
use tranche_domain::ProjectId;
use tranche_domain::trail::{TrailAmendment, TrailContent, TrailRefusal};
use uuid::Uuid;

use super::scene::{ELSEWHERE, PROJECT, scoped};
use super::trail_room::{Room, by, completed_with, completion, message, placeholder, whole};

#[tokio::test]
async fn a_trail_is_opened_completed_and_amended_on_every_backend() {
    for backend in Backend::ALL {
        let room = Room::new(backend);
        let trails = &room.trails;
        let put = async |content: TrailContent| {
            let put = trails.put(PROJECT, message(1), content, &by()).await;
            put.unwrap()
        };
        let first = put(placeholder(0)).await;
        assert!(first.created && first.changed, "{backend}");
        assert!(!first.trail.is_completed());
        let again = put(placeholder(0)).await;
        assert!(!again.created && !again.changed, "{backend}");
        assert_eq!(again.trail, first.trail);
        let whole = put(whole(5)).await;
        assert!(!whole.created && whole.changed);
        assert!(whole.trail.is_completed());
        let amended = trails
            .amend(PROJECT, message(1), completion(6), &by())
            .await;
        let amended = amended.unwrap();
        assert!(amended.changed);
        assert_eq!(completed_with(&amended.trail), 6);
        assert_eq!(room.read(1).await, Some(amended.trail));
        let nothing = trails
            .amend(PROJECT, message(1), TrailAmendment::default(), &by())
            .await;
        let Err(TrailError::Refused(refused)) = nothing else {
            panic!("{nothing:?}");
        };
        assert_eq!(refused.all(), [TrailRefusal::Nothing]);
    }
}

#[tokio::test]
async fn a_message_of_another_project_is_as_unknown_as_any() {
    for backend in Backend::ALL {
        let room = Room::new(backend);
        room.put(1, whole(5)).await;
        let trails = &room.trails;
        let foreign = [
            trails.put(ELSEWHERE, message(1), whole(6), &by()).await,
            trails
                .amend(ELSEWHERE, message(1), completion(6), &by())
                .await,
            trails
                .amend(ELSEWHERE, message(2), completion(6), &by())
                .await,
        ];
        for answer in foreign {
            assert!(matches!(answer, Err(TrailError::NotFound)), "{answer:?}");
        }
        let elsewhere = scoped("assessor", ELSEWHERE);
        let hidden = trails.put(PROJECT, message(1), whole(6), &elsewhere).await;
        assert!(matches!(hidden, Err(TrailError::ProjectNotFound)));
        let unknown = ProjectId(Uuid::from_u128(0x5151));
        let unknown = trails.put(unknown, message(3), whole(6), &by()).await;
        assert!(matches!(unknown, Err(TrailError::ProjectNotFound)));
        let read = trails.read(message(1), &elsewhere.caller).await;
        assert_eq!(read.unwrap(), None);
        let own = trails
            .read(message(1), &scoped("reader", PROJECT).caller)
            .await;
        assert_eq!(completed_with(&own.unwrap().unwrap()), 5);
    }
}

#[tokio::test]
async fn refusals_do_not_tell_whose_a_message_is() {
    for backend in Backend::ALL {
        let room = Room::new(backend);
        room.put(1, whole(5)).await;
        let mut call = scoped("assessor", ELSEWHERE);
        let bad = placeholder(3_600);
        for seen in [None, Some(1), Some(7)] {
            call.expected_version = seen;
            // The first is another project's, the second nobody's.
            for n in [1, 2] {
                let amended = room
                    .trails
                    .amend(ELSEWHERE, message(n), completion(6), &call);
                let amended = amended.await;
                let unknown = matches!(amended, Err(TrailError::NotFound));
                assert!(unknown, "{backend} {n} {seen:?}: {amended:?}");
                let put = room.trails.put(ELSEWHERE, message(n), bad.clone(), &call);
                let put = put.await;
                let Err(TrailError::Refused(refused)) = put else {
                    panic!("{backend} {n} {seen:?}: {put:?}");
                };
                assert_eq!(refused.all(), [TrailRefusal::Future]);
            }
        }
    }
}

#[tokio::test]
async fn what_was_seen_in_another_version_is_not_changed() {
    for backend in Backend::ALL {
        let room = Room::new(backend);
        let mut call = by();
        call.expected_version = Some(1);
        let first = room.trails.put(PROJECT, message(1), whole(5), &call).await;
        let none = matches!(first, Err(TrailError::VersionMismatch { current: 0 }));
        assert!(none, "{first:?}");
        room.put(1, whole(5)).await;
        let seen = room.trails.amend(PROJECT, message(1), completion(6), &call);
        assert!(seen.await.unwrap().changed);
        let late = room.trails.amend(PROJECT, message(1), completion(7), &call);
        let late = late.await;
        let stale = matches!(late, Err(TrailError::VersionMismatch { current: 2 }));
        assert!(stale, "{late:?}");
        assert_eq!(completed_with(&room.read(1).await.unwrap()), 6);
    }
}

#[tokio::test]
async fn a_lost_race_is_run_again_and_not_for_ever() {
    let room = Room::new(Backend::Database);
    room.database.stale.store(31, Ordering::SeqCst);
    room.put(1, whole(5)).await;
    assert_eq!(room.database.saves.load(Ordering::SeqCst), 32);
    room.database.stale.store(u32::MAX, Ordering::SeqCst);
    let lost = room.amend(1, 6).await;
    let stale = matches!(
        lost,
        Err(TrailError::Store(StoreError::Conflict(Conflict::Stale)))
    );
    assert!(stale, "{lost:?}");
    assert_eq!(room.database.saves.load(Ordering::SeqCst), 64);
    assert_eq!(completed_with(&room.database.trail(1).unwrap()), 5);
}

#[tokio::test]
async fn a_completed_trails_change_is_recorded_on_every_backend() {
    for backend in Backend::ALL {
        let room = Room::new(backend);
        room.put(1, placeholder(0)).await;
        room.put(1, whole(5)).await;
        room.put(1, whole(5)).await;
        assert_eq!(room.failsafe.held(), 0, "{backend}");
        assert_eq!(room.database.events(), [] as [&str; 0]);
        assert!(!room.stage.rung().await);
        room.put(1, whole(6)).await;
        if backend == Backend::Memory {
            assert_eq!(room.failsafe.held(), 1);
            assert_eq!(room.database.events(), [] as [&str; 0]);
        } else {
            assert_eq!(room.failsafe.held(), 0);
            assert_eq!(room.database.events(), ["trail.changed"]);
            assert!(room.stage.rung().await, "the relay is told");
        }
    }
}

#[tokio::test]
async fn while_the_database_is_away_nothing_is_half_done() {
    for backend in [Backend::Dual, Backend::Database] {
        let room = Room::new(backend);
        room.put(1, whole(5)).await;
        *room.database.away.lock().unwrap() = true;
        let away = |answer: &Result<_, TrailError>| {
            matches!(answer, Err(TrailError::Store(StoreError::Unavailable(_))))
        };
        let put = room.trails.put(PROJECT, message(2), whole(5), &by()).await;
        assert!(away(&put), "{put:?}");
        let amended = room.amend(1, 6).await;
        assert!(away(&amended), "{amended:?}");
        assert_eq!(room.stage.incidents().len(), 2);
        assert!(room.trails.read(message(1), &by().caller).await.is_err());
        *room.database.away.lock().unwrap() = false;
        assert_eq!(room.read(2).await, None);
        assert_eq!(completed_with(&room.read(1).await.unwrap()), 5);
        assert_eq!(room.trails.figures().mismatches, 0);
    }
}

#[tokio::test]
async fn a_project_that_goes_meanwhile_takes_its_trails() {
    let room = Room::new(Backend::Dual);
    room.put(1, whole(5)).await;
    assert_eq!(room.memory.len(), 1);
    room.database.gone.lock().unwrap().insert(PROJECT);
    let put = room.trails.put(PROJECT, message(2), whole(5), &by()).await;
    assert!(matches!(put, Err(TrailError::ProjectNotFound)));
    room.trails.forget(PROJECT);
    assert!(room.memory.is_empty());
}

#[tokio::test]
async fn many_writers_of_one_message_all_come_through() {
    for backend in Backend::ALL {
        let room = Room::new(backend);
        room.put(1, whole(0)).await;
        let writers = (1..=20).map(|n| {
            let trails = room.trails.clone();
            tokio::spawn(async move {
                let (call, amendment) = (by(), completion(n));
                let amended = trails.amend(PROJECT, message(1), amendment, &call);
                amended.await.unwrap()
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            assert!(writer.await.unwrap().changed);
        }
        assert_eq!(
            room.read(1).await.unwrap().record().version,
            21,
            "{backend}"
        );
    }
}
