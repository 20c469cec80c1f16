//! What the benchmarks have in common: the throwaway server, the built service and its clients, what is
//! sent, and how figures are shown.

pub mod binary;
pub mod client;
pub mod content;
pub mod cpu;
pub mod process;
pub mod program;
pub mod server;
pub mod table;
