//! Copies that nobody takes any more: whoever went away is noticed, whatever the copy has to give.

use std::time::Duration;

use tokio::time::timeout;
use tranche_application::audit::export::{Exports, Format, Sheet, Table};
use tranche_application::audit::filter::EventFilter;
use tranche_application::audit::record::LoggedEvent;
use tranche_application::ports::store::Source;

use super::copying::{ids, request};
use super::script::Step;
use super::small_log::{SmallLog, key};
use super::stage::Stage;

/// A table that has nothing to give before its end.
struct Silent;

impl Table for Silent {
    fn write(&mut self, _: &[LoggedEvent]) -> Result<Vec<u8>, Source> {
        Ok(Vec::new())
    }

    fn end(self: Box<Self>) -> Result<Vec<u8>, Source> {
        Ok(b"end\n".to_vec())
    }
}

// S11: also while there is nothing to be taken yet.
#[tokio::test]
async fn a_reader_that_left_early_is_noticed_without_a_piece() {
    let log = SmallLog::of(20_000, 0, &key(1));
    let mut stage = Stage::new();
    stage.work([Step::Post(Ok(())), Step::Commit(Ok(()))]);
    let exports = Exports::new(stage.services(), log.clone(), log);
    let sheet = Sheet::Table(Format::Parquet, Box::new(Silent));
    let (pieces, copying) = exports.begin(request(EventFilter::default()), sheet);
    drop(pieces);
    let exported = copying.await.unwrap();
    assert!(exported.rows < 2_000, "{} were read", exported.rows);
}

// S11: who takes nothing for minutes is gone, though their connection may stand.
#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing_ends_the_reading() {
    let log = SmallLog::of(20_000, 0, &key(1));
    let mut stage = Stage::new();
    stage.work([Step::Post(Ok(())), Step::Commit(Ok(()))]);
    let exports = Exports::new(stage.services(), log.clone(), log);
    let (mut pieces, copying) = exports.begin(request(EventFilter::default()), ids());
    pieces.recv().await.unwrap().unwrap();
    let exported = timeout(Duration::from_mins(10), copying).await;
    let exported = exported.expect("it ends").unwrap();
    assert!(exported.rows < 5_000, "{} were read", exported.rows);
    let recorded = stage.seen.lock().unwrap().posted[0].clone();
    assert_eq!(recorded.metadata["complete"], "false");
    assert_eq!(recorded.metadata["broke_off"], "the reader went away");
}
