//! An RPC server that answers from a script: for each method a list of replies, the last of which
//! repeats.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

/// Longer than any client waits here.
const FOREVER: Duration = Duration::from_mins(1);

#[derive(Clone)]
pub enum Reply {
    Result(Value),
    Error(i64, &'static str),
    Http(u16),
    Body(&'static str),
    Hang,
}

#[derive(Clone, Default)]
struct Script {
    replies: Arc<Mutex<HashMap<String, VecDeque<Reply>>>>,
    calls: Arc<Mutex<Vec<(String, Value)>>>,
}

pub struct Fake {
    server: MockServer,
    script: Script,
}

impl Fake {
    pub async fn start() -> Self {
        let (server, script) = (MockServer::start().await, Script::default());
        let mock = Mock::given(any()).respond_with(script.clone());
        mock.mount(&server).await;
        Self { server, script }
    }

    pub fn url(&self) -> String {
        self.server.uri()
    }

    /// What a method answers from now on, one after the other; the last answer stays.
    pub fn on(&self, method: &str, replies: impl IntoIterator<Item = Reply>) {
        let mut script = self.script.replies.lock().unwrap();
        script.insert(method.to_owned(), replies.into_iter().collect());
    }

    /// The parameters of every call of a method so far.
    pub fn calls(&self, method: &str) -> Vec<Value> {
        let calls = self.script.calls.lock().unwrap();
        let calls = calls.iter().filter(|(name, _)| name == method);
        calls.map(|(_, params)| params.clone()).collect()
    }
}

impl Respond for Script {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let request: Value = serde_json::from_slice(&request.body).unwrap();
        let method = request["method"].as_str().unwrap();
        let params = request["params"].clone();
        assert!(
            params.is_object() || params.is_null(),
            "params are an object or absent"
        );
        self.calls.lock().unwrap().push((method.to_owned(), params));
        let mut replies = self.replies.lock().unwrap();
        let replies = replies.entry(method.to_owned()).or_default();
        let reply = match replies.len() {
            0 => Reply::Error(-32601, "method not found"),
            1 => replies[0].clone(),
            _ => replies.pop_front().unwrap(),
        };
        let id = &request["id"];
        match reply {
            Reply::Result(result) => ResponseTemplate::new(200)
                .set_body_json(json!({ "jsonrpc": "2.0", "id": id, "result": result })),
            Reply::Error(code, message) => ResponseTemplate::new(200).set_body_json(
                json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } }),
            ),
            Reply::Http(status) => ResponseTemplate::new(status),
            Reply::Body(body) => ResponseTemplate::new(200).set_body_string(body),
            Reply::Hang => ResponseTemplate::new(200).set_delay(FOREVER),
        }
    }
}
