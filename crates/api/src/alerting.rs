//! Where alerts go: the log, a webhook, PagerDuty. Secrets in addresses and keys are shown nowhere.

mod log;
mod pagerduty;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, RequestBuilder, Url, redirect};
use serde_json::Value;
use tranche_application::ports::alerts::{AlertError, AlertSink};

use crate::config::Alerting;

pub use log::LogSink;
use pagerduty::PagerDutySink;
use webhook::WebhookSink;

/// The longest that one delivery may take, connecting included; below the courier's own deadline.
const DEADLINE: Duration = Duration::from_secs(8);

/// The sinks that reach people, as the configuration says.
///
/// # Errors
/// When no HTTP client can be made.
pub fn pagers(alerting: &Alerting) -> anyhow::Result<Vec<Arc<dyn AlertSink>>> {
    let mut pagers: Vec<Arc<dyn AlertSink>> = Vec::new();
    if let Some(url) = &alerting.webhook_url {
        pagers.push(Arc::new(WebhookSink::try_new(url)?));
    }
    if let Some(pagerduty) = &alerting.pagerduty {
        pagers.push(Arc::new(PagerDutySink::try_new(pagerduty, source())?));
    }
    Ok(pagers)
}

/// The machine's name, as it calls itself.
fn source() -> String {
    let named = std::env::var("HOSTNAME").ok();
    let named = named.or_else(|| std::fs::read_to_string("/proc/sys/kernel/hostname").ok());
    named.map_or_else(|| "tranche".to_owned(), |name| name.trim().to_owned())
}

/// A client for one address.
fn client(url: &str) -> anyhow::Result<Client> {
    let mut builder = Client::builder()
        .timeout(DEADLINE)
        .connect_timeout(DEADLINE / 2)
        .redirect(redirect::Policy::none());
    let host = Url::parse(url)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned));
    if host.is_some_and(|host| matches!(host.as_str(), "localhost" | "127.0.0.1" | "[::1]")) {
        builder = builder.no_proxy();
    }
    Ok(builder.build().map_err(reqwest::Error::without_url)?)
}

/// Posts JSON; taken is what is answered with success. The address is in no error.
async fn post(request: RequestBuilder, body: &Value) -> Result<(), AlertError> {
    let answer = request.json(body).send().await;
    let answer = answer.map_err(|error| AlertError(Box::new(error.without_url())))?;
    if answer.status().is_success() {
        Ok(())
    } else {
        Err(AlertError(
            format!("the answer is HTTP {}", answer.status().as_u16()).into(),
        ))
    }
}

#[cfg(test)]
mod tests;
