//! The short matrix: every step, with the behaviours that cost other platforms money.

use tranche_tests::support::service::StoreKind::{Postgres, Sqlite};

use crate::behaviour::Behaviour;
use crate::matrix::rows;

// M8: killed at every step: one burn and the books, or neither and then both.
#[test]
fn killed_at_every_step() {
    rows(&[
        (Sqlite, Behaviour::Accepted),
        (Sqlite, Behaviour::AnswerLost),
        (Sqlite, Behaviour::FeePressure),
        (Sqlite, Behaviour::IncludedAndFailed),
        (Sqlite, Behaviour::Expired),
        (Sqlite, Behaviour::SequenceTaken),
        (Sqlite, Behaviour::NodeRestart),
        (Postgres, Behaviour::Accepted),
        (Postgres, Behaviour::SequenceTaken),
    ]);
}
