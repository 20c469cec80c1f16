//! How much and how long: memory's bounds, and the daily clean-up (T2, T5).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{NaiveTime, TimeDelta};
use tokio_util::sync::CancellationToken;
use tranche_application::daily::Daily;
use tranche_application::ports::audit_search::Scope;
use tranche_application::ports::trails::{TrailCleanUps, TrailStore};
use tranche_application::trails::clean_up::{CleanUp, DailyCleanUp};
use tranche_application::trails::{Backend, MemoryLimits};
use tranche_domain::trail::TrailContent;
use tranche_domain::trail::sums::TimeRange;

use super::scene::{ELSEWHERE, PROJECT, caller, time};
use super::script::Step;
use super::stage::{Stage, down};
use super::trail_room::{Gate, LIMITS, Room, by, message, placeholder, text, whole};

fn days(days: i64) -> TimeDelta {
    TimeDelta::days(days)
}

#[tokio::test]
async fn memory_holds_so_many_trails_and_lets_the_oldest_go() {
    let limits = MemoryLimits {
        trails: 3,
        ..LIMITS
    };
    let room = Room::with(Backend::Memory, limits);
    for (n, seconds) in [(1, 0), (2, -50), (3, -10), (4, -20)] {
        room.put(n, placeholder(seconds)).await;
    }
    assert_eq!(
        room.read(2).await,
        None,
        "the oldest, not the first that came"
    );
    assert!(room.read(1).await.is_some());
    // The one that is written stays, however old it is.
    room.put(5, placeholder(-90)).await;
    assert!(room.read(5).await.is_some());
    assert_eq!(room.read(4).await, None);
    assert_eq!((room.memory.len(), room.trails.figures().evicted), (3, 2));
    room.put(5, whole_at(-90)).await;
    assert_eq!(room.trails.figures().evicted, 2);
}

fn whole_at(seconds: i64) -> TrailContent {
    TrailContent {
        created_at: Some(time(seconds)),
        ..whole(5)
    }
}

#[tokio::test]
async fn memory_holds_so_many_bytes() {
    let limits = MemoryLimits {
        bytes: 10_000,
        ..LIMITS
    };
    let room = Room::with(Backend::Memory, limits);
    let large = |seconds, length| TrailContent {
        context_layers: Some(text(&format!("[\"{}\"]", "x".repeat(length)))),
        ..placeholder(seconds)
    };
    for n in 0..8 {
        let seconds = i64::try_from(n).unwrap() - 8;
        room.put(n, large(seconds, 2_000)).await;
    }
    assert_eq!(room.memory.len(), 4);
    assert!(room.memory.bytes() <= 10_000);
    assert!(room.read(7).await.is_some() && room.read(3).await.is_none());
    room.put(4, large(-4, 7_000)).await;
    assert_eq!(room.memory.len(), 2, "a trail that grows makes others go");
    assert!(room.read(4).await.is_some() && room.read(7).await.is_some());
    let copy = Room::new(Backend::Memory).put(9, large(0, 5_000)).await;
    assert!(!room.memory.take(&copy), "a copy makes none go");
    assert_eq!((room.memory.len(), room.memory.turned_away()), (2, 1));
    assert_eq!(room.memory.bytes(), 7_000 + 4 + 2_000 + 4);
}

#[tokio::test]
async fn memory_holds_trails_for_so_long() {
    let room = Room::new(Backend::Memory);
    room.put(1, placeholder(0)).await;
    room.put(2, placeholder(-3_600)).await;
    room.clock.set(time(0) + days(7));
    assert!(room.read(1).await.is_some());
    assert_eq!(room.read(2).await, None, "though it was not swept");
    let trails: &dyn TrailStore = room.memory.as_ref();
    assert_eq!(trails.page(None, 10).await.unwrap().len(), 1);
    assert_eq!(trails.count(None).await.unwrap(), 1);
    assert_eq!(trails.several(&[message(2)]).await.unwrap(), []);
    room.clock.set(time(1) + days(7));
    assert_eq!(room.read(1).await, None);
    room.memory.sweep(time(0));
    assert!(room.memory.is_empty());
    // What is too old when it comes is not kept, nor counted each time that it comes.
    for _ in 0..3 {
        room.put(3, whole_at(-9)).await;
    }
    let range = TimeRange::try_new(time(-86_400), time(86_400)).unwrap();
    let told = room.trails.analytics(PROJECT, range, &by().caller).await;
    assert_eq!(told.unwrap().unwrap().sums.messages, 0);
}

#[tokio::test]
async fn memory_holds_so_many_sums() {
    let limits = MemoryLimits {
        trails: 10,
        ..LIMITS
    };
    let room = Room::with(Backend::Memory, limits);
    for n in 0..200 {
        let hours = i64::try_from(n % 100).unwrap();
        room.put(n, whole_at(-3_600 * hours)).await;
    }
    let range = TimeRange::try_new(time(0) - days(30), time(3_600)).unwrap();
    let told = room.trails.analytics(PROJECT, range, &by().caller).await;
    let told = told.unwrap().unwrap().sums.messages;
    assert!((10..=40).contains(&told), "of the newest hours: {told}");
    assert!(room.memory.get(message(199), Scope::All).is_some());
}

struct Daytime {
    room: Room,
    daily: DailyCleanUp,
    clean_up: CleanUp,
}

/// At two in the morning; `time(0)` is 08:00:00 UTC.
fn at_two(room: Room) -> Daytime {
    let two = NaiveTime::from_hms_opt(2, 0, 0);
    let clean_up = CleanUp::new(
        room.services.clone(),
        room.database.clone(),
        room.database.clone(),
        7,
    );
    let daily = Daily::in_utc(two);
    Daytime {
        daily: DailyCleanUp::new(clean_up.clone(), room.trails.clone(), daily),
        clean_up,
        room,
    }
}

#[tokio::test]
async fn old_trails_are_cleaned_up_once_a_day() {
    let Daytime { room, daily, .. } = at_two(Room::new(Backend::Database));
    for n in 0..2_500 {
        room.put(n, placeholder(-i64::try_from(n).unwrap())).await;
    }
    room.put(9_000, whole_at(0)).await;
    let cleaned = daily.look().await.unwrap().unwrap();
    assert_eq!(cleaned.trails, 0, "none is old, but the day's is done");
    assert_eq!(daily.look().await.unwrap(), None);
    room.clock.set(time(-100) + days(7));
    let cleaned = daily.look().await.unwrap().unwrap();
    assert_eq!((cleaned.trails, cleaned.before), (2_399, time(-100)));
    assert_eq!(
        *room.database.batches.lock().unwrap(),
        [0, 1_000, 1_000, 399]
    );
    assert_eq!(room.database.rows.len(), 2_501 - 2_399);
    assert!(room.database.trail(100).is_some(), "not a moment too early");
    assert!(room.database.trail(101).is_none());
    assert_eq!(daily.look().await.unwrap(), None);
    assert_eq!(room.trails.figures().cleaned, 2_399);
    let posted = room.database.posted.lock().unwrap().clone();
    let event = posted.last().unwrap();
    assert_eq!((posted.len(), event.action.as_str()), (2, "trails.cleaned"));
    assert_eq!(event.metadata["trails"], 2_399);
    assert_eq!(event.severity, "info");
    assert_eq!(event.actor.role, None, "nobody asked for it");
    // What was spent is told for as long as ranges reach, and longer than trails are kept.
    let range = TimeRange::try_new(time(-7_200), time(7_200)).unwrap();
    let messages = async || {
        let told = room.trails.analytics(PROJECT, range, &by().caller).await;
        told.unwrap().unwrap().sums.messages
    };
    room.clock.set(time(0) + days(399));
    daily.look().await.unwrap().unwrap();
    assert_eq!(room.database.rows.len(), 0);
    assert_eq!(messages().await, 1);
    room.clock.set(time(0) + days(401));
    assert!(daily.look().await.unwrap().unwrap().sums > 0);
    assert_eq!(messages().await, 0);
}

#[tokio::test]
async fn a_clean_up_that_broke_off_is_taken_up_again() {
    let Daytime { room, daily, .. } = at_two(Room::new(Backend::Database));
    room.put(1, placeholder(-100)).await;
    room.clock.set(time(0) + days(7));
    *room.database.away.lock().unwrap() = true;
    assert!(daily.look().await.is_err());
    *room.database.away.lock().unwrap() = false;
    // The turn was not taken then; now it is, by a process that dies.
    let gate = Arc::new(Gate::default());
    *room.database.gate.lock().unwrap() = Some(gate.clone());
    let dying = tokio::spawn({
        let daily = daily.clone();
        async move { daily.look().await }
    });
    gate.reached.notified().await;
    dying.abort();
    *room.database.gate.lock().unwrap() = None;
    assert_eq!(daily.look().await.unwrap(), None, "its turn lasts");
    let late = || room.trails.figures().clean_up_late;
    assert_eq!(late(), TimeDelta::hours(6), "two o'clock is past");
    room.clock.set(time(15 * 60) + days(7));
    assert_eq!(late(), TimeDelta::minutes(6 * 60 + 15));
    let cleaned = daily.look().await.unwrap().unwrap();
    assert_eq!(cleaned.trails, 1);
    assert_eq!(late(), TimeDelta::zero());
    // Another process's end is seen as well.
    room.clock.set(time(0) + days(8));
    let due_at = time(-6 * 60 * 60) + days(8);
    let until = time(60) + days(8);
    let taken = room
        .database
        .take_clean_up(due_at, time(0) + days(8), until);
    assert!(taken.await.unwrap());
    assert_eq!(daily.look().await.unwrap(), None);
    assert_eq!(late(), TimeDelta::hours(6));
    room.database
        .turns
        .lock()
        .unwrap()
        .get_mut(&due_at)
        .unwrap()
        .1 = Some(0);
    assert_eq!(daily.look().await.unwrap(), None);
    assert_eq!(late(), TimeDelta::zero());
    assert_eq!(room.database.events(), ["trails.cleaned"]);
}

#[tokio::test]
async fn memory_is_swept_and_forgets_projects_that_are_gone() {
    let Daytime { room, daily, .. } = at_two(Room::new(Backend::Memory));
    room.put(1, placeholder(-100)).await;
    room.put(2, placeholder(0)).await;
    room.put_into(ELSEWHERE, 3, whole(5)).await;
    room.clock.set(time(-50) + days(7));
    daily.sweep().await;
    assert_eq!(room.memory.len(), 2);
    room.database.gone.lock().unwrap().insert(ELSEWHERE);
    daily.sweep().await;
    assert_eq!(room.memory.len(), 1);
    assert!(room.read(2).await.is_some());
    assert_eq!(room.trails.figures().evicted, 0, "it was their time");
}

#[tokio::test]
async fn somebody_may_ask_what_would_go_and_have_it_go() {
    let mut stage = Stage::new();
    stage.work([Step::Post(Ok(())), Step::Commit(Ok(()))]);
    stage.work([Step::Post(down())]);
    let room = Room::on(stage, Backend::Database, LIMITS);
    let Daytime { room, clean_up, .. } = at_two(room);
    room.put(1, placeholder(-100)).await;
    room.put(2, placeholder(0)).await;
    room.clock.set(time(0) + days(7));
    let outlook = clean_up.outlook().await.unwrap();
    assert_eq!((outlook.trails, outlook.before), (1, time(0)));
    assert_eq!(room.database.rows.len(), 2, "a question changes nothing");
    let told = AtomicU64::new(0);
    let progress = |gone| {
        told.fetch_add(gone, Ordering::SeqCst);
    };
    let never = CancellationToken::new();
    *room.database.left.lock().unwrap() = 2_500;
    let cleaned = clean_up.clean(&caller("ops"), &progress, &never).await;
    let cleaned = cleaned.unwrap();
    assert!(!cleaned.more);
    assert_eq!(
        *room.database.left.lock().unwrap(),
        0,
        "of projects that are gone"
    );
    assert_eq!((cleaned.trails, told.load(Ordering::SeqCst)), (1, 1));
    {
        let seen = room.stage.seen.lock().unwrap();
        assert_eq!(seen.posted[0].action, "trails.cleaned");
        assert_eq!(seen.posted[0].actor.id, "ops");
        assert_eq!(seen.posted[0].metadata["all"], "yes");
    }
    assert!(room.stage.rung().await);
    let untold = clean_up.clean(&caller("ops"), &progress, &never).await;
    assert!(untold.is_err(), "what cannot be recorded is told");
}

/// What was deleted is recorded, however it ended.
#[tokio::test]
async fn a_clean_up_by_somebody_that_breaks_off_is_recorded() {
    for told_to_stop in [true, false] {
        let mut stage = Stage::new();
        stage.work([Step::Post(Ok(())), Step::Commit(Ok(()))]);
        let room = Room::on(stage, Backend::Database, LIMITS);
        let Daytime { room, clean_up, .. } = at_two(room);
        for n in 0..1_001 {
            room.put(n, placeholder(-100)).await;
        }
        room.clock.set(time(0) + days(7));
        let stop = CancellationToken::new();
        let progress = |_| {
            if told_to_stop {
                stop.cancel();
            } else {
                *room.database.away.lock().unwrap() = true;
            }
        };
        let cleaned = clean_up.clean(&caller("ops"), &progress, &stop).await;
        assert_eq!(cleaned.is_ok_and(|cleaned| cleaned.more), told_to_stop);
        let seen = room.stage.seen.lock().unwrap();
        let [event] = &seen.posted[..] else {
            panic!("{:?}", seen.posted);
        };
        assert_eq!(event.metadata["trails"], 1_000);
        assert_eq!(event.metadata["all"], "no");
    }
}

/// As soon as somebody deleted a project here, and soon after somebody did elsewhere.
#[tokio::test(start_paused = true)]
async fn what_deleted_projects_leave_is_cleared_by_itself() {
    let Daytime { room, daily, .. } = at_two(Room::new(Backend::Database));
    let stop = CancellationToken::new();
    let running = tokio::spawn(daily.run(stop.clone()));
    let left = |rows| *room.database.left.lock().unwrap() = rows;
    let is_cleared = async |within: Duration| {
        let cleared = async {
            while *room.database.left.lock().unwrap() > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(within, cleared).await.is_ok()
    };
    left(2_500);
    assert!(is_cleared(Duration::from_secs(1)).await, "at its start");
    left(1);
    assert!(!is_cleared(Duration::from_secs(30)).await);
    room.trails.forget(ELSEWHERE);
    assert!(is_cleared(Duration::from_secs(1)).await, "at once");
    left(1);
    assert!(is_cleared(Duration::from_secs(61)).await, "in a minute");
    stop.cancel();
    running.await.unwrap();
}
