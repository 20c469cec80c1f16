//! Black box: the built binary, driven over HTTP, on both stores. One file a resource or a promise.
//!
//! Each test has a service and a store of its own and names the requirements that it proves. Build
//! the binary first: `cargo build -p tranche-api`.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "what cannot go on has failed its test"
)]

#[macro_use]
mod scene;

mod audit_away;
mod audit_counts;
mod audit_export;
mod audit_query;
mod audit_verify;
mod auth;
mod busy;
mod channels;
mod commands;
mod configuration;
mod crashes;
mod custody;
mod deployment;
mod disbursements;
mod documents;
mod ingest;
mod input;
mod ledger_faults;
mod lifecycle;
mod memory;
mod milestones;
mod monitoring;
mod operators;
mod outages;
mod pepper;
mod project_deletion;
mod protocol;
mod public_log;
mod restore;
mod retention;
mod retention_archive;
mod retention_bucket;
mod secrets;
mod sensitive;
mod streams;
mod trails;
mod trails_access;
mod trails_analytics;
mod trails_clean_up;
mod trails_drill;
mod trails_input;
mod transfers;
mod transitions;
mod tree_restore;
mod vault;
mod webhook_receiver;
mod webhooks;
