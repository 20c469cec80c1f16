//! The store is away while events come in: ordinary ones are taken, critical ones refused, memory
//! stays bounded, what is said of it is true, and everything is there once afterwards.

use std::env;
use std::time::Duration;

use serde_json::Value;
use tranche_tests::support::proxy::{Proxy, Way, server_of};
use tranche_tests::support::service::{Caller, Options, StoreKind, Tranche, eventually};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::load::{Load, all_are_in_the_log};

/// How long a short run cuts the store off.
const SHORT: Duration = Duration::from_secs(6);
/// How much memory the service may grow by meanwhile, in KiB.
const MOST_GROWTH: u64 = 96 * 1024;

struct Scene {
    tranche: Tranche,
    proxy: Proxy,
    /// Where alerts go.
    pager: MockServer,
    auditor: Caller,
    service: Caller,
}

impl Scene {
    async fn start() -> Self {
        let pager = MockServer::start().await;
        Mock::given(any())
            .respond_with(ResponseTemplate::new(200))
            .mount(&pager)
            .await;
        let mut tranche = Tranche::start(
            StoreKind::Postgres,
            Options {
                log: "warn",
                settings: vec![
                    ("TRANCHE_RATE_LIMIT", "off".to_owned()),
                    ("TRANCHE_ALERT_WEBHOOK_URL", pager.uri()),
                ],
                ..Options::default()
            },
        );
        let url = tranche.database().url.clone();
        let server = server_of(&url).parse().expect("the server's address");
        let proxy = Proxy::to(server).await;
        tranche.set("TRANCHE_DATABASE_URL", Some(&proxy.detour(&url)));
        tranche.restart_after(Some(0));
        let auditor = tranche.caller("ada", "auditor", None);
        // Whoever looks while the store is away has looked before.
        let healthy = auditor.get("/v1/monitoring/audit-metrics").await.json(200);
        assert_eq!(healthy["store_available"], true, "{healthy}");
        Self {
            auditor,
            service: tranche.caller("reports", "service", None),
            tranche,
            proxy,
            pager,
        }
    }

    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.tranche.pid()));
        let status = status.expect("the process runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        kib.and_then(|kib| kib.parse().ok()).expect("its memory")
    }

    /// What the pager was told.
    async fn told(&self) -> Vec<String> {
        let requests = self.pager.received_requests().await.unwrap_or_default();
        let bodies = requests.iter().map(|request| &request.body);
        bodies
            .map(|body| String::from_utf8_lossy(body).into_owned())
            .collect()
    }

    async fn says_unavailable(&self) {
        let ready = eventually("readiness names the store", async || {
            let ready = self.auditor.get("/readyz").await;
            (ready.status == 503).then(|| ready.json(503))
        })
        .await;
        assert_eq!(ready["store"], "store unavailable", "{ready}");
        let metrics = eventually("the monitoring sees it", async || {
            let metrics = self.auditor.get("/v1/monitoring/audit-metrics").await;
            let metrics: Value = serde_json::from_str(&metrics.text).ok()?;
            (metrics["store_available"] == false).then_some(metrics)
        })
        .await;
        assert_eq!(metrics["health"]["status"], "critical", "{metrics}");
        eventually("the metrics say so", async || {
            let text = self.auditor.get("/metrics").await.text;
            let line = "\ntranche_audit_store_available 0\n";
            text.contains(line).then_some(())
        })
        .await;
    }

    async fn says_available(&self) {
        eventually("ready again", async || {
            (self.auditor.get("/readyz").await.status == 200).then_some(())
        })
        .await;
        eventually("healthy again", async || {
            let metrics = self.auditor.get("/v1/monitoring/audit-metrics").await;
            let metrics = metrics.json(200);
            (metrics["store_available"] == true && metrics["queue_length"] == 0).then_some(())
        })
        .await;
    }
}

async fn away(way: Way, long: Duration) {
    let scene = Scene::start().await;
    let info = Load::start(&scene.service, 3, 50, "info");
    let critical = Load::start(&scene.service, 1, 1, "critical");
    info.more(500).await;
    critical.more(5).await;
    let before = scene.memory();

    scene.proxy.set(way);
    scene.says_unavailable().await;
    let (taken, stored) = (info.accepted(), critical.accepted());
    tokio::time::sleep(long).await;
    info.more(500).await;
    assert_eq!(critical.accepted(), stored, "a critical event is nowhere");
    let grown = scene.memory().saturating_sub(before);
    assert!(grown < MOST_GROWTH, "the service grew by {grown} KiB");
    eventually("somebody is told", async || {
        let told = scene.told().await;
        told.iter().any(|text| text.contains("store")).then_some(())
    })
    .await;
    println!(
        "{way:?} for {long:?}: {} events taken, memory grew by {grown} KiB",
        info.accepted() - taken
    );

    scene.proxy.set(Way::Open);
    critical.more(5).await;
    let mut sent = info.stop().await;
    let critical = critical.stop().await;
    assert!(critical.refused > 0, "critical events are answered 503");
    assert_eq!(sent.refused, 0, "other events are never refused");
    sent.acknowledged.extend(critical.acknowledged);
    all_are_in_the_log(&scene.tranche, &sent).await;
    scene.says_available().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_refuses_costs_nothing_acknowledged() {
    away(Way::Refused, SHORT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_silent_costs_nothing_acknowledged() {
    away(Way::Silent, SHORT).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: make crash-audit"]
async fn long() {
    let seconds = env::var("OUTAGE_SECONDS").ok();
    let seconds = seconds.map_or(60, |text| text.parse().expect("OUTAGE_SECONDS"));
    for way in [Way::Refused, Way::Silent] {
        away(way, Duration::from_secs(seconds)).await;
    }
}
