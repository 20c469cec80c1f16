//! Rows of `audit_events` and `audit_outbox`.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::FromRow;
use tranche_application::audit::record::{EventRecord, LoggedEvent, RecordedActor};
use tranche_application::ports::store::StoreError;
use uuid::Uuid;

use super::{Flaw, bad, flawed};

/// An event's columns; the log has a time of recording, the outbox none.
#[derive(Debug, FromRow)]
pub(crate) struct EventRow {
    id: Uuid,
    milestone_id: Option<Uuid>,
    project_id: Option<Uuid>,
    occurred_at: DateTime<Utc>,
    severity: String,
    action: String,
    actor_id: String,
    actor_role: Option<String>,
    resource_type: String,
    resource_id: Option<String>,
    previous_status: Option<String>,
    new_status: Option<String>,
    changes: Option<Value>,
    metadata: Option<Value>,
    details: Option<Value>,
    ip_address: Option<String>,
    user_agent: Option<String>,
    request_id: Option<String>,
    salt: Vec<u8>,
}

/// An event with its place in the log.
#[derive(Debug, FromRow)]
pub(crate) struct LoggedRow {
    #[sqlx(flatten)]
    event: EventRow,
    recorded_at: Option<DateTime<Utc>>,
    leaf_index: Option<i64>,
}

impl EventRow {
    fn record(self) -> Result<EventRecord, Flaw> {
        let salt = self
            .salt
            .try_into()
            .map_err(|_| "salt is not 16 bytes long".to_owned())?;
        let ip_address = self
            .ip_address
            .map(|text| text.parse())
            .transpose()
            .map_err(|why: std::net::AddrParseError| bad("ip_address")(&why))?;
        Ok(EventRecord {
            id: self.id,
            severity: self.severity,
            occurred_at: self.occurred_at,
            action: self.action,
            actor: RecordedActor {
                id: self.actor_id,
                role: self.actor_role,
            },
            project_id: self.project_id,
            milestone_id: self.milestone_id,
            resource_type: self.resource_type,
            resource_id: self.resource_id,
            previous_status: self.previous_status,
            new_status: self.new_status,
            changes: self.changes.unwrap_or(Value::Null),
            metadata: self.metadata.unwrap_or(Value::Null),
            details: self.details.unwrap_or(Value::Null),
            ip_address,
            user_agent: self.user_agent,
            request_id: self.request_id,
            salt,
        })
    }
}

impl TryFrom<EventRow> for EventRecord {
    type Error = StoreError;

    fn try_from(row: EventRow) -> Result<Self, StoreError> {
        let id = row.id;
        row.record().map_err(flawed("audit event", id))
    }
}

impl TryFrom<LoggedRow> for LoggedEvent {
    type Error = StoreError;

    fn try_from(row: LoggedRow) -> Result<Self, StoreError> {
        Ok(Self {
            event: row.event.try_into()?,
            recorded_at: row.recorded_at,
            leaf_index: row.leaf_index,
        })
    }
}
