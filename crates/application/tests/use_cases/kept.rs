//! A store that keeps projects and disbursements, for what many drivers do at once: its units of
//! work are noted one by one, and every version is guarded.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use tranche_application::mocks::{MockDisbursementRepo, MockStore, MockUnitOfWork};
use tranche_application::ports::store::{
    Conflict, DisbursementRepo, LockedBooks, StoreError, UnitOfWork,
};
use tranche_domain::{
    Action, Change, Disbursement, DisbursementId, Milestone, Project, ProjectId, Write,
};

use super::scene::crowd;
use super::stage::{Stage, refused};

/// One unit of work, as it went.
#[derive(Clone, Default)]
pub struct Unit {
    pub locked: Vec<DisbursementId>,
    pub changes: Vec<Change>,
    pub committed: bool,
}

/// What is kept.
#[derive(Default)]
pub struct Kept {
    pub projects: HashMap<ProjectId, Project>,
    pub rows: HashMap<DisbursementId, (Milestone, Disbursement)>,
    pub units: Vec<Unit>,
    /// What is leased next, in this order.
    pub due: VecDeque<DisbursementId>,
    /// The disbursement of which nothing can be recorded.
    pub refused: Option<DisbursementId>,
}

pub type Shared = Arc<Mutex<Kept>>;

impl Kept {
    /// A crowd of disbursements of this project, in flight; their ids in order.
    pub fn add(&mut self, project: ProjectId, count: i32) -> Vec<DisbursementId> {
        let (project, rows) = crowd(project, count);
        self.projects.insert(project.id, project);
        let ids = rows.iter().map(|(_, disbursement)| disbursement.id);
        let ids: Vec<_> = ids.collect();
        for (milestone, disbursement) in rows {
            self.rows.insert(disbursement.id, (milestone, disbursement));
        }
        ids
    }

    /// The disbursement as it is kept.
    pub fn disbursement(&self, id: DisbursementId) -> Disbursement {
        self.rows[&id].1.clone()
    }

    /// The committed units of work that changed something: what each did, to which disbursement.
    pub fn done(&self) -> Vec<Vec<(Action, DisbursementId)>> {
        let of = |change: &Change| {
            let id = change.disbursement().unwrap().value().id;
            (change.event().action, id)
        };
        let units = self.units.iter();
        let units = units.filter(|unit| unit.committed && !unit.changes.is_empty());
        units
            .map(|unit| unit.changes.iter().map(of).collect())
            .collect()
    }

    fn record(&mut self, unit: usize, changes: &[Change]) -> Result<(), StoreError> {
        self.units[unit].changes.extend_from_slice(changes);
        let bad = |change: &Change| {
            let id = change.disbursement().unwrap().value().id;
            self.refused == Some(id)
        };
        if changes.iter().any(bad) {
            return Err(refused());
        }
        Ok(())
    }

    fn commit(&mut self, unit: usize) -> Result<(), StoreError> {
        let changes = self.units[unit].changes.clone();
        for change in &changes {
            let next = change.disbursement().unwrap().value();
            let (milestone, disbursement) = self.rows[&next.id].clone();
            let project = &self.projects[&next.project_id];
            let moved = change.milestone().map(Write::value);
            let left = change.project().map(Write::value);
            if next.version != disbursement.version + 1
                || moved.is_some_and(|moved| moved.version != milestone.version + 1)
                || left.is_some_and(|left| left.version != project.version + 1)
            {
                return Err(StoreError::Conflict(Conflict::Stale));
            }
            let milestone = moved.cloned().unwrap_or(milestone);
            if let Some(left) = left {
                self.projects.insert(left.id, left.clone());
            }
            self.rows.insert(next.id, (milestone, next.clone()));
        }
        self.units[unit].committed = true;
        Ok(())
    }
}

/// A stage over what is kept: the script has no say in units of work and reads.
pub fn stage(kept: &Shared) -> Stage {
    let mut stage = Stage::new();
    stage.store = store(kept);
    let kept = kept.clone();
    stage.queries.expect_disbursement().returning(move |id| {
        let kept = kept.lock().unwrap();
        Ok(kept
            .rows
            .get(&id)
            .map(|(_, disbursement)| disbursement.clone()))
    });
    stage
}

fn store(kept: &Shared) -> MockStore {
    let mut store = MockStore::new();
    let kept = kept.clone();
    store.expect_begin().returning(move || Ok(begin(&kept)));
    store
}

fn begin(kept: &Shared) -> Box<dyn UnitOfWork> {
    let unit = {
        let mut kept = kept.lock().unwrap();
        kept.units.push(Unit::default());
        kept.units.len() - 1
    };
    let mut work = MockUnitOfWork::new();
    work.expect_disbursements()
        .return_var(Box::new(repo(kept, unit)) as Box<dyn DisbursementRepo>);
    let on = kept.clone();
    work.expect_record().returning(move |change| {
        let changes = std::slice::from_ref(change);
        on.lock().unwrap().record(unit, changes)
    });
    let on = kept.clone();
    work.expect_record_settlements()
        .returning(move |changes| on.lock().unwrap().record(unit, changes));
    let on = kept.clone();
    work.expect_commit()
        .returning(move || on.lock().unwrap().commit(unit));
    Box::new(work)
}

fn repo(kept: &Shared, unit: usize) -> MockDisbursementRepo {
    let mut repo = MockDisbursementRepo::new();
    let on = kept.clone();
    repo.expect_lock_books().returning(move |project, ids| {
        let mut kept = on.lock().unwrap();
        kept.units[unit].locked = ids.to_vec();
        let rows = ids.iter().filter_map(|id| kept.rows.get(id).cloned());
        Ok(Some(LockedBooks {
            disbursements: rows.collect(),
            project: kept.projects[&project].clone(),
        }))
    });
    let on = kept.clone();
    repo.expect_lease_next()
        .returning(move |_, _| Ok(on.lock().unwrap().due.pop_front()));
    repo
}
