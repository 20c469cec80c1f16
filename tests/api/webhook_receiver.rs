//! A receiver of webhooks that answers as a test wants, and what it was told.

use std::collections::VecDeque;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

/// Longer than the lease of a process that died.
const PATIENCE: Duration = Duration::from_secs(90);

/// A receiver.
pub struct Receiver {
    server: MockServer,
    script: Script,
}

/// Answers as they are given, then 204.
#[derive(Clone, Default)]
struct Script(Arc<Mutex<VecDeque<ResponseTemplate>>>);

impl Respond for Script {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        let next = self.0.lock().expect("a list").pop_front();
        next.unwrap_or_else(|| ResponseTemplate::new(204))
    }
}

/// A message as it came.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub id: String,
    pub signatures: String,
    timestamp: String,
    body: String,
}

impl Message {
    pub fn data(&self) -> Value {
        let body: Value = serde_json::from_str(&self.body).expect("JSON");
        assert_eq!(body["type"], body["data"]["action"]);
        assert_eq!(body["timestamp"], body["data"]["occurred_at"]);
        assert_eq!(self.id, body["data"]["id"].as_str().unwrap_or(""));
        body["data"].clone()
    }

    fn to_judge(&self, secret: &str) -> Value {
        json!({
            "secret": secret, "body": self.body,
            "headers": {
                "webhook-id": self.id, "webhook-timestamp": self.timestamp,
                "webhook-signature": self.signatures,
            },
        })
    }
}

impl Receiver {
    pub async fn new() -> Self {
        let (server, script) = (MockServer::start().await, Script::default());
        Mock::given(any())
            .respond_with(script.clone())
            .mount(&server)
            .await;
        Self { server, script }
    }

    pub fn url(&self) -> String {
        format!("{}/hook", self.server.uri())
    }

    /// The next answers.
    pub fn will_answer(&self, statuses: impl IntoIterator<Item = u16>) {
        let answers = statuses.into_iter().map(ResponseTemplate::new);
        self.script.0.lock().expect("a list").extend(answers);
    }

    /// The next answer does not come.
    pub fn will_hang(&self) {
        let hangs = ResponseTemplate::new(204).set_delay(Duration::from_mins(10));
        self.script.0.lock().expect("a list").push_back(hangs);
    }

    /// Everything it was told, in order.
    pub async fn messages(&self) -> Vec<Message> {
        let requests = self.server.received_requests().await.unwrap_or_default();
        let message = |request: Request| {
            let header = |name: &str| {
                let value = request.headers.get(name);
                value
                    .and_then(|value| value.to_str().ok())
                    .unwrap_or("")
                    .to_owned()
            };
            assert_eq!(header("content-type"), "application/json");
            Message {
                id: header("webhook-id"),
                signatures: header("webhook-signature"),
                timestamp: header("webhook-timestamp"),
                body: String::from_utf8(request.body).expect("text"),
            }
        };
        requests.into_iter().map(message).collect()
    }

    /// What it was told, once there are so many messages.
    pub async fn at_least(&self, count: usize) -> Vec<Message> {
        let until = Instant::now() + PATIENCE;
        loop {
            let messages = self.messages().await;
            if messages.len() >= count {
                return messages;
            }
            assert!(Instant::now() < until, "{} of {count} came", messages.len());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// What the official library says of each message under this secret: `ok`, or why not.
pub fn verdicts(messages: &[Message], secret: &str) -> Vec<String> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let libraries = tests.join("../.judges/node");
    assert!(
        libraries.join("node_modules/standardwebhooks").exists(),
        "the library that judges is missing: run make setup"
    );
    let mut judge = Command::new("node")
        .arg(tests.join("judges/js_webhooks.mjs"))
        .arg(libraries)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node runs");
    let mut input = judge.stdin.take().expect("its input");
    for message in messages {
        writeln!(input, "{}", message.to_judge(secret)).expect("it reads");
    }
    drop(input);
    let output = judge.wait_with_output().expect("it ends");
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).expect("text");
    said.lines().map(str::to_owned).collect()
}
