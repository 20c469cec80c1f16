//! A run: archives what is due, and lets go what nobody holds.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use thiserror::Error;
use tranche_domain::audit::Resource;
use tranche_domain::{Action, AuditEvent, Fact};
use uuid::Uuid;

use super::Retention;
use crate::audit::record::EventRecord;
use crate::audit::tree::keeper::{CompareError, Contradiction};
use crate::audit::tree::merkle;
use crate::call::Caller;
use crate::failpoint::failpoint;
use crate::ports::event_archive::{ArchiveError, Contents};
use crate::ports::kept::KeepError;
use crate::ports::monitor::Incident;
use crate::ports::retention::{
    ArchiveFile, Expiry, Figures, LeafRecord, Leaving, Part, Run, Step, Term, Turn,
};
use crate::ports::store::{Conflict, StoreError};
use crate::services::{may_retry, with_causes};

/// Names the work in reports.
const OPERATION: &str = "retention.run";
/// How many events are read or kept at a time.
const PAGE: u32 = 1_000;
/// A clock that is further ahead of the last run than this may have leapt.
const LEAP: TimeDelta = TimeDelta::days(7);

/// What is done with a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// It goes to the archive.
    Archive,
    /// It goes for good.
    Expire,
}

impl Work {
    /// Its name in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Archive => "archive",
            Self::Expire => "expire",
        }
    }
}

/// What became, or would become, of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// It is done.
    Done,
    /// A run would do it.
    Would,
    /// A hold keeps it.
    Held,
    /// It stays until the next run, because of this.
    Failed(String),
}

/// One part, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The part as it was.
    pub part: Part,
    /// What was to be done.
    pub work: Work,
    /// What came of it.
    pub outlook: Outlook,
    /// Where the events are kept elsewhere.
    pub file: Option<ArchiveFile>,
}

/// What came of a run, or would come of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The run; `None` for one that only looked.
    pub run: Option<Run>,
    /// Each part for which it was time.
    pub done: Vec<Done>,
    /// The clock is ahead of the last run by this: nothing was touched, the next run will.
    pub leapt: Option<TimeDelta>,
}

/// Why there was no run. Nothing changed.
#[derive(Debug, Error)]
pub enum RunError {
    /// Another run is under way.
    #[error("another run is under way")]
    UnderWay,
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a part stays.
#[derive(Debug, Error)]
pub(super) enum Stays {
    #[error("event {0} has no place in the tree yet")]
    NotSealed(Uuid),
    #[error(
        "the event that says that it goes has no place in the tree yet: it goes with a later run, \
         when a process that seals has been at work"
    )]
    NotAnnounced,
    #[error("event {0} is not what its leaf says: look into it before it is lost")]
    Altered(Uuid),
    #[error("nothing goes out: {0}")]
    Contradicted(Contradiction),
    #[error(transparent)]
    Keep(#[from] KeepError),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<CompareError> for Stays {
    fn from(error: CompareError) -> Self {
        match error {
            CompareError::Contradiction(contradiction) => Self::Contradicted(contradiction),
            CompareError::Kept(error) => error.into(),
            CompareError::Store(error) => error.into(),
        }
    }
}

impl Retention {
    /// What a run would do now. Changes nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn dry_run(&self) -> Result<Report, StoreError> {
        let now = self.services.clock.now();
        let due = self.due(now).await?.into_iter();
        let done = due.map(|(part, work)| {
            let held = work == Work::Expire && !part.held_by.is_empty();
            Done {
                outlook: if held { Outlook::Held } else { Outlook::Would },
                part,
                work,
                file: None,
            }
        });
        Ok(Report {
            run: None,
            done: done.collect(),
            leapt: self.leap(now).await?,
        })
    }

    /// Archives and expires what is due. `due_at` names the time of a run that comes by itself: it is
    /// begun once. A run that was killed is finished by the next.
    ///
    /// # Errors
    /// [`RunError`]; a part that cannot go is in the report, and stops none of the others.
    pub async fn run(
        &self,
        caller: &Caller,
        due_at: Option<DateTime<Utc>>,
    ) -> Result<Report, RunError> {
        let mut turn = self.store.take_turn().await?.ok_or(RunError::UnderWay)?;
        let report = self.in_turn(turn.as_mut(), caller, due_at).await;
        let released = turn.release().await;
        let report = report?;
        released?;
        Ok(report)
    }

    async fn in_turn(
        &self,
        turn: &mut dyn Turn,
        caller: &Caller,
        due_at: Option<DateTime<Utc>>,
    ) -> Result<Report, StoreError> {
        let started_at = self.services.clock.now();
        let leapt = self.leap(started_at).await?;
        let mut run = Run {
            id: self.services.entropy.id(),
            due_at,
            started_at,
            ended_at: None,
            by: caller.actor.id.clone(),
            figures: Figures::default(),
        };
        turn.begin(&run).await?;
        let mut done = Vec::new();
        if leapt.is_none() {
            self.archive_all(turn, &run, &mut done).await?;
            self.expire_all(turn, &run, caller, &mut done).await?;
        }
        run.figures = figures(&done);
        run.ended_at = Some(self.services.clock.now());
        turn.end(&run).await?;
        // A day on which there was nothing to do is no news.
        if due_at.is_none() || leapt.is_some() || run.figures != Figures::default() {
            self.note(&run, leapt, caller).await;
        }
        Ok(Report {
            run: Some(run),
            done,
            leapt,
        })
    }

    async fn archive_all(
        &self,
        turn: &mut dyn Turn,
        run: &Run,
        done: &mut Vec<Done>,
    ) -> Result<(), StoreError> {
        for (part, work) in self.due(run.started_at).await? {
            if work != Work::Archive {
                continue;
            }
            let term = Term {
                days: self.policies.of(part.severity).archive_after(),
                as_of: run.started_at,
            };
            let archived = archive(turn, &part, term).await;
            done.push(self.told(part, work, archived.map(|()| None)));
        }
        Ok(())
    }

    /// What was archived a moment ago may be due as well, so parts are looked at anew.
    async fn expire_all(
        &self,
        turn: &mut dyn Turn,
        run: &Run,
        caller: &Caller,
        done: &mut Vec<Done>,
    ) -> Result<(), StoreError> {
        for (part, work) in self.due(run.started_at).await? {
            if work != Work::Expire {
                continue;
            }
            if part.held_by.is_empty() {
                let gone = self.expire(turn, &part, run, caller).await;
                done.push(self.told(part, work, gone));
            } else {
                done.push(Done {
                    part,
                    work,
                    outlook: Outlook::Held,
                    file: None,
                });
            }
        }
        Ok(())
    }

    /// The parts for which it is time.
    async fn due(&self, now: DateTime<Utc>) -> Result<Vec<(Part, Work)>, StoreError> {
        let parts = self.store.parts().await?.into_iter();
        let due = parts.filter_map(|part| {
            let fate = self.fate(part, now);
            fate.due.map(|work| (fate.part, work))
        });
        Ok(due.collect())
    }

    /// By how much the clock is ahead of the last run, if that is too much.
    async fn leap(&self, now: DateTime<Utc>) -> Result<Option<TimeDelta>, StoreError> {
        let last = self.store.runs(1).await?.into_iter().next();
        let ahead = last.map(|last| now - last.started_at);
        Ok(ahead.filter(|ahead| *ahead > LEAP))
    }

    async fn expire(
        &self,
        turn: &mut dyn Turn,
        part: &Part,
        run: &Run,
        caller: &Caller,
    ) -> Result<Option<ArchiveFile>, Stays> {
        let file = self.export(turn, part, run).await?;
        failpoint!("retention.exported");
        loop {
            let next = turn.unkept(part, PAGE).await?;
            let records = next.iter().map(record).collect::<Result<Vec<_>, _>>()?;
            turn.keep(part, &records).await?;
            failpoint!("retention.kept");
            if records.is_empty() {
                break;
            }
        }
        self.announce(turn, part, file.as_ref(), run, caller)
            .await?;
        let term = Term {
            days: self.policies.of(part.severity).keep(),
            as_of: run.started_at,
        };
        let expiry = Expiry {
            run: run.id,
            at: self.services.clock.now(),
            file: file.clone(),
        };
        while let Step::More(_) = turn.expire(part, term, &expiry).await? {
            failpoint!("retention.expiring");
        }
        Ok(file)
    }

    /// Writes a part's events where they are kept outside the store, if they are.
    async fn export(
        &self,
        turn: &mut dyn Turn,
        part: &Part,
        run: &Run,
    ) -> Result<Option<ArchiveFile>, Stays> {
        let Some(archive) = &self.archive else {
            return Ok(None);
        };
        let mut writer = archive.begin(part.severity, part.month, run.id).await?;
        let (mut after, mut events, mut leaves) = (None, 0, None);
        loop {
            let page = turn.events(part, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.event.event.id);
            let mut rows = Vec::with_capacity(page.len());
            for leaving in page {
                let index = record(&leaving)?.leaf_index;
                leaves = Some(leaves.map_or((index, index), |(low, high): (i64, i64)| {
                    (low.min(index), high.max(index))
                }));
                rows.push(leaving.event);
            }
            events += rows.len() as u64;
            writer.write(rows).await?;
        }
        let checkpoint = match &self.keeper {
            Some(keeper) => keeper.to_give_out().await?,
            None => None,
        };
        let contents = Contents {
            severity: part.severity,
            month: part.month,
            events,
            leaves,
            checkpoint: checkpoint.map(|checkpoint| checkpoint.note),
            run: run.id,
            at: self.services.clock.now(),
        };
        Ok(Some(writer.finish(&contents).await?))
    }

    /// What came of a part, for the report; why it stays is for people too.
    fn told(&self, part: Part, work: Work, done: Result<Option<ArchiveFile>, Stays>) -> Done {
        let (outlook, file) = match done {
            Ok(file) => (Outlook::Done, file),
            Err(error) => {
                let is_busy = matches!(&error, Stays::Store(error) if may_retry(error));
                if !is_busy {
                    self.services.monitor.report(Incident {
                        operation: OPERATION,
                        critical: matches!(error, Stays::Altered(_)),
                        error: with_causes(&error),
                        context: json!({ "part": part.name, "work": work.as_str() }),
                    });
                }
                (Outlook::Failed(why(&error)), None)
            }
        };
        Done {
            part,
            work,
            outlook,
            file,
        }
    }

    /// Writes down that there was a run. What it did is done, whatever comes of it.
    async fn note(&self, run: &Run, leapt: Option<TimeDelta>, caller: &Caller) {
        let occasion = self.services.occasion(caller);
        let count = |count: u64| Fact::Count(i64::try_from(count).unwrap_or(i64::MAX));
        let figures = run.figures;
        let event = AuditEvent::new(Action::RetentionRun, Resource::AuditLog, run.id, &occasion)
            .with("archived_parts", count(figures.archived_parts.into()))
            .with("archived_events", count(figures.archived_events))
            .with("expired_parts", count(figures.expired_parts.into()))
            .with("expired_events", count(figures.expired_events))
            .with("held_parts", count(figures.held_parts.into()))
            .with("failed_parts", count(figures.failed_parts.into()))
            .with("only_looked", Fact::text(leapt.is_some()));
        if let Err(error) = self.services.post(&EventRecord::from(&event)).await {
            let context = json!({ "run": run.id });
            self.services.report_store(OPERATION, true, &error, context);
        }
    }
}

async fn archive(turn: &mut dyn Turn, part: &Part, term: Term) -> Result<(), Stays> {
    while let Step::More(_) = turn.archive(part, term).await? {
        failpoint!("retention.archiving");
    }
    failpoint!("retention.archived");
    Ok(())
}

/// The bytes of an event's leaf, computed from its row, if they are what the tree holds.
fn record(leaving: &Leaving) -> Result<LeafRecord, Stays> {
    let event_id = leaving.event.event.id;
    let placed = leaving.event.leaf_index.zip(leaving.event.recorded_at);
    let (Some((leaf_index, recorded_at)), Some(leaf_hash)) = (placed, leaving.leaf_hash) else {
        return Err(Stays::NotSealed(event_id));
    };
    let altered = || Stays::Altered(event_id);
    let leaf = leaving.event.event.leaf(recorded_at);
    let record = leaf.map_err(|_| altered())?;
    if merkle::leaf_hash(&record) != leaf_hash {
        return Err(altered());
    }
    Ok(LeafRecord {
        leaf_index,
        event_id,
        record,
    })
}

fn why(error: &Stays) -> String {
    match error {
        Stays::Store(StoreError::Conflict(Conflict::Retry)) => {
            "others held it for too long; the next run tries again".to_owned()
        }
        Stays::Store(StoreError::Inconsistent(why)) => why.clone(),
        Stays::Store(_) => "the store did not do it; the service's log says why".to_owned(),
        Stays::Keep(_) => {
            "the newest checkpoint could not be kept; the service's log says why".to_owned()
        }
        Stays::Archive(_) => "the archive did not take it; the service's log says why".to_owned(),
        other => other.to_string(),
    }
}

fn figures(done: &[Done]) -> Figures {
    let mut figures = Figures::default();
    for Done {
        part,
        work,
        outlook,
        ..
    } in done
    {
        match (outlook, work) {
            (Outlook::Done, Work::Archive) => {
                figures.archived_parts += 1;
                figures.archived_events += part.events;
            }
            (Outlook::Done, Work::Expire) => {
                figures.expired_parts += 1;
                figures.expired_events += part.events;
            }
            (Outlook::Held, _) => figures.held_parts += 1,
            (Outlook::Failed(_), _) => figures.failed_parts += 1,
            (Outlook::Would, _) => {}
        }
    }
    figures
}
