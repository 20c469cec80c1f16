//! Couriers: each event until it is taken, one after the other, for as long as they have the lease.

use std::time::Duration;

use tokio::time::sleep;
use tranche_application::ports::webhook_sender::Answer;
use tranche_application::ports::webhooks::{Progress, Told};
use tranche_application::webhooks::signature::signatures;
use zeroize::Zeroizing;

use super::log::Log;
use super::scene::time;
use super::stage::Stage;
use super::webhook_world::{Driven, Held, LOCKED, Way, World};

/// Drives the world's webhook, whose receiver may fail for three days.
fn drive(stage: &mut Stage, world: &World, log: &Log) -> Driven {
    world.drive(stage, log, Duration::from_hours(72))
}

fn refused(retry_after: Option<u64>) -> Answer {
    Answer::Failed {
        why: "HTTP 500".to_owned(),
        retry_after: retry_after.map(Duration::from_secs),
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_is_tried_until_it_is_taken_and_then_the_next() {
    let (mut stage, world, log) = (Stage::new(), World::new(), Log::of(3));
    world.will_answer([
        Some(Answer::Taken),
        Some(refused(None)),
        Some(refused(Some(90))),
        None,
    ]);
    let _runs = drive(&mut stage, &world, &log);
    sleep(Duration::from_mins(10)).await;
    let sent = world.sent();
    let ids: Vec<&str> = sent.iter().map(|sent| sent.id.as_str()).collect();
    assert_eq!(
        ids,
        ["", "1", "1", "1", "1", "2"],
        "one hangs and is given up"
    );
    let pauses: Vec<u64> = sent.windows(2).map(|two| two[1].at - two[0].at).collect();
    assert_eq!((pauses[0], pauses[4]), (0, 0));
    assert!(pauses[1] <= 1, "{pauses:?}");
    assert!((90..=91).contains(&pauses[2]), "as it asks: {pauses:?}");
    assert!(
        (18..=20).contains(&pauses[3]),
        "16 s and 2 to 4: {pauses:?}"
    );
    assert_eq!(world.taken(), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_webhook_keeps_its_lease_and_its_place() {
    let (mut stage, world, log) = (Stage::new(), World::new(), Log::default());
    let _runs = drive(&mut stage, &world, &log);
    sleep(Duration::from_millis(1)).await;
    world.leased_for(600).await;
    assert!(world.sent().is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_lost_the_lease_sends_nothing_more() {
    let (mut stage, world, log) = (Stage::new(), World::new(), Log::of(1));
    let _runs = drive(&mut stage, &world, &log);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(world.sent().len(), 1);
    world.with(|inner| inner.lease = Held::Elsewhere);
    log.grow(5);
    sleep(Duration::from_mins(5)).await;
    assert_eq!(world.sent().len(), 1, "it asks before it sends");
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_is_not_sent_again_because_the_store_is_away() {
    let (mut stage, world, log) = (Stage::new(), World::new(), Log::of(2));
    world.with(|inner| inner.store = Way::StillOpen);
    let _runs = drive(&mut stage, &world, &log);
    sleep(Duration::from_mins(3)).await;
    assert_eq!(world.sent().len(), 1, "nothing goes on before it is kept");
    world.with(|inner| inner.store = Way::Open);
    sleep(Duration::from_mins(1)).await;
    assert_eq!(world.sent().len(), 2);
    assert_eq!(world.taken(), [1, 2]);
    let told = stage.incidents();
    assert_eq!(told.len(), 1, "told once: {told:?}");
}

#[tokio::test(start_paused = true)]
async fn whoever_stops_gives_the_lease_back() {
    let (mut stage, world, log) = (Stage::new(), World::new(), Log::of(1));
    world.will_answer([None]);
    let runs = drive(&mut stage, &world, &log);
    sleep(Duration::from_secs(1)).await;
    assert!(world.with(|inner| inner.lease == Held::Here));
    drop(runs);
    sleep(Duration::from_secs(1)).await;
    assert!(
        world.with(|inner| inner.lease == Held::Free),
        "in the middle of an attempt"
    );
    assert!(world.taken().is_empty());
}

// Attempts that hang for as long as they may, and the longest pause that a receiver may ask for.
#[tokio::test(start_paused = true)]
async fn the_lease_outlasts_attempts_and_pauses() {
    let (mut stage, world, log) = (Stage::new(), World::new(), Log::of(1));
    world.will_answer([None, None, None, Some(refused(Some(3_600)))]);
    let _runs = drive(&mut stage, &world, &log);
    sleep(Duration::from_millis(1)).await;
    world.leased_for(4_000).await;
    assert_eq!(world.sent().len(), 5);
    assert_eq!(world.taken(), [1]);
}

// A failure is kept with the position of the event that failed, and when it is tried again.
#[tokio::test(start_paused = true)]
async fn failures_are_kept_as_they_were() {
    let (mut stage, world, log) = (Stage::new(), World::new(), Log::of(2));
    world.will_answer([
        Some(Answer::Taken),
        Some(refused(Some(90))),
        Some(refused(Some(90))),
    ]);
    let _runs = drive(&mut stage, &world, &log);
    sleep(Duration::from_mins(5)).await;
    let told = world.with(|inner| inner.told.clone());
    let failures: Vec<_> = told
        .iter()
        .filter_map(|told| match told {
            Told::Failed {
                position,
                at,
                due_at,
                error,
            } => Some((*position, (*due_at - *at).num_seconds(), error.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(failures, [(1, 90, "HTTP 500"); 2]);
}

// Pauses are shortened at random: what failed together is not tried together.
#[tokio::test(start_paused = true)]
async fn pauses_differ() {
    let (mut stage, world, log) = (Stage::new(), World::new(), Log::of(1));
    world.will_answer([Some(refused(None)), Some(refused(None))]);
    let _runs = drive(&mut stage, &world, &log);
    sleep(Duration::from_mins(1)).await;
    let told = world.with(|inner| inner.told.clone());
    let pauses = told.iter().filter_map(|told| match told {
        Told::Failed { at, due_at, .. } => Some((*due_at - *at).num_milliseconds()),
        _ => None,
    });
    // The stage's random numbers are 1, 2, …: of 256ths of the half that is left to them.
    assert_eq!(pauses.collect::<Vec<_>>(), [501, 1_007]);
}

// Pauses begin anew with each event, however often the one before failed.
#[tokio::test(start_paused = true)]
async fn an_event_does_not_pay_for_the_one_before() {
    let (mut stage, world, log) = (Stage::new(), World::new(), Log::of(2));
    let six = (0..6).map(|_| Some(refused(None)));
    world.will_answer(six.chain([Some(Answer::Taken), Some(refused(None))]));
    let _runs = drive(&mut stage, &world, &log);
    sleep(Duration::from_mins(10)).await;
    let at = world.moments();
    assert_eq!(at.len(), 9);
    assert!((16..=32).contains(&(at[6] - at[5])), "{at:?}");
    assert!(at[8] - at[7] <= 1, "{at:?}");
    assert_eq!(world.taken(), [1, 2]);
}

// Whoever takes a webhook over goes on where the one before stood.
#[tokio::test(start_paused = true)]
async fn a_new_driver_goes_on_with_the_pause() {
    let (mut stage, world, log) = (Stage::new(), World::new(), Log::of(4));
    world.with(|inner| {
        inner.progress = Progress {
            position: 2,
            attempts: 5,
            failing_since: Some(time(-60)),
            due_at: Some(time(30)),
            ..Progress::default()
        };
    });
    world.will_answer([Some(refused(None))]);
    let _runs = drive(&mut stage, &world, &log);
    sleep(Duration::from_mins(3)).await;
    let sent = world.sent();
    let ids: Vec<&str> = sent.iter().map(|sent| sent.id.as_str()).collect();
    assert_eq!(ids, ["2", "2", "3"], "what was taken is not sent again");
    let at = world.moments();
    assert_eq!(at[0], 30, "not before it is due");
    assert!((16..=32).contains(&(at[1] - at[0])), "the sixth: {at:?}");
}

// A clock that was set back by days must not stop a webhook for days.
#[tokio::test(start_paused = true)]
async fn nobody_waits_for_longer_than_the_longest_pause() {
    let (mut stage, world, log) = (Stage::new(), World::new(), Log::of(1));
    world.with(|inner| inner.progress.due_at = Some(time(10 * 86_400)));
    let _runs = drive(&mut stage, &world, &log);
    sleep(Duration::from_hours(2)).await;
    assert_eq!(world.moments(), [3_600]);
}

// A message is signed under each secret that is in force at this attempt, over what is sent with it.
#[tokio::test(start_paused = true)]
async fn a_former_secret_signs_until_it_expires() {
    let (mut stage, world, log) = (Stage::new(), World::new(), Log::of(1));
    world.with(|inner| inner.secrets = vec![(8, None), (7, Some(time(60)))]);
    world.will_answer([Some(refused(Some(59))), Some(refused(Some(1)))]);
    let _runs = drive(&mut stage, &world, &log);
    sleep(Duration::from_mins(2)).await;
    assert_eq!(world.moments(), [0, 59, 60]);
    let both: &[u8] = &[8, 7];
    let id = uuid::Uuid::nil().to_string();
    for (sent, bytes) in world.sent().iter().zip([both, both, &[8]]) {
        let secrets: Vec<_> = bytes
            .iter()
            .map(|byte| Zeroizing::new([*byte; 32]))
            .collect();
        let timestamp = time(0).timestamp() + i64::try_from(sent.at).unwrap();
        assert_eq!(sent.timestamp, timestamp, "of the attempt");
        let expected = signatures(&secrets, &id, timestamp, &sent.body);
        assert_eq!(sent.signatures, expected, "at {} s", sent.at);
    }
}

// Nothing goes out unsigned, and people hear of a secret that cannot be opened.
#[tokio::test(start_paused = true)]
async fn without_its_secrets_a_webhook_is_told_nothing() {
    for secrets in [vec![], vec![(7, None), (LOCKED, Some(time(1_000)))]] {
        let (mut stage, world, log) = (Stage::new(), World::new(), Log::of(1));
        let is_locked = !secrets.is_empty();
        world.with(|inner| inner.secrets = secrets);
        let _runs = drive(&mut stage, &world, &log);
        sleep(Duration::from_mins(1)).await;
        assert!(world.sent().is_empty());
        let told = stage.incidents();
        let told: Vec<_> = told.iter().map(|incident| incident.operation).collect();
        assert_eq!(told.contains(&"webhook.secret"), is_locked, "{told:?}");
    }
}
