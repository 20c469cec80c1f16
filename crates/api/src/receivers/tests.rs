//! What is sent, and what is made of answers.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Name, Resolve};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, sink};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tranche_application::ports::webhook_sender::{Answer, Delivery, WebhookSender};
use wiremock::matchers::{body_string, header, headers, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::address::Reach;
use super::{DEADLINE, Guarded, HttpSender, MOST_READ, drained};
use crate::metrics::Metrics;

fn sender() -> HttpSender {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let metrics = Arc::new(Metrics::try_new().unwrap());
    HttpSender::try_new(Reach::Public, metrics).unwrap()
}

fn to(url: &str) -> Delivery<'_> {
    Delivery {
        url,
        id: "msg_1",
        timestamp: 1_700_000_000,
        signatures: "v1,a v1,b",
        body: r#"{"type":"invoice.sent"}"#,
    }
}

async fn answered(answer: ResponseTemplate) -> Answer {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/hook"))
        .and(header("webhook-id", "msg_1"))
        .and(header("webhook-timestamp", "1700000000"))
        // It takes a header apart at its commas.
        .and(headers("webhook-signature", vec!["v1", "a v1", "b"]))
        .and(header("content-type", "application/json"))
        .and(body_string(r#"{"type":"invoice.sent"}"#))
        .respond_with(answer)
        .expect(1)
        .mount(&server)
        .await;
    sender().send(to(&format!("{}/hook", server.uri()))).await
}

fn failed(why: &str, retry_after: Option<Duration>) -> Answer {
    Answer::Failed {
        why: why.to_owned(),
        retry_after,
    }
}

#[tokio::test]
async fn only_success_is_success() {
    for status in [200, 202, 204, 299] {
        assert_eq!(answered(ResponseTemplate::new(status)).await, Answer::Taken);
    }
    assert_eq!(answered(ResponseTemplate::new(410)).await, Answer::Gone);
    for status in [400, 404, 500] {
        let expected = failed(&format!("HTTP {status}"), None);
        assert_eq!(answered(ResponseTemplate::new(status)).await, expected);
    }
    let busy = ResponseTemplate::new(503).insert_header("retry-after", "90");
    let expected = failed("HTTP 503", Some(Duration::from_secs(90)));
    assert_eq!(answered(busy).await, expected);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(200))
        .expect(0)
        .mount(&elsewhere)
        .await;
    let moved = ResponseTemplate::new(307).insert_header("location", elsewhere.uri());
    let expected = failed("HTTP 307: redirects are not followed", None);
    assert_eq!(answered(moved).await, expected);
}

#[tokio::test]
async fn a_long_answer_is_not_read_to_its_end() {
    let long = ResponseTemplate::new(200).set_body_bytes(vec![b'a'; 64 << 20]);
    assert_eq!(answered(long).await, Answer::Taken);
}

// One byte too many ends the reading, however long the rest is in coming.
#[tokio::test]
async fn so_much_of_an_answer_is_read_and_no_more() {
    let receiver = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", receiver.local_addr().unwrap());
    let waits = tokio::spawn(async move {
        let (mut stream, _) = receiver.accept().await.unwrap();
        stream.read_u8().await.unwrap();
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n";
        stream.write_all(head).await.unwrap();
        let body = "a".repeat(MOST_READ + 1);
        stream.write_all(body.as_bytes()).await.unwrap();
        // Until the sender goes away.
        let _ = copy(&mut stream, &mut sink()).await;
    });
    let sender = sender();
    let response = sender.post(to(&url)).await.unwrap();
    let read = timeout(DEADLINE / 3, drained(response)).await;
    read.expect("it does not wait for the rest");
    let ended = timeout(DEADLINE, waits).await;
    ended.expect("its connection is closed").unwrap();
}

#[tokio::test]
async fn an_answer_that_never_ends_is_judged_by_its_status() {
    for (status, expected) in [
        ("200 OK", Answer::Taken),
        ("500 Internal Server Error", failed("HTTP 500", None)),
    ] {
        let receiver = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", receiver.local_addr().unwrap());
        let silent = tokio::spawn(async move {
            let (mut stream, _) = receiver.accept().await.unwrap();
            stream.read_u8().await.unwrap();
            let head = format!("HTTP/1.1 {status}\r\ntransfer-encoding: chunked\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            // Until the sender goes away.
            let _ = copy(&mut stream, &mut sink()).await;
        });
        let sender = sender();
        let answer = timeout(DEADLINE / 3, sender.send(to(&url))).await;
        assert_eq!(answer, Ok(expected));
        let ended = timeout(DEADLINE, silent).await;
        ended.expect("its connection is closed").unwrap();
    }
}

#[tokio::test]
async fn private_addresses_are_not_reached() {
    let Answer::Failed { why, .. } = sender().send(to("https://10.0.0.1/hook")).await else {
        panic!("it was sent")
    };
    assert!(why.contains("private address"), "{why}");
    assert!(!why.contains("10.0.0.1"), "addresses may be secret: {why}");
}

#[tokio::test]
async fn names_that_lead_to_private_addresses_are_not_reached() {
    // A name of this machine that is not plainly its own.
    let name = || Name::from_str("LOCALHOST").unwrap();
    let refused = Guarded(Reach::Public).resolve(name()).await.err();
    let why = refused.unwrap().to_string();
    assert_eq!(why, "it leads to no public address");
    let mut found = Guarded(Reach::Any).resolve(name()).await.unwrap();
    assert!(found.all(|address| address.ip().is_loopback()));
}

#[tokio::test]
async fn an_address_is_told_to_nobody() {
    let Answer::Failed { why, .. } = sender().send(to("https://localhost.:1/hook")).await else {
        panic!("it was sent")
    };
    assert!(!why.contains("localhost"), "{why}");
}

// What is told of a failure has an end, whatever it says.
#[test]
fn reasons_are_short() {
    let Answer::Failed { why, .. } = super::failed("ẹ".repeat(9_000), None) else {
        panic!("it failed")
    };
    assert_eq!(why.chars().count(), 500);
}
