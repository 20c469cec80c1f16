//! The use cases against mocked ports: what they ask of the outside, in which order, and what they
//! do when it refuses. What the stores and the ledger then do is their own suites' business.

#[cfg(test)]
mod refusals;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod script;
#[cfg(test)]
mod stage;
