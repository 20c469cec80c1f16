//! The embedded queue: the rules of every queue, and what is a file's own.
#![expect(clippy::expect_used, reason = "helpers of tests")]

mod contract;
mod damage;
mod kills;
mod limits;
mod memory;
mod opening;
mod peeking;
mod process;
mod scene;
mod speed;
