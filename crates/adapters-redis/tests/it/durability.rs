//! A Redis that would forget what it confirmed is refused, and nobody learns the password.

use std::io;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tracing_subscriber::fmt::MakeWriter;
use tranche_adapters_redis::{ConnectError, RedisQueue};
use tranche_application::ports::queue::AuditQueue;
use tranche_tests::queue_contract::{done, is_empty, push, take};
use tranche_tests::support::redis::Redis;

use crate::scene::settings;

const SECRET: &str = "not-to-be-seen";

/// What was logged.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Connects, and says what was logged meanwhile.
async fn connect(url: &str) -> (Result<RedisQueue, ConnectError>, String) {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    let logging = tracing_subscriber::util::SubscriberInitExt::set_default(subscriber);
    let connected = RedisQueue::connect(url, "process", settings()).await;
    drop(logging);
    (connected, log.text())
}

async fn refusal(url: &str) -> String {
    let (connected, log) = connect(url).await;
    let error = connected.unwrap_err();
    let told = format!("{error} {error:?} {log}");
    assert!(!told.contains(SECRET), "{told}");
    error.to_string()
}

fn set(redis: &Redis, setting: &str, value: &str) {
    redis.run(&["CONFIG", "SET", setting, value]).unwrap();
}

#[tokio::test]
async fn a_redis_that_keeps_everything_is_taken_without_a_word() {
    let redis = Redis::start().unwrap();
    let (connected, log) = connect(&redis.url()).await;
    connected.unwrap();
    assert_eq!(log, "");
}

#[tokio::test]
async fn a_redis_without_a_file_is_refused() {
    let redis = Redis::start().unwrap();
    set(&redis, "appendonly", "no");
    let why = refusal(&redis.url()).await;
    assert!(why.contains("appendonly no"), "{why}");
    assert!(why.contains("set appendonly yes"), "{why}");
}

#[tokio::test]
async fn a_redis_that_evicts_is_refused() {
    let redis = Redis::start().unwrap();
    for policy in ["allkeys-lru", "volatile-ttl", "allkeys-random"] {
        set(&redis, "maxmemory-policy", policy);
        let why = refusal(&redis.url()).await;
        assert!(why.contains(&format!("maxmemory-policy {policy}")), "{why}");
        assert!(why.contains("set maxmemory-policy noeviction"), "{why}");
    }
}

#[tokio::test]
async fn a_redis_that_confirms_too_early_is_warned_of() {
    let redis = Redis::start().unwrap();
    for sync in ["everysec", "no"] {
        set(&redis, "appendfsync", sync);
        let (connected, log) = connect(&redis.url()).await;
        connected.unwrap();
        assert!(log.contains("WARN"), "{log}");
        assert!(log.contains("set appendfsync always"), "{log}");
    }
}

/// Hosted ones don't say. The account may do what the queue needs, and nothing else.
#[tokio::test]
async fn a_redis_that_does_not_say_is_warned_of_and_used() {
    let redis = Redis::start().unwrap();
    let account = format!(
        "ACL SETUSER queue on >{SECRET} ~tranche:* +xgroup +xadd +xlen +xrange +xrevrange \
         +xreadgroup +xack +xdel +xclaim +xautoclaim +xpending +xinfo +evalsha +script|load \
         +multi +exec"
    );
    let account: Vec<&str> = account.split_whitespace().collect();
    redis.run(&account).unwrap();
    let url = format!("redis://queue:{SECRET}@127.0.0.1:{}/", redis.port());
    let (connected, log) = connect(&url).await;
    let queue = connected.unwrap();
    assert!(log.contains("could not be checked"), "{log}");
    assert!(!log.contains(SECRET), "{log}");
    assert!(!format!("{queue:?}").contains(SECRET));

    push(&queue, [1]).await;
    let taken = take(&queue, 1).await;
    queue.give_back(&taken.receipt).await.unwrap();
    let taken = take(&queue, 1).await;
    done(&queue, &taken.receipt).await;
    is_empty(&queue).await;
}

/// Answers every command with OK, and a question for a setting with none at all, as services that
/// merely speak Redis's protocol do.
async fn stranger() -> (String, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}/", listener.local_addr().unwrap());
    let answering = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let (from, mut to) = stream.into_split();
        let mut lines = BufReader::new(from).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let Some(parts) = line.strip_prefix('*') else {
                panic!("no command: {line}")
            };
            let mut command = Vec::new();
            for _ in 0..parts.parse().unwrap() {
                lines.next_line().await.unwrap();
                command.push(lines.next_line().await.unwrap().unwrap());
            }
            let answer = if command[0] == "CONFIG" {
                "*0\r\n"
            } else {
                "+OK\r\n"
            };
            to.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, answering)
}

#[tokio::test]
async fn a_redis_without_such_settings_is_warned_of() {
    let (url, answering) = stranger().await;
    let (connected, log) = connect(&url).await;
    connected.unwrap();
    assert!(log.contains("no such setting"), "{log}");
    assert!(log.contains("could not be checked"), "{log}");
    answering.abort();
}

#[tokio::test]
async fn no_error_shows_the_password() {
    let redis = Redis::start().unwrap();
    let port = redis.port();
    // The account is not known; nobody listens there; that is no TLS; that is no URL, twice.
    let urls = [
        format!("redis://user:{SECRET}@127.0.0.1:{port}/"),
        format!("redis://user:{SECRET}@127.0.0.1:1/"),
        format!("rediss://user:{SECRET}@127.0.0.1:{port}/"),
        format!("redis://user:{SECRET}@127.0.0.1:nine/"),
        format!("https://user:{SECRET}@127.0.0.1:{port}/"),
    ];
    for url in urls {
        let why = refusal(&url).await;
        assert!(!why.is_empty());
    }
}
