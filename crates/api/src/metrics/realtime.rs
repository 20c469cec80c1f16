//! Figures of streams and webhooks.

use metrics::{counter, describe_counter, describe_gauge, gauge, with_local_recorder};

use super::Metrics;

/// Says of every figure what it is.
pub(super) fn describe() {
    describe_gauge!("tranche_streams", "Event streams that this process serves.");
    for (name, text) in [
        (
            "tranche_stream_events_total",
            "Events that this process wrote to streams.",
        ),
        (
            "tranche_stream_lagged_total",
            "How often a stream of this process was too slow and went on from the log itself.",
        ),
        (
            "tranche_streams_ended_total",
            "Streams of this process that ended, by reason.",
        ),
        (
            "tranche_webhook_attempts_total",
            "Deliveries that this process tried, by outcome.",
        ),
        (
            "tranche_webhooks_disabled_total",
            "Webhooks that this process disabled because their receivers failed.",
        ),
    ] {
        describe_counter!(name, text);
    }
}

impl Metrics {
    /// A stream began.
    pub fn stream_opened(&self) {
        with_local_recorder(&self.recorder, || gauge!("tranche_streams").increment(1));
    }

    /// A stream ended for this reason; it had lagged so often.
    pub fn stream_closed(&self, reason: &'static str, lagged: u64) {
        with_local_recorder(&self.recorder, || {
            gauge!("tranche_streams").decrement(1);
            counter!("tranche_streams_ended_total", "reason" => reason).increment(1);
            counter!("tranche_stream_lagged_total").increment(lagged);
        });
    }

    /// So many events were written to a stream.
    pub fn streamed(&self, events: u64) {
        with_local_recorder(&self.recorder, || {
            counter!("tranche_stream_events_total").increment(events);
        });
    }

    /// A delivery was tried.
    pub fn webhook_tried(&self, outcome: &'static str) {
        with_local_recorder(&self.recorder, || {
            counter!("tranche_webhook_attempts_total", "outcome" => outcome).increment(1);
        });
    }
}
