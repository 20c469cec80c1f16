//! What most tests begin with, and the way to run one on both stores.

pub use tranche_tests::support::scene::*;

/// Runs a test on both stores: `the_test: its_name_on_sqlite, its_name_on_postgres;`.
macro_rules! on_both_stores {
    ($($test:ident: $sqlite:ident, $postgres:ident;)*) => { $(
        #[tokio::test]
        async fn $sqlite() {
            $test(tranche_tests::support::service::StoreKind::Sqlite).await;
        }

        #[tokio::test]
        async fn $postgres() {
            $test(tranche_tests::support::service::StoreKind::Postgres).await;
        }
    )* };
}
