//! Every row against its leaf: both are read by id and met like the teeth of a zip, so that nothing
//! is looked up and memory does not grow.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use serde::Deserialize;
use tranche_domain::{Action, Severity};
use uuid::Uuid;

use super::Course;
use super::cursor::Cursor;
use super::finding::{Finding, Kind};
use super::let_go::{LetGo, Missing};
use super::recount::Recount;
use crate::audit::record::EventRecord;
use crate::audit::tree::merkle::leaf_hash;
use crate::ports::store::StoreError;
use crate::ports::tree::Hash;
use crate::ports::verification::{Place, Recorded, Repeated, Snapshot, StoredEvent, StoredLeaf};

/// What a leaf's record says of the event that is gone.
#[derive(Deserialize)]
struct Gone {
    id: Uuid,
    severity: String,
    action: String,
    resource_id: Option<String>,
}

/// What a range came to.
#[derive(Debug)]
pub(super) struct Rows {
    pub recount: Recount,
    /// What may be missing.
    let_go: Arc<LetGo>,
    /// Rows read.
    pub events: u64,
    /// Leaves whose rows expired.
    pub expired: u64,
}

/// Verifies the rows of a range of ids.
pub(super) async fn verify(
    snapshot: Arc<dyn Snapshot>,
    ids: RangeInclusive<Uuid>,
    let_go: Arc<LetGo>,
    course: Course,
) -> Result<Rows, StoreError> {
    let (reader, range) = (snapshot.clone(), ids.clone());
    let mut events = Cursor::over(|into| async move { reader.events(range, into).await });
    let mut leaves = Cursor::over(|into| async move { snapshot.leaves_by_event(ids, into).await });
    let mut rows = Rows::of(let_go);
    let (mut of_row, mut of_leaf) = (Vec::new(), Vec::new());
    loop {
        let row = events.peek().await?.map(|row| row.id);
        let leaf = leaves.peek().await?.map(|leaf| leaf.event_id);
        let Some(id) = row.into_iter().chain(leaf).min() else {
            return Ok(rows);
        };
        while events.peek().await?.is_some_and(|row| row.id == id) {
            of_row.extend(events.next().await?);
        }
        while leaves.peek().await?.is_some_and(|leaf| leaf.event_id == id) {
            of_leaf.extend(leaves.next().await?);
        }
        for finding in rows.judge(id, &of_row, &of_leaf) {
            course.found(finding).await;
        }
        rows.events += of_row.len() as u64;
        course
            .progress
            .events
            .fetch_add(of_row.len() as u64, Relaxed);
        of_row.clear();
        of_leaf.clear();
    }
}

impl Rows {
    /// None so far.
    pub(super) fn of(let_go: Arc<LetGo>) -> Self {
        Self {
            recount: Recount::default(),
            let_go,
            events: 0,
            expired: 0,
        }
    }

    /// What is wrong with the rows and leaves of one id.
    fn judge(&mut self, id: Uuid, rows: &[StoredEvent], leaves: &[StoredLeaf]) -> Vec<Finding> {
        let mut findings = Vec::new();
        if rows.len() > 1 {
            let what = format!("there are {} rows of this id", rows.len());
            findings.push(Finding::new(Kind::RowDoubled, what));
        }
        if leaves.len() > 1 {
            let places: Vec<String> = leaves.iter().map(|leaf| named(&leaf.place)).collect();
            let what = format!("it has several leaves: {}", places.join(", "));
            findings.push(Finding::new(Kind::LeafDoubled, what));
        }
        match (rows, leaves.first()) {
            ([], Some(_)) => findings.extend(leaves.iter().filter_map(|leaf| self.rowless(leaf))),
            (_, None) => findings.push(Finding::new(
                Kind::RowWithoutLeaf,
                "it has no leaf and none waits: it did not come by the application",
            )),
            (_, Some(leaf)) => {
                for row in rows {
                    findings.extend(self.compare(row, leaf));
                }
            }
        }
        findings.into_iter().map(|finding| finding.of(id)).collect()
    }

    fn compare(&mut self, row: &StoredEvent, leaf: &StoredLeaf) -> Option<Finding> {
        let index = index(&leaf.place);
        let Recorded { event, recorded_at } = match &row.content {
            Ok(recorded) => recorded,
            Err(why) => return Some(Finding::new(Kind::RowUnreadable, why).at(index)),
        };
        if index.is_some() {
            self.recount.count(event);
        }
        let actual = match event.leaf_hash(*recorded_at) {
            Ok(hash) => hash,
            Err(why) => return Some(Finding::new(Kind::RowUnreadable, why.to_string()).at(index)),
        };
        let Some(kept) = leaf.hash else {
            let what = "what is kept as its leaf is no hash";
            return Some(Finding::new(Kind::LeafMalformed, what).at(index));
        };
        if actual != kept {
            let what = format!(
                "its columns give the leaf {}, and {} is kept",
                short(&actual),
                short(&kept)
            );
            return Some(Finding::new(Kind::RowAltered, what).at(index));
        }
        match &leaf.place {
            Place::Waiting(Some(repeated)) => pending(event, repeated),
            Place::Waiting(None) => None,
            Place::At(_) => {
                self.announced(&event.severity, &event.action, event.resource_id.as_deref());
                None
            }
        }
    }

    /// A leaf without its row: one that expired, whose record is kept, or one that was deleted.
    fn rowless(&mut self, leaf: &StoredLeaf) -> Option<Finding> {
        let index = index(&leaf.place);
        let gone = |what: &str| {
            let what = format!("its row is gone{what}; {}", named(&leaf.place));
            Some(Finding::new(Kind::LeafWithoutRow, what).at(index))
        };
        let Some(record) = &leaf.record else {
            return gone(" and did not expire");
        };
        if leaf.hash != Some(leaf_hash(record)) {
            let what = "its row is gone, and the record kept for it is not what its leaf is of";
            return Some(Finding::new(Kind::RecordAltered, what).at(index));
        }
        // The record is what was hashed, so that it says whose row may be gone.
        let of = serde_json::from_slice::<Gone>(record).ok();
        let missing = match (&of, &leaf.place) {
            (Some(of), Place::At(place)) if of.id == leaf.event_id => {
                let severity = Severity::named(&of.severity);
                severity.map(|severity| self.let_go.judge(severity, of.id, *place))
            }
            _ => None,
        };
        match missing {
            Some(Missing::Expired) => {}
            Some(Missing::Early(due)) => {
                let what = format!(
                    "its row is gone as if it had expired, and was to be kept until {}",
                    due.format("%Y-%m-%d")
                );
                return Some(Finding::new(Kind::ExpiredEarly, what).at(index));
            }
            Some(Missing::Lost) | None => {
                return gone(", and it is in no part that retention let go");
            }
        }
        if let Some(of) = of {
            self.announced(&of.severity, &of.action, of.resource_id.as_deref());
        }
        self.expired += 1;
        None
    }

    /// Takes down what an event in the tree said of a part that goes, if it is such an event.
    fn announced(&self, severity: &str, action: &str, named: Option<&str>) {
        let is_one = action == Action::RetentionExpiring.as_str()
            && severity == Action::RetentionExpiring.severity().as_str();
        if let (true, Some(named)) = (is_one, named)
            && let Ok(part) = named.parse()
        {
            self.let_go.announced(&part);
        }
    }
}

/// What a waiting row repeats of its event, and wrongly.
fn pending(event: &EventRecord, repeated: &Repeated) -> Option<Finding> {
    let Repeated {
        severity,
        occurred_at,
        action,
        resource_type,
    } = repeated;
    let wrong: Vec<&str> = [
        ("severity", *severity == event.severity),
        ("occurred_at", *occurred_at == event.occurred_at),
        ("action", *action == event.action),
        ("resource_type", *resource_type == event.resource_type),
    ]
    .into_iter()
    .filter_map(|(column, same)| (!same).then_some(column))
    .collect();
    let what = format!(
        "where it waits, other values are kept: {}",
        wrong.join(", ")
    );
    (!wrong.is_empty()).then(|| Finding::new(Kind::PendingAltered, what))
}

/// The index of a leaf in its place.
pub(super) fn index(place: &Place) -> Option<u64> {
    match place {
        Place::At(index) => u64::try_from(*index).ok(),
        Place::Waiting(_) => None,
    }
}

fn named(place: &Place) -> String {
    match place {
        Place::At(index) => format!("its leaf is {index}"),
        Place::Waiting(_) => "its leaf waits".to_owned(),
    }
}

/// The beginning of a hash, which is enough to tell two apart.
pub(super) fn short(hash: &Hash) -> String {
    hex::encode(&hash[..8])
}
