//! Commands on webhooks: what they make, and what they refuse before anything is done.

use chrono::TimeDelta;
use tranche_application::audit::filter::EventFilter;
use tranche_application::webhooks::{MOST, NewWebhook, WebhookDesk, WebhookError};
use tranche_application::{Caller, Outcome};
use uuid::Uuid;

use super::log::Log;
use super::scene::{ELSEWHERE, PROJECT, call, scoped, time};
use super::script::Step;
use super::stage::Stage;
use super::webhook_world::{World, webhook};

fn new() -> NewWebhook {
    NewWebhook {
        url: "https://receiver.example/hook?token=1".to_owned(),
        host: "receiver.example".to_owned(),
        description: Some("accounting".to_owned()),
        filter: EventFilter {
            actions: vec!["invoice.sent".to_owned()],
            ..EventFilter::default()
        },
    }
}

fn desk(stage: &mut Stage, world: &World, log: &Log) -> WebhookDesk {
    world.desk(stage, log).0
}

// S6: from now on, and for the project of the key alone; the log has the host, and nothing of the rest
// of the address.
#[tokio::test(start_paused = true)]
async fn a_webhook_begins_at_the_end_of_the_log() {
    for project in [None, Some(PROJECT)] {
        let (mut stage, world, log) = (Stage::new(), World::new(), Log::of(41));
        stage.work([
            Step::KeepWebhook(Ok(())),
            Step::Post(Ok(())),
            Step::Commit(Ok(())),
        ]);
        let desk = desk(&mut stage, &world, &log);
        let call = project.map_or_else(|| call("ifeoma"), |only| scoped("ifeoma", only));
        let Ok(Outcome::Done(made)) = desk.create(&new(), &call).await else {
            panic!("it is made");
        };
        {
            let seen = stage.seen.lock().unwrap();
            let (kept, sealed) = &seen.webhooks[0];
            assert_eq!(*kept, made.webhook);
            assert_eq!((kept.progress.position, kept.project_id), (41, project));
            assert_eq!(sealed.sealed, [0xAB], "its secret, sealed");
            assert!(made.secret.starts_with("whsec_"));
            let told = &seen.posted[0];
            assert_eq!(told.project_id, project.map(|project| project.0));
            assert_eq!(told.metadata["host"], "receiver.example");
            assert!(!format!("{told:?}").contains("token"), "{told:?}");
        }
        assert!(stage.rung().await);
    }
}

// S6: of everybody's, whoever asks.
#[tokio::test(start_paused = true)]
async fn there_is_an_end_to_webhooks() {
    let (mut stage, world, log) = (Stage::new(), World::new(), Log::default());
    let theirs = (0..MOST).map(|number| webhook(number as u128, Some(ELSEWHERE)));
    world.with(|inner| inner.all = theirs.collect());
    let desk = desk(&mut stage, &world, &log);
    for call in [call("ifeoma"), scoped("ifeoma", PROJECT)] {
        let refused = desk.create(&new(), &call).await.err();
        assert!(
            matches!(refused, Some(WebhookError::TooMany)),
            "{refused:?}"
        );
    }
}

// S6: from the next event on at the latest.
#[tokio::test(start_paused = true)]
async fn a_replay_begins_within_the_log() {
    let (mut stage, world, log) = (Stage::new(), World::new(), Log::of(9));
    let mine = webhook(1, None);
    world.with(|inner| inner.all = vec![mine.clone()]);
    let froms = [None, Some(0), Some(9)];
    for _ in froms {
        stage.work([
            Step::ReplayWebhook(true),
            Step::Post(Ok(())),
            Step::Commit(Ok(())),
        ]);
    }
    stage.work([Step::ReplayWebhook(false)]);
    let desk = desk(&mut stage, &world, &log);
    for from in froms {
        let done = desk.replay(mine.id, from, &call("ifeoma")).await;
        assert!(matches!(done, Ok(Outcome::Done(()))), "{from:?}");
    }
    let refused = desk.replay(mine.id, Some(10), &call("ifeoma")).await.err();
    let beyond = WebhookError::BeyondTheEnd { from: 10, end: 9 };
    assert_eq!(refused.unwrap().to_string(), beyond.to_string());
    // Deleted in between.
    let refused = desk.replay(mine.id, None, &call("ifeoma")).await.err();
    assert!(
        matches!(refused, Some(WebhookError::NotFound)),
        "{refused:?}"
    );
    let seen = stage.seen.lock().unwrap();
    let replayed: Vec<_> = seen.replayed.iter().map(|(_, from)| *from).collect();
    assert_eq!(replayed, [None, Some(0), Some(9), None]);
    let told: Vec<_> = seen
        .posted
        .iter()
        .map(|event| &event.metadata["from"])
        .collect();
    assert_eq!(told, [&serde_json::Value::Null, &0.into(), &9.into()]);
}

// S6: the former secret signs for a day more.
#[tokio::test(start_paused = true)]
async fn a_new_secret_signs_at_once_and_the_former_for_a_day() {
    let (mut stage, world, log) = (Stage::new(), World::new(), Log::default());
    let mine = webhook(1, Some(PROJECT));
    world.with(|inner| inner.all = vec![mine.clone()]);
    stage.work([
        Step::PutWebhookSecret,
        Step::Post(Ok(())),
        Step::Commit(Ok(())),
    ]);
    let desk = desk(&mut stage, &world, &log);
    let done = desk.rotate(mine.id, &call("ifeoma")).await;
    let Ok(Outcome::Done(secret)) = done else {
        panic!("it is made");
    };
    assert!(secret.starts_with("whsec_"));
    let seen = stage.seen.lock().unwrap();
    let (sealed, now, former_until) = &seen.secrets[0];
    assert_eq!(sealed.sealed, [0xAB]);
    assert_eq!(*now, time(0));
    assert_eq!(*former_until, time(0) + TimeDelta::days(1));
    assert_eq!(seen.posted[0].action, "webhook.secret_rotated");
    assert_eq!(seen.posted[0].project_id, Some(PROJECT.0));
}

// S6: another project's webhook does not exist.
#[tokio::test(start_paused = true)]
async fn a_webhook_is_its_projects() {
    let (mut stage, world, log) = (Stage::new(), World::new(), Log::default());
    let (everybodys, ours) = (webhook(1, None), webhook(2, Some(PROJECT)));
    world.with(|inner| inner.all = vec![everybodys.clone(), ours.clone()]);
    let desk = desk(&mut stage, &world, &log);
    let seen = async |caller: &Caller| {
        let listed = desk.list(caller).await.unwrap();
        let listed: Vec<Uuid> = listed.iter().map(|webhook| webhook.id).collect();
        let mut shown = Vec::new();
        for webhook in [&everybodys, &ours] {
            let found = desk.show(webhook.id, caller).await.unwrap();
            shown.extend(found.map(|found| found.id));
        }
        assert_eq!(listed, shown);
        listed
    };
    assert_eq!(seen(&call("a").caller).await, [everybodys.id, ours.id]);
    assert_eq!(seen(&scoped("a", PROJECT).caller).await, [ours.id]);
    let foreign = scoped("a", ELSEWHERE);
    assert_eq!(seen(&foreign.caller).await, [] as [Uuid; 0]);
    let refused = desk.delete(ours.id, &foreign).await.err();
    assert!(
        matches!(refused, Some(WebhookError::NotFound)),
        "{refused:?}"
    );
}
