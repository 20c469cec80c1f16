//! The rules of trails on Postgres, by itself and behind a memory; and what only Postgres can be asked.

use std::sync::Arc;

use tranche_application::ports::trails::{TrailCleanUps, TrailStore};
use tranche_tests::contract::trails::TrailsOnStore;

use super::subject::{Subject, fresh};

impl TrailsOnStore for Subject {
    fn trails(&self) -> Arc<dyn TrailStore> {
        Arc::new(self.store.clone())
    }

    fn trail_clean_ups(&self) -> Arc<dyn TrailCleanUps> {
        Arc::new(self.store.clone())
    }
}

tranche_tests::trail_clean_ups_contract!(fresh);

mod alone {
    use tranche_tests::contract::trails::{OnStore, TrailsUnderTest};

    async fn fresh() -> impl TrailsUnderTest {
        OnStore::new(super::fresh().await)
    }

    tranche_tests::trails_contract!(fresh);
}

mod over_memory {
    use tranche_tests::contract::trails::{OnStore, OverBoth, TrailsUnderTest};

    async fn fresh() -> impl TrailsUnderTest {
        OverBoth::new(OnStore::new(super::fresh().await))
    }

    tranche_tests::trails_contract!(fresh);
}
