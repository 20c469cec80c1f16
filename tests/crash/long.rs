//! The long runs behind `make crash`, by environment: `STORE` is one store instead of both, `ROUNDS`
//! asks for random kills instead of the matrix, `SEED` replays their decisions.

use std::env;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::thread::ScopedJoinHandle;

use tranche_tests::support::service::StoreKind;

use crate::progress::Progress;
use crate::{matrix, random, report};

fn stores() -> Vec<StoreKind> {
    match env::var("STORE").as_deref() {
        Ok("sqlite") => vec![StoreKind::Sqlite],
        Ok("postgres") => vec![StoreKind::Postgres],
        Ok("") | Err(_) => vec![StoreKind::Sqlite, StoreKind::Postgres],
        Ok(other) => panic!("STORE is sqlite or postgres, not {other}"),
    }
}

#[test]
#[ignore = "minutes: make crash"]
fn matrix() {
    matrix::all(&stores());
}

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok().filter(|text| !text.is_empty())?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name} is a whole number, not {text}")))
}

#[test]
#[ignore = "minutes: make crash ROUNDS=…"]
fn random() {
    let rounds = number("ROUNDS").unwrap_or(100);
    let seed = number("SEED").unwrap_or_else(|| RandomState::new().build_hasher().finish());
    println!("SEED={seed} ROUNDS={rounds}");
    let stores = stores();
    let total = usize::try_from(rounds).expect("rounds") * stores.len();
    let progress = Progress::of(total);
    let run = |store| matrix::runtime().block_on(random::rounds(store, rounds, seed, &progress));
    let rows: Vec<String> = std::thread::scope(|scope| {
        let started: Vec<_> = stores
            .iter()
            .map(|store| scope.spawn(move || run(*store)))
            .collect();
        let ended = started.into_iter().map(ScopedJoinHandle::join);
        let rows = ended.map(|row| row.unwrap_or_else(|_| panic!("failed; SEED={seed}")));
        rows.collect()
    });
    let text = format!("# Random kills\n\n{}{}\n", random::HEAD, rows.join("\n"));
    report::write("random.md", &text);
}
