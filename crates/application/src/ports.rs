//! The doors of the application: what it needs from the outside, as traits that know no vendor.
//!
//! Every adapter of a door passes that door's contract suite (`tests/contract`).

pub mod alerts;
pub mod audit_store;
pub mod books;
pub mod burner;
pub mod channels;
pub mod clock;
pub mod custody;
pub mod dead_letters;
pub mod entropy;
pub mod monitor;
pub mod numbering;
pub mod queries;
pub mod queue;
pub mod reports;
pub mod store;
pub mod wallets;
