//! Transaction 2, together: a busy project's row is its bottleneck, so the burns of it that are
//! confirmed at the same time are settled in one unit of work, each with its own evidence.
//!
//! Nobody is appointed to do it. Whoever has an end to write down lines up; the first in line writes
//! down everything that lined up meanwhile, and the others find theirs done. If a batch fails, each
//! does its own alone, so that one that cannot be written stops no other.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Mutex as Turn;
use tokio::sync::oneshot::{self, error::TryRecvError};
use tranche_domain::disbursement::VerdictError;
use tranche_domain::{
    Action, BurnId, Change, Disbursement, DisbursementId, DisbursementState, Failure, Milestone,
    Occasion, PreparedBurn, Project, ProjectId, Write,
};

use super::AdvanceError;
use crate::call::Caller;
use crate::failpoint::failpoint;
use crate::ports::store::{Conflict, LockedBooks, StoreError};
use crate::services::{Services, TRIES};

/// The most settlements of one unit of work.
const MOST: usize = 50;

/// How a verdict changes the books.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// The burn is final.
    Burned { burn: BurnId, ledger: u32 },
    /// It will never happen, by any of these envelopes.
    Failed {
        failure: Failure,
        judged: PreparedBurn,
    },
    /// Nothing is proven about these envelopes: a person is called.
    Operator {
        reason: String,
        judged: PreparedBurn,
    },
}

impl End {
    /// What it is in the log.
    pub const fn action(&self) -> Action {
        match self {
            Self::Burned { .. } => Action::MilestoneDisbursed,
            Self::Failed { .. } => Action::DisbursementFailed,
            Self::Operator { .. } => Action::DisbursementNeedsOperator,
        }
    }

    /// Whether it holds for the burn as it is kept now. A further envelope that was kept meanwhile
    /// may still burn, or have burned: the ledger was not asked about it.
    fn holds_for(&self, kept: &PreparedBurn) -> bool {
        match self {
            Self::Burned { .. } => true,
            Self::Failed { judged, .. } | Self::Operator { judged, .. } => judged == kept,
        }
    }

    fn change(
        &self,
        disbursement: Disbursement,
        milestone: Milestone,
        project: Project,
        occasion: &Occasion,
    ) -> Result<Change, VerdictError> {
        match self.clone() {
            Self::Burned { burn, ledger } => {
                disbursement.settle(milestone, project, burn, ledger, occasion)
            }
            Self::Failed { failure, .. } => {
                disbursement.fail(milestone, project, failure, occasion)
            }
            Self::Operator { reason, .. } => {
                disbursement.call_operator(&milestone, reason, occasion)
            }
        }
    }
}

/// What became of one end: the disbursement as it stands now.
type Written = Result<Disbursement, AdvanceError>;

/// An end in line. The answer is dropped when its batch failed.
struct Waiting {
    id: DisbursementId,
    end: End,
    answer: oneshot::Sender<Written>,
}

/// One project's line.
#[derive(Default)]
struct Line {
    waiting: Mutex<VecDeque<Waiting>>,
    turn: Turn<()>,
}

impl Line {
    fn waiting(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(&self, id: DisbursementId, end: End) -> oneshot::Receiver<Written> {
        let (answer, written) = oneshot::channel();
        self.waiting().push_back(Waiting { id, end, answer });
        written
    }

    fn next(&self) -> Vec<Waiting> {
        let mut waiting = self.waiting();
        let count = waiting.len().min(MOST);
        waiting.drain(..count).collect()
    }
}

/// Writes down how disbursements end.
#[derive(Clone)]
pub(super) struct Ends {
    services: Services,
    lines: Arc<Mutex<HashMap<ProjectId, Arc<Line>>>>,
}

impl Ends {
    pub fn new(services: Services) -> Self {
        Self {
            services,
            lines: Arc::default(),
        }
    }

    /// Writes the end down, together with what lines up behind the same project; returns the
    /// disbursement as it stands then. One that had ended before is left as it is.
    pub async fn write(&self, disbursement: &Disbursement, end: &End) -> Written {
        failpoint!("judged");
        let (id, project) = (disbursement.id, disbursement.project_id);
        if !matches!(end, End::Burned { .. }) {
            return self.write_alone(project, id, end).await;
        }
        let line = self.line(project);
        let mut written = line.join(id, end.clone());
        loop {
            let _turn = line.turn.lock().await;
            match written.try_recv() {
                Ok(written) => return written,
                Err(TryRecvError::Closed) => return self.write_alone(project, id, end).await,
                Err(TryRecvError::Empty) => self.write_next(project, &line).await,
            }
        }
    }

    fn line(&self, project: ProjectId) -> Arc<Line> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.retain(|id, line| *id == project || Arc::strong_count(line) > 1);
        lines.entry(project).or_default().clone()
    }

    async fn write_next(&self, project: ProjectId, line: &Line) {
        let batch = line.next();
        let ends: Vec<_> = batch
            .iter()
            .map(|waiting| (waiting.id, &waiting.end))
            .collect();
        match self.write_all(project, &ends).await {
            Ok(written) => {
                for (waiting, written) in batch.into_iter().zip(written) {
                    // Whoever no longer waits has given up; the reconciler has it.
                    drop(waiting.answer.send(written));
                }
            }
            Err(error) => {
                if let Ok([alone]) = <[Waiting; 1]>::try_from(batch) {
                    drop(alone.answer.send(Err(error)));
                } else {
                    tracing::warn!(%project, %error, "ends are written one by one");
                }
            }
        }
    }

    async fn write_alone(&self, project: ProjectId, id: DisbursementId, end: &End) -> Written {
        let written = self.write_all(project, &[(id, end)]).await?;
        written
            .into_iter()
            .next()
            .unwrap_or(Err(AdvanceError::NotFound))
    }

    /// One unit of work, tried again when the database asks. What each came to, in their order.
    async fn write_all(
        &self,
        project: ProjectId,
        ends: &[(DisbursementId, &End)],
    ) -> Result<Vec<Written>, AdvanceError> {
        let mut tries = 1;
        loop {
            match self.try_write(project, ends).await {
                Err(AdvanceError::Store(StoreError::Conflict(
                    Conflict::Retry | Conflict::Stale,
                ))) if tries < TRIES => tries += 1,
                done => return done,
            }
        }
    }

    async fn try_write(
        &self,
        project: ProjectId,
        ends: &[(DisbursementId, &End)],
    ) -> Result<Vec<Written>, AdvanceError> {
        let mut ids: Vec<_> = ends.iter().map(|(id, _)| *id).collect();
        let mut known = HashSet::new();
        ids.retain(|id| known.insert(*id));
        let mut work = self.services.store.begin().await?;
        let books = work.disbursements().lock_books(project, &ids).await?;
        let books = books.ok_or_else(|| {
            StoreError::Inconsistent(format!("project {project} of a disbursement is gone"))
        })?;
        let (written, changes) = self.changes(books, ends);
        match changes.as_slice() {
            [] => return Ok(written),
            [change] => work.record(change).await?,
            changes => work.record_settlements(changes).await?,
        }
        failpoint!("concluding");
        work.commit().await?;
        failpoint!("concluded");
        Ok(written)
    }

    /// What each end changes, each from the project as the one before left it.
    fn changes(
        &self,
        books: LockedBooks,
        ends: &[(DisbursementId, &End)],
    ) -> (Vec<Written>, Vec<Change>) {
        let mut project = books.project;
        let mut locked: HashMap<_, _> = books
            .disbursements
            .into_iter()
            .map(|(milestone, disbursement)| (disbursement.id, (milestone, disbursement)))
            .collect();
        let mut changes = Vec::with_capacity(ends.len());
        let written = ends.iter().map(|(id, end)| {
            let (milestone, disbursement) = locked.get(id).ok_or(AdvanceError::NotFound)?.clone();
            let called = matches!(disbursement.state, DisbursementState::NeedsOperator { .. });
            if called && matches!(end, End::Operator { .. }) {
                // Another driver called the operator first: once is enough.
                return Ok(disbursement);
            }
            if !end.holds_for(&disbursement.burn) {
                return Ok(disbursement);
            }
            let occasion = self.services.occasion(&Caller {
                actor: disbursement.ordered_by.clone(),
                origin: disbursement.origin.clone(),
                scope: None,
            });
            let change = end.change(disbursement.clone(), milestone, project.clone(), &occasion);
            let change = match change {
                Ok(change) => change,
                // Another driver was first: that is what we wanted.
                Err(VerdictError::Ended) => return Ok(disbursement),
                Err(error) => return Err(error.into()),
            };
            if let Some(write) = change.project() {
                project = write.value().clone();
            }
            let written = change.disbursement().map(Write::value).cloned();
            let written = written.unwrap_or(disbursement);
            if let Some(write) = change.milestone() {
                // Two drivers of one disbursement may be in line: the second finds it ended.
                locked.insert(*id, (write.value().clone(), written.clone()));
            }
            changes.push(change);
            Ok(written)
        });
        (written.collect(), changes)
    }
}
