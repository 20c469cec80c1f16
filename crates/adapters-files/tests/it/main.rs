//! Files are read back by readers that are not ours.
#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]

mod csv;
mod parquet;
mod reading;
mod scene;
