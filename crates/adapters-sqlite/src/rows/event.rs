//! An audit event's row, in the log or in the outbox.
//!
//! The leaf is computed anew from these columns by whoever verifies, so they hold the event
//! exactly.

use serde_json::Value;
use sqlx::FromRow;
use tranche_application::audit::record::{EventRecord, LoggedEvent, RecordedActor};
use tranche_application::ports::store::StoreError;
use uuid::Uuid;

use super::{Row, micros};

#[derive(Clone, FromRow)]
pub(crate) struct EventRow {
    pub id: String,
    pub milestone_id: Option<String>,
    pub project_id: Option<String>,
    pub occurred_at: i64,
    /// `None` in the outbox.
    pub recorded_at: Option<i64>,
    /// `None` until it has its number.
    pub leaf_index: Option<i64>,
    pub severity: String,
    pub action: String,
    pub actor_id: String,
    pub actor_role: Option<String>,
    pub resource_type: String,
    pub resource_id: Option<String>,
    pub previous_status: Option<String>,
    pub new_status: Option<String>,
    pub changes: Option<String>,
    pub metadata: Option<String>,
    pub details: Option<String>,
    pub ip_address: Option<String>,
    pub user_agent: Option<String>,
    pub request_id: Option<String>,
    pub salt: Vec<u8>,
}

impl EventRow {
    /// The first column of the event in which two rows differ.
    pub(crate) fn differs_from(&self, other: &Self) -> Option<&'static str> {
        macro_rules! first_of {
            ($($column:ident),*) => {
                $(if self.$column != other.$column {
                    return Some(stringify!($column));
                })*
            };
        }
        first_of!(
            id,
            milestone_id,
            project_id,
            occurred_at,
            severity,
            action,
            actor_id,
            actor_role,
            resource_type,
            resource_id,
            previous_status,
            new_status,
            changes,
            metadata,
            details,
            ip_address,
            user_agent,
            request_id,
            salt
        );
        None
    }
}

impl From<&EventRecord> for EventRow {
    fn from(event: &EventRecord) -> Self {
        Self {
            id: event.id.to_string(),
            milestone_id: event.milestone_id.map(|id| id.to_string()),
            project_id: event.project_id.map(|id| id.to_string()),
            occurred_at: micros(event.occurred_at),
            recorded_at: None,
            leaf_index: None,
            severity: event.severity.clone(),
            action: event.action.clone(),
            actor_id: event.actor.id.clone(),
            actor_role: event.actor.role.clone(),
            resource_type: event.resource_type.clone(),
            resource_id: event.resource_id.clone(),
            previous_status: event.previous_status.clone(),
            new_status: event.new_status.clone(),
            changes: written(&event.changes),
            metadata: written(&event.metadata),
            details: written(&event.details),
            ip_address: event.ip_address.map(|address| address.to_string()),
            user_agent: event.user_agent.clone(),
            request_id: event.request_id.clone(),
            salt: event.salt.to_vec(),
        }
    }
}

impl TryFrom<EventRow> for LoggedEvent {
    type Error = StoreError;

    fn try_from(row: EventRow) -> Result<Self, StoreError> {
        let at = Row {
            table: "audit event",
            id: &row.id,
        };
        let uuid = |column, text: Option<&str>| -> Result<Option<Uuid>, StoreError> {
            text.map(|text| at.uuid(column, text)).transpose()
        };
        let json = |column, text: Option<&str>| -> Result<Value, StoreError> {
            at.parsed(column, text.map_or(Ok(Value::Null), serde_json::from_str))
        };
        let ip_address = row.ip_address.as_ref().map(|text| text.parse()).transpose();
        let recorded_at = row
            .recorded_at
            .map(|micros| at.time("recorded_at", micros))
            .transpose()?;
        let event = EventRecord {
            id: at.uuid("id", &row.id)?,
            severity: row.severity,
            occurred_at: at.time("occurred_at", row.occurred_at)?,
            action: row.action,
            actor: RecordedActor {
                id: row.actor_id,
                role: row.actor_role,
            },
            project_id: uuid("project_id", row.project_id.as_deref())?,
            milestone_id: uuid("milestone_id", row.milestone_id.as_deref())?,
            resource_type: row.resource_type,
            resource_id: row.resource_id,
            previous_status: row.previous_status,
            new_status: row.new_status,
            changes: json("changes", row.changes.as_deref())?,
            metadata: json("metadata", row.metadata.as_deref())?,
            details: json("details", row.details.as_deref())?,
            ip_address: at.parsed("ip_address", ip_address)?,
            user_agent: row.user_agent,
            request_id: row.request_id,
            salt: at.bytes("salt", &row.salt)?,
        };
        Ok(Self {
            event,
            recorded_at,
            leaf_index: row.leaf_index,
        })
    }
}

/// JSON as text; nothing where there is nothing.
fn written(value: &Value) -> Option<String> {
    (!value.is_null()).then(|| value.to_string())
}
