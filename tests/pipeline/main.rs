//! The audit pipeline end to end, on the built binary: killed, cut off, poisoned and overrun, it
//! loses nothing that it acknowledged.
//!
//! | module | what happens |
//! |---|---|
//! | `kills` | SIGKILL at random moments under load, on each queue |
//! | `outage` | the store is away while events come in |
//! | `poison` | an event that the log refuses |
//! | `bad_days` | everything else that goes wrong around the service |
#[cfg(test)]
mod load;

#[cfg(test)]
mod bad_days;
#[cfg(test)]
mod kills;
#[cfg(test)]
mod outage;
#[cfg(test)]
mod poison;
