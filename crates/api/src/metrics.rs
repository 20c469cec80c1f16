//! What Prometheus reads from this process.
//!
//! Each process is scraped. What it counts itself adds up over processes; what several of them share
//! says so in its `HELP` and must not be added up.

mod described;
mod realtime;
mod trails;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::http::{Method, StatusCode};
use chrono::{DateTime, Utc};
use metrics::{counter, gauge, histogram, with_local_recorder};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusRecorder};
use metrics_process::Collector;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tranche_application::audit::meters::{Evidence, Meters, Report};
use tranche_application::audit::monitoring::{DEADLINE, Monitoring};
use tranche_application::audit::tree::keeper::{Keeper, Standing};

/// Seconds, from a read of one row to the longest answer there may be.
const BUCKETS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0,
];
/// More waiting leaves are not counted.
const MOST_WAITING: u32 = 1_000_000;
/// How often observations are put into their buckets, so that they take no room.
const UPKEEP: Duration = Duration::from_secs(5);

/// The figures of this process.
pub struct Metrics {
    recorder: PrometheusRecorder,
    process: Collector,
}

impl Metrics {
    /// Figures that begin at nothing.
    ///
    /// # Errors
    /// When the exporter refuses its own set-up.
    pub fn try_new() -> anyhow::Result<Self> {
        let seconds = Matcher::Full("tranche_http_request_seconds".to_owned());
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(seconds, &BUCKETS)
            .context("the buckets of request times are refused")?
            .build_recorder();
        let process = Collector::default();
        with_local_recorder(&recorder, || {
            described::describe();
            realtime::describe();
            trails::describe();
            process.describe();
        });
        Ok(Self { recorder, process })
    }

    /// A request was answered. `route` is the pattern of its path: paths themselves have no bound.
    pub fn answered(&self, method: &Method, route: &str, status: StatusCode, took: Duration) {
        let labels = [
            ("method", known(method).to_owned()),
            ("route", route.to_owned()),
            ("status", status.as_u16().to_string()),
        ];
        with_local_recorder(&self.recorder, || {
            counter!("tranche_http_requests_total", &labels).increment(1);
            histogram!("tranche_http_request_seconds", &labels[..2]).record(took.as_secs_f64());
        });
    }

    /// Everything in Prometheus' text format. What does not answer in time is `NaN`.
    pub async fn render(&self, monitoring: &Monitoring) -> String {
        let (own, dead_letters, waiting) = tokio::join!(
            monitoring.own(),
            monitoring.dead_letters(),
            waiting(monitoring.keeper())
        );
        let meters = &monitoring.pipeline().meters;
        with_local_recorder(&self.recorder, || {
            self.process.collect();
            pipeline(&own, dead_letters, meters);
            if let Some(keeper) = monitoring.keeper() {
                public_log(keeper.standing(), own.at, waiting);
            }
        });
        self.recorder.handle().render()
    }

    /// Keeps observations from piling up between scrapes, until cancelled.
    pub async fn upkeep(self: Arc<Self>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            self.recorder.handle().run_upkeep();
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(UPKEEP) => {}
            }
        }
    }
}

/// The methods that there are; a client may invent others without end.
fn known(method: &Method) -> &str {
    match *method {
        Method::GET
        | Method::HEAD
        | Method::POST
        | Method::PUT
        | Method::PATCH
        | Method::DELETE
        | Method::OPTIONS => method.as_str(),
        _ => "other",
    }
}

/// Sets the pipeline's figures to what they are now.
fn pipeline(own: &Report, dead_letters: Option<u64>, meters: &Meters) {
    let totals = own.totals;
    counter!("tranche_audit_inserted_total").absolute(totals.inserted);
    counter!("tranche_audit_batch_failures_total").absolute(totals.failed);
    counter!("tranche_audit_dropped_total").absolute(totals.dropped);
    counter!("tranche_audit_overflow_total").absolute(totals.overflow);
    counter!("tranche_audit_spooled_total").absolute(totals.spooled);
    counter!("tranche_audit_buried_total").absolute(totals.buried);
    counter!("tranche_webhooks_disabled_total").absolute(totals.webhooks_disabled);
    gauge!("tranche_audit_queue_events").set(own.queue_length.map_or(f64::NAN, float));
    gauge!("tranche_audit_dead_letters").set(dead_letters.map_or(f64::NAN, float));
    gauge!("tranche_audit_spool_events").set(float(own.spool_events));
    gauge!("tranche_audit_spool_bytes").set(float(own.spool_bytes));
    gauge!("tranche_audit_ring_events").set(float(meters.held()));
    gauge!("tranche_audit_workers").set(f64::from(own.workers));
    gauge!("tranche_audit_store_available").set(f64::from(u8::from(own.store_available)));
    let lag = own
        .oldest
        .and_then(|oldest| (own.at - oldest).to_std().ok());
    gauge!("tranche_audit_lag_seconds").set(lag.unwrap_or_default().as_secs_f64());
    let late = meters.retention_lag();
    gauge!("tranche_audit_retention_lag_seconds").set(late.map_or(f64::NAN, float));
    let seconds = |micros| Duration::from_micros(micros).as_secs_f64();
    gauge!("tranche_audit_batch_seconds", "quantile" => "0.99")
        .set(seconds(own.rates.batch_p99_us));
    gauge!("tranche_audit_batch_mean_seconds").set(seconds(own.rates.batch_mean_us));
}

/// How many leaves wait; `None` when the store does not answer.
async fn waiting(keeper: Option<&Keeper>) -> Option<u64> {
    let waiting = timeout(DEADLINE, keeper?.waiting(MOST_WAITING)).await;
    waiting.ok()?.ok()
}

/// Sets the public log's figures to what they are now.
fn public_log(standing: Standing, now: DateTime<Utc>, waiting: Option<u64>) {
    let contradicted = standing.evidence() == Evidence::Contradicted;
    gauge!("tranche_audit_log_contradicted").set(f64::from(u8::from(contradicted)));
    gauge!("tranche_audit_pending_leaves").set(waiting.map_or(f64::NAN, float));
    if let Some(kept) = standing.kept {
        gauge!("tranche_audit_tree_size").set(float(kept.size));
        let age = (now - kept.signed_at).to_std().unwrap_or_default();
        gauge!("tranche_audit_checkpoint_age_seconds").set(age.as_secs_f64());
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "beyond 2^53 a gauge may be off by one"
)]
const fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::http::{Method, StatusCode};

    use super::Metrics;

    #[test]
    fn requests_are_counted_by_route_and_invented_methods_are_one() {
        let metrics = Metrics::try_new().unwrap();
        let took = Duration::from_millis(3);
        for method in [Method::GET, Method::GET, "BREW".parse().unwrap()] {
            metrics.answered(&method, "/v1/projects/{id}", StatusCode::OK, took);
        }
        let text = metrics.recorder.handle().render();
        for line in [
            r#"tranche_http_requests_total{method="GET",route="/v1/projects/{id}",status="200"} 2"#,
            r#"tranche_http_requests_total{method="other",route="/v1/projects/{id}",status="200"} 1"#,
            r#"tranche_http_request_seconds_bucket{method="GET",route="/v1/projects/{id}",le="0.0025"} 0"#,
            r#"tranche_http_request_seconds_bucket{method="GET",route="/v1/projects/{id}",le="0.005"} 2"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(text.contains("# HELP tranche_http_requests_total "));
    }
}
