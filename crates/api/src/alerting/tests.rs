use std::net::TcpListener;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use serde_json::{Value, json};
use tranche_application::audit::health::Limits;
use tranche_application::ports::alerts::{Alert, AlertSink, Urgency};
use tranche_application::services::with_causes;
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::webhook::WebhookSink;
use super::{Alerting, pagers};
use crate::config::PagerDuty;

fn time(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(1_800_000_000 + seconds)
}

fn alert(resolved: bool) -> Alert {
    Alert {
        key: "audit.queue_deep",
        urgency: Urgency::Warning,
        summary: "5001 events wait in the queue, more than 5000".to_owned(),
        since: time(0),
        resolved_at: resolved.then(|| time(90)),
    }
}

fn settings(url: &str) -> Alerting {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Alerting {
        webhook_url: Some(SecretString::from(format!("{url}/hooks/T0/secret-of-hook"))),
        pagerduty: Some(PagerDuty {
            url: format!("{url}/v2/enqueue"),
            routing_key: SecretString::from("secret-routing-key"),
        }),
        limits: Limits::default(),
    }
}

async fn server(answer: u16) -> MockServer {
    let server = MockServer::start().await;
    for place in ["/hooks/T0/secret-of-hook", "/v2/enqueue"] {
        Mock::given(method("POST"))
            .and(path(place))
            .and(header("content-type", "application/json"))
            .respond_with(ResponseTemplate::new(answer))
            .mount(&server)
            .await;
    }
    server
}

async fn bodies(server: &MockServer) -> Vec<Value> {
    let requests = server.received_requests().await.unwrap();
    let body = |request: &wiremock::Request| request.body_json().unwrap();
    requests.iter().map(body).collect()
}

// P8: the body that Slack's incoming webhooks take.
#[tokio::test]
async fn a_webhook_gets_a_message_for_an_alert_and_for_its_end() {
    let server = server(200).await;
    let sinks = pagers(&settings(&server.uri())).unwrap();
    assert_eq!(sinks[0].name(), "webhook");
    sinks[0].deliver(&alert(false)).await.unwrap();
    sinks[0].deliver(&alert(true)).await.unwrap();
    let bodies = bodies(&server).await;
    assert_eq!(
        bodies[0]["text"],
        "[WARNING] Tranche audit.queue_deep: 5001 events wait in the queue, more than 5000"
    );
    assert_eq!(bodies[0]["attachments"][0]["color"], "warning");
    let text = bodies[1]["text"].as_str().unwrap();
    assert!(text.starts_with("[RESOLVED] "), "{text}");
    assert_eq!(bodies[1]["attachments"][0]["color"], "good");
}

// P8: Events API v2, with one key for a condition and its end.
#[tokio::test]
async fn pagerduty_gets_a_trigger_and_a_resolution_of_the_same_key() {
    let server = server(202).await;
    let sinks = pagers(&settings(&server.uri())).unwrap();
    assert_eq!(sinks[1].name(), "pagerduty");
    sinks[1].deliver(&alert(false)).await.unwrap();
    sinks[1].deliver(&alert(true)).await.unwrap();
    let bodies = bodies(&server).await;
    for (body, action) in bodies.iter().zip(["trigger", "resolve"]) {
        assert_eq!(body["routing_key"], "secret-routing-key");
        assert_eq!(body["event_action"], action);
        assert_eq!(body["dedup_key"], "tranche/audit.queue_deep");
        let payload = &body["payload"];
        assert_eq!(payload["severity"], "warning");
        assert_eq!(payload["summary"], alert(false).summary);
        assert!(!payload["source"].as_str().unwrap().is_empty());
        assert_eq!(
            payload["custom_details"]["since"],
            "2027-01-15T08:00:00.000000Z"
        );
    }
    assert_eq!(
        bodies[1]["payload"]["timestamp"],
        json!("2027-01-15T08:01:30.000000Z")
    );
}

// P8: a refusal and a dead address are errors, and tell no secret.
#[tokio::test]
async fn an_error_of_a_sink_tells_no_secret() {
    let server = server(500).await;
    let dead = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    for url in [server.uri(), dead] {
        for sink in pagers(&settings(&url)).unwrap() {
            let error = sink.deliver(&alert(false)).await.unwrap_err();
            let said = format!("{} {error:?}", with_causes(&error));
            assert!(!said.contains("secret"), "{}: {said}", sink.name());
        }
    }
}

// A listener that takes the connection and never answers.
#[tokio::test]
async fn a_sink_that_never_answers_is_given_up_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let sink = WebhookSink::try_new(&SecretString::from(url)).unwrap();
    let began = Instant::now();
    sink.deliver(&alert(false)).await.unwrap_err();
    assert!(
        began.elapsed() < Duration::from_mins(1),
        "it has a deadline"
    );
    drop(listener);
}

#[test]
fn without_settings_nobody_is_paged() {
    let alerting = Alerting {
        webhook_url: None,
        pagerduty: None,
        limits: Limits::default(),
    };
    assert!(pagers(&alerting).unwrap().is_empty());
}
