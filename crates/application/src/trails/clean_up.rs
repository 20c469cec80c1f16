//! Trails past their time are deleted: daily, by whichever process comes first, in bounded batches.
//!
//! The sums stay, so that what was spent is told for longer than what was said; they go after 400 days,
//! or a month after their trails.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, TimeZone, Utc};
use serde_json::json;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tranche_domain::audit::Resource;
use tranche_domain::{Action, AuditEvent, Fact};

use super::Trails;
use crate::audit::own;
use crate::audit::record::EventRecord;
use crate::call::Caller;
use crate::daily::Daily;
use crate::ports::store::StoreError;
use crate::ports::trails::{TrailCleanUps, TrailStore};
use crate::services::Services;

/// How many rows are deleted at a time.
const BATCH: u32 = 1_000;
/// How many batches one clean-up deletes; what is left then goes the next day.
const MOST_BATCHES: u32 = 20_000;
/// How long sums are kept, and longer than trails by as much as a month.
const SUMS_KEPT: TimeDelta = TimeDelta::days(400);
const LONGER_THAN_TRAILS: TimeDelta = TimeDelta::days(31);
/// How long a process has the turn. Another may begin then: batches do not hinder one another.
const TURN: TimeDelta = TimeDelta::minutes(15);
/// How often the time of day is looked at, and memory swept.
const EVERY: Duration = Duration::from_mins(1);

/// Deletes what is past its time from the database.
#[derive(Clone)]
pub struct CleanUp {
    services: Services,
    database: Arc<dyn TrailStore>,
    turns: Arc<dyn TrailCleanUps>,
    keep: TimeDelta,
}

/// What came of a clean-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cleaned {
    /// Trails created before this moment had to go.
    pub before: DateTime<Utc>,
    /// How many went.
    pub trails: u64,
    /// How many sums went.
    pub sums: u64,
    /// Whether there were more: it was broken off, or they were too many for one clean-up.
    pub more: bool,
}

/// What a clean-up would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// Trails created before this moment would go.
    pub before: DateTime<Utc>,
    /// How many there are.
    pub trails: u64,
}

impl CleanUp {
    /// Deletes trails this many days after they were created.
    #[must_use]
    pub fn new(
        services: Services,
        database: Arc<dyn TrailStore>,
        turns: Arc<dyn TrailCleanUps>,
        keep_days: u32,
    ) -> Self {
        Self {
            services,
            database,
            turns,
            keep: TimeDelta::days(i64::from(keep_days)),
        }
    }

    /// What it would do now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn outlook(&self) -> Result<Outlook, StoreError> {
        let before = ago(self.services.clock.now(), self.keep);
        let trails = self.database.count(Some(before)).await?;
        Ok(Outlook { before, trails })
    }

    /// Cleans up because somebody asks for it, until it is done or told to stop, and records what was
    /// deleted. `progress` is told of each batch how many trails went.
    ///
    /// # Errors
    /// [`StoreError`]; what is gone by then stays gone, and is recorded where the store still does that.
    pub async fn clean(
        &self,
        caller: &Caller,
        progress: &(dyn Fn(u64) + Sync),
        stop: &CancellationToken,
    ) -> Result<Cleaned, StoreError> {
        self.clear().await?;
        let mut cleaned = self.nothing_yet();
        let deleted = self.delete(&mut cleaned, progress, stop).await;
        if deleted.is_ok() || cleaned.trails + cleaned.sums > 0 {
            let event = EventRecord::from(&self.event(cleaned, caller));
            let posted = self.services.post(&event).await;
            return deleted.and(posted).map(|()| cleaned);
        }
        deleted.map(|()| cleaned)
    }

    /// Cleans up if the one that was due then is nobody else's and did not end; gives what came of it.
    async fn clean_due(
        &self,
        due_at: DateTime<Utc>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Option<Cleaned>, StoreError> {
        let now = self.services.clock.now();
        if !self.turns.take_clean_up(due_at, now, now + TURN).await? {
            return Ok(None);
        }
        let mut cleaned = self.nothing_yet();
        let never = CancellationToken::new();
        self.delete(&mut cleaned, progress, &never).await?;
        let event = own::by_the_system(&self.event(cleaned, &own::caller()));
        let (ended_at, trails) = (self.services.clock.now(), cleaned.trails);
        let ours = self.turns.end_clean_up(due_at, ended_at, trails, &event);
        if ours.await? {
            self.services.outbox.notify_one();
        }
        Ok(Some(cleaned))
    }

    /// Deletes what projects that are gone have left: nobody sees it any more.
    ///
    /// # Errors
    /// [`StoreError`]; what is gone by then stays gone.
    pub async fn clear(&self) -> Result<(), StoreError> {
        let mut rows = 0;
        for _ in 0..MOST_BATCHES {
            let gone = self.turns.clear_removed(BATCH).await?;
            if gone == 0 {
                break;
            }
            rows += gone;
        }
        if rows > 0 {
            tracing::info!(
                rows,
                "what deleted projects had of assessment trails is gone"
            );
        }
        Ok(())
    }

    fn nothing_yet(&self) -> Cleaned {
        Cleaned {
            before: ago(self.services.clock.now(), self.keep),
            trails: 0,
            sums: 0,
            more: true,
        }
    }

    /// Deletes what is past its time, and notes in `cleaned` how much of it as it goes.
    async fn delete(
        &self,
        cleaned: &mut Cleaned,
        progress: &(dyn Fn(u64) + Sync),
        stop: &CancellationToken,
    ) -> Result<(), StoreError> {
        let sums_before = ago(self.services.clock.now(), self.sums_kept());
        let mut trails_left = true;
        for _ in 0..MOST_BATCHES {
            if stop.is_cancelled() {
                break;
            }
            let gone = if trails_left {
                let gone = self.database.expire(cleaned.before, BATCH).await?;
                progress(gone);
                cleaned.trails += gone;
                gone
            } else {
                let gone = self.database.expire_sums(sums_before, BATCH).await?;
                cleaned.sums += gone;
                gone
            };
            if gone < u64::from(BATCH) {
                if !trails_left {
                    cleaned.more = false;
                    break;
                }
                trails_left = false;
            }
        }
        let Cleaned {
            before,
            trails,
            sums,
            more,
        } = *cleaned;
        tracing::info!(trails, sums, more, %before, "assessment trails were cleaned up");
        Ok(())
    }

    /// Sums outlive the trails of their hour, however long those are kept.
    fn sums_kept(&self) -> TimeDelta {
        SUMS_KEPT.max(self.keep + LONGER_THAN_TRAILS)
    }

    fn event(&self, cleaned: Cleaned, caller: &Caller) -> AuditEvent {
        let occasion = self.services.occasion(caller);
        let count = |rows: u64| Fact::Count(i64::try_from(rows).unwrap_or(i64::MAX));
        let before = cleaned.before.to_rfc3339_opts(SecondsFormat::Micros, true);
        let all = if cleaned.more { "no" } else { "yes" };
        AuditEvent::new(
            Action::TrailsCleaned,
            Resource::AssessmentTrail,
            "clean-up",
            &occasion,
        )
        .with("before", Fact::Text(before))
        .with("trails", count(cleaned.trails))
        .with("sums", count(cleaned.sums))
        .with("all", Fact::text(all))
    }
}

fn ago(now: DateTime<Utc>, age: TimeDelta) -> DateTime<Utc> {
    let then = now.checked_sub_signed(age);
    then.unwrap_or(DateTime::<Utc>::MIN_UTC)
}

/// Which clean-up was due last, as far as this process knows, and whether it has ended.
#[derive(Debug, Default)]
pub(super) struct Due(Mutex<Option<(DateTime<Utc>, bool)>>);

impl Due {
    fn known(&self) -> MutexGuard<'_, Option<(DateTime<Utc>, bool)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says whether the one that is due has, for all that is known, not ended.
    fn begins(&self, due_at: DateTime<Utc>) -> bool {
        let mut known = self.known();
        let has_ended = matches!(*known, Some((of, true)) if of == due_at);
        if !has_ended {
            *known = Some((due_at, false));
        }
        !has_ended
    }

    fn ended(&self, due_at: DateTime<Utc>) {
        *self.known() = Some((due_at, true));
    }

    /// Since when one is due that has not ended.
    pub fn since(&self) -> Option<DateTime<Utc>> {
        let (due_at, has_ended) = (*self.known())?;
        (!has_ended).then_some(due_at)
    }
}

/// Cleans up once a day, and sweeps this process's memory.
#[derive(Clone)]
pub struct DailyCleanUp<Z = Utc> {
    clean_up: CleanUp,
    trails: Trails,
    at: Daily<Z>,
}

impl<Z: TimeZone> DailyCleanUp<Z> {
    /// Cleans up at this time of day.
    #[must_use]
    pub const fn new(clean_up: CleanUp, trails: Trails, at: Daily<Z>) -> Self {
        Self {
            clean_up,
            trails,
            at,
        }
    }

    /// Cleans up daily until cancelled. What is cut off is finished by the next, or by another process.
    pub async fn run(self, stop: CancellationToken) {
        let mut told = false;
        loop {
            let round = async {
                self.sweep().await;
                let cleared = self.clean_up.clear().await;
                let looked = self.look().await;
                cleared.and(looked)
            };
            let looked = tokio::select! {
                () = stop.cancelled() => return,
                looked = round => looked,
            };
            match looked {
                Ok(_) => told = false,
                Err(error) => {
                    if !told {
                        let context = json!({ "retrying": true });
                        let services = &self.clean_up.services;
                        services.report_store("trails.clean_up", false, &error, context);
                    }
                    told = true;
                }
            }
            let next = async {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = self.trails.shared.removed.notified() => {}
                }
            };
            let _ = timeout(EVERY, next).await;
        }
    }

    /// Cleans up if it is time to and nobody did; one that was missed is made up for.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn look(&self) -> Result<Option<Cleaned>, StoreError> {
        let Some(due_at) = self.at.last(self.clean_up.services.clock.now()) else {
            return Ok(None);
        };
        let shared = &self.trails.shared;
        if !shared.due.begins(due_at) {
            return Ok(None);
        }
        let progress = |gone| {
            shared.cleaned.fetch_add(gone, Ordering::Relaxed);
        };
        let cleaned = self.clean_up.clean_due(due_at, &progress).await?;
        if cleaned.is_some() || self.clean_up.turns.has_clean_up_ended(due_at).await? {
            shared.due.ended(due_at);
        }
        Ok(cleaned)
    }

    /// Forgets what memory holds that is too old, or of projects that are gone.
    pub async fn sweep(&self) {
        let now = self.clean_up.services.clock.now();
        let shared = &self.trails.shared;
        shared.memory.sweep(ago(now, self.clean_up.sums_kept()));
        for project in shared.memory.projects() {
            // A store that does not answer is asked again in a minute.
            if matches!(shared.queries.project(project).await, Ok(None)) {
                shared.memory.forget(project);
            }
        }
    }
}
