//! An audit event in answers.

use serde::Serialize;
use serde_json::Value;
use tranche_application::audit::record::LoggedEvent;
use tranche_application::audit::searching::Named;
use tranche_application::audit::sensitive::mask;
use tranche_application::ports::actors::Person;
use utoipa::ToSchema;
use uuid::Uuid;

use super::time;

/// An audit event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEvent)]
pub struct EventView {
    id: Uuid,
    occurred_at: String,
    /// When it came into the log; null for the moment it waits in the outbox.
    recorded_at: Option<String>,
    action: String,
    actor: ActorView,
    project_id: Option<Uuid>,
    milestone_id: Option<Uuid>,
    resource_type: String,
    resource_id: Option<String>,
    previous_status: Option<String>,
    new_status: Option<String>,
    /// `{field: {from, to}}`.
    #[schema(value_type = Object)]
    changes: Value,
    #[schema(value_type = Object)]
    metadata: Value,
    #[schema(value_type = Object)]
    details: Value,
    /// `info`, `warning` or `critical`.
    severity: String,
    ip_address: Option<String>,
    user_agent: Option<String>,
    request_id: Option<String>,
    /// Its place in the public tree, once sealed.
    leaf_index: Option<i64>,
}

/// Who acted.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Actor)]
pub struct ActorView {
    id: String,
    /// As the credential told last; null where it told none.
    name: Option<String>,
    email: Option<String>,
    role: Option<String>,
}

impl From<&LoggedEvent> for EventView {
    fn from(logged: &LoggedEvent) -> Self {
        Self::new(logged, Person::default())
    }
}

impl From<&Named> for EventView {
    fn from(named: &Named) -> Self {
        Self::new(&named.logged, named.person.clone().unwrap_or_default())
    }
}

impl EventView {
    /// An event and who did it.
    fn new(logged: &LoggedEvent, person: Person) -> Self {
        let mut event = logged.event.clone();
        // Nobody is shown what stands for a sealed value.
        mask(&mut event);
        Self {
            id: event.id,
            occurred_at: time(event.occurred_at),
            recorded_at: logged.recorded_at.map(time),
            action: event.action,
            actor: ActorView {
                id: event.actor.id,
                name: person.name,
                email: person.email,
                role: event.actor.role,
            },
            project_id: event.project_id,
            milestone_id: event.milestone_id,
            resource_type: event.resource_type,
            resource_id: event.resource_id,
            previous_status: event.previous_status,
            new_status: event.new_status,
            changes: event.changes,
            metadata: event.metadata,
            details: event.details,
            severity: event.severity,
            ip_address: event.ip_address.map(|address| address.to_string()),
            user_agent: event.user_agent,
            request_id: event.request_id,
            leaf_index: logged.leaf_index,
        }
    }
}
