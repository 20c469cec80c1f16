//! The doors of the application: what it needs from the outside, as traits that know no vendor.
//!
//! Every adapter of a door passes that door's contract suite (`tests/contract`).

pub mod books;
pub mod burner;
pub mod channels;
pub mod clock;
pub mod custody;
pub mod entropy;
pub mod monitor;
pub mod queries;
pub mod store;
pub mod wallets;
