//! The shape of the house, kept by a test: which crate may lean on which, and what a source file
//! must not become. Every rule is also tried on a house that breaks it.

#[cfg(test)]
mod docs;
#[cfg(test)]
mod edges;
#[cfg(test)]
mod house;
