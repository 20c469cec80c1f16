//! Losses are events: one for each time of losses, in the log as soon as it takes events, and once.

use std::time::Duration;

use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tranche_application::audit::losses::Losses;
use tranche_application::audit::record::EventRecord;
use tranche_application::ports::store::StoreError;

use super::plant::{Fault, Plant};
use super::scene::time;

struct Watching {
    plant: Plant,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

async fn watching() -> Watching {
    let (plant, stop) = (Plant::new(), CancellationToken::new());
    let losses = Losses::new(plant.pipeline.clone(), "p-1");
    let task = tokio::spawn(losses.run(stop.clone()));
    sleep(Duration::from_millis(500)).await;
    Watching { plant, stop, task }
}

impl Watching {
    fn drops(&self, events: u64) {
        self.plant.pipeline.meters.dropped(events);
    }

    fn told(&self) -> Vec<EventRecord> {
        let state = self.plant.log.state();
        state
            .events
            .iter()
            .map(|event| event.as_ref().clone())
            .collect()
    }

    fn counts(&self) -> Vec<u64> {
        let told = self.told().into_iter();
        told.map(|event| event.metadata["count"].as_u64().unwrap())
            .collect()
    }
}

async fn seconds(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_loss_is_one_critical_event_with_its_count_and_times() {
    let watching = watching().await;
    seconds(3).await;
    assert!(watching.told().is_empty(), "nothing was lost");
    watching.drops(3);
    seconds(1).await;
    watching.drops(4);
    seconds(10).await;
    let told = watching.told();
    assert_eq!(told.len(), 1);
    let event = &told[0];
    assert_eq!(event.action, "audit.events_lost");
    assert_eq!(event.severity, "critical");
    assert_eq!(
        (event.actor.id.as_str(), &event.actor.role),
        ("system", &None)
    );
    assert_eq!(event.resource_type, "audit_log");
    assert_eq!(event.resource_id.as_deref(), Some("p-1"));
    let at = |at| time(at).to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    let metadata = json!({ "count": 7, "from": at(3), "to": at(5), "process": "p-1" });
    assert_eq!(event.metadata, metadata);
}

#[tokio::test(start_paused = true)]
async fn each_time_of_losses_has_its_event() {
    let watching = watching().await;
    watching.drops(1);
    seconds(5).await;
    watching.drops(2);
    seconds(5).await;
    assert_eq!(watching.counts(), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn losses_while_the_log_is_down_are_told_when_it_is_back_as_one() {
    let watching = watching().await;
    watching.plant.log.state().down = Some(Fault::Refuses);
    watching.plant.pipeline.availability.failed();
    watching.drops(5);
    seconds(20).await;
    watching.drops(6);
    seconds(20).await;
    assert!(watching.plant.log.state().asked.is_empty(), "nobody tries");
    watching.plant.log.state().down = None;
    watching.plant.pipeline.availability.succeeded();
    seconds(3).await;
    assert_eq!(watching.counts(), [11]);
}

#[tokio::test(start_paused = true)]
async fn losses_that_go_on_are_told_every_minute() {
    let watching = watching().await;
    for _ in 0..130 {
        watching.drops(1);
        seconds(1).await;
    }
    let counts = watching.counts();
    assert_eq!(counts.len(), 2);
    seconds(3).await;
    assert_eq!(
        watching.counts().iter().sum::<u64>(),
        130,
        "none is told twice"
    );
}

#[tokio::test(start_paused = true)]
async fn a_write_that_fails_is_tried_again_with_the_same_event() {
    let watching = watching().await;
    let stumbles = [
        StoreError::OutcomeUnknown("lost".into()),
        StoreError::Inconsistent("refused".to_owned()),
    ];
    watching.plant.log.state().stumbles.extend(stumbles);
    watching.drops(2);
    seconds(2).await;
    watching.drops(1);
    seconds(10).await;
    assert_eq!(
        watching.counts(),
        [2, 1],
        "what is lost meanwhile is told after"
    );
    let incidents = watching.plant.incidents();
    assert_eq!(incidents.len(), 1);
    assert_eq!(incidents[0].operation, "audit.losses");
    assert!(incidents[0].critical);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_came_into_the_log_unheard_is_there_once() {
    let watching = watching().await;
    // The log takes it, but its answer comes too late.
    watching.plant.log.state().takes = Duration::from_secs(11);
    watching.drops(2);
    seconds(13).await;
    watching.plant.log.state().takes = Duration::ZERO;
    seconds(30).await;
    assert_eq!(watching.counts(), [2]);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_found_by_the_write_and_ended_by_the_prober() {
    let watching = watching().await;
    watching.plant.log.state().down = Some(Fault::Refuses);
    watching.drops(2);
    seconds(5).await;
    assert!(!watching.plant.pipeline.availability.is_available());
    assert_eq!(watching.plant.log.state().asked.len(), 1);
    watching.plant.log.state().down = None;
    watching.plant.pipeline.availability.succeeded();
    seconds(2).await;
    assert_eq!(watching.counts(), [2]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_told_yet_is_told_at_the_end() {
    let watching = watching().await;
    watching.drops(9);
    watching.stop.cancel();
    watching.task.await.unwrap();
    assert_eq!(watching.plant.log.state().events[0].metadata["count"], 9);
}

#[tokio::test(start_paused = true)]
async fn the_end_does_not_wait_for_a_log_that_is_down() {
    let watching = watching().await;
    watching.plant.pipeline.availability.failed();
    watching.drops(9);
    watching.stop.cancel();
    watching.task.await.unwrap();
    assert!(watching.plant.log.state().asked.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_started_again_tells_nothing_twice() {
    let (plant, stop) = (Plant::new(), CancellationToken::new());
    let losses = Losses::new(plant.pipeline.clone(), "p-1");
    let first = tokio::spawn(losses.clone().run(stop.clone()));
    seconds(1).await;
    plant.pipeline.meters.dropped(4);
    seconds(3).await;
    first.abort();
    let second = tokio::spawn(losses.run(stop.clone()));
    seconds(3).await;
    assert_eq!(plant.log.state().events.len(), 1);
    stop.cancel();
    second.await.unwrap();
}
