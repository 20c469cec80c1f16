//! Vault's HTTP API: what is asked, and what its answers mean. The token is in no error.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::HeaderValue;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::config::ConfigError;
use crate::http::{Answer, Endpoint, TransportError};

/// What a refusal may contribute to an error.
const LONGEST_REASON: usize = 200;

/// How to reach Vault's transit engine. The address may hold a password.
pub struct VaultConfig {
    /// Where Vault answers, `http` or `https`.
    pub address: String,
    /// Where the transit engine is mounted.
    pub mount: String,
    /// What lets us in.
    pub token: VaultToken,
    /// How long one request may take, from connecting to the last byte.
    pub timeout: Duration,
}

/// A token of Vault. Wiped when dropped; never printed.
pub enum VaultToken {
    /// This one.
    Given(Zeroizing<String>),
    /// Whatever a file holds at the time: Vault's agent renews it there.
    File(PathBuf),
}

impl fmt::Debug for VaultToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(_) => f.write_str("VaultToken(…)"),
            Self::File(path) => write!(f, "VaultToken({})", path.display()),
        }
    }
}

impl VaultToken {
    fn read(&self) -> Result<Zeroizing<String>, Fault> {
        match self {
            Self::Given(token) => Ok(token.clone()),
            Self::File(path) => std::fs::read_to_string(path).map_or_else(
                |why| {
                    let path = path.display();
                    Err(Fault::Refused(format!("Vault's token file {path}: {why}")))
                },
                |token| Ok(Zeroizing::new(token)),
            ),
        }
    }
}

/// Why Vault did not do it.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    /// It does not answer, is sealed, or is busy: try again.
    Unavailable(String),
    /// It will go on refusing.
    Refused(String),
    /// It has nothing of that name.
    NotFound,
}

/// Asks one transit engine.
pub struct Client {
    server: Endpoint,
    mount: String,
    token: VaultToken,
}

impl Client {
    pub fn try_new(config: VaultConfig) -> Result<Self, ConfigError> {
        Ok(Self {
            server: Endpoint::try_new(&config.address, config.timeout)?,
            mount: config.mount,
            token: config.token,
        })
    }

    /// The `data` of what is read at a path of the engine.
    pub async fn get(&self, path: &str) -> Result<Value, Fault> {
        let token = self.token.read()?;
        let answer = self.place(path, &token)?.get().await;
        judge(answer, &token)
    }

    /// The `data` of the answer to a body that is written to a path of the engine.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, Fault> {
        let token = self.token.read()?;
        let answer = self.place(path, &token)?.post(body).await;
        judge(answer, &token)
    }

    fn place(&self, path: &str, token: &str) -> Result<Endpoint, Fault> {
        let mut token = HeaderValue::from_str(token.trim())
            .map_err(|_| Fault::Refused("Vault's token is not one".to_owned()))?;
        token.set_sensitive(true);
        let path = format!("/v1/{}/{path}", self.mount);
        Ok(self.server.clone().at(&path).with("x-vault-token", token))
    }
}

/// What an answer means. `{"errors": []}` with 404 says that there is no such key; with a reason in
/// it, that the engine is not mounted there.
fn judge(answer: Result<Answer, TransportError>, token: &str) -> Result<Value, Fault> {
    let Answer { status, body } =
        answer.map_err(|error| Fault::Unavailable(format!("Vault: {error}")))?;
    let mut body: Value = serde_json::from_slice(&body).unwrap_or_default();
    if status == 200 && body["data"].is_object() {
        return Ok(body["data"].take());
    }
    let reasons = body["errors"].as_array().map_or(&[][..], Vec::as_slice);
    if status == 404 && body["errors"].is_array() && reasons.is_empty() {
        return Err(Fault::NotFound);
    }
    let said: Vec<&str> = reasons.iter().filter_map(Value::as_str).collect();
    let said = said.join("; ").replace(token.trim(), "…");
    let said: String = said.chars().take(LONGEST_REASON).collect();
    let told = format!("Vault answers HTTP {status}: {said}");
    Err(match status {
        412 | 429 | 472 | 473 | 500.. => Fault::Unavailable(told),
        300..400 => Fault::Refused(format!(
            "Vault answers HTTP {status}: it redirects, and its token is sent nowhere else"
        )),
        _ => Fault::Refused(told),
    })
}
