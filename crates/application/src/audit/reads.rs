//! Reading the log is itself recorded: who read which part of it.

use tranche_domain::audit::Resource;
use tranche_domain::{Action, AuditEvent, Fact};

use super::failsafe::Failsafe;
use super::filter::EventFilter;
use super::record::EventRecord;
use super::search_terms::SearchTerms;
use crate::call::Caller;
use crate::ports::queries::Timeline;
use crate::services::Services;

/// Records who reads the log. The reading neither waits for that nor fails because of it.
#[derive(Clone)]
pub struct Reads {
    services: Services,
    failsafe: Failsafe,
    terms: SearchTerms,
}

impl Reads {
    /// Records through this failsafe, with filters in these terms.
    #[must_use]
    pub const fn new(services: Services, failsafe: Failsafe, terms: SearchTerms) -> Self {
        Self {
            services,
            failsafe,
            terms,
        }
    }

    /// Somebody has read a timeline. The event is about the log, so that it does not come up in the
    /// timeline that was read.
    pub fn timeline(&self, of: Timeline, caller: &Caller) {
        let (kind, id) = match of {
            Timeline::Project(id) => (Resource::Project, id.0),
            Timeline::Milestone(id) => (Resource::Milestone, id.0),
        };
        let occasion = self.services.occasion(caller);
        let event = AuditEvent::new(Action::AuditRead, Resource::AuditLog, id, &occasion)
            .with("timeline_of", Fact::text(kind.as_str()));
        self.failsafe.record(EventRecord::from(&event));
    }

    /// Somebody begins to follow the log, from this leaf index on.
    pub fn stream(&self, filter: &EventFilter, from: i64, caller: &Caller) {
        let occasion = self.services.occasion(caller);
        let filter = self.terms.written(filter);
        let event = AuditEvent::new(Action::AuditRead, Resource::AuditLog, "stream", &occasion)
            .with("from_leaf_index", Fact::Count(from))
            .with("filter", Fact::text(filter));
        self.failsafe.record(EventRecord::from(&event));
    }

    /// Somebody has read `rows` events by this filter, or what is counted of them.
    pub fn search(&self, what: &str, filter: &EventFilter, rows: usize, caller: &Caller) {
        let occasion = self.services.occasion(caller);
        let filter = self.terms.written(filter);
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        let event = AuditEvent::new(Action::AuditRead, Resource::AuditLog, what, &occasion)
            .with("filter", Fact::text(filter))
            .with("rows", Fact::Count(rows));
        self.failsafe.record(EventRecord::from(&event));
    }
}
