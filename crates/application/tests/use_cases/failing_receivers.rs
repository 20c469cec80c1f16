//! Receivers that fail for too long, or want no more: their webhooks are disabled, once, and it is told.

use std::time::Duration;

use tokio::time::sleep;
use tranche_application::ports::webhook_sender::Answer;
use tranche_application::ports::webhooks::Progress;

use super::log::Log;
use super::scene::time;
use super::script::Step;
use super::stage::{Stage, refused as store_refused};
use super::webhook_world::World;

const HOUR: Duration = Duration::from_hours(1);

/// It asks for ten minutes each time: fewer failures than that would not reach the hour.
fn refused() -> Answer {
    Answer::Failed {
        why: "HTTP 500".to_owned(),
        retry_after: Some(Duration::from_mins(10)),
    }
}

fn disables(stage: &mut Stage) {
    stage.work([
        Step::DisableWebhook(Ok(true)),
        Step::Post(Ok(())),
        Step::Commit(Ok(())),
    ]);
}

/// The reasons with which webhooks were disabled, as the log has them.
fn reasons(stage: &Stage) -> Vec<String> {
    let seen = stage.seen.lock().unwrap();
    let posted = seen.posted.iter().map(|event| {
        assert_eq!(event.action, "webhook.disabled");
        assert_eq!(event.actor.id, "system");
        event.metadata["why"].as_str().unwrap().to_owned()
    });
    let posted: Vec<String> = posted.collect();
    let disabled: Vec<String> = seen.disabled.iter().map(|(_, why)| why.clone()).collect();
    assert_eq!(posted, disabled, "the webhook says what the log says");
    posted
}

#[tokio::test(start_paused = true)]
async fn failing_for_long_disables() {
    let (mut stage, world, log) = (Stage::new(), World::new(), Log::of(2));
    disables(&mut stage);
    world.will_answer((0..60).map(|_| Some(refused())));
    let driven = world.drive(&mut stage, &log, HOUR);
    sleep(Duration::from_secs(3_599)).await;
    assert_eq!(world.moments().len(), 6, "at 0, 10, … 50 minutes");
    assert_eq!(reasons(&stage), [] as [&str; 0], "not yet");
    sleep(HOUR * 5).await;
    let why = "failed for 1 h, the last time with: HTTP 500";
    assert_eq!(reasons(&stage), [why]);
    assert_eq!(world.moments().len(), 7, "it is told nothing more");
    assert_eq!(driven.meters.totals().webhooks_disabled, 1);
    assert!(stage.rung().await, "its event is not left waiting");
    assert_eq!(stage.seen.lock().unwrap().disabled[0].0, time(3_600));
}

#[tokio::test(start_paused = true)]
async fn a_success_ends_the_time_of_failure() {
    let (mut stage, world, log) = (Stage::new(), World::new(), Log::of(2));
    let five = || (0..5).map(|_| Some(refused()));
    world.will_answer(five().chain([Some(Answer::Taken)]).chain(five()));
    let driven = world.drive(&mut stage, &log, HOUR);
    sleep(HOUR * 2).await;
    assert_eq!(world.taken(), [1, 2]);
    assert_eq!(world.moments().len(), 12);
    assert_eq!(driven.meters.totals().webhooks_disabled, 0);
}

#[tokio::test(start_paused = true)]
async fn the_time_of_failure_outlasts_its_driver() {
    let (mut stage, world, log) = (Stage::new(), World::new(), Log::of(1));
    disables(&mut stage);
    world.with(|inner| {
        inner.progress = Progress {
            attempts: 5,
            failing_since: Some(time(-3_000)),
            ..Progress::default()
        };
    });
    world.will_answer((0..60).map(|_| Some(refused())));
    let _driven = world.drive(&mut stage, &log, HOUR);
    sleep(HOUR * 5).await;
    assert_eq!(world.moments(), [0, 600], "3,000 s before, and these");
    assert_eq!(reasons(&stage).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_wants_no_more_is_told_no_more() {
    let (mut stage, world, log) = (Stage::new(), World::new(), Log::of(3));
    disables(&mut stage);
    world.will_answer([Some(Answer::Taken), Some(Answer::Gone)]);
    let driven = world.drive(&mut stage, &log, HOUR);
    sleep(HOUR * 5).await;
    assert_eq!(reasons(&stage), ["the receiver answered 410 Gone"]);
    assert_eq!(world.moments(), [0, 0]);
    assert_eq!(world.taken(), [1]);
    assert_eq!(driven.meters.totals().webhooks_disabled, 1);
}

#[tokio::test(start_paused = true)]
async fn it_is_disabled_as_soon_as_the_store_takes_it() {
    let (mut stage, world, log) = (Stage::new(), World::new(), Log::of(1));
    stage.begin_refused(store_refused());
    stage.work([
        Step::DisableWebhook(Ok(true)),
        Step::Post(Err(store_refused())),
    ]);
    disables(&mut stage);
    world.will_answer([Some(Answer::Gone)]);
    let driven = world.drive(&mut stage, &log, HOUR);
    sleep(HOUR).await;
    assert_eq!(stage.seen.lock().unwrap().begun.len(), 3);
    assert_eq!(driven.meters.totals().webhooks_disabled, 1, "counted once");
    assert_eq!(world.moments(), [0]);
    assert_eq!(stage.incidents().len(), 1, "told once");
}

#[tokio::test(start_paused = true)]
async fn who_lost_the_lease_disables_nothing() {
    let (mut stage, world, log) = (Stage::new(), World::new(), Log::of(1));
    stage.work([Step::DisableWebhook(Ok(false))]);
    world.will_answer([Some(Answer::Gone)]);
    let driven = world.drive(&mut stage, &log, HOUR);
    sleep(HOUR).await;
    assert!(stage.incidents().is_empty());
    let seen = stage.seen.lock().unwrap();
    assert_eq!((seen.disabled.len(), seen.posted.len()), (1, 0));
    assert_eq!(driven.meters.totals().webhooks_disabled, 0);
}

// A panic ends one courier: people hear of it, and the lease ends by itself.
#[tokio::test(start_paused = true)]
async fn a_courier_that_panics_is_reported() {
    let (mut stage, world, log) = (Stage::new(), World::new(), Log::of(1));
    // Nothing may be done in the store, so that disabling panics.
    world.will_answer([Some(Answer::Gone)]);
    let _driven = world.drive(&mut stage, &log, HOUR);
    sleep(HOUR).await;
    let told = stage.incidents();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].operation, "webhook.drive");
}
