//! The archive's own tests.

#[cfg(test)]
mod buckets;
#[cfg(test)]
mod files;
#[cfg(test)]
mod refusals;
