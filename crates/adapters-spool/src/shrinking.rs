//! Makes the file of an empty queue small.

use sqlx::Error;
use sqlx::sqlite::SqliteConnection;

/// How many pages an empty file may keep: 16 MiB.
const SPARE_PAGES: i64 = 4_000;

/// Remembers what it could not do: whatever is damaged stays in the file for good, and every try reads
/// all of it.
#[derive(Debug, Default)]
pub(crate) struct Shrinking {
    /// The pages that the file kept when it was tried last.
    kept: i64,
}

impl Shrinking {
    /// Makes an empty file small, where it is not. One that stayed large is left alone until it has
    /// grown.
    pub(crate) async fn shrink(&mut self, connection: &mut SqliteConnection) -> Result<(), Error> {
        let before = pages(connection).await?;
        if before <= self.kept + SPARE_PAGES {
            return Ok(());
        }
        self.kept = before;
        sqlx::query("VACUUM").execute(&mut *connection).await?;
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .execute(&mut *connection)
            .await?;
        self.kept = pages(connection).await?;
        Ok(())
    }
}

async fn pages(connection: &mut SqliteConnection) -> Result<i64, Error> {
    sqlx::query_scalar("PRAGMA page_count")
        .fetch_one(connection)
        .await
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use chrono::DateTime;
    use sqlx::Connection;

    use super::*;
    use crate::file;
    use crate::state::{Amount, Frame};

    const MIB: u64 = 1 << 20;

    async fn open(file: &Path) -> SqliteConnection {
        std::fs::File::options()
            .append(true)
            .create(true)
            .open(file)
            .expect("a file");
        let opened = file::open(file).await.expect("it opens");
        opened.expect("it is a queue")
    }

    async fn insert(connection: &mut SqliteConnection, sequence: i64, bytes: u64) {
        let frame = Frame {
            sequence,
            amount: Amount { events: 1, bytes },
            pushed_at: DateTime::UNIX_EPOCH,
        };
        let payload = vec![b'x'; usize::try_from(bytes).expect("few")];
        let inserted = file::insert(connection, frame, payload).await;
        inserted.expect("it is inserted");
    }

    #[tokio::test]
    async fn a_damaged_file_is_tried_once_for_its_size() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("queue.db");
        let mut connection = open(&path).await;
        insert(&mut connection, 1, 17 * MIB).await;
        connection.close().await.expect("it closes");
        let mut all = std::fs::read(&path).expect("a file");
        // The page after the table's holds nothing but the frame; its first bytes name the next.
        all.get_mut(8_192..8_196).expect("a page").fill(0xff);
        std::fs::write(&path, all).expect("a file");

        let (mut connection, mut shrinking) = (open(&path).await, Shrinking::default());
        for (sequence, bytes) in [(2, 0), (3, 17 * MIB)] {
            insert(&mut connection, sequence, bytes).await;
            let failed = shrinking.shrink(&mut connection).await;
            failed.expect_err("it is damaged");
            for _ in 0..3 {
                let left = shrinking.shrink(&mut connection).await;
                left.expect("it is left alone");
            }
        }
    }

    #[tokio::test]
    async fn what_is_small_again_is_tried_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut connection = open(&folder.path().join("queue.db")).await;
        let mut shrinking = Shrinking::default();
        for sequence in 1..=2 {
            insert(&mut connection, sequence, 17 * MIB).await;
            let deleted = file::delete(&mut connection, &[sequence]).await;
            deleted.expect("it is deleted");
            assert!(pages(&mut connection).await.expect("a count") > SPARE_PAGES);
            shrinking.shrink(&mut connection).await.expect("it shrinks");
            assert!(pages(&mut connection).await.expect("a count") < 10);
        }
    }
}
