//! Alerts as a message that Slack, and whatever takes Slack's messages, understands.

use async_trait::async_trait;
use reqwest::Client;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tranche_application::ports::alerts::{Alert, AlertError, AlertSink, Urgency};

use super::{client, post};
use crate::views::time;

/// An incoming webhook. Its address is a secret: who has it may post.
pub struct WebhookSink {
    client: Client,
    url: SecretString,
}

impl WebhookSink {
    /// Connects to nothing yet.
    pub fn try_new(url: &SecretString) -> anyhow::Result<Self> {
        Ok(Self {
            client: client(url.expose_secret())?,
            url: url.clone(),
        })
    }
}

/// `text` for every reader, `attachments` for a coloured bar with the figures.
fn message(alert: &Alert) -> Value {
    let (word, color) = match (alert.resolved_at, alert.urgency) {
        (Some(_), _) => ("RESOLVED", "good"),
        (None, Urgency::Critical) => ("CRITICAL", "danger"),
        (None, Urgency::Warning) => ("WARNING", "warning"),
    };
    let field = |title, value: String| json!({ "title": title, "value": value, "short": true });
    let mut fields = vec![
        field("condition", alert.key.to_owned()),
        field("since", time(alert.since)),
    ];
    fields.extend(alert.resolved_at.map(|at| field("over since", time(at))));
    let text = format!("[{word}] Tranche {}: {}", alert.key, alert.summary);
    json!({
        "text": text,
        "attachments": [{ "color": color, "fallback": text, "fields": fields }],
    })
}

#[async_trait]
impl AlertSink for WebhookSink {
    fn name(&self) -> &'static str {
        "webhook"
    }

    async fn deliver(&self, alert: &Alert) -> Result<(), AlertError> {
        let request = self.client.post(self.url.expose_secret());
        post(request, &message(alert)).await
    }
}
