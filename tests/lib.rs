//! What several suites share: the rules every store keeps ([`contract`]), the rules every ledger
//! adapter keeps ([`ledger_contract`]), the rules every queue keeps ([`queue_contract`]), and throwaway servers to keep them on ([`support`]).

pub mod contract;
pub mod ledger_contract;
pub mod queue_contract;
pub mod support;
