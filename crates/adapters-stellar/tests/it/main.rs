//! The adapter against the official SDKs' vectors, a scripted server, and the sandbox ledger.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests, and what helps them, fail by panicking"
)]

mod fake;
mod judging;
mod keys;
mod preparing;
mod sandbox;
mod searching;
mod submitting;
mod vectors;
mod world;
