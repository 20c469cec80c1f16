//! The rules of trails in memory, and in both at once with a second memory as the database; both
//! databases keep them in their own suites.

use tranche_tests::contract::trails::summing::walk;
use tranche_tests::contract::trails::{InMemory, OverBoth, TrailsUnderTest};

#[cfg(test)]
mod memory {
    use super::InMemory;

    async fn fresh() -> InMemory {
        InMemory::default()
    }

    tranche_tests::trails_contract!(fresh);
}

#[cfg(test)]
mod dual {
    use super::{InMemory, OverBoth};

    async fn fresh() -> OverBoth<InMemory> {
        OverBoth::new(InMemory::default())
    }

    tranche_tests::trails_contract!(fresh);
}

/// Any order of puts, amendments, copies and clean-ups gives the recount's analytics.
#[tokio::test]
async fn every_walk_is_counted_as_a_recount_does() {
    for seed in 2..130 {
        let memory: &dyn TrailsUnderTest = &InMemory::default();
        walk(memory, seed, 160).await;
        walk(&OverBoth::new(InMemory::default()), seed, 160).await;
    }
}
