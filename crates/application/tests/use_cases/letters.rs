//! Dead letters, driven again: oldest first, one after the other, and written down.

use tranche_application::audit::letters::{Letters, Redrive};
use tranche_application::ports::dead_letters::{DeadLetter, Redriven};
use tranche_application::ports::queries::Page;
use tranche_application::ports::store::Conflict;
use uuid::Uuid;

use super::plant::{Plant, id};
use super::scene::{caller, time};
use super::script::Step;
use super::stage::{Stage, conflict, down};

fn letter(n: u64) -> DeadLetter {
    DeadLetter {
        id: Uuid::from_u128(u128::from(n)),
        event_id: Some(id(n)),
        content: "{}".to_owned(),
        error: format!("refused {n}"),
        source: "queue".to_owned(),
        buried_at: time(0),
    }
}

fn notes(stage: &mut Stage) {
    stage.work([Step::Post(Ok(())), Step::Commit(Ok(()))]);
}

/// The commands on so many letters.
fn commands(stage: &mut Stage, count: u64) -> (Letters, Plant) {
    let plant = Plant::on(stage);
    plant.letters.state().letters = (1..=count).map(letter).collect();
    let letters = Letters::new(plant.pipeline.services.clone(), plant.letters.clone());
    (letters, plant)
}

#[tokio::test]
async fn letters_are_listed_page_by_page_and_counted() {
    let (letters, _) = commands(&mut Stage::new(), 3);
    let page = Page {
        after: None,
        limit: 2,
    };
    assert_eq!(letters.list(page).await.unwrap(), [letter(3), letter(2)]);
    let page = Page {
        after: Some(letter(2).id),
        limit: 2,
    };
    assert_eq!(letters.list(page).await.unwrap(), [letter(1)]);
    assert_eq!(letters.count().await.unwrap(), 3);
}

#[tokio::test]
async fn a_letter_is_driven_again_and_who_did_so_is_written_down() {
    let mut stage = Stage::new();
    notes(&mut stage);
    let (letters, plant) = commands(&mut stage, 3);
    let redriven = letters.redrive(letter(2).id, &caller("ops")).await.unwrap();
    assert_eq!(redriven, Redriven::Stored);
    assert_eq!(plant.letters.state().redriven, [letter(2).id]);
    assert!(stage.rung().await);
    let seen = stage.seen.lock().unwrap();
    let event = &seen.posted[0];
    assert_eq!(
        (event.action.as_str(), event.severity.as_str()),
        ("audit.dead_letter_redriven", "warning")
    );
    assert_eq!(event.actor.id, "ops");
    assert_eq!(event.resource_type, "audit_log");
    assert_eq!(
        event.resource_id.as_deref(),
        Some(letter(2).id.to_string().as_str())
    );
    assert_eq!(event.metadata["event_id"], id(2).to_string());
    assert_eq!(event.metadata["source"], "queue");
    assert_eq!(event.metadata["error"], "refused 2");
}

#[tokio::test]
async fn a_letter_that_there_is_not_is_not_driven() {
    let (letters, plant) = commands(&mut Stage::new(), 3);
    for id in [Uuid::nil(), Uuid::from_u128(9), Uuid::max()] {
        let redriven = letters.redrive(id, &caller("ops")).await.unwrap();
        assert_eq!(redriven, Redriven::Unknown);
    }
    assert!(plant.letters.state().redriven.is_empty());
}

#[tokio::test]
async fn a_letter_that_is_still_refused_stays_unwritten() {
    let mut stage = Stage::new();
    let (letters, plant) = commands(&mut stage, 2);
    plant.letters.state().refuses = vec![letter(1).id];
    plant.letters.state().unreadable = vec![letter(2).id];
    assert!(letters.redrive(letter(1).id, &caller("ops")).await.is_err());
    let unreadable = letters.redrive(letter(2).id, &caller("ops")).await.unwrap();
    assert_eq!(unreadable, Redriven::Unreadable);
    assert!(!stage.rung().await);
}

#[tokio::test]
async fn all_letters_are_driven_oldest_first_and_one_that_fails_stops_none() {
    let mut stage = Stage::new();
    for _ in 0..3 {
        notes(&mut stage);
    }
    let (letters, plant) = commands(&mut stage, 5);
    plant.letters.state().refuses = vec![letter(2).id];
    plant.letters.state().unreadable = vec![letter(4).id];
    let outcome = letters.redrive_all(&caller("ops")).await.unwrap();
    let failed = vec![
        (
            letter(2).id,
            "inconsistent row: it is still refused".to_owned(),
        ),
        (letter(4).id, "its content is no event".to_owned()),
    ];
    assert_eq!(outcome, Redrive { stored: 3, failed });
    let driven: Vec<Uuid> = (1..=5).map(|n| letter(n).id).collect();
    assert_eq!(plant.letters.state().redriven, driven);
    assert_eq!(stage.seen.lock().unwrap().posted.len(), 3);
}

/// Somebody else drives letters at the same time.
#[tokio::test]
async fn a_letter_that_somebody_else_drove_meanwhile_is_no_failure() {
    let mut stage = Stage::new();
    notes(&mut stage);
    let (letters, plant) = commands(&mut stage, 2);
    plant.letters.state().overtaken = vec![letter(1).id];
    let outcome = letters.redrive_all(&caller("ops")).await.unwrap();
    let failed = vec![];
    assert_eq!(outcome, Redrive { stored: 1, failed });
    assert_eq!(stage.seen.lock().unwrap().posted.len(), 1);
}

#[tokio::test]
async fn more_letters_than_a_page_are_all_driven() {
    let mut stage = Stage::new();
    let (letters, plant) = commands(&mut stage, 2_000);
    plant.letters.state().unreadable = (1..=2_000).map(|n| letter(n).id).collect();
    let outcome = letters.redrive_all(&caller("ops")).await.unwrap();
    assert_eq!((outcome.stored, outcome.failed.len()), (0, 2_000));
    assert_eq!(plant.letters.state().pages.len(), 3);
    assert!(plant.letters.state().redriven.is_sorted());
}

#[tokio::test]
async fn a_redrive_that_cannot_be_written_down_is_told_of() {
    let mut stage = Stage::new();
    stage.work([Step::Post(conflict(Conflict::Retry))]);
    stage.work([Step::Post(down())]);
    let (letters, plant) = commands(&mut stage, 1);
    let redriven = letters.redrive(letter(1).id, &caller("ops")).await.unwrap();
    assert_eq!(
        redriven,
        Redriven::Stored,
        "the event is in the log all the same"
    );
    let incidents = plant.incidents();
    assert_eq!(incidents.len(), 1);
    assert_eq!(incidents[0].operation, "audit.redrive");
    assert!(incidents[0].critical);
    assert_eq!(incidents[0].context["by"], "ops");
}
