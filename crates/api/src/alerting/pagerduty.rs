//! Alerts as PagerDuty takes them: Events API v2. The condition is the de-duplication key, so that
//! several processes open one incident, and any of them resolves it.

use async_trait::async_trait;
use reqwest::Client;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tranche_application::ports::alerts::{Alert, AlertError, AlertSink, Urgency};

use super::{client, post};
use crate::config::PagerDuty;
use crate::views::time;

/// A PagerDuty service.
pub struct PagerDutySink {
    client: Client,
    url: String,
    routing_key: SecretString,
    source: String,
}

impl PagerDutySink {
    /// Connects to nothing yet. `source` names the machine.
    pub fn try_new(to: &PagerDuty, source: String) -> anyhow::Result<Self> {
        Ok(Self {
            client: client(&to.url)?,
            url: to.url.clone(),
            routing_key: to.routing_key.clone(),
            source,
        })
    }

    fn event(&self, alert: &Alert) -> Value {
        let severity = match alert.urgency {
            Urgency::Critical => "critical",
            Urgency::Warning => "warning",
        };
        let (action, at) = match alert.resolved_at {
            Some(at) => ("resolve", at),
            None => ("trigger", alert.since),
        };
        json!({
            "routing_key": self.routing_key.expose_secret(),
            "event_action": action,
            "dedup_key": format!("tranche/{}", alert.key),
            "client": "Tranche",
            "payload": {
                "summary": alert.summary,
                "severity": severity,
                "source": self.source,
                "timestamp": time(at),
                "component": "audit pipeline",
                "class": alert.key,
                "custom_details": {
                    "condition": alert.key,
                    "since": time(alert.since),
                    "resolved_at": alert.resolved_at.map(time),
                },
            },
        })
    }
}

#[async_trait]
impl AlertSink for PagerDutySink {
    fn name(&self) -> &'static str {
        "pagerduty"
    }

    async fn deliver(&self, alert: &Alert) -> Result<(), AlertError> {
        post(self.client.post(&self.url), &self.event(alert)).await
    }
}
