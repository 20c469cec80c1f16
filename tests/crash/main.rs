//! The process is killed, for real and at every step, while the ledger does what ledgers do.
//!
//! The short matrix runs with every other test; `make crash` runs all of it, and
//! `make crash ROUNDS=…` kills at random. Needs the binary with failpoints: `scripts/failpoints.sh`.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "what cannot go on has failed its test"
)]

mod behaviour;
mod books;
mod cell;
mod dice;
mod judge;
mod long;
mod matrix;
mod normal;
mod progress;
mod random;
mod repeated;
mod replicas;
mod report;
mod sealing;
mod short;
mod step;
mod worker;
