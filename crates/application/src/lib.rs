//! What Tranche does, as use cases over ports. Knows no database, ledger or protocol.

pub mod audit;
pub mod idempotency;
pub mod keys;
pub mod ports;
