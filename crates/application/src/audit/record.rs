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
use tranche_domain::actor::SealedOrigin;
use tranche_domain::{AuditEvent, Fact};
use uuid::Uuid;

use super::canonical::Object;
use super::sensitive::{ORIGIN, of_origin};
use super::tree::merkle::leaf_hash;

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
        let mut metadata: Map<String, Value> = event
            .metadata
            .iter()
            .map(|(name, fact)| ((*name).to_owned(), value(fact)))
            .collect();
        if let Some(sealed) = &event.origin.sealed {
            metadata.insert(ORIGIN.to_owned(), of_origin(sealed));
        }
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

impl EventRecord {
    /// Notes where the request came from, sealed.
    pub(super) fn keep_origin(&mut self, sealed: Option<&SealedOrigin>) {
        let Some(sealed) = sealed else { return };
        if !self.metadata.is_object() {
            self.metadata = Value::Object(Map::new());
        }
        self.metadata[ORIGIN] = of_origin(sealed);
    }

    /// The leaf: a small canonical JSON document, kept for ever. Its fields are in order by name.
    ///
    /// # Errors
    /// [`CanonicalError`] when the body holds what canonical JSON cannot.
    pub fn leaf(&self, recorded_at: DateTime<Utc>) -> Result<Vec<u8>, CanonicalError> {
        let mut leaf = Vec::with_capacity(512);
        let mut fields = Object::begin(&mut leaf);
        fields.text("action", &self.action)?;
        fields.text("body_sha256", &hex::encode(self.body_hash()?))?;
        fields.text(
            "id",
            self.id
                .hyphenated()
                .encode_lower(&mut Uuid::encode_buffer()),
        )?;
        fields.maybe("new_status", self.new_status.as_deref())?;
        fields.maybe("previous_status", self.previous_status.as_deref())?;
        fields.text("recorded_at", &moment(recorded_at))?;
        fields.maybe("resource_id", self.resource_id.as_deref())?;
        fields.text("resource_type", &self.resource_type)?;
        fields.text("severity", &self.severity)?;
        fields.end();
        Ok(leaf)
    }

    /// The hash of the leaf as the public tree has it: SHA-256 of a zero byte and the leaf.
    ///
    /// # Errors
    /// As [`EventRecord::leaf`].
    pub fn leaf_hash(&self, recorded_at: DateTime<Utc>) -> Result<[u8; 32], CanonicalError> {
        Ok(leaf_hash(&self.leaf(recorded_at)?))
    }

    /// SHA-256 of the salt and of every field, canonically, in the order of their names.
    fn body_hash(&self) -> Result<[u8; 32], CanonicalError> {
        let mut body = Vec::with_capacity(1024);
        let mut fields = Object::begin(&mut body);
        fields.text("action", &self.action)?;
        let mut actor = Object::begin(fields.key("actor"));
        actor.text("id", &self.actor.id)?;
        actor.maybe("role", self.actor.role.as_deref())?;
        actor.end();
        fields.value("changes", &self.changes)?;
        fields.value("details", &self.details)?;
        fields.text(
            "id",
            self.id
                .hyphenated()
                .encode_lower(&mut Uuid::encode_buffer()),
        )?;
        let ip_address = self.ip_address.map(|address| address.to_string());
        fields.maybe("ip_address", ip_address.as_deref())?;
        fields.value("metadata", &self.metadata)?;
        let milestone_id = self.milestone_id.map(|id| id.to_string());
        fields.maybe("milestone_id", milestone_id.as_deref())?;
        fields.maybe("new_status", self.new_status.as_deref())?;
        fields.text("occurred_at", &moment(self.occurred_at))?;
        fields.maybe("previous_status", self.previous_status.as_deref())?;
        let project_id = self.project_id.map(|id| id.to_string());
        fields.maybe("project_id", project_id.as_deref())?;
        fields.maybe("request_id", self.request_id.as_deref())?;
        fields.maybe("resource_id", self.resource_id.as_deref())?;
        fields.text("resource_type", &self.resource_type)?;
        fields.text("severity", &self.severity)?;
        fields.maybe("user_agent", self.user_agent.as_deref())?;
        fields.end();
        Ok(Sha256::new()
            .chain_update(self.salt)
            .chain_update(body)
            .finalize()
            .into())
    }
}

fn moment(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}
