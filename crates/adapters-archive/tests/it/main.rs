//! The archive's own tests.

#[cfg(test)]
mod files;
