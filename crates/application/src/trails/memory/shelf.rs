//! Trails and sums, with what finds them by age and by project.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use tranche_domain::text::ModelName;
use tranche_domain::trail::sums::{Counted, RollUpKey, Sums, TimeRange, TrailSummary, movements};
use tranche_domain::{MessageId, ProjectId, Trail};
use uuid::Uuid;

use super::MemoryLimits;
use crate::ports::trails::MOST_MODELS;

/// The lowest and the highest message.
const LOWEST: MessageId = MessageId(Uuid::nil());

/// What a memory holds. The three indexes agree, always.
#[derive(Default)]
pub(super) struct Shelf {
    trails: BTreeMap<MessageId, Arc<Trail>>,
    by_age: BTreeSet<(DateTime<Utc>, MessageId)>,
    by_project: BTreeSet<(ProjectId, DateTime<Utc>, MessageId)>,
    sums: BTreeMap<RollUpKey, Sums>,
    bytes: usize,
}

/// What a trail takes, in bytes of its texts.
pub fn size(trail: &Trail) -> usize {
    let record = trail.record();
    let documents = [&record.reasoning_traces, &record.context_layers];
    let documents = documents.into_iter().flatten();
    let model = record
        .model
        .as_ref()
        .map_or(0, |model| model.as_str().len());
    documents.map(|text| text.as_str().len()).sum::<usize>() + model
}

impl Shelf {
    pub fn get(&self, message: MessageId) -> Option<Arc<Trail>> {
        self.trails.get(&message).cloned()
    }

    /// Puts a trail in the place of the one that is there, and moves the sums.
    pub fn put(&mut self, trail: Trail) {
        let former = self.remove(trail.record().message_id);
        for (key, moved) in movements(former.as_deref(), &trail) {
            let sums = self.sums.entry(key.clone()).or_default();
            *sums = sums.plus(moved);
            if *sums == Sums::default() {
                self.sums.remove(&key);
            }
        }
        let record = trail.record();
        let (message, at) = (record.message_id, record.created_at);
        self.by_age.insert((at, message));
        self.by_project.insert((record.project_id, at, message));
        self.bytes += size(&trail);
        self.trails.insert(message, Arc::new(trail));
    }

    /// Takes a trail away and leaves the sums.
    fn remove(&mut self, message: MessageId) -> Option<Arc<Trail>> {
        let trail = self.trails.remove(&message)?;
        let record = trail.record();
        self.by_age.remove(&(record.created_at, message));
        self.by_project
            .remove(&(record.project_id, record.created_at, message));
        self.bytes -= size(&trail);
        Some(trail)
    }

    /// Whether a trail has room without another going.
    pub fn has_room_for(&self, trail: &Trail, limits: MemoryLimits) -> bool {
        let there = self.trails.get(&trail.record().message_id);
        let count = self.trails.len() + usize::from(there.is_none());
        let bytes = self.bytes - there.map_or(0, |there| size(there)) + size(trail);
        count <= limits.trails && bytes <= limits.bytes
    }

    /// Lets the oldest go, but not `newest`, until there is room; says how many went.
    pub fn make_room(&mut self, limits: MemoryLimits, newest: MessageId) -> u64 {
        let mut gone = 0;
        while self.trails.len() > limits.trails || self.bytes > limits.bytes {
            let mut oldest = self.by_age.iter().map(|(_, message)| *message);
            let Some(message) = oldest.find(|message| *message != newest) else {
                break;
            };
            self.remove(message);
            gone += 1;
        }
        if self.sums.len() > 2 * limits.trails {
            self.thin_sums(limits.trails / 2);
        }
        gone
    }

    /// Forgets the oldest sums of which no trail is left, until this many are left.
    fn thin_sums(&mut self, left: usize) {
        let mut orphans: Vec<_> = self.orphans(DateTime::<Utc>::MAX_UTC).collect();
        orphans.sort_unstable_by_key(|key| key.hour);
        orphans.truncate(orphans.len().saturating_sub(left));
        for key in orphans {
            self.sums.remove(&key);
        }
    }

    /// Sums of hours before a moment of which no trail is left.
    fn orphans(&self, before: DateTime<Utc>) -> impl Iterator<Item = RollUpKey> {
        let old = self.sums.keys().filter(move |key| key.hour < before);
        let orphans = old.filter(|key| {
            let hour = (key.project_id, key.hour, LOWEST)
                ..(key.project_id, key.hour + TimeDelta::hours(1), LOWEST);
            self.by_project.range(hour).next().is_none()
        });
        orphans.cloned()
    }

    /// Takes away up to `limit` trails created before a moment, the oldest first.
    pub fn expire(&mut self, before: DateTime<Utc>, limit: usize) -> u64 {
        let mut gone = 0;
        while let Some((at, message)) = self.by_age.first().copied() {
            if at >= before || gone == limit {
                break;
            }
            self.remove(message);
            gone += 1;
        }
        gone as u64
    }

    pub fn expire_sums(&mut self, before: DateTime<Utc>, limit: usize) -> u64 {
        let orphans: Vec<_> = self.orphans(before).take(limit).collect();
        for key in &orphans {
            self.sums.remove(key);
        }
        orphans.len() as u64
    }

    pub fn forget(&mut self, project: ProjectId) {
        let of_project = self
            .by_project
            .iter()
            .filter(|(of, _, _)| *of == project)
            .map(|(_, _, message)| *message);
        let messages: Vec<_> = of_project.collect();
        for message in messages {
            self.remove(message);
        }
        self.sums.retain(|key, _| key.project_id != project);
    }

    pub fn projects(&self) -> Vec<ProjectId> {
        let mut projects: Vec<_> = self.sums.keys().map(|key| key.project_id).collect();
        projects.dedup();
        projects
    }

    pub fn len(&self) -> usize {
        self.trails.len()
    }

    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn count(&self, from: DateTime<Utc>, before: Option<DateTime<Utc>>) -> usize {
        let end = before.map_or(Bound::Unbounded, |before| Bound::Excluded((before, LOWEST)));
        if before.is_some_and(|before| before <= from) {
            return 0;
        }
        let there = self.by_age.range((Bound::Included((from, LOWEST)), end));
        there.count()
    }

    pub fn page(
        &self,
        after: Option<MessageId>,
        from: DateTime<Utc>,
        limit: usize,
    ) -> Vec<Arc<Trail>> {
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let trails = self.trails.range((after, Bound::Unbounded));
        let there = trails.filter(|(_, trail)| trail.record().created_at >= from);
        there.take(limit).map(|(_, trail)| trail.clone()).collect()
    }

    /// The trails of a project in part of a range, by time.
    fn between(
        &self,
        project: ProjectId,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> impl DoubleEndedIterator<Item = &Trail> {
        let messages = self
            .by_project
            .range((project, from, LOWEST)..(project, to, LOWEST));
        messages.filter_map(|(_, _, message)| self.trails.get(message).map(Arc::as_ref))
    }

    pub fn counted(&self, project: ProjectId, range: TimeRange, recent: usize) -> Counted {
        let mut count = Count::default();
        let (from, to) = (range.from(), range.to());
        let ends = match range.whole_hours() {
            Some((first, end)) => {
                let key = |hour| RollUpKey {
                    project_id: project,
                    hour,
                    model: None,
                };
                for (key, sums) in self.sums.range(key(first)..key(end)) {
                    count.add(key, *sums);
                }
                [(from, first), (end, to)]
            }
            None => [(from, to), (to, to)],
        };
        for (from, to) in ends {
            for trail in self.between(project, from, to) {
                count.add(&RollUpKey::of(trail), Sums::of(trail));
            }
        }
        let newest = self.between(project, from, to).rev().take(recent);
        Counted {
            recent: newest.map(TrailSummary::from).collect(),
            ..count.done()
        }
    }
}

/// Sums by day and by model as they are added up.
#[derive(Default)]
struct Count {
    days: BTreeMap<NaiveDate, Sums>,
    models: BTreeMap<ModelName, Sums>,
}

impl Count {
    fn add(&mut self, key: &RollUpKey, sums: Sums) {
        let day = self.days.entry(key.hour.date_naive()).or_default();
        *day = day.plus(sums);
        if let Some(model) = &key.model {
            let of_model = self.models.entry(model.clone()).or_default();
            *of_model = of_model.plus(sums);
        }
    }

    fn done(self) -> Counted {
        let spent = self.models.into_iter();
        let mut models: Vec<_> = spent.filter(|(_, sums)| sums.messages > 0).collect();
        // Stable: of equals the first by name stays first.
        models.sort_by_key(|(_, sums)| std::cmp::Reverse(sums.total_cost()));
        models.truncate(MOST_MODELS as usize);
        Counted {
            days: self.days.into_iter().collect(),
            models,
            recent: Vec::new(),
        }
    }
}
