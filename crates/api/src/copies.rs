//! Copies of the log: what writes which format, and how many are made at once.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tranche_adapters_files::csv::CsvTable;
use tranche_adapters_files::parquet::ParquetTable;
use tranche_application::audit::export::{Exports, Format, Sheet};
use tranche_application::audit::filter::EventFilter;
use tranche_application::ports::store::{Source, StoreError};

/// How many copies a process makes at once: each holds some pages of events.
const AT_ONCE: usize = 4;

/// Makes copies; cheap to clone.
#[derive(Clone)]
pub struct Copies {
    /// What makes them.
    pub exports: Exports,
    /// The log's verifier key, which goes with a proven copy.
    key: Arc<str>,
    /// Places for those that are being made.
    pub places: Arc<Semaphore>,
}

impl Copies {
    /// Copies that bring this verifier key along.
    #[must_use]
    pub fn new(exports: Exports, key: &str) -> Self {
        Self {
            exports,
            key: key.into(),
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// What writes this format; `None` when the copy should be proven and nothing is sealed yet.
    pub async fn sheet(&self, format: Format) -> Result<Option<Sheet>, StoreError> {
        Ok(match format {
            Format::Csv => Some(Sheet::Table(
                format,
                Box::new(CsvTable::try_new().map_err(unwritable)?),
            )),
            Format::Parquet => Some(Sheet::Table(
                format,
                Box::new(ParquetTable::try_new().map_err(unwritable)?),
            )),
            Format::Ndjson => {
                let checkpoint = self.exports.checkpoint().await?;
                checkpoint.map(|checkpoint| Sheet::Proven(checkpoint, self.key.to_string()))
            }
        })
    }
}

fn unwritable(error: Source) -> StoreError {
    StoreError::Unavailable(error)
}

/// The filter as the record of a copy has it, and the copy itself; nothing where all is asked for.
pub fn described(filter: &EventFilter) -> String {
    if *filter == EventFilter::default() {
        return String::new();
    }
    serde_json::to_string(filter).unwrap_or_default()
}
