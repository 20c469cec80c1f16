//! What the benchmarks have in common: the throwaway server, and how figures are shown.

pub mod server;
pub mod table;
