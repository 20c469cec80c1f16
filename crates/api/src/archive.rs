//! Where expired events are kept outside the store, and as what.

use std::sync::Arc;

use anyhow::Context;
use tranche_adapters_archive::{FileArchive, Format};
use tranche_adapters_files::parquet::{ARCHIVE_SCHEMA, ParquetTable};
use tranche_application::ports::event_archive::EventArchive;

/// Tables from which each event's leaf can be computed anew.
const TABLES: Format = Format {
    ending: "parquet",
    schema: ARCHIVE_SCHEMA,
    begin: || Ok(Box::new(ParquetTable::for_archive()?)),
};

/// The archive at this address; a bucket with what the environment says of its endpoint and credentials.
pub fn open(url: &str) -> anyhow::Result<Arc<dyn EventArchive>> {
    // What is no text is nothing that a bucket needs.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| name.into_string().ok().zip(value.into_string().ok()));
    let archive = FileArchive::open(url, environment, TABLES).context("TRANCHE_ARCHIVE_URL")?;
    Ok(Arc::new(archive))
}
