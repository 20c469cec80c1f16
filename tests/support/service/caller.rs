//! Calls over HTTP, and what was answered.

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;

use super::{Shared, with};

/// The way to a service: where it is now, and everything that came back.
#[derive(Clone, Debug, Default)]
pub struct Wire {
    base: Shared<String>,
    transcript: Shared<String>,
}

impl Wire {
    pub(super) fn moved_to(&self, url: &str) {
        with(&self.base, |base| url.clone_into(base));
    }

    pub(super) fn base(&self) -> String {
        with(&self.base, |base| base.clone())
    }

    pub(super) fn transcript(&self) -> String {
        with(&self.transcript, |transcript| transcript.clone())
    }

    pub(super) fn caller(&self, token: Option<&str>) -> Caller {
        let http = Client::builder()
            .no_proxy()
            .user_agent(Caller::USER_AGENT)
            .redirect(reqwest::redirect::Policy::none())
            .build();
        let caller = Caller {
            wire: self.clone(),
            http: http.expect("an HTTP client"),
            headers: Vec::new(),
        };
        match token {
            Some(token) => caller.with("authorization", &format!("Bearer {token}")),
            None => caller,
        }
    }
}

/// Somebody who calls the service.
#[derive(Clone, Debug)]
pub struct Caller {
    wire: Wire,
    http: Client,
    headers: Vec<(String, String)>,
}

impl Caller {
    /// What every caller calls itself.
    pub const USER_AGENT: &'static str = "tranche-black-box/1";

    /// The same caller, with a header on every call.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut caller = self.clone();
        caller.headers.push((name.to_owned(), value.to_owned()));
        caller
    }

    /// The same caller, with this idempotency key.
    #[must_use]
    pub fn keyed(&self, key: &str) -> Self {
        self.with("idempotency-key", key)
    }

    /// Reads.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    /// Posts JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.json(Method::POST, path, body).await
    }

    /// Patches with JSON.
    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.json(Method::PATCH, path, body).await
    }

    /// Deletes.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }

    /// Sends JSON in any way.
    pub async fn json(&self, method: Method, path: &str, body: &Value) -> Answer {
        let caller = self.with(CONTENT_TYPE.as_str(), "application/json");
        caller
            .send(method, path, Some(body.to_string().into_bytes()))
            .await
    }

    /// Sends anything in any way.
    pub async fn send(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Answer {
        self.try_send(method.clone(), path, body)
            .await
            .unwrap_or_else(|error| panic!("{method} {path}: {error:?}"))
    }

    /// A call with this caller's headers.
    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.wire.base());
        self.headers
            .iter()
            .fold(self.http.request(method, url), |request, (name, value)| {
                request.header(name.parse::<HeaderName>().expect("a header"), value)
            })
    }

    /// Sends, where no answer is an answer.
    pub async fn try_send(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> reqwest::Result<Answer> {
        let call = format!("{method} {path}");
        let request = self.request(method, path);
        let answer = request.body(body.unwrap_or_default()).send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await?;
        let shown = format!("{call}: {status}\n{headers:?}\n{text}\n\n");
        with(&self.wire.transcript, |all| all.push_str(&shown));
        Ok(Answer {
            call,
            status,
            headers,
            text,
        })
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    call: String,
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub text: String,
}

impl Answer {
    /// The JSON of an answer that has this status.
    #[track_caller]
    pub fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}: {}", self.call, self.text);
        if self.text.is_empty() {
            return Value::Null;
        }
        let json = serde_json::from_str(&self.text);
        json.unwrap_or_else(|error| panic!("{}: {error}: {}", self.call, self.text))
    }

    /// A header, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("")
    }

    /// The problem of an answer that is one, of this status and code (RFC 9457).
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> Value {
        let problem = self.json(status);
        let call = &self.call;
        assert_eq!(problem["code"], code, "{call}: {problem}");
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{call}"
        );
        assert_eq!(problem["status"], status, "{call}: {problem}");
        for member in ["type", "title", "detail"] {
            let text = problem[member].as_str().unwrap_or("");
            assert!(!text.is_empty(), "{call}: no {member} in {problem}");
        }
        let words = self.text.to_ascii_lowercase();
        for inside in [
            "select ",
            "insert into",
            "sqlx",
            "sqlstate",
            "panicked",
            "/src/",
        ] {
            assert!(
                !words.contains(inside),
                "{call} shows its inside: {problem}"
            );
        }
        problem
    }

    /// The fields that a 422 names, sorted.
    #[track_caller]
    pub fn refused_fields(&self) -> Vec<String> {
        let problem = self.problem(422, "request.invalid");
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        let mut fields: Vec<String> = errors
            .iter()
            .map(|error| {
                assert!(
                    error["message"].as_str().is_some_and(|text| text.len() > 5),
                    "{problem}"
                );
                error["field"].as_str().unwrap_or("").to_owned()
            })
            .collect();
        fields.sort();
        fields
    }
}
