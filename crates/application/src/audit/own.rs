//! Events that nobody asked for: Tranche's own, about its log.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;
use tranche_domain::audit::{Resource, Severity};
use tranche_domain::{Action, Actor, AuditEvent, Fact, Occasion, Origin, Role};

use super::record::{EventRecord, RecordedActor};
use crate::call::Caller;
use crate::services::Services;

/// Who acts when nobody asked. No role allows it, so none is recorded.
const SYSTEM: &str = "system";
/// What the log is asked to take and give back, to see whether it takes anything.
const PROBE: &str = "audit.probe";

/// An event that is only there to be tried.
pub(super) fn probe(services: &Services, severity: Severity) -> EventRecord {
    EventRecord {
        id: services.entropy.id(),
        severity: severity.as_str().to_owned(),
        occurred_at: services.clock.now(),
        action: PROBE.to_owned(),
        actor: system(),
        project_id: None,
        milestone_id: None,
        resource_type: Resource::AuditLog.as_str().to_owned(),
        resource_id: None,
        previous_status: None,
        new_status: None,
        changes: Value::Null,
        metadata: Value::Null,
        details: Value::Null,
        ip_address: None,
        user_agent: None,
        request_id: None,
        salt: services.entropy.salt(),
    }
}

/// Events that found no place: how many, when, and in which process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loss<'a> {
    /// How many events.
    pub count: u64,
    /// Until then nothing was lost.
    pub from: DateTime<Utc>,
    /// Since then nothing more was.
    pub to: DateTime<Utc>,
    /// The process that lost them.
    pub process: &'a str,
}

/// The event that tells of a loss.
pub(super) fn lost(services: &Services, loss: Loss<'_>) -> EventRecord {
    let occasion = occasion(services);
    let at =
        |moment: DateTime<Utc>| Fact::text(moment.to_rfc3339_opts(SecondsFormat::Micros, true));
    let count = i64::try_from(loss.count).unwrap_or(i64::MAX);
    let event = AuditEvent::new(
        Action::AuditEventsLost,
        Resource::AuditLog,
        loss.process,
        &occasion,
    )
    .with("count", Fact::Count(count))
    .with("from", at(loss.from))
    .with("to", at(loss.to))
    .with("process", Fact::text(loss.process));
    by_the_system(&event)
}

/// An occasion that nobody called for.
pub(crate) fn occasion(services: &Services) -> Occasion {
    services.occasion(&caller())
}

/// The event of such an occasion, as it is stored.
pub(crate) fn by_the_system(event: &AuditEvent) -> EventRecord {
    EventRecord {
        actor: system(),
        ..EventRecord::from(event)
    }
}

/// The service itself, where a caller is asked for.
pub(crate) fn caller() -> Caller {
    Caller {
        actor: Actor {
            id: SYSTEM.to_owned(),
            role: Role::Service,
        },
        origin: Origin::default(),
        scope: None,
    }
}

fn system() -> RecordedActor {
    RecordedActor {
        id: SYSTEM.to_owned(),
        role: None,
    }
}
