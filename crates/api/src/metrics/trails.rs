//! Figures of assessment trails.

use metrics::{counter, describe_counter, describe_gauge, gauge, with_local_recorder};
use tranche_application::trails::{Backend, Figures};

use super::{Metrics, float};

/// Says of every figure what it is.
pub(super) fn describe() {
    describe_gauge!(
        "tranche_trails_backend",
        "1 for where this process keeps assessment trails, 0 for the others."
    );
    describe_gauge!(
        "tranche_trails_memory_entries",
        "Assessment trails in this process's memory."
    );
    describe_gauge!(
        "tranche_trails_memory_bytes",
        "Bytes that their texts take."
    );
    describe_gauge!(
        "tranche_trails_memory_entries_limit",
        "How many assessment trails this process's memory holds at most."
    );
    describe_gauge!(
        "tranche_trails_memory_bytes_limit",
        "How many bytes of their texts it holds at most."
    );
    describe_gauge!(
        "tranche_trails_clean_up_late_seconds",
        "For how long a clean-up of assessment trails has been due that has not ended; 0 if none is."
    );
    for (name, text) in [
        (
            "tranche_trails_written_total",
            "Writes of assessment trails in this process that changed something.",
        ),
        (
            "tranche_trails_turned_away_total",
            "Copies of the database's assessment trails for which this process's memory had no room.",
        ),
        (
            "tranche_trails_evicted_total",
            "Assessment trails that had to leave this process's memory before their time.",
        ),
        (
            "tranche_trails_mismatches_total",
            "Reads of this process that found an assessment trail differing in memory and database.",
        ),
        (
            "tranche_trails_copied_total",
            "Assessment trails that a migration copied from this process's memory to the database.",
        ),
        (
            "tranche_trails_deleted_total",
            "Assessment trails that daily clean-ups of this process deleted from the database.",
        ),
    ] {
        describe_counter!(name, text);
    }
}

impl Metrics {
    /// Sets the trails' figures to what they are now.
    pub fn trails(&self, backend: Backend, figures: Figures) {
        with_local_recorder(&self.recorder, || {
            for one in Backend::ALL {
                let is_it = f64::from(u8::from(one == backend));
                gauge!("tranche_trails_backend", "backend" => one.as_str()).set(is_it);
            }
            let size = |size: usize| float(u64::try_from(size).unwrap_or(u64::MAX));
            gauge!("tranche_trails_memory_entries").set(size(figures.in_memory));
            gauge!("tranche_trails_memory_bytes").set(size(figures.memory_bytes));
            gauge!("tranche_trails_memory_entries_limit").set(size(figures.most.trails));
            gauge!("tranche_trails_memory_bytes_limit").set(size(figures.most.bytes));
            let late = figures.clean_up_late.to_std().unwrap_or_default();
            gauge!("tranche_trails_clean_up_late_seconds").set(late.as_secs_f64());
            counter!("tranche_trails_written_total").absolute(figures.written);
            counter!("tranche_trails_turned_away_total").absolute(figures.turned_away);
            counter!("tranche_trails_evicted_total").absolute(figures.evicted);
            counter!("tranche_trails_mismatches_total").absolute(figures.mismatches);
            counter!("tranche_trails_copied_total").absolute(figures.copied);
            counter!("tranche_trails_deleted_total").absolute(figures.cleaned);
        });
    }
}
