//! Evidence: what is recorded of an event, and its ways into the log.

pub mod alerts;
pub mod availability;
mod backoff;
mod bounded;
mod canonical;
pub mod failsafe;
mod hands;
pub mod health;
pub mod incoming;
pub mod intake;
pub mod letters;
pub mod losses;
pub mod meters;
pub mod monitoring;
pub mod numberer;
mod own;
pub mod pipeline;
pub mod prober;
pub mod reads;
pub mod record;
pub mod relay;
pub mod reporter;
mod ring;
mod storing;
pub mod worker;
