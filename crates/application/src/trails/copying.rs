//! Copies trails from memory to the database, and compares both, one bounded batch at a time.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use tranche_domain::{MessageId, Trail};

use super::Trails;
pub use super::dual::Mismatch;
use super::dual::mismatch;
use super::memory::size;
use crate::ports::store::StoreError;
use crate::ports::trails::{Adopted, MOST_TRAILS, TrailStore};
use crate::services::{TRIES, may_retry};

/// How many bytes of texts one transaction copies, if not a single trail has more.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// What came of a batch that was copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Migrated {
    /// Trails that the database did not have, or had in an earlier state, or in another of the same
    /// moment.
    pub copied: u64,
    /// Trails that it had already, or later.
    pub present: u64,
    /// Trails of projects that are gone; they are now, too.
    pub gone: u64,
    /// Where the next batch begins; `None` after the last.
    pub next_after: Option<MessageId>,
    /// How many trails memory holds.
    pub total: u64,
}

/// What came of a batch that was compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// How many trails of memory were looked at.
    pub compared: u64,
    /// Those that the database lacks, or has in an earlier state.
    pub missing: Vec<MessageId>,
    /// Those that are not the same in the database.
    pub differing: Vec<Mismatch>,
    /// Where the next batch begins; `None` after the last.
    pub next_after: Option<MessageId>,
    /// How many trails memory holds.
    pub total: u64,
}

impl Trails {
    /// Copies up to `limit` trails after this message to the database, by message id; at most
    /// [`MOST_TRAILS`], in as few transactions as their size allows. May be repeated, and goes on where it
    /// was broken off.
    ///
    /// # Errors
    /// [`StoreError`]; what was copied until then stays.
    pub async fn migrate(
        &self,
        after: Option<MessageId>,
        limit: u32,
    ) -> Result<Migrated, StoreError> {
        let (memory, limit) = (&self.shared.memory, limit.clamp(1, MOST_TRAILS));
        let page = memory.page(after, limit).await?;
        let mut migrated = Migrated {
            next_after: next_after(&page, limit),
            total: memory.count(None).await?,
            ..Migrated::default()
        };
        let messages: Vec<_> = page.iter().map(|trail| trail.record().message_id).collect();
        let there = by_message(self.shared.database.as_ref(), &messages).await?;
        // What is there already waits for no writer.
        let (present, lacking): (Vec<_>, Vec<_>) = page.into_iter().partition(|trail| {
            let there = there.get(&trail.record().message_id);
            there.is_some_and(|there| there.covers(trail))
        });
        migrated.present = present.len() as u64;
        for copies in in_parts(&lacking) {
            for (copy, adopted) in copies.iter().zip(self.adopt(copies).await?) {
                match adopted {
                    Adopted::Kept => {
                        self.shared.copied.fetch_add(1, Ordering::Relaxed);
                        migrated.copied += 1;
                    }
                    Adopted::Present => migrated.present += 1,
                    Adopted::ProjectGone => {
                        memory.forget(copy.record().project_id);
                        migrated.gone += 1;
                    }
                }
            }
        }
        Ok(migrated)
    }

    /// Copies trails to the database in one transaction, again while it asks to.
    async fn adopt(&self, copies: &[Trail]) -> Result<Vec<Adopted>, StoreError> {
        let mut tries = 1;
        loop {
            match self.shared.database.adopt(copies).await {
                Err(error) if may_retry(&error) && tries < TRIES => tries += 1,
                adopted => return adopted,
            }
        }
    }

    /// Compares up to `limit` trails of memory after this message with the database's, by message id; at
    /// most [`MOST_TRAILS`]. A copy in memory that is merely behind is none of the differing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn compare(
        &self,
        after: Option<MessageId>,
        limit: u32,
    ) -> Result<Compared, StoreError> {
        let (memory, limit) = (&self.shared.memory, limit.clamp(1, MOST_TRAILS));
        let page = memory.page(after, limit).await?;
        let mut compared = Compared {
            compared: page.len() as u64,
            next_after: next_after(&page, limit),
            total: memory.count(None).await?,
            ..Compared::default()
        };
        let messages: Vec<_> = page.iter().map(|trail| trail.record().message_id).collect();
        let there = by_message(self.shared.database.as_ref(), &messages).await?;
        for trail in &page {
            let message = trail.record().message_id;
            let there = there.get(&message);
            match there.filter(|there| !is_earlier(there, trail)) {
                Some(there) => compared.differing.extend(mismatch(trail, there)),
                None => compared.missing.push(message),
            }
        }
        Ok(compared)
    }
}

/// The trails in parts that one transaction may copy. Writers of the same hours wait for it.
fn in_parts(trails: &[Trail]) -> impl Iterator<Item = &[Trail]> {
    let mut bytes = 0;
    trails.chunk_by(move |last, next| {
        bytes += size(last);
        let fits = bytes + size(next) <= MOST_BYTES;
        if !fits {
            bytes = 0;
        }
        fits
    })
}

/// Whether what is there is an earlier state of this trail, or of one that was begun anew.
fn is_earlier(there: &Trail, trail: &Trail) -> bool {
    trail.is_later_than(there) && trail.record().project_id == there.record().project_id
}

/// What a store has of these messages.
pub(super) async fn by_message(
    store: &dyn TrailStore,
    messages: &[MessageId],
) -> Result<BTreeMap<MessageId, Trail>, StoreError> {
    let there = store.several(messages).await?.into_iter();
    let there = there.map(|trail| (trail.record().message_id, trail));
    Ok(there.collect())
}

/// Where the next page begins after a full one.
fn next_after(page: &[Trail], limit: u32) -> Option<MessageId> {
    let last = page.last().filter(|_| page.len() >= limit as usize)?;
    Some(last.record().message_id)
}
