//! Server-sent events, as somebody reads them.

use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::Value;
use tokio::time::timeout;

use super::Caller;

/// The longest wait for the next event on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamEvent {
    /// `event:`.
    pub name: String,
    /// The last `id:` until then.
    pub id: String,
    /// `data:`, which is JSON.
    pub data: Value,
}

/// A stream that is being read.
#[derive(Debug)]
pub struct EventStream {
    response: Response,
    unread: Vec<u8>,
    /// The last `id:`, with which one comes back.
    pub last_id: String,
}

impl Caller {
    /// Begins to read a stream, which must begin.
    pub async fn stream(&self, path: &str) -> EventStream {
        let sent = self.request(Method::GET, path).send().await;
        let response = sent.unwrap_or_else(|error| panic!("{path}: {error:?}"));
        assert_eq!(response.status(), 200, "{path}");
        for (name, value) in [
            ("content-type", "text/event-stream"),
            ("cache-control", "no-store"),
            ("x-accel-buffering", "no"),
        ] {
            let header = response.headers().get(name);
            assert!(
                header.is_some_and(|header| header == value),
                "{path}: {name}"
            );
        }
        EventStream {
            response,
            unread: Vec::new(),
            last_id: String::new(),
        }
    }
}

impl EventStream {
    /// The next event, or `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<StreamEvent> {
        timeout(PATIENCE, self.read())
            .await
            .expect("the stream says something in time")
    }

    async fn read(&mut self) -> Option<StreamEvent> {
        loop {
            let frame = self.frame().await?;
            if let Some(event) = self.parsed(&frame) {
                return Some(event);
            }
        }
    }

    /// The position that the next sign of life gives; events must not come before it.
    pub async fn sign_of_life(&mut self) -> String {
        let frame = timeout(PATIENCE, async {
            loop {
                let frame = self.frame().await.expect("the stream goes on");
                assert_eq!(self.parsed(&frame), None, "nothing was to come");
                if frame.starts_with(':') {
                    return;
                }
            }
        });
        frame.await.expect("the stream says in time that it lives");
        self.last_id.clone()
    }

    async fn frame(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|end| end == b"\n\n") {
                let frame: Vec<u8> = self.unread.drain(..end + 2).collect();
                return Some(String::from_utf8(frame).expect("a frame is text"));
            }
            let chunk = self.response.chunk().await.ok().flatten()?;
            self.unread.extend_from_slice(&chunk);
        }
    }

    /// An event; what has no data is none.
    fn parsed(&mut self, frame: &str) -> Option<StreamEvent> {
        let (mut name, mut data) = (String::from("message"), None);
        for line in frame.lines() {
            match line.split_once(": ") {
                Some(("id", id)) => id.clone_into(&mut self.last_id),
                Some(("event", event)) => event.clone_into(&mut name),
                Some(("data", text)) => data = serde_json::from_str(text).ok(),
                _ => {}
            }
        }
        Some(StreamEvent {
            name,
            id: self.last_id.clone(),
            data: data?,
        })
    }

    /// The next `count` events, which are the log's.
    pub async fn take(&mut self, count: usize) -> Vec<StreamEvent> {
        let mut taken = Vec::with_capacity(count);
        while taken.len() < count {
            let event = self.next().await.expect("the stream goes on");
            assert_eq!(event.name, "audit", "{event:?}");
            assert_eq!(event.data["leaf_index"].to_string(), event.id);
            taken.push(event);
        }
        taken
    }

    /// Why the stream ends, passing over what comes before.
    pub async fn end(mut self) -> String {
        loop {
            let event = self.next().await.expect("a last word before the end");
            if event.name == "end" {
                assert_eq!(self.next().await, None, "nothing comes after the last word");
                return event.data["reason"].as_str().unwrap_or("").to_owned();
            }
        }
    }
}
