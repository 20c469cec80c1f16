//! A small client of our own API.

use std::time::Duration;

use anyhow::Context;
use reqwest::{Method, Response};
use serde::Serialize;
use serde_json::Value;
use tranche_application::ports::entropy::Entropy;

use crate::system::SystemEntropy;

/// Longer than any answer may take.
const DEADLINE: Duration = Duration::from_mins(3);

/// A caller with one key.
pub struct Client {
    base: String,
    key: String,
    http: reqwest::Client,
}

impl Client {
    /// A caller of the service at `base`.
    pub fn new(base: &str, key: &str) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .user_agent("tranche")
            .timeout(DEADLINE)
            .no_proxy()
            .build()?;
        Ok(Self {
            base: base.to_owned(),
            key: key.to_owned(),
            http,
        })
    }

    /// Reads.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let request = self
            .http
            .get(format!("{}{path}", self.base))
            .bearer_auth(&self.key);
        answer(path, request.send().await?).await
    }

    /// Orders, under a fresh idempotency key.
    pub async fn post(&self, path: &str, body: &impl Serialize) -> anyhow::Result<Value> {
        self.send(Method::POST, path, body).await
    }

    /// Puts.
    pub async fn put(&self, path: &str, body: &impl Serialize) -> anyhow::Result<Value> {
        self.send(Method::PUT, path, body).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<Value> {
        let request = self
            .http
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(&self.key)
            .header("idempotency-key", SystemEntropy.id().to_string())
            .json(body);
        answer(path, request.send().await?).await
    }
}

async fn answer(path: &str, response: Response) -> anyhow::Result<Value> {
    let status = response.status();
    let body = response.text().await?;
    anyhow::ensure!(status.is_success(), "{path} answered {status}: {body}");
    serde_json::from_str(&body).with_context(|| format!("{path} answered no JSON"))
}
