//! Every step × every behaviour × both stores, no cell left out, and what came of each.

use std::any::Any;
use std::fmt::Write as _;
use std::panic::AssertUnwindSafe;
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use futures::FutureExt;
use tokio::runtime::{Builder, Runtime};
use tranche_tests::support::service::StoreKind;

use crate::behaviour::Behaviour;
use crate::cell::Cell;
use crate::progress::Progress;
use crate::report;
use crate::step::Step;
use crate::worker::Worker;

/// What came of a cell.
struct Played {
    cell: Cell,
    took: Duration,
    failure: Option<String>,
}

/// Every cell.
fn cells() -> Vec<Cell> {
    let steps = |behaviour| {
        let steps = Step::of(behaviour).into_iter();
        steps.map(move |step| Cell { step, behaviour })
    };
    Behaviour::ALL.into_iter().flat_map(steps).collect()
}

/// Plays every step of some behaviours, each on a store of its own, side by side: they mostly wait.
pub fn rows(rows: &[(StoreKind, Behaviour)]) {
    let failed: Vec<String> = std::thread::scope(|scope| {
        let started: Vec<_> = rows
            .iter()
            .map(|(store, behaviour)| scope.spawn(|| row(*store, *behaviour)))
            .collect();
        let ended = started.into_iter().map(ScopedJoinHandle::join);
        ended
            .zip(rows)
            .filter_map(|(end, row)| Some(format!("{row:?}: {}", said(&*end.err()?))))
            .collect()
    });
    assert!(failed.is_empty(), "{failed:#?}");
}

fn row(store: StoreKind, behaviour: Behaviour) {
    runtime().block_on(async {
        let mut worker = Worker::start(store).await;
        for step in Step::of(behaviour) {
            Cell { step, behaviour }.play(&mut worker).await;
        }
    });
}

/// What drives one worker.
pub fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Plays every cell on these stores, side by side, and writes the table down.
pub fn all(stores: &[StoreKind]) {
    let cells = cells();
    let progress = Progress::of(cells.len() * stores.len());
    let began = Instant::now();
    let played: Vec<Vec<Played>> = std::thread::scope(|scope| {
        let started: Vec<_> = stores
            .iter()
            .map(|store| scope.spawn(|| on_one(*store, &cells, &progress)))
            .collect();
        let ended = started.into_iter().map(ScopedJoinHandle::join);
        ended.map(|store| store.expect("a store's cells")).collect()
    });
    let mut text = String::from("# Crash matrix\n");
    let mut failed = 0;
    for (store, played) in stores.iter().zip(&played) {
        assert_eq!(played.len(), cells.len(), "a cell was left out");
        failed += played.iter().filter(|cell| cell.failure.is_some()).count();
        text.push_str(&table(*store, played));
    }
    let count = cells.len() * stores.len();
    let seconds = began.elapsed().as_secs();
    let _ = write!(text, "\n{count} cells, {failed} failed, {seconds} s\n");
    report::write("matrix.md", &text);
    assert_eq!(failed, 0, "cells failed");
}

/// Plays the cells one after another on one store; a failed one is followed by a fresh worker.
fn on_one(store: StoreKind, cells: &[Cell], progress: &Progress) -> Vec<Played> {
    runtime().block_on(async {
        let mut played = Vec::new();
        let mut worker = Worker::start(store).await;
        for cell in cells {
            let began = Instant::now();
            let end = AssertUnwindSafe(cell.play(&mut worker))
                .catch_unwind()
                .await;
            let failure = end.err().map(|panic| said(&*panic));
            progress.done(&format!("{store:?} {cell}"), failure.is_none());
            if failure.is_some() {
                worker = Worker::start(store).await;
            }
            played.push(Played {
                cell: *cell,
                took: began.elapsed(),
                failure,
            });
        }
        played
    })
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic").to_owned()
}

/// A row a behaviour, a column a step: how it ended and how long that took. Two steps are on the way
/// of a disbursement under fee pressure alone.
fn table(store: StoreKind, played: &[Played]) -> String {
    let columns = Step::of(Behaviour::FeePressure);
    let mut text = format!("\n## {store:?}\n\n| the ledger \\ killed at |");
    for step in &columns {
        let _ = write!(text, " {} |", step.name());
    }
    let _ = write!(text, "\n|---|{}", "---|".repeat(columns.len()));
    for behaviour in Behaviour::ALL {
        let end = behaviour.failure().map_or("", |_| " after a failure");
        let _ = write!(text, "\n| {}{end} |", behaviour.name());
        for step in &columns {
            let of_it =
                |cell: &&Played| cell.cell.step == *step && cell.cell.behaviour == behaviour;
            let Some(cell) = played.iter().find(of_it) else {
                text.push_str(" |");
                continue;
            };
            let mark = if cell.failure.is_some() {
                "FAILED"
            } else {
                "once"
            };
            let tenths = cell.took.as_millis().div_ceil(100);
            let _ = write!(text, " {mark} {}.{} s |", tenths / 10, tenths % 10);
        }
    }
    text.push('\n');
    for cell in played {
        if let Some(failure) = &cell.failure {
            let _ = write!(text, "\n{}: {failure}\n", cell.cell);
        }
    }
    text
}
