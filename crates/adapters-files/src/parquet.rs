//! Parquet: ids as UUID, times as microseconds in UTC, documents as JSON text, names through
//! dictionaries. Written in row groups, so that only one of them is in memory.
//!
//! A table for people has the columns of [`crate::COLUMNS`]. An archive's has two more, with which each
//! row's leaf can be computed anew and compared.

pub mod reading;

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::parquet::basic::Compression;
use ::parquet::data_type::{
    ByteArray, ByteArrayType, DataType, FixedLenByteArray, FixedLenByteArrayType, Int64Type,
};
use ::parquet::errors::{ParquetError, Result};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use ::parquet::schema::parser::parse_message_type;
use serde_json::Value;
use tranche_application::audit::export::Table;
use tranche_application::audit::record::{EventRecord, LoggedEvent};
use tranche_application::ports::store::Source;
use uuid::Uuid;

/// How many rows a row group has at most.
const GROUP_ROWS: usize = 20_000;
/// How many bytes of texts and documents it has, about.
const GROUP_BYTES: usize = 16 * 1024 * 1024;

macro_rules! columns {
    ($more:literal) => {
        concat!(
            "message audit_event {
    REQUIRED FIXED_LEN_BYTE_ARRAY (16) id (UUID);
    REQUIRED INT64 occurred_at (TIMESTAMP(MICROS, true));
    OPTIONAL INT64 recorded_at (TIMESTAMP(MICROS, true));
    REQUIRED BYTE_ARRAY severity (STRING);
    REQUIRED BYTE_ARRAY action (STRING);
    REQUIRED BYTE_ARRAY actor_id (STRING);
    OPTIONAL BYTE_ARRAY actor_role (STRING);
    OPTIONAL FIXED_LEN_BYTE_ARRAY (16) project_id (UUID);
    OPTIONAL FIXED_LEN_BYTE_ARRAY (16) milestone_id (UUID);
    REQUIRED BYTE_ARRAY resource_type (STRING);
    OPTIONAL BYTE_ARRAY resource_id (STRING);
    OPTIONAL BYTE_ARRAY previous_status (STRING);
    OPTIONAL BYTE_ARRAY new_status (STRING);
    OPTIONAL BYTE_ARRAY changes (JSON);
    OPTIONAL BYTE_ARRAY metadata (JSON);
    OPTIONAL BYTE_ARRAY details (JSON);
    OPTIONAL BYTE_ARRAY ip_address (STRING);
    OPTIONAL BYTE_ARRAY user_agent (STRING);
    OPTIONAL BYTE_ARRAY request_id (STRING);
    OPTIONAL INT64 leaf_index (INTEGER(64, true));
",
            $more,
            "}"
        )
    };
}

/// The columns of a table for people, in the order of [`crate::COLUMNS`].
pub const SCHEMA: &str = columns!("");

/// The columns of an archive's table: [`SCHEMA`]'s, and what a proof needs.
pub const ARCHIVE_SCHEMA: &str = columns!(
    "    OPTIONAL FIXED_LEN_BYTE_ARRAY (16) salt;
    OPTIONAL FIXED_LEN_BYTE_ARRAY (32) leaf_hash;
"
);

/// Writes events to `W`. What is not finished is no Parquet file: its end is missing.
pub struct ParquetWriter<W: Write + Send> {
    file: SerializedFileWriter<W>,
    group: Vec<LoggedEvent>,
    bytes: usize,
    is_proven: bool,
}

impl<W: Write + Send> ParquetWriter<W> {
    /// An empty file; one that `is_proven` has the columns of an archive.
    ///
    /// # Errors
    /// What `W` cannot write.
    pub fn try_new(into: W, is_proven: bool) -> Result<Self> {
        let schema = if is_proven { ARCHIVE_SCHEMA } else { SCHEMA };
        let schema = Arc::new(parse_message_type(schema)?);
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by("tranche".to_owned())
            .build();
        Ok(Self {
            file: SerializedFileWriter::new(into, schema, Arc::new(properties))?,
            group: Vec::new(),
            bytes: 0,
            is_proven,
        })
    }

    /// Writes an event, sooner or later.
    ///
    /// # Errors
    /// What `W` cannot write.
    pub fn push(&mut self, event: LoggedEvent) -> Result<()> {
        self.bytes += weight(&event.event);
        self.group.push(event);
        if self.group.len() >= GROUP_ROWS || self.bytes >= GROUP_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Writes what is left, and the end.
    ///
    /// # Errors
    /// What `W` cannot write.
    pub fn finish(mut self) -> Result<W> {
        self.flush()?;
        self.file.into_inner()
    }

    fn flush(&mut self) -> Result<()> {
        if self.group.is_empty() {
            return Ok(());
        }
        let mut group = self.file.next_row_group()?;
        write(&mut group, &self.group)?;
        if self.is_proven {
            write_proofs(&mut group, &self.group)?;
        }
        group.close()?;
        self.group.clear();
        self.bytes = 0;
        Ok(())
    }
}

/// About how much memory an event takes.
fn weight(event: &EventRecord) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let fixed = 256 + event.action.len() + event.actor.id.len() + event.resource_type.len();
    let documents = [&event.changes, &event.metadata, &event.details];
    fixed
        + text(&event.resource_id)
        + text(&event.user_agent)
        + text(&event.request_id)
        + documents.into_iter().map(size).sum::<usize>()
}

fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => 32 + text.len(),
        Value::Array(items) => 32 + items.iter().map(size).sum::<usize>(),
        Value::Object(fields) => {
            32 + fields
                .iter()
                .map(|(name, value)| 48 + name.len() + size(value))
                .sum::<usize>()
        }
        _ => 32,
    }
}

type Group<'a, W> = SerializedRowGroupWriter<'a, W>;

fn write<W: Write + Send>(group: &mut Group<'_, W>, events: &[LoggedEvent]) -> Result<()> {
    let of = |column: fn(&EventRecord) -> Option<ByteArray>| {
        events.iter().map(move |logged| column(&logged.event))
    };
    uuids(
        group,
        false,
        events.iter().map(|logged| Some(logged.event.id)),
    )?;
    numbers(
        group,
        false,
        events
            .iter()
            .map(|logged| Some(logged.event.occurred_at.timestamp_micros())),
    )?;
    let recorded_at = |logged: &LoggedEvent| logged.recorded_at.map(|at| at.timestamp_micros());
    numbers(group, true, events.iter().map(recorded_at))?;
    texts(group, false, of(|event| Some(bytes(&event.severity))))?;
    texts(group, false, of(|event| Some(bytes(&event.action))))?;
    texts(group, false, of(|event| Some(bytes(&event.actor.id))))?;
    texts(
        group,
        true,
        of(|event| event.actor.role.as_deref().map(bytes)),
    )?;
    uuids(
        group,
        true,
        events.iter().map(|logged| logged.event.project_id),
    )?;
    uuids(
        group,
        true,
        events.iter().map(|logged| logged.event.milestone_id),
    )?;
    texts(group, false, of(|event| Some(bytes(&event.resource_type))))?;
    texts(
        group,
        true,
        of(|event| event.resource_id.as_deref().map(bytes)),
    )?;
    texts(
        group,
        true,
        of(|event| event.previous_status.as_deref().map(bytes)),
    )?;
    texts(
        group,
        true,
        of(|event| event.new_status.as_deref().map(bytes)),
    )?;
    texts(group, true, of(|event| document(&event.changes)))?;
    texts(group, true, of(|event| document(&event.metadata)))?;
    texts(group, true, of(|event| document(&event.details)))?;
    let address = |event: &EventRecord| event.ip_address.map(|ip| bytes(&ip.to_string()));
    texts(group, true, of(address))?;
    texts(
        group,
        true,
        of(|event| event.user_agent.as_deref().map(bytes)),
    )?;
    texts(
        group,
        true,
        of(|event| event.request_id.as_deref().map(bytes)),
    )?;
    numbers(group, true, events.iter().map(|logged| logged.leaf_index))
}

fn write_proofs<W: Write + Send>(group: &mut Group<'_, W>, events: &[LoggedEvent]) -> Result<()> {
    let salts = events.iter().map(|logged| Some(logged.event.salt.to_vec()));
    fixed(group, salts)?;
    let leaves = events.iter().map(|logged| match logged.recorded_at {
        Some(recorded_at) => logged.event.leaf_hash(recorded_at).map(Some),
        None => Ok(None),
    });
    let leaves = leaves
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|error| ParquetError::External(Box::new(error)))?;
    fixed(group, leaves.into_iter().map(|leaf| leaf.map(Vec::from)))
}

fn fixed<W: Write + Send>(
    group: &mut Group<'_, W>,
    values: impl Iterator<Item = Option<Vec<u8>>>,
) -> Result<()> {
    let values = values.map(|value| value.map(FixedLenByteArray::from));
    column::<FixedLenByteArrayType, W>(group, true, values)
}

fn bytes(text: &str) -> ByteArray {
    ByteArray::from(text)
}

fn document(value: &Value) -> Option<ByteArray> {
    (!value.is_null()).then(|| bytes(&value.to_string()))
}

fn texts<W: Write + Send>(
    group: &mut Group<'_, W>,
    optional: bool,
    values: impl Iterator<Item = Option<ByteArray>>,
) -> Result<()> {
    column::<ByteArrayType, W>(group, optional, values)
}

fn numbers<W: Write + Send>(
    group: &mut Group<'_, W>,
    optional: bool,
    values: impl Iterator<Item = Option<i64>>,
) -> Result<()> {
    column::<Int64Type, W>(group, optional, values)
}

fn uuids<W: Write + Send>(
    group: &mut Group<'_, W>,
    optional: bool,
    values: impl Iterator<Item = Option<Uuid>>,
) -> Result<()> {
    let bytes = |id: Uuid| FixedLenByteArray::from(id.as_bytes().to_vec());
    column::<FixedLenByteArrayType, W>(group, optional, values.map(|id| id.map(bytes)))
}

/// Writes the next column: its values, and where there are any.
fn column<T: DataType, W: Write + Send>(
    group: &mut Group<'_, W>,
    optional: bool,
    values: impl Iterator<Item = Option<T::T>>,
) -> Result<()> {
    let (mut present, mut levels) = (Vec::new(), Vec::new());
    for value in values {
        levels.push(i16::from(value.is_some()));
        present.extend(value);
    }
    let Some(mut column) = group.next_column()? else {
        return Err(ParquetError::General(
            "the schema has no such column".to_owned(),
        ));
    };
    let levels = optional.then_some(levels.as_slice());
    column.typed::<T>().write_batch(&present, levels, None)?;
    column.close()
}

/// A table as Parquet.
pub struct ParquetTable {
    writer: ParquetWriter<Shared>,
    written: Shared,
}

impl ParquetTable {
    /// An empty table for people.
    ///
    /// # Errors
    /// None: what it writes into is memory.
    pub fn try_new() -> std::result::Result<Self, Source> {
        Self::of(false)
    }

    /// An empty table for an archive.
    ///
    /// # Errors
    /// As [`ParquetTable::try_new`].
    pub fn for_archive() -> std::result::Result<Self, Source> {
        Self::of(true)
    }

    fn of(is_proven: bool) -> std::result::Result<Self, Source> {
        let written = Shared::default();
        Ok(Self {
            writer: ParquetWriter::try_new(written.clone(), is_proven)?,
            written,
        })
    }
}

impl Table for ParquetTable {
    fn write(&mut self, events: &[LoggedEvent]) -> std::result::Result<Vec<u8>, Source> {
        for event in events {
            self.writer.push(event.clone())?;
        }
        Ok(self.written.take())
    }

    fn end(self: Box<Self>) -> std::result::Result<Vec<u8>, Source> {
        self.writer.finish()?;
        Ok(self.written.take())
    }
}

/// Bytes that one writes and the other takes away.
#[derive(Clone, Debug, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.lock())
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
