//! The ledger's rules, without I/O, clock or network: state in, next ledger out.
//!
//! What it promises: the checks, result codes, fees, sequence numbers and signature rules of the
//! Stellar protocol for the operations in [`operations`], in the order the protocol makes them.
//! Everything else it refuses with `opNOT_SUPPORTED`. A transaction is checked twice, when it is
//! submitted and when it is applied, by the same code ([`validity`]).

pub(crate) mod account;
pub(crate) mod apply;
pub(crate) mod close;
pub(crate) mod fees;
pub(crate) mod frame;
pub(crate) mod genesis;
pub(crate) mod grant;
pub(crate) mod operations;
pub(crate) mod results;
pub(crate) mod signatures;
pub(crate) mod state;
pub(crate) mod validity;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests_operations;
#[cfg(test)]
mod tests_rules;
#[cfg(test)]
mod tests_signatures;

/// The protocol the ledger speaks.
pub(crate) const PROTOCOL_VERSION: u32 = 25;
/// Stroops an operation costs when the ledger is not full.
pub(crate) const BASE_FEE: i64 = 100;
/// Stroops each account and each sub-entry keeps back: 0.5 XLM.
pub(crate) const BASE_RESERVE: i64 = 5_000_000;
/// All lumens there are, in stroops.
pub(crate) const TOTAL_COINS: i64 = 1_000_000_000_000_000_000;
