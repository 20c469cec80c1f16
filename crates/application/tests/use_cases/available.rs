//! Whether the log takes events: one state that all share, and one probe at a time (F1).

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, advance, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tranche_application::audit::availability::{Availability, State};
use tranche_application::audit::prober::Prober;

use super::plant::{Fault, Plant};

fn pause(of: &Availability) -> u128 {
    match of.state() {
        State::Open { pause, .. } | State::Probing { pause } => pause.as_millis(),
        State::Closed => 0,
    }
}

/// After an outage is known and its first pause is over.
async fn after_a_pause() -> Availability {
    let availability = Availability::default();
    availability.failed();
    advance(Duration::from_millis(100)).await;
    availability
}

#[tokio::test(start_paused = true)]
async fn a_log_is_available_until_a_write_fails() {
    let availability = Availability::default();
    assert!(availability.is_available());
    assert!(
        availability.begin_probe().is_none(),
        "there is nothing to find out"
    );
    availability.failed();
    assert!(!availability.is_available());
    assert_eq!(pause(&availability), 100);
}

#[tokio::test(start_paused = true)]
async fn nobody_probes_before_the_pause_is_over_and_then_only_one() {
    let availability = Availability::default();
    availability.failed();
    advance(Duration::from_millis(99)).await;
    assert!(availability.begin_probe().is_none());
    advance(Duration::from_millis(1)).await;
    let probe = availability.begin_probe().unwrap();
    assert!(availability.begin_probe().is_none(), "one is on its way");
    assert!(!availability.is_available(), "until it is known");
    probe.succeeded();
    assert_eq!(availability.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn the_pause_doubles_with_each_failed_probe_up_to_five_seconds() {
    let availability = Availability::default();
    availability.failed();
    let mut pauses = vec![];
    for _ in 0..8 {
        let long = pause(&availability);
        pauses.push(long);
        advance(Duration::from_millis(u64::try_from(long).unwrap())).await;
        availability.begin_probe().unwrap().failed();
    }
    assert_eq!(pauses, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
    availability.succeeded();
    availability.failed();
    assert_eq!(pause(&availability), 100, "the next outage begins anew");
}

#[tokio::test(start_paused = true)]
async fn a_probe_whose_maker_dies_has_failed() {
    let availability = Arc::new(after_a_pause().await);
    let shared = availability.clone();
    let died = tokio::spawn(async move {
        let _probe = shared.begin_probe().unwrap();
        panic!("while probing");
    });
    assert!(died.await.is_err());
    assert_eq!(pause(&availability), 200);
    advance(Duration::from_millis(200)).await;
    assert!(
        availability.begin_probe().is_some(),
        "the next one may be made"
    );
}

#[tokio::test(start_paused = true)]
async fn a_write_that_fails_late_changes_nothing() {
    let availability = after_a_pause().await;
    let before = availability.state();
    availability.failed();
    assert_eq!(availability.state(), before, "the outage is known");
    let probe = availability.begin_probe().unwrap();
    availability.failed();
    assert!(
        matches!(availability.state(), State::Probing { .. }),
        "the probe decides"
    );
    probe.succeeded();
    assert!(availability.is_available());
}

#[tokio::test(start_paused = true)]
async fn a_write_that_goes_well_counts_more_than_a_probe_that_does_not() {
    let availability = after_a_pause().await;
    let probe = availability.begin_probe().unwrap();
    availability.succeeded();
    assert!(availability.is_available());
    probe.failed();
    assert!(availability.is_available());
}

#[tokio::test(start_paused = true)]
async fn all_who_wait_go_on_when_the_log_is_back() {
    let availability = Arc::new(Availability::default());
    timeout(Duration::ZERO, availability.available())
        .await
        .unwrap();
    availability.failed();
    let waiting: Vec<_> = (0..4)
        .map(|_| {
            let shared = availability.clone();
            tokio::spawn(async move { shared.available().await })
        })
        .collect();
    sleep(Duration::from_mins(1)).await;
    assert!(waiting.iter().all(|task| !task.is_finished()));
    availability.succeeded();
    for task in waiting {
        task.await.unwrap();
    }
}

/// When the log was probed, in milliseconds.
fn probed(plant: &Plant, start: Instant) -> Vec<u128> {
    let probes = &plant.log.state().probes;
    probes
        .iter()
        .map(|(at, _)| (*at - start).as_millis())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn the_prober_tries_a_log_that_is_down_until_it_is_back() {
    let (plant, stop, start) = (Plant::new(), CancellationToken::new(), Instant::now());
    let prober = tokio::spawn(Prober::new(plant.pipeline.clone()).run(stop.clone()));
    sleep(Duration::from_secs(1)).await;
    assert!(
        probed(&plant, start).is_empty(),
        "a log that works is left alone"
    );
    plant.log.state().down = Some(Fault::Refuses);
    plant.pipeline.availability.failed();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(probed(&plant, start), [1_100, 1_300, 1_700]);
    plant.log.state().down = None;
    plant.pipeline.availability.available().await;
    assert_eq!(start.elapsed().as_millis(), 2_500);
    stop.cancel();
    prober.await.unwrap();
    let state = plant.log.state();
    let (_, event) = &state.probes[0];
    assert_eq!(
        (event.action.as_str(), event.severity.as_str()),
        ("audit.probe", "info")
    );
    assert_eq!(
        (event.actor.id.as_str(), &event.actor.role),
        ("system", &None)
    );
    let ids: std::collections::BTreeSet<_> =
        state.probes.iter().map(|(_, event)| event.id).collect();
    assert_eq!(ids.len(), state.probes.len(), "each is an event of its own");
    let severities = state
        .probes
        .iter()
        .map(|(_, event)| event.severity.as_str());
    let severities: Vec<&str> = severities.collect();
    let good = ["info", "warning", "critical"];
    assert_eq!(severities[..3], ["info"; 3], "three failed at the first");
    assert_eq!(severities[3..], good, "a log that works takes all of them");
    assert!(state.events.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_log_that_hangs_or_panics_is_probed_again() {
    for fault in [Fault::Hangs, Fault::Panics, Fault::Locked] {
        let (plant, stop, start) = (Plant::new(), CancellationToken::new(), Instant::now());
        plant.log.state().down = Some(fault);
        plant.pipeline.availability.failed();
        let prober = tokio::spawn(Prober::new(plant.pipeline.clone()).run(stop.clone()));
        sleep(Duration::from_secs(4)).await;
        let expected: &[u128] = match fault {
            Fault::Hangs => &[100, 2_300],
            _ => &[100, 300, 700, 1_500, 3_100],
        };
        assert_eq!(probed(&plant, start), expected, "{fault:?}");
        plant.log.state().down = None;
        plant.pipeline.availability.available().await;
        stop.cancel();
        prober.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_prober_that_is_stopped_while_it_probes_leaves_the_way_free() {
    let (plant, stop) = (Plant::new(), CancellationToken::new());
    plant.log.state().down = Some(Fault::Hangs);
    plant.pipeline.availability.failed();
    let prober = tokio::spawn(Prober::new(plant.pipeline.clone()).run(stop.clone()));
    sleep(Duration::from_millis(500)).await;
    let availability = &plant.pipeline.availability;
    assert!(matches!(availability.state(), State::Probing { .. }));
    stop.cancel();
    prober.await.unwrap();
    assert!(matches!(availability.state(), State::Open { .. }));
}
