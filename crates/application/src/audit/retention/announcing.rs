//! Says what goes before it goes: a critical event, with its place in the tree.
//!
//! Whoever lets rows go past the application, and writes down by themselves that they expired, would
//! have to have said so in the signed log beforehand.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tranche_domain::audit::Resource;
use tranche_domain::{Action, AuditEvent, Fact};

use super::Retention;
use super::announced::Announced;
use super::run::Stays;
use crate::audit::record::EventRecord;
use crate::call::Caller;
use crate::failpoint::failpoint;
use crate::ports::retention::{ArchiveFile, Leaves, Part, Run, Turn};
use crate::ports::store::StoreError;
use crate::services::{TRIES, may_retry};

/// How long the sealer is waited for. Where none runs, the part goes with a later run.
const LONGEST: Duration = Duration::from_secs(30);
/// How often it is looked whether the event has its place.
const LOOK: Duration = Duration::from_millis(50);

impl Retention {
    /// Returns once the tree holds that this part goes; at once where it has no events. What a run said
    /// that was killed, or that found no sealer, is not said again.
    pub(super) async fn announce(
        &self,
        turn: &mut dyn Turn,
        part: &Part,
        file: Option<&ArchiveFile>,
        run: &Run,
        caller: &Caller,
    ) -> Result<(), Stays> {
        let Some(leaves) = turn.leaves(part).await? else {
            return Ok(());
        };
        let announced = Announced {
            severity: part.severity,
            month: part.month,
            leaves: leaves.first..=leaves.last,
            sha256: file.map(|file| file.sha256),
        };
        let name = announced.to_string();
        if self.store.announced(&name).await?.is_none() {
            let event = self.announcement(part, &name, &leaves, file, run, caller);
            self.say(&event).await?;
        }
        let until = Instant::now() + LONGEST;
        while self.store.announced(&name).await? != Some(true) {
            if Instant::now() >= until {
                return Err(Stays::NotAnnounced);
            }
            sleep(LOOK).await;
        }
        failpoint!("retention.announced");
        Ok(())
    }

    fn announcement(
        &self,
        part: &Part,
        name: &str,
        leaves: &Leaves,
        file: Option<&ArchiveFile>,
        run: &Run,
        caller: &Caller,
    ) -> EventRecord {
        let occasion = self.services.occasion(caller);
        let count = |count: u64| Fact::Count(i64::try_from(count).unwrap_or(i64::MAX));
        let keep = self.policies.of(part.severity).keep();
        let event = AuditEvent::new(
            Action::RetentionExpiring,
            Resource::AuditPart,
            name,
            &occasion,
        )
        .with("severity", Fact::text(part.severity.as_str()))
        .with("month", Fact::text(part.month))
        .with("events", count(leaves.events))
        .with("first_leaf", Fact::Count(leaves.first))
        .with("last_leaf", Fact::Count(leaves.last))
        .with("keep_days", count(keep.into()))
        .with("run", Fact::text(run.id))
        .with("archive_file", Fact::maybe(file.map(|file| &file.name)))
        .with(
            "archive_sha256",
            Fact::maybe(file.map(|file| hex::encode(file.sha256))),
        );
        EventRecord::from(&event)
    }

    async fn say(&self, event: &EventRecord) -> Result<(), StoreError> {
        let mut tries = 1;
        loop {
            match self.try_say(event).await {
                Err(error) if may_retry(&error) && tries < TRIES => tries += 1,
                said => return said,
            }
        }
    }

    async fn try_say(&self, event: &EventRecord) -> Result<(), StoreError> {
        let mut work = self.services.store.begin().await?;
        work.audit().log(event, self.services.clock.now()).await?;
        work.commit().await
    }
}
