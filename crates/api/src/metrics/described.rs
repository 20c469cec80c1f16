//! What each figure means, as Prometheus shows it.

use metrics::{describe_counter, describe_gauge, describe_histogram};

/// Says of every figure what it is.
pub fn describe() {
    counters();
    gauges();
    describe_histogram!(
        "tranche_http_request_seconds",
        "How long answers of this process took, by method and route."
    );
}

fn counters() {
    for (name, text) in [
        (
            "tranche_audit_inserted_total",
            "Audit events that this process put into the log.",
        ),
        (
            "tranche_audit_batch_failures_total",
            "Writes of a batch that failed in this process.",
        ),
        (
            "tranche_audit_dropped_total",
            "Audit events that found no place in this process: their content is on its stderr.",
        ),
        (
            "tranche_audit_overflow_total",
            "Audit events that this process wrote straight into the log because the queue was full.",
        ),
        (
            "tranche_audit_spooled_total",
            "Audit events that went to this process's disk spool.",
        ),
        (
            "tranche_audit_buried_total",
            "Audit events that this process gave up as dead letters.",
        ),
        (
            "tranche_http_requests_total",
            "Requests that this process answered, by method, route and status.",
        ),
    ] {
        describe_counter!(name, text);
    }
}

fn gauges() {
    for (name, text) in [
        (
            "tranche_audit_queue_events",
            "Audit events in the queue, NaN while it does not answer. A queue in Redis is shared: \
             take the maximum over processes, not the sum.",
        ),
        (
            "tranche_audit_dead_letters",
            "Dead letters in the store, NaN while it does not answer. Shared: take the maximum over \
             processes, not the sum.",
        ),
        (
            "tranche_audit_spool_events",
            "Audit events in this process's disk spool.",
        ),
        (
            "tranche_audit_spool_bytes",
            "Bytes of audit events in this process's disk spool.",
        ),
        (
            "tranche_audit_ring_events",
            "Audit events that wait in this process's memory for a place on the disk.",
        ),
        (
            "tranche_audit_log_contradicted",
            "1 while the store contradicts a checkpoint that this process has kept: nothing is \
             sealed. Else 0.",
        ),
        (
            "tranche_audit_tree_size",
            "Leaves under the newest checkpoint that this process has kept.",
        ),
        (
            "tranche_audit_checkpoint_age_seconds",
            "How long ago the newest checkpoint that this process has kept was signed; it only \
             matters while leaves wait.",
        ),
        (
            "tranche_audit_pending_leaves",
            "Events in the log that wait for their place in the tree, up to a million, NaN while \
             the store does not answer. Shared: take the maximum over processes, not the sum.",
        ),
        ("tranche_audit_workers", "Workers that this process runs."),
        (
            "tranche_audit_store_available",
            "1 while the log takes this process's events, else 0.",
        ),
        (
            "tranche_audit_lag_seconds",
            "For how long the oldest event in the queue and in this process's spool has waited.",
        ),
        (
            "tranche_audit_retention_lag_seconds",
            "For how long the oldest part of the log that nobody holds should have been gone; it grows while \
             the store does not say, and is NaN in a process that does not look after it. Shared: take the maximum over processes.",
        ),
        (
            "tranche_audit_batch_seconds",
            "The time that 99 of 100 batches of this process did not exceed, of the last five \
             minutes.",
        ),
        (
            "tranche_audit_batch_mean_seconds",
            "The mean time of this process's batches of the last five minutes.",
        ),
    ] {
        describe_gauge!(name, text);
    }
}
