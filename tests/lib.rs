//! What several suites share: the rules every store keeps ([`contract`]), and throwaway servers to
//! keep them on ([`support`]).

pub mod contract;
pub mod support;
