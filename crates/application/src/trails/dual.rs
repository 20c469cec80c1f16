//! Trails in both places, on the way from one to the other. The database is the truth.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tranche_domain::trail::sums::{Counted, TimeRange};
use tranche_domain::{MessageId, ProjectId, Trail, TrailChange};

use super::memory::Memory;
use crate::ports::audit_search::Scope;
use crate::ports::store::StoreError;
use crate::ports::trails::{Adopted, TrailStore};

/// Writes to the database and then to memory; reads the database, and memory for what it does not have
/// yet, which is copied over by that.
///
/// Memory is only ever behind what this writes, so it is read first: a copy there that differs and is
/// not behind is a mismatch.
pub struct Dual {
    database: Arc<dyn TrailStore>,
    memory: Arc<Memory>,
    mismatches: AtomicU64,
}

/// Where one message's two copies differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The message.
    pub message_id: MessageId,
    /// The fields.
    pub fields: Vec<&'static str>,
}

/// How a copy in memory stands to the database's, which was read later. One that is merely behind, an
/// earlier state with a lower version, is no mismatch.
pub(super) fn mismatch(memory: &Trail, database: &Trail) -> Option<Mismatch> {
    let (one, other) = (memory.record(), database.record());
    let is_behind = database.is_later_than(memory) && one.version < other.version;
    if is_behind && one.project_id == other.project_id {
        return None;
    }
    let mut fields = memory.differences(database);
    if one.version != other.version {
        fields.push("version");
    }
    if memory.is_later_than(database) && one.updated_at != other.updated_at {
        fields.push("updated_at");
    }
    (!fields.is_empty()).then_some(Mismatch {
        message_id: one.message_id,
        fields,
    })
}

impl Dual {
    /// Over these two.
    #[must_use]
    pub const fn new(database: Arc<dyn TrailStore>, memory: Arc<Memory>) -> Self {
        Self {
            database,
            memory,
            mismatches: AtomicU64::new(0),
        }
    }

    /// How often a read found the two differing.
    #[must_use]
    pub fn mismatches(&self) -> u64 {
        self.mismatches.load(Ordering::Relaxed)
    }

    fn compare(&self, memory: &Trail, database: &Trail) {
        if let Some(found) = mismatch(memory, database) {
            self.mismatches.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(
                message_id = %found.message_id,
                fields = found.fields.join(", "),
                "an assessment trail is not the same in memory and in the database"
            );
        }
    }

    /// Copies a trail that the database does not have, and gives what it has then: this, in a version
    /// that may be another, or what another was faster with.
    async fn copy(&self, trail: &Trail, scope: Scope) -> Result<Option<Trail>, StoreError> {
        let record = trail.record();
        let adopted = self.database.adopt(std::slice::from_ref(trail)).await?;
        if adopted.contains(&Adopted::ProjectGone) {
            self.memory.forget(record.project_id);
        }
        self.database.read(record.message_id, scope).await
    }
}

#[async_trait]
impl TrailStore for Dual {
    async fn read(&self, message: MessageId, scope: Scope) -> Result<Option<Trail>, StoreError> {
        let memory = self.memory.get(message, scope);
        let database = self.database.read(message, scope).await?;
        let Some(memory) = memory else {
            return Ok(database);
        };
        let Some(database) = database else {
            return self.copy(&memory, scope).await;
        };
        self.compare(&memory, &database);
        if memory.is_later_than(&database) {
            return self.copy(&memory, scope).await;
        }
        Ok(Some(database))
    }

    async fn save(&self, change: &TrailChange) -> Result<(), StoreError> {
        self.database.save(change).await?;
        self.memory.take(change.trail());
        Ok(())
    }

    async fn adopt(&self, copies: &[Trail]) -> Result<Vec<Adopted>, StoreError> {
        let adopted = self.database.adopt(copies).await?;
        for (copy, adopted) in copies.iter().zip(&adopted) {
            if *adopted == Adopted::Kept {
                self.memory.take(copy);
            }
        }
        Ok(adopted)
    }

    async fn page(&self, after: Option<MessageId>, limit: u32) -> Result<Vec<Trail>, StoreError> {
        self.database.page(after, limit).await
    }

    async fn several(&self, messages: &[MessageId]) -> Result<Vec<Trail>, StoreError> {
        self.database.several(messages).await
    }

    async fn count(&self, before: Option<DateTime<Utc>>) -> Result<u64, StoreError> {
        self.database.count(before).await
    }

    async fn counted(
        &self,
        project: ProjectId,
        range: TimeRange,
        recent: u32,
    ) -> Result<Counted, StoreError> {
        self.database.counted(project, range, recent).await
    }

    async fn expire(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, StoreError> {
        self.memory.expire(before, limit).await?;
        self.database.expire(before, limit).await
    }

    async fn expire_sums(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, StoreError> {
        self.memory.expire_sums(before, limit).await?;
        self.database.expire_sums(before, limit).await
    }
}
