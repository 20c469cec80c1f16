//! Several settlements of one project in one statement: the project once, in its last state, and
//! the rows of milestones, evidence, disbursements and events as lists.
//!
//! The text is one for any number of them, so its plan is made once. As with a single change, the
//! counts tell whether every write found the version before it.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Row};
use tranche_application::audit::record::EventRecord;
use tranche_application::ports::store::StoreError;
use tranche_domain::{
    BurnId, Change, Disbursement, DisbursementState, Milestone, MilestoneState, Project, Stamp,
    Write,
};

use crate::errors::not_canonical;
use crate::record::numbered;
use crate::{audit, projects};

/// What a settlement alters of a milestone and of its disbursement.
const SETTLED: &str = "settled AS (SELECT * FROM unnest(?::uuid[], ?::bigint[], ?::text[], \
     ?::timestamptz[], ?::bigint[], ?::text[], ?::timestamptz[], ?::uuid[], ?::uuid[], \
     ?::bigint[], ?::timestamptz[], ?::text[], ?::bigint[]) \
     AS settled (milestone_id, version, disbursed_by, disbursed_at, burned, burn_id, updated_at, \
     event_id, order_id, order_version, settled_at, settled_burn_id, settled_ledger)), \
     milestone AS (UPDATE milestones m SET status = 'disbursed', disbursement_id = NULL, \
     disbursed_by = s.disbursed_by, disbursed_at = s.disbursed_at, burned = s.burned, \
     burn_id = s.burn_id, updated_at = s.updated_at, version = s.version \
     FROM settled s WHERE m.id = s.milestone_id AND m.version = s.version - 1 \
     RETURNING m.id, m.version, s.event_id), \
     evidence AS (INSERT INTO milestone_evidence (milestone_id, version, event_id) \
     SELECT id, version, event_id FROM milestone), \
     disbursement AS (UPDATE disbursements d SET state = 'settled', operator_reason = NULL, \
     proposal = NULL, settled_at = s.settled_at, settled_burn_id = s.settled_burn_id, \
     settled_ledger = s.settled_ledger, version = s.order_version \
     FROM settled s WHERE d.id = s.order_id AND d.version = s.order_version - 1 RETURNING 1)";

static RECORD: LazyLock<String> = LazyLock::new(|| {
    numbered(&format!(
        "WITH {}, {SETTLED}, {} SELECT (SELECT count(*) FROM project) = 1 \
         AND (SELECT count(*) FROM milestone) = ? AND (SELECT count(*) FROM disbursement) = ?",
        projects::UPDATE,
        audit::ALL_LOGGED
    ))
});

/// One settlement: what its columns say.
struct Settlement<'c> {
    milestone: &'c Milestone,
    disbursed: &'c Stamp,
    burned: i64,
    burn: &'c BurnId,
    disbursement: &'c Disbursement,
    settled_at: DateTime<Utc>,
    settled_burn: &'c BurnId,
    settled_ledger: u32,
}

impl<'c> Settlement<'c> {
    fn of(change: &'c Change) -> Option<Self> {
        let (Some(Write::Update(milestone)), Some(Write::Update(disbursement))) =
            (change.milestone(), change.disbursement())
        else {
            return None;
        };
        let MilestoneState::Disbursed {
            disbursed,
            burned,
            burn,
            ..
        } = &milestone.state
        else {
            return None;
        };
        let DisbursementState::Settled {
            at,
            burn: settled_burn,
            ledger,
        } = &disbursement.state
        else {
            return None;
        };
        Some(Self {
            milestone,
            disbursed,
            burned: burned.stroops(),
            burn,
            disbursement,
            settled_at: *at,
            settled_burn,
            settled_ledger: *ledger,
        })
    }
}

/// Settlements of one project, on their way into the database.
pub(crate) struct Batch<'c> {
    /// As the last one leaves it.
    project: &'c Project,
    settlements: Vec<Settlement<'c>>,
    events: Vec<EventRecord>,
    leaf_hashes: Vec<[u8; 32]>,
}

impl<'c> Batch<'c> {
    /// `None` where one of them is something else, or another project's.
    pub(crate) fn of(changes: &'c [Change]) -> Result<Option<Self>, StoreError> {
        let mut projects = changes.iter().filter_map(|change| match change.project() {
            Some(Write::Update(project)) if change.event().action.is_critical() => Some(project),
            _ => None,
        });
        let Some(project) = projects.next_back() else {
            return Ok(None);
        };
        let others = projects.filter(|other| other.id == project.id).count();
        let settlements: Vec<_> = changes.iter().filter_map(Settlement::of).collect();
        if others + 1 != changes.len() || settlements.len() != changes.len() {
            return Ok(None);
        }
        let events: Vec<_> = changes
            .iter()
            .map(|change| EventRecord::from(change.event()))
            .collect();
        let leaf_hashes = events
            .iter()
            .map(|event| event.leaf_hash(event.occurred_at))
            .collect::<Result<_, _>>()
            .map_err(not_canonical)?;
        Ok(Some(Self {
            project,
            settlements,
            events,
            leaf_hashes,
        }))
    }

    /// Whether every write found the version before it.
    pub(crate) async fn run(&self, connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
        let count = i64::try_from(self.settlements.len()).unwrap_or(i64::MAX);
        let query = sqlx::query(RECORD.as_str());
        let query = projects::bind_update(query, self.project, self.project.version - count)
            .bind(self.column(|s| s.milestone.id.0))
            .bind(self.column(|s| s.milestone.version))
            .bind(self.column(|s| s.disbursed.by.as_str()))
            .bind(self.column(|s| s.disbursed.at))
            .bind(self.column(|s| s.burned))
            .bind(self.column(|s| s.burn.0.as_str()))
            .bind(self.column(|s| s.milestone.updated_at))
            .bind(self.events.iter().map(|event| event.id).collect::<Vec<_>>())
            .bind(self.column(|s| s.disbursement.id.0))
            .bind(self.column(|s| s.disbursement.version))
            .bind(self.column(|s| s.settled_at))
            .bind(self.column(|s| s.settled_burn.0.as_str()))
            .bind(self.column(|s| i64::from(s.settled_ledger)));
        let events: Vec<_> = self.events.iter().collect();
        let query = audit::bind_all(query, &events, &self.leaf_hashes)
            .bind(count)
            .bind(count);
        query.fetch_one(connection).await?.try_get(0)
    }

    fn column<T>(&self, of: impl Fn(&Settlement<'c>) -> T) -> Vec<T> {
        self.settlements.iter().map(of).collect()
    }
}
