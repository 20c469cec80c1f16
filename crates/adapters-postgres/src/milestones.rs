//! Milestones inside a unit of work, each write with the evidence for the version it makes.

use async_trait::async_trait;
use tranche_application::ports::store::{MilestoneRepo, StoreError};
use tranche_domain::text::{Description, Notes, Reason};
use tranche_domain::{
    Amount, BankTransfer, BurnId, DisbursementId, Milestone, MilestoneId, MilestoneState, Stamp,
};
use uuid::Uuid;

use crate::record::{Binding, Kind};
use crate::rows::MilestoneRow;
use crate::unit_of_work::PostgresUnitOfWork;

/// What a change may alter.
macro_rules! mutable {
    () => {
        "title, description, target_amount, status, submitted_by, submitted_at, rejected_by, \
         rejected_at, rejection_reason, approved_by, approved_at, transfer_reference, \
         transfer_amount, transfer_date, transfer_notes, disbursement_id, disbursed_by, \
         disbursed_at, burned, burn_id, updated_at, version"
    };
}

/// The evidence hangs on the write: no write, no evidence, so that a late change cannot claim a
/// version that is another's.
macro_rules! evidence {
    () => {
        ", evidence AS (INSERT INTO milestone_evidence (milestone_id, version, event_id) \
         SELECT id, version, ? FROM milestone)"
    };
}

/// A milestone `m` with the rules of its project `p`.
macro_rules! milestone_columns {
    () => {
        "m.id, m.project_id, m.number, m.title, m.description, m.target_amount, m.status, \
         m.submitted_by, m.submitted_at, m.rejected_by, m.rejected_at, m.rejection_reason, \
         m.approved_by, m.approved_at, m.transfer_reference, m.transfer_amount, m.transfer_date, \
         m.transfer_notes, m.disbursement_id, m.disbursed_by, m.disbursed_at, m.burned, m.burn_id, \
         m.created_at, m.updated_at, m.version, p.maker_checker, p.burn_policy"
    };
}
pub(crate) use milestone_columns;

macro_rules! select_milestone {
    () => {
        concat!(
            "SELECT ",
            crate::milestones::milestone_columns!(),
            " FROM milestones m JOIN projects p ON p.id = m.project_id"
        )
    };
}
pub(crate) use select_milestone;

const LOCK: &str = concat!(
    select_milestone!(),
    " WHERE m.id = $1 FOR NO KEY UPDATE OF m"
);

const INSERT: &str = concat!(
    "milestone AS (INSERT INTO milestones (",
    mutable!(),
    ", id, project_id, number, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, \
     ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id, version)",
    evidence!()
);
const UPDATE: &str = concat!(
    "milestone AS (UPDATE milestones SET (",
    mutable!(),
    ") = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
     WHERE id = ? AND version = ? - 1 RETURNING id, version)",
    evidence!()
);
/// What is proven is the version of its absence.
const DELETE: &str = concat!(
    "milestone AS (DELETE FROM milestones WHERE id = ? AND version = ? - 1 \
     RETURNING id, version + 1 AS version)",
    evidence!()
);

pub(crate) const fn part(kind: Kind) -> &'static str {
    match kind {
        Kind::Insert => INSERT,
        Kind::Update => UPDATE,
        Kind::Delete => DELETE,
    }
}

pub(crate) fn bind<'q>(
    query: Binding<'q>,
    kind: Kind,
    milestone: &'q Milestone,
    event_id: Uuid,
) -> Binding<'q> {
    match kind {
        Kind::Insert => mutable(query, milestone)
            .bind(milestone.id.0)
            .bind(milestone.project_id.0)
            .bind(milestone.number)
            .bind(milestone.created_at),
        Kind::Update => mutable(query, milestone)
            .bind(milestone.id.0)
            .bind(milestone.version),
        Kind::Delete => query.bind(milestone.id.0).bind(milestone.version),
    }
    .bind(event_id)
}

/// What the state says, by groups of columns; what it does not say is null.
#[derive(Default)]
struct Marks<'m> {
    submitted: Option<&'m Stamp>,
    rejected: Option<(&'m Stamp, &'m Reason)>,
    approved: Option<&'m Stamp>,
    transfer: Option<&'m BankTransfer>,
    disbursement: Option<DisbursementId>,
    disbursed: Option<(&'m Stamp, Amount, &'m BurnId)>,
}

impl<'m> Marks<'m> {
    fn of(state: &'m MilestoneState) -> Self {
        let none = Self::default();
        match state {
            MilestoneState::Draft => none,
            MilestoneState::Submitted { submitted } => Self {
                submitted: Some(submitted),
                ..none
            },
            MilestoneState::Rejected {
                submitted,
                rejected,
                reason,
            } => Self {
                submitted: Some(submitted),
                rejected: Some((rejected, reason)),
                ..none
            },
            MilestoneState::Approved { approval, transfer } => Self {
                submitted: Some(&approval.submitted),
                approved: Some(&approval.approved),
                transfer: transfer.as_ref(),
                ..none
            },
            MilestoneState::Disbursing {
                approval,
                transfer,
                disbursement,
            } => Self {
                submitted: Some(&approval.submitted),
                approved: Some(&approval.approved),
                transfer: Some(transfer),
                disbursement: Some(*disbursement),
                ..none
            },
            MilestoneState::Disbursed {
                approval,
                transfer,
                disbursed,
                burned,
                burn,
            } => Self {
                submitted: Some(&approval.submitted),
                approved: Some(&approval.approved),
                transfer: Some(transfer),
                disbursed: Some((disbursed, *burned, burn)),
                ..none
            },
        }
    }
}

fn mutable<'q>(query: Binding<'q>, milestone: &'q Milestone) -> Binding<'q> {
    let marks = Marks::of(&milestone.state);
    let query = query
        .bind(milestone.title.as_str())
        .bind(milestone.description.as_ref().map(Description::as_str))
        .bind(milestone.target_amount.stroops())
        .bind(milestone.status().as_str());
    let query = stamp(query, marks.submitted);
    let query = stamp(query, marks.rejected.map(|(stamp, _)| stamp))
        .bind(marks.rejected.map(|(_, reason)| reason.as_str()));
    let query = stamp(query, marks.approved)
        .bind(marks.transfer.map(|transfer| transfer.reference.as_str()))
        .bind(marks.transfer.map(|transfer| transfer.amount.stroops()))
        .bind(marks.transfer.map(|transfer| transfer.date))
        .bind(
            marks
                .transfer
                .and_then(|transfer| transfer.notes.as_ref())
                .map(Notes::as_str),
        )
        .bind(marks.disbursement.map(|id| id.0));
    stamp(query, marks.disbursed.map(|(stamp, ..)| stamp))
        .bind(marks.disbursed.map(|(_, burned, _)| burned.stroops()))
        .bind(marks.disbursed.map(|(.., burn)| burn.0.as_str()))
        .bind(milestone.updated_at)
        .bind(milestone.version)
}

fn stamp<'q>(query: Binding<'q>, stamp: Option<&'q Stamp>) -> Binding<'q> {
    query
        .bind(stamp.map(|stamp| stamp.by.as_str()))
        .bind(stamp.map(|stamp| stamp.at))
}

#[async_trait]
impl MilestoneRepo for PostgresUnitOfWork {
    async fn lock(&mut self, id: MilestoneId) -> Result<Option<Milestone>, StoreError> {
        let row = sqlx::query_as::<_, MilestoneRow>(LOCK)
            .bind(id.0)
            .fetch_optional(self.connection()?)
            .await;
        self.judge(row)?.map(Milestone::try_from).transpose()
    }
}
