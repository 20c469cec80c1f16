//! Evidence on its way into the log.

pub mod record;
pub mod relay;
