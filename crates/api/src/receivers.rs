//! The way to webhooks' receivers: no redirect is followed, no proxy asked, and no address reached
//! that is not public, unless the configuration says so or it is plainly this machine.

pub mod address;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, redirect};
use tokio::time::timeout;
use tranche_application::ports::webhook_sender::{Answer, Delivery, WebhookSender};
use tranche_application::services::with_causes;

use crate::metrics::Metrics;
use address::Reach;

/// The longest that an attempt may take, from connecting to the end of what is read of the answer.
/// The answer's status must be there by then.
const DEADLINE: Duration = Duration::from_secs(15);
/// How much of an answer's body is read, so that its connection can be used again.
const MOST_READ: usize = 16 * 1024;
/// How long it is read.
const LONGEST_READ: Duration = Duration::from_secs(1);

/// Posts to receivers.
pub struct HttpSender {
    client: Client,
    reach: Reach,
    metrics: Arc<Metrics>,
}

impl HttpSender {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn try_new(reach: Reach, metrics: Arc<Metrics>) -> anyhow::Result<Self> {
        let client = Client::builder()
            .user_agent(concat!("Tranche-Webhooks/", env!("CARGO_PKG_VERSION")))
            .timeout(DEADLINE)
            .connect_timeout(DEADLINE / 3)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(1)
            .dns_resolver(Arc::new(Guarded(reach)))
            .build()?;
        Ok(Self {
            client,
            reach,
            metrics,
        })
    }

    /// Posts it, and gives the answer as soon as its status is known; or says why there is none.
    async fn post(&self, delivery: Delivery<'_>) -> Result<Response, Answer> {
        // The rules may have changed since the webhook was made.
        let url = match address::receiver(delivery.url, self.reach) {
            Ok(url) => url,
            Err(flaw) => return Err(failed(format!("its address {flaw}"), None)),
        };
        let request = self
            .client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", delivery.id)
            .header("webhook-timestamp", delivery.timestamp)
            .header("webhook-signature", delivery.signatures)
            .body(delivery.body.to_owned());
        let sent = request.send().await;
        sent.map_err(|error| failed(with_causes(&error.without_url()), None))
    }
}

#[async_trait]
impl WebhookSender for HttpSender {
    async fn send(&self, delivery: Delivery<'_>) -> Answer {
        let answer = match timeout(DEADLINE, self.post(delivery)).await {
            Ok(Ok(response)) => {
                let answer = judged(&response);
                let _ = timeout(LONGEST_READ, drained(response)).await;
                answer
            }
            Ok(Err(answer)) => answer,
            Err(_) => failed("no answer in time", None),
        };
        self.metrics.webhook_tried(match answer {
            Answer::Taken => "taken",
            Answer::Gone => "gone",
            Answer::Failed { .. } => "failed",
        });
        answer
    }
}

fn failed(why: impl Into<String>, retry_after: Option<Duration>) -> Answer {
    Answer::Failed {
        why: why.into().chars().take(500).collect(),
        retry_after,
    }
}

/// The status decides, whatever becomes of the body.
fn judged(response: &Response) -> Answer {
    match response.status() {
        StatusCode::GONE => Answer::Gone,
        status if status.is_success() => Answer::Taken,
        status if status.is_redirection() => {
            let why = format!("HTTP {}: redirects are not followed", status.as_u16());
            failed(why, None)
        }
        status => failed(
            format!("HTTP {}", status.as_u16()),
            asked_pause(response.headers()),
        ),
    }
}

/// Reads the body, if it is short.
async fn drained(mut response: Response) {
    let mut left = MOST_READ;
    while let Ok(Some(chunk)) = response.chunk().await {
        match left.checked_sub(chunk.len()) {
            Some(rest) => left = rest,
            // Dropped, its connection is closed.
            None => break,
        }
    }
}

/// `Retry-After` in seconds.
fn asked_pause(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds))
}

/// Gives the addresses of a name that may be reached. They are what is connected to: nobody can put
/// another one in their place in between.
struct Guarded(Reach);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(async move {
            let host = name.as_str();
            let found = tokio::net::lookup_host((host, 0)).await?;
            let allowed: Vec<SocketAddr> = found
                .filter(|found| reach.allows(host, found.ip()))
                .collect();
            if allowed.is_empty() {
                return Err("it leads to no public address".into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests;
