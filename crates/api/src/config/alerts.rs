//! Whom to tell when the audit pipeline stops being right, and from where on it is not.

use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tranche_application::audit::health::Limits;

use super::{ConfigError, http_url, number, place, value};

/// Where PagerDuty takes events.
const PAGERDUTY_URL: &str = "https://events.pagerduty.com/v2/enqueue";

/// Settings as they are given. Addresses with a secret in them and keys are masked wherever settings
/// are shown.
#[derive(Clone, Default, Args, Deserialize)]
pub struct AlertSettings {
    /// Where alerts are posted as JSON that Slack and its like understand
    #[arg(
        long,
        env = "TRANCHE_ALERT_WEBHOOK_URL",
        global = true,
        value_name = "URL",
        hide_env_values = true
    )]
    alert_webhook_url: Option<SecretString>,
    /// The routing key of a PagerDuty service (Events API v2)
    #[arg(
        long,
        env = "TRANCHE_PAGERDUTY_ROUTING_KEY",
        global = true,
        value_name = "KEY",
        hide_env_values = true
    )]
    pagerduty_routing_key: Option<SecretString>,
    /// Where PagerDuty takes events, in another region than the United States
    #[arg(long, env = "TRANCHE_PAGERDUTY_URL", global = true, value_name = "URL")]
    pagerduty_url: Option<String>,
    /// More events than these in the audit queue are an alert [default: 5000]
    #[arg(
        long,
        env = "TRANCHE_ALERT_QUEUE",
        global = true,
        value_name = "EVENTS"
    )]
    alert_queue: Option<String>,
    /// More lost audit events than these are an alert [default: 1000]
    #[arg(
        long,
        env = "TRANCHE_ALERT_DROPPED",
        global = true,
        value_name = "EVENTS"
    )]
    alert_dropped: Option<String>,
    /// More failed audit writes in a minute than these are an alert [default: 100]
    #[arg(
        long,
        env = "TRANCHE_ALERT_FAILURES_PER_MINUTE",
        global = true,
        value_name = "WRITES"
    )]
    alert_failures_per_minute: Option<String>,
}

/// A PagerDuty service.
#[derive(Clone)]
pub struct PagerDuty {
    /// Where it takes events.
    pub url: String,
    /// What routes them to the service.
    pub routing_key: SecretString,
}

/// Whom to tell, and from where on.
#[derive(Clone)]
pub struct Alerting {
    /// Where alerts are posted.
    pub webhook_url: Option<SecretString>,
    /// A PagerDuty service.
    pub pagerduty: Option<PagerDuty>,
    /// Where the pipeline stops being right.
    pub limits: Limits,
}

impl AlertSettings {
    pub(super) fn fill_from(&mut self, file: Self) {
        macro_rules! fill { ($($field:ident)*) => { $(
            if self.$field.is_none() { self.$field = file.$field; }
        )* } }
        fill!(alert_webhook_url pagerduty_routing_key pagerduty_url alert_queue alert_dropped
            alert_failures_per_minute);
    }

    pub(super) fn resolve(self) -> Result<Alerting, ConfigError> {
        if let Some(url) = &self.alert_webhook_url {
            http_url("TRANCHE_ALERT_WEBHOOK_URL", url.expose_secret())?;
        }
        let pagerduty = match (self.pagerduty_routing_key, self.pagerduty_url) {
            (None, None) => None,
            (None, Some(_)) => {
                let why = "is required by TRANCHE_PAGERDUTY_URL";
                return Err(value("TRANCHE_PAGERDUTY_ROUTING_KEY", why));
            }
            (Some(routing_key), url) => {
                let url = url.unwrap_or_else(|| PAGERDUTY_URL.to_owned());
                http_url("TRANCHE_PAGERDUTY_URL", &url)?;
                Some(PagerDuty { url, routing_key })
            }
        };
        let limit = |setting, text: Option<&String>, default| {
            number(setting, text.map(String::as_str), default, 1..=u64::MAX)
        };
        let usual = Limits::default();
        let limits = Limits {
            queue: limit(
                "TRANCHE_ALERT_QUEUE",
                self.alert_queue.as_ref(),
                usual.queue,
            )?,
            dropped: limit(
                "TRANCHE_ALERT_DROPPED",
                self.alert_dropped.as_ref(),
                usual.dropped,
            )?,
            failures_per_minute: limit(
                "TRANCHE_ALERT_FAILURES_PER_MINUTE",
                self.alert_failures_per_minute.as_ref(),
                usual.failures_per_minute,
            )?,
        };
        Ok(Alerting {
            webhook_url: self.alert_webhook_url,
            pagerduty,
            limits,
        })
    }
}

impl Alerting {
    /// Whether anybody is told beyond the log.
    pub const fn pages(&self) -> bool {
        self.webhook_url.is_some() || self.pagerduty.is_some()
    }

    /// Every setting in force, a line each, with secrets masked.
    pub(super) fn describe(&self, lines: &mut Vec<String>) {
        let masked = |given: bool| if given { "********" } else { "" };
        let webhook = masked(self.webhook_url.is_some());
        lines.push(format!("TRANCHE_ALERT_WEBHOOK_URL={webhook}"));
        let key = masked(self.pagerduty.is_some());
        lines.push(format!("TRANCHE_PAGERDUTY_ROUTING_KEY={key}"));
        if let Some(pagerduty) = &self.pagerduty {
            lines.push(format!("TRANCHE_PAGERDUTY_URL={}", place(&pagerduty.url)));
        }
        let limits = self.limits;
        lines.push(format!("TRANCHE_ALERT_QUEUE={}", limits.queue));
        lines.push(format!("TRANCHE_ALERT_DROPPED={}", limits.dropped));
        lines.push(format!(
            "TRANCHE_ALERT_FAILURES_PER_MINUTE={}",
            limits.failures_per_minute
        ));
    }
}
