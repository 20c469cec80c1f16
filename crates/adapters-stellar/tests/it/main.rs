//! The adapter against the official SDKs' vectors, a scripted server, and the sandbox ledger.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests, and what helps them, fail by panicking"
)]

mod burning;
mod channels;
mod contract;
mod fake;
mod judging;
mod keys;
mod outbidding;
mod preparing;
mod providing;
mod sandbox;
mod searching;
mod submitting;
mod vectors;
mod witnessing;
mod world;
