//! Copies of the log: what writes which format, and how many are made at once.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tranche_adapters_files::csv::CsvTable;
use tranche_adapters_files::parquet::ParquetTable;
use tranche_application::audit::export::{Exports, Format, Sheet};
use tranche_application::audit::filter::EventFilter;
use tranche_application::audit::search_terms::SearchTerms;
use tranche_application::audit::tree::keeper::{CompareError, Keeper};
use tranche_application::ports::store::{Source, StoreError};

/// How many copies a process makes at once: each holds some pages of events.
const AT_ONCE: usize = 4;

/// Makes copies; cheap to clone.
#[derive(Clone)]
pub struct Copies {
    /// What makes them.
    pub exports: Exports,
    /// Knows which checkpoint a proven copy may be against, and the log's key.
    keeper: Keeper,
    terms: SearchTerms,
    /// Places for those that are being made.
    pub places: Arc<Semaphore>,
}

impl Copies {
    /// Copies against checkpoints that are kept, which tell their filters in these terms.
    #[must_use]
    pub fn new(exports: Exports, keeper: Keeper, terms: SearchTerms) -> Self {
        Self {
            exports,
            keeper,
            terms,
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// The filter as the record of a copy has it; nothing where all is asked for.
    pub fn described(&self, filter: &EventFilter) -> String {
        if *filter == EventFilter::default() {
            return String::new();
        }
        self.terms.written(filter)
    }

    /// What writes this format; `None` when the copy should be proven and nothing is sealed yet. No
    /// copy is proven against a database that contradicts what was kept.
    pub async fn sheet(&self, format: Format) -> Result<Option<Sheet>, CompareError> {
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
                let checkpoint = self.keeper.to_give_out().await?;
                let key = self.keeper.key().verifier();
                checkpoint.map(|checkpoint| Sheet::Proven(checkpoint, key))
            }
        })
    }
}

fn unwritable(error: Source) -> StoreError {
    StoreError::Unavailable(error)
}
