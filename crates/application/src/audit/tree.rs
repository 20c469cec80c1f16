//! The public tree over the log: what an outsider needs to check that nothing was altered, put in
//! behind, or cut off at the end, without trusting who runs the service (S8).
//!
//! Hashes are those of RFC 6962, statements those of C2SP tlog-checkpoint and signed-note, so that
//! tools of others check them.

pub mod accepting;
pub mod keeper;
pub mod merkle;
pub mod note;
pub mod proof;
pub mod public;
pub mod sealer;
mod served_tiles;
