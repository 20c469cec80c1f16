//! The doors of the application: what it needs from the outside, as traits that know no vendor.
//!
//! Every adapter of a door passes that door's contract suite (`tests/contract`).

pub mod actors;
pub mod alerts;
pub mod audit_search;
pub mod audit_store;
pub mod books;
pub mod burner;
pub mod channels;
pub mod clock;
pub mod custody;
pub mod dead_letters;
pub mod entropy;
pub mod event_archive;
pub mod growth;
pub mod kept;
pub mod monitor;
pub mod queries;
pub mod queue;
pub mod reports;
pub mod retention;
pub mod store;
pub mod subject_keys;
pub mod trails;
pub mod tree;
pub mod verification;
pub mod wallets;
pub mod webhook_sender;
pub mod webhooks;
