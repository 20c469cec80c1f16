//! A webhook in answers, and an event in what is posted to one.

use serde::Serialize;
use serde_json::Value;
use tranche_application::audit::filter::EventFilter;
use tranche_application::audit::record::LoggedEvent;
use tranche_application::ports::webhooks::Webhook;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{EventView, time};

/// A webhook.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Webhook)]
pub struct WebhookView {
    id: Uuid,
    url: String,
    description: Option<String>,
    filter: FilterView,
    /// The only project whose events it is told of; null for all.
    project_id: Option<Uuid>,
    created_at: String,
    created_by: String,
    /// `enabled`, `failing` or `disabled`.
    status: &'static str,
    /// The leaf index from which on it was not told.
    position: i64,
    /// How many events were taken.
    delivered: i64,
    delivered_at: Option<String>,
    /// How often the event at its position was tried in vain.
    attempts: i32,
    failing_since: Option<String>,
    next_attempt_at: Option<String>,
    /// Why the last attempt failed.
    last_error: Option<String>,
    disabled_at: Option<String>,
    disabled_why: Option<String>,
    /// What signs, shown when it is made and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    secret: Option<String>,
}

/// Conditions that an event must all meet; an empty list, or null, is none.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookFilter)]
pub struct FilterView {
    severity: Vec<String>,
    action: Vec<String>,
    actor: Vec<String>,
    resource_type: Vec<String>,
    resource_id: Option<String>,
    project_id: Option<Uuid>,
    milestone_id: Option<Uuid>,
    q: Option<String>,
    #[schema(value_type = Option<Object>)]
    details: Option<Value>,
}

impl From<&EventFilter> for FilterView {
    fn from(filter: &EventFilter) -> Self {
        Self {
            severity: filter.severities.clone(),
            action: filter.actions.clone(),
            actor: filter.actors.clone(),
            resource_type: filter.resource_types.clone(),
            resource_id: filter.resource_id.clone(),
            project_id: filter.project_id,
            milestone_id: filter.milestone_id,
            q: filter.text.clone(),
            details: filter.details.clone(),
        }
    }
}

impl WebhookView {
    /// With the secret that was just made.
    #[must_use]
    pub fn with_secret(webhook: &Webhook, secret: &str) -> Self {
        Self {
            secret: Some(secret.to_owned()),
            ..Self::from(webhook)
        }
    }
}

impl From<&Webhook> for WebhookView {
    fn from(webhook: &Webhook) -> Self {
        let progress = &webhook.progress;
        Self {
            id: webhook.id,
            url: webhook.url.clone(),
            description: webhook.description.clone(),
            filter: FilterView::from(&webhook.filter),
            project_id: webhook.project_id.map(|project| project.0),
            created_at: time(webhook.created_at),
            created_by: webhook.created_by.clone(),
            status: match (progress.disabled_at, progress.failing_since) {
                (Some(_), _) => "disabled",
                (None, Some(_)) => "failing",
                (None, None) => "enabled",
            },
            position: progress.position,
            delivered: progress.delivered,
            delivered_at: progress.delivered_at.map(time),
            attempts: progress.attempts,
            failing_since: progress.failing_since.map(time),
            next_attempt_at: progress.due_at.map(time),
            last_error: progress.last_error.clone(),
            disabled_at: progress.disabled_at.map(time),
            disabled_why: progress.disabled_why.clone(),
            secret: None,
        }
    }
}

/// What is posted of an event.
#[derive(Serialize)]
struct Payload<'a> {
    r#type: &'a str,
    timestamp: String,
    data: EventView,
}

/// An event as it is posted to a webhook: its action, when it occurred, and the event as the list has
/// it.
#[must_use]
pub fn webhook_body(logged: &LoggedEvent) -> Option<String> {
    let payload = Payload {
        r#type: &logged.event.action,
        timestamp: time(logged.event.occurred_at),
        data: EventView::from(logged),
    };
    serde_json::to_string(&payload).ok()
}
