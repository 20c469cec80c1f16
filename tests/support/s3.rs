//! A throwaway S3 server that checks every signature, with one bucket, [`BUCKET`].
//!
//! Each value is a server of its own, tied to this process by a pipe: it goes with the value, or with
//! the process, however that ends.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The bucket that there is.
pub const BUCKET: &str = "archive";

/// A server that goes with this value.
#[derive(Debug)]
pub struct S3 {
    process: Child,
    wires: Mutex<Wires>,
    said: Said,
}

#[derive(Debug)]
struct Wires {
    /// `None` once it was told to end.
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

#[derive(Debug, Deserialize)]
struct Said {
    url: String,
    keys: BTreeMap<String, Key>,
}

/// An access key: its id, and its secret.
pub type Key = (String, String);

/// What is in the bucket under a name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Object {
    /// How large it is.
    pub bytes: usize,
    /// SHA-256 of it, in hexadecimal.
    pub sha256: String,
    /// In how many parts it came; `None` if it came in one request.
    pub parts: Option<usize>,
}

impl S3 {
    /// An empty bucket, ready to be written into.
    ///
    /// # Errors
    /// When the server is not installed or does not start, with what to do about it.
    pub fn start() -> io::Result<Self> {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut process = Command::new(tests.join("../.judges/venv/bin/python"))
            .arg(tests.join("judges/s3_server.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // A signal to this process's group is not for it: it ends with its input.
            .process_group(0)
            .spawn()
            .map_err(|error| io::Error::other(format!("no S3 server: {error}; run make setup")))?;
        let (Some(orders), Some(answers)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(io::Error::other("the S3 server has no pipes"));
        };
        let mut wires = Wires {
            orders: Some(orders),
            answers: BufReader::new(answers),
        };
        let said = wires.answer().map_err(|error| {
            io::Error::other(format!(
                "the S3 server says nothing: {error}; run make setup"
            ))
        })?;
        Ok(Self {
            process,
            wires: Mutex::new(wires),
            said,
        })
    }

    /// Where it answers.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.said.url
    }

    /// A key: `writer` may write in the bucket, `stranger` nothing, `owner` everything.
    ///
    /// # Panics
    /// Where there is no such key.
    #[must_use]
    pub fn key(&self, name: &str) -> &Key {
        &self.said.keys[name]
    }

    /// What a program needs to write here under this key.
    #[must_use]
    pub fn settings(&self, (id, secret): &Key) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.url().to_owned()),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_ACCESS_KEY_ID", id.clone()),
            ("AWS_SECRET_ACCESS_KEY", secret.clone()),
        ]
    }

    /// What is in the bucket, by name.
    ///
    /// # Errors
    /// When the server is gone; so too below.
    pub fn objects(&self) -> io::Result<BTreeMap<String, Object>> {
        self.order("objects")
    }

    /// The contents of what has this name.
    ///
    /// # Errors
    /// As [`S3::objects`].
    pub fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let contents: String = self.order(&format!("get {name}"))?;
        STANDARD.decode(contents).map_err(io::Error::other)
    }

    /// The names of uploads that are neither finished nor aborted.
    ///
    /// # Errors
    /// As [`S3::objects`].
    pub fn uploads(&self) -> io::Result<Vec<String>> {
        self.order("uploads")
    }

    fn order<T: DeserializeOwned>(&self, order: &str) -> io::Result<T> {
        let mut wires = self.wires.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(orders) = &mut wires.orders {
            writeln!(orders, "{order}")?;
        }
        wires.answer()
    }
}

impl Wires {
    fn answer<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        serde_json::from_str(&line).map_err(io::Error::other)
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        // The end of its input is the order to go.
        let wires = self.wires.get_mut().unwrap_or_else(PoisonError::into_inner);
        wires.orders = None;
        // A test's verdict is not changed by what it leaves behind.
        let _ = self.process.wait();
    }
}
