//! An audit event as it is stored, and the leaf that stands for it in the public tree.
//!
//! The leaf holds what an outsider needs and no personal data: the rest is behind a salted hash, so
//! that a body can be erased or expire while its proof stays valid. RFC 8785 makes the bytes
//! canonical, RFC 6962 makes the hash.

use std::net::IpAddr;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value, json};
use sha2::{Digest, Sha256};
use tranche_domain::{AuditEvent, Fact};
use uuid::Uuid;

/// Who acted, as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedActor {
    /// The credential's subject.
    pub id: String,
    /// The role that allowed the act, where there was one.
    pub role: Option<String>,
}

/// An audit event in the columns of the store. Field order is the schema's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRecord {
    /// Version 7: time order, uniqueness and partition in one.
    pub id: Uuid,
    /// `info`, `warning` or `critical`.
    pub severity: String,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// What was done.
    pub action: String,
    /// By whom.
    pub actor: RecordedActor,
    /// In which project.
    pub project_id: Option<Uuid>,
    /// To which milestone.
    pub milestone_id: Option<Uuid>,
    /// What kind of thing it was done to.
    pub resource_type: String,
    /// Which one.
    pub resource_id: Option<String>,
    /// The milestone's status before.
    pub previous_status: Option<String>,
    /// The milestone's status after.
    pub new_status: Option<String>,
    /// `{field: {from, to}}`.
    pub changes: Value,
    /// What else there is to know.
    pub metadata: Value,
    /// What another service sent along.
    pub details: Value,
    /// The client's address.
    pub ip_address: Option<IpAddr>,
    /// The client's program.
    pub user_agent: Option<String>,
    /// The request.
    pub request_id: Option<String>,
    /// Hides the body behind its hash.
    #[serde(with = "hex::serde")]
    pub salt: [u8; 16],
}

/// An event read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedEvent {
    /// The event.
    pub event: EventRecord,
    /// When it came into the log; `None` while it waits in the outbox.
    pub recorded_at: Option<DateTime<Utc>>,
    /// Its place in the tree, once sealed.
    pub leaf_index: Option<i64>,
}

impl From<&AuditEvent> for EventRecord {
    fn from(event: &AuditEvent) -> Self {
        let changes: Map<String, Value> = event
            .changes
            .iter()
            .map(|(field, change)| {
                let diff = json!({ "from": value(&change.from), "to": value(&change.to) });
                ((*field).to_owned(), diff)
            })
            .collect();
        let metadata: Map<String, Value> = event
            .metadata
            .iter()
            .map(|(name, fact)| ((*name).to_owned(), value(fact)))
            .collect();
        Self {
            id: event.id.0,
            severity: event.action.severity().as_str().to_owned(),
            occurred_at: event.occurred_at,
            action: event.action.as_str().to_owned(),
            actor: RecordedActor {
                id: event.actor.id.clone(),
                role: Some(event.actor.role.as_str().to_owned()),
            },
            project_id: event.project_id.map(|id| id.0),
            milestone_id: event.milestone_id.map(|id| id.0),
            resource_type: event.resource.as_str().to_owned(),
            resource_id: Some(event.resource_id.clone()),
            previous_status: event
                .previous_status
                .map(|status| status.as_str().to_owned()),
            new_status: event.new_status.map(|status| status.as_str().to_owned()),
            changes: Value::Object(changes),
            metadata: Value::Object(metadata),
            details: Value::Null,
            ip_address: event.origin.ip_address,
            user_agent: event.origin.user_agent.clone(),
            request_id: event.origin.request_id.clone(),
            salt: event.salt,
        }
    }
}

fn value(fact: &Fact) -> Value {
    match fact {
        Fact::Absent => Value::Null,
        Fact::Text(text) => Value::String(text.clone()),
        Fact::Count(count) => Value::from(*count),
    }
}

/// The body cannot be written canonically.
#[derive(Debug, thiserror::Error)]
pub enum CanonicalError {
    /// An integer beyond 2⁵³ − 1: canonical JSON would round it, and another one would have the
    /// same hash. It belongs into a text (RFC 7493).
    #[error("the event cannot be written canonically: {0} is beyond 2^53 - 1")]
    Rounded(Number),
    /// It cannot be written at all.
    #[error("the event cannot be written canonically: {0}")]
    Json(#[from] serde_json::Error),
}

/// The largest integer that canonical JSON holds exactly, as does every one below it.
const LARGEST_EXACT: u64 = (1 << 53) - 1;

/// The first integer in the value that canonical JSON would round.
fn rounded(value: &Value) -> Option<&Number> {
    match value {
        Value::Number(number) => {
            let integer = number.as_i64().map(i64::unsigned_abs);
            let integer = integer.or_else(|| number.as_u64());
            integer
                .is_some_and(|integer| integer > LARGEST_EXACT)
                .then_some(number)
        }
        Value::Array(items) => items.iter().find_map(rounded),
        Value::Object(fields) => fields.values().find_map(rounded),
        Value::Null | Value::Bool(_) | Value::String(_) => None,
    }
}

impl EventRecord {
    /// The leaf: a small canonical JSON document, kept for ever.
    ///
    /// # Errors
    /// [`CanonicalError`] when the body holds what canonical JSON cannot.
    pub fn leaf(&self, recorded_at: DateTime<Utc>) -> Result<Vec<u8>, CanonicalError> {
        let leaf = json!({
            "id": self.id,
            "recorded_at": recorded_at.to_rfc3339_opts(SecondsFormat::Micros, true),
            "severity": self.severity,
            "action": self.action,
            "resource_type": self.resource_type,
            "resource_id": self.resource_id,
            "previous_status": self.previous_status,
            "new_status": self.new_status,
            "body_sha256": hex::encode(self.body_hash()?),
        });
        Ok(serde_json_canonicalizer::to_vec(&leaf)?)
    }

    /// The hash of the leaf as the public tree has it: SHA-256 of a zero byte and the leaf.
    ///
    /// # Errors
    /// As [`EventRecord::leaf`].
    pub fn leaf_hash(&self, recorded_at: DateTime<Utc>) -> Result<[u8; 32], CanonicalError> {
        Ok(Sha256::new()
            .chain_update([0])
            .chain_update(self.leaf(recorded_at)?)
            .finalize()
            .into())
    }

    /// SHA-256 of the salt and of every field, canonically.
    fn body_hash(&self) -> Result<[u8; 32], CanonicalError> {
        let mut body = serde_json::to_value(self)?;
        if let Some(number) = rounded(&body) {
            return Err(CanonicalError::Rounded(number.clone()));
        }
        if let Value::Object(fields) = &mut body {
            fields.remove("salt");
            let at = self
                .occurred_at
                .to_rfc3339_opts(SecondsFormat::Micros, true);
            fields.insert("occurred_at".to_owned(), Value::String(at));
        }
        let canonical = serde_json_canonicalizer::to_vec(&body)?;
        Ok(Sha256::new()
            .chain_update(self.salt)
            .chain_update(canonical)
            .finalize()
            .into())
    }
}
