//! One HTTP request with a deadline and a bound on the answer. Errors never show the URL, which may
//! hold a provider's key.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Client, RequestBuilder, Url, redirect};
use serde::Serialize;
use thiserror::Error;

use crate::config::ConfigError;

/// More than the largest honest answer: a page of transactions with their metadata.
const LARGEST_ANSWER: usize = 32 * 1024 * 1024;

/// Why there was no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TransportError {
    /// The deadline passed. What was sent may have arrived.
    #[error("no answer in time")]
    TimedOut,
    /// Nobody listens, or TLS failed.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The connection broke. What was sent may have arrived.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// More than this side is willing to hold.
    #[error("the answer is larger than {LARGEST_ANSWER} bytes")]
    TooLarge,
}

/// An answer, whatever its status.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// A place that takes JSON by POST, or gives it by GET.
#[derive(Clone)]
pub struct Endpoint {
    client: Client,
    url: Url,
    headers: HeaderMap,
}

impl Endpoint {
    /// Connects to nothing yet. `timeout` covers everything from connecting to the last byte;
    /// connecting alone may take half of it.
    ///
    /// # Errors
    /// [`ConfigError`] for a URL or timeout that cannot work, or TLS that cannot be set up.
    pub fn try_new(url: &str, timeout: Duration) -> Result<Self, ConfigError> {
        let url = Url::parse(url).map_err(|_| ConfigError::RpcUrl)?;
        let host = url.host_str().ok_or(ConfigError::RpcUrl)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(ConfigError::RpcUrl);
        }
        if timeout.is_zero() {
            return Err(ConfigError::Timeout);
        }
        let mut builder = Client::builder()
            .timeout(timeout)
            .connect_timeout(timeout / 2)
            .redirect(redirect::Policy::none());
        if url.scheme() == "http" {
            // Without this the client reads the system's certificates and fails where there are none.
            builder = builder.tls_certs_only([]);
        }
        if matches!(host, "localhost" | "127.0.0.1" | "[::1]") {
            builder = builder.no_proxy();
        }
        let client = builder
            .build()
            .map_err(|error| ConfigError::HttpClient(error.without_url().to_string()))?;
        Ok(Self {
            client,
            url,
            headers: HeaderMap::new(),
        })
    }

    /// The server's host, and its port where the URL names one: all of the URL that holds no key.
    pub fn host(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        match self.url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// Another path of the same server.
    pub fn at(mut self, path: &str) -> Self {
        let base = self.url.path().trim_end_matches('/').to_owned();
        self.url.set_path(&format!("{base}{path}"));
        self
    }

    /// With another header.
    pub fn with(mut self, name: &'static str, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Reads the whole answer to a GET.
    ///
    /// # Errors
    /// [`TransportError`].
    pub async fn get(&self) -> Result<Answer, TransportError> {
        self.answer(self.client.get(self.url.clone())).await
    }

    /// Posts `body` as JSON and reads the whole answer.
    ///
    /// # Errors
    /// [`TransportError`]; except for [`TransportError::Connect`] the server may have acted.
    pub async fn post<B: Serialize + Sync + ?Sized>(
        &self,
        body: &B,
    ) -> Result<Answer, TransportError> {
        self.answer(self.client.post(self.url.clone()).json(body))
            .await
    }

    async fn answer(&self, request: RequestBuilder) -> Result<Answer, TransportError> {
        let request = request.headers(self.headers.clone());
        let mut response = request.send().await.map_err(classify)?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(classify)? {
            if body.len() + chunk.len() > LARGEST_ANSWER {
                return Err(TransportError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, body })
    }
}

fn classify(error: reqwest::Error) -> TransportError {
    let error = error.without_url();
    if error.is_connect() {
        TransportError::Connect(root_cause(&error))
    } else if error.is_timeout() {
        TransportError::TimedOut
    } else {
        TransportError::Broken(root_cause(&error))
    }
}

/// The innermost reason: what the wrappers around it say is known already.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn refuses_urls_that_cannot_work() {
        for url in ["", "ledger", "ftp://ledger", "http://", "/rpc"] {
            let error = Endpoint::try_new(url, SECOND).err();
            assert_eq!(error, Some(ConfigError::RpcUrl), "{url}");
        }
        let error = Endpoint::try_new("http://127.0.0.1:1", Duration::ZERO).err();
        assert_eq!(error, Some(ConfigError::Timeout));
    }

    #[test]
    fn appends_paths() {
        for base in ["http://127.0.0.1:1/rpc", "http://127.0.0.1:1/rpc/"] {
            let endpoint = Endpoint::try_new(base, SECOND).unwrap().at("/sandbox/fund");
            assert_eq!(endpoint.url.as_str(), "http://127.0.0.1:1/rpc/sandbox/fund");
        }
    }

    #[test]
    fn the_host_is_named_without_a_key() {
        for (url, host) in [
            (
                "https://user:secret@rpc.example/v1/key?token=k",
                "rpc.example",
            ),
            ("http://127.0.0.1:8000/key", "127.0.0.1:8000"),
        ] {
            assert_eq!(Endpoint::try_new(url, SECOND).unwrap().host(), host);
        }
    }

    #[tokio::test]
    async fn an_endless_answer_is_cut_off() {
        let server = wiremock::MockServer::start().await;
        let answer = wiremock::ResponseTemplate::new(200);
        let answer = answer.set_body_bytes(vec![b' '; LARGEST_ANSWER + 1]);
        let mock = wiremock::Mock::given(wiremock::matchers::any()).respond_with(answer);
        mock.mount(&server).await;
        let endpoint = Endpoint::try_new(&server.uri(), 30 * SECOND).unwrap();
        let error = endpoint.post("").await.err();
        assert_eq!(error, Some(TransportError::TooLarge));
    }

    #[tokio::test]
    async fn errors_do_not_show_the_url() {
        let endpoint = Endpoint::try_new("http://127.0.0.1:1/key-0123456789", SECOND).unwrap();
        let error = endpoint.post("").await.err().unwrap();
        assert!(matches!(error, TransportError::Connect(_)), "{error:?}");
        assert!(!error.to_string().contains("key-0123456789"));
    }
}
