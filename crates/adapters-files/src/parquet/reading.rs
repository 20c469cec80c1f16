//! Reads an archive's table back, to be verified. Whoever wrote it may have been somebody else, so nothing
//! in it is trusted: sizes are looked at before anything is read.

use std::fs::File;
use std::net::IpAddr;

use ::parquet::errors::ParquetError;
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::record::{Field, Row};
use ::parquet::schema::parser::parse_message_type;
use chrono::{DateTime, Utc};
use serde_json::Value;
use tranche_application::audit::record::{EventRecord, RecordedActor};
use tranche_application::audit::verify::archived::ArchivedRow;
use uuid::Uuid;

use super::{ARCHIVE_SCHEMA, GROUP_ROWS};

/// How large a row group may be once it is unpacked: many times what is written.
const GROUP_BYTES: i64 = 256 * 1024 * 1024;

/// It is no archive's table, or it breaks off.
#[derive(Debug, thiserror::Error)]
pub enum NoTable {
    /// It cannot be read.
    #[error("it is no Parquet file, or not all of it: {0}")]
    Broken(#[from] ParquetError),
    /// It is another table.
    #[error("its columns are not those of an archive's table")]
    Columns,
    /// No archive's table has such groups.
    #[error("row group {0} is larger than any that is written")]
    Group(usize),
}

/// A table that is being read.
pub struct ArchivedTable {
    file: SerializedFileReader<File>,
}

impl ArchivedTable {
    /// The table in this file.
    ///
    /// # Errors
    /// [`NoTable`].
    pub fn open(file: File) -> Result<Self, NoTable> {
        let file = SerializedFileReader::new(file)?;
        let schema = parse_message_type(ARCHIVE_SCHEMA)?;
        let metadata = file.metadata();
        if metadata.file_metadata().schema_descr().root_schema() != &schema {
            return Err(NoTable::Columns);
        }
        for (place, group) in metadata.row_groups().iter().enumerate() {
            let rows = usize::try_from(group.num_rows()).unwrap_or(usize::MAX);
            if rows > GROUP_ROWS || !(0..=GROUP_BYTES).contains(&group.total_byte_size()) {
                return Err(NoTable::Group(place));
            }
        }
        Ok(Self { file })
    }

    /// Gives each row, or why it is none, in the order of the file, until somebody has had enough.
    ///
    /// # Errors
    /// [`NoTable`] where the file breaks off, and whatever `each` says.
    pub fn rows<E: From<NoTable>>(
        &self,
        mut each: impl FnMut(Result<ArchivedRow, String>) -> Result<(), E>,
    ) -> Result<(), E> {
        let broken = |error| E::from(NoTable::Broken(error));
        for group in 0..self.file.metadata().num_row_groups() {
            let group = self.file.get_row_group(group).map_err(broken)?;
            for row in group.get_row_iter(None).map_err(broken)? {
                each(archived(&row.map_err(broken)?))?;
            }
        }
        Ok(())
    }
}

/// The columns of a row, taken from left to right.
struct Cells<'r>(Box<dyn Iterator<Item = (&'r String, &'r Field)> + 'r>);

impl<'r> Cells<'r> {
    /// The next column, if there is anything in it.
    fn maybe<T>(&mut self, read: impl FnOnce(&'r Field) -> Option<T>) -> Result<Option<T>, String> {
        let (name, field) = self.0.next().ok_or("a column is missing")?;
        match field {
            Field::Null => Ok(None),
            field => match read(field) {
                Some(value) => Ok(Some(value)),
                None => Err(format!("{name} is not written as the log writes it")),
            },
        }
    }

    fn some<T>(&mut self, read: impl FnOnce(&'r Field) -> Option<T>) -> Result<T, String> {
        self.maybe(read)?
            .ok_or_else(|| "a column is empty that never is".to_owned())
    }
}

fn text(field: &Field) -> Option<String> {
    match field {
        Field::Str(text) => Some(text.clone()),
        _ => None,
    }
}

fn time(field: &Field) -> Option<DateTime<Utc>> {
    match field {
        Field::TimestampMicros(micros) => DateTime::from_timestamp_micros(*micros),
        _ => None,
    }
}

fn fixed<const N: usize>(field: &Field) -> Option<[u8; N]> {
    match field {
        Field::Bytes(bytes) => bytes.data().try_into().ok(),
        _ => None,
    }
}

fn id(field: &Field) -> Option<Uuid> {
    fixed(field).map(Uuid::from_bytes)
}

fn number(field: &Field) -> Option<i64> {
    match field {
        Field::Long(number) => Some(*number),
        _ => None,
    }
}

fn document(field: &Field) -> Option<Value> {
    let text = text(field)?;
    let value: Value = serde_json::from_str(&text).ok()?;
    let again = serde_json::to_string(&value).ok()?;
    // Another text might say something else to another reader.
    (again == text && !value.is_null()).then_some(value)
}

fn address(field: &Field) -> Option<IpAddr> {
    let text = text(field)?;
    let address: IpAddr = text.parse().ok()?;
    (address.to_string() == text).then_some(address)
}

fn archived(row: &Row) -> Result<ArchivedRow, String> {
    let mut cells = Cells(Box::new(row.get_column_iter()));
    let id_of_event = cells.some(id)?;
    let occurred_at = cells.some(time)?;
    let recorded_at = cells.some(time)?;
    let event = EventRecord {
        id: id_of_event,
        occurred_at,
        severity: cells.some(text)?,
        action: cells.some(text)?,
        actor: RecordedActor {
            id: cells.some(text)?,
            role: cells.maybe(text)?,
        },
        project_id: cells.maybe(id)?,
        milestone_id: cells.maybe(id)?,
        resource_type: cells.some(text)?,
        resource_id: cells.maybe(text)?,
        previous_status: cells.maybe(text)?,
        new_status: cells.maybe(text)?,
        changes: cells.maybe(document)?.unwrap_or_default(),
        metadata: cells.maybe(document)?.unwrap_or_default(),
        details: cells.maybe(document)?.unwrap_or_default(),
        ip_address: cells.maybe(address)?,
        user_agent: cells.maybe(text)?,
        request_id: cells.maybe(text)?,
        salt: [0; 16],
    };
    let leaf_index = cells.some(number)?;
    let salt = cells.some(fixed)?;
    Ok(ArchivedRow {
        event: EventRecord { salt, ..event },
        recorded_at,
        leaf_index,
        leaf_hash: cells.some(fixed)?,
    })
}
