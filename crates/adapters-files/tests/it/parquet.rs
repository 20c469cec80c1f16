use chrono::{DateTime, Utc};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use parquet::schema::printer::print_schema;
use tranche_adapters_files::COLUMNS;
use tranche_adapters_files::parquet::ParquetTable;
use tranche_application::audit::export::Table;
use tranche_application::audit::record::LoggedEvent;
use uuid::Uuid;

use crate::scene::{bare, full};

fn written(pages: &[Vec<LoggedEvent>]) -> Vec<u8> {
    let mut table = Box::new(ParquetTable::try_new().expect("it begins"));
    let mut bytes = Vec::new();
    for page in pages {
        bytes.extend(table.write(page).expect("it is written"));
    }
    bytes.extend(table.end().expect("it ends"));
    bytes
}

/// A file that readers can seek in.
fn open(bytes: &[u8]) -> parquet::errors::Result<SerializedFileReader<std::fs::File>> {
    use std::io::Write;
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(bytes).expect("it is written");
    SerializedFileReader::new(file)
}

fn rows(bytes: &[u8]) -> Vec<Row> {
    let reader = open(bytes).expect("a Parquet file");
    let rows = reader.get_row_iter(None).expect("rows");
    rows.map(|row| row.expect("a row")).collect()
}

fn field(row: &Row, name: &str) -> Field {
    let column = row.get_column_iter().find(|(column, _)| *column == name);
    column.expect("a column").1.clone()
}

// S11
#[test]
fn a_row_is_read_back_as_it_was() {
    let rows = rows(&written(&[vec![full(1), bare(2)], vec![full(3)]]));
    assert_eq!(rows.len(), 3);
    let names: Vec<&String> = rows[0].get_column_iter().map(|(name, _)| name).collect();
    assert_eq!(names, COLUMNS);
    let LoggedEvent {
        event, recorded_at, ..
    } = full(1);
    let text = |text: &str| Field::Str(text.to_owned());
    let time = |at: DateTime<Utc>| Field::TimestampMicros(at.timestamp_micros());
    let id = |id: Uuid| Field::Bytes(id.as_bytes().to_vec().into());
    let expected = [
        id(event.id),
        time(event.occurred_at),
        time(recorded_at.expect("a time")),
        text("warning"),
        text("order.paid.1"),
        text("actor-1"),
        text("service"),
        id(Uuid::from_u128(7)),
        id(Uuid::from_u128(8)),
        text("order"),
        text("1"),
        text("draft"),
        text("submitted"),
        text(&event.changes.to_string()),
        text(&event.metadata.to_string()),
        text(&event.details.to_string()),
        text("2001:db8::7"),
        text("curl/8, \"quoted\"\r\nsecond line"),
        text("r-1"),
        Field::Long(1),
    ];
    for ((name, found), expected) in rows[0].get_column_iter().zip(expected) {
        assert_eq!(*found, expected, "{name}");
    }
    for column in [
        "recorded_at",
        "project_id",
        "details",
        "ip_address",
        "leaf_index",
    ] {
        assert_eq!(field(&rows[1], column), Field::Null, "{column}");
    }
    assert_eq!(field(&rows[2], "resource_id"), Field::Str("3".to_owned()));
}

/// Types are those that programs know what to do with.
#[test]
fn the_schema_says_what_columns_are() {
    let reader = open(&written(&[vec![full(1)]])).expect("a Parquet file");
    let mut schema = Vec::new();
    print_schema(&mut schema, reader.metadata().file_metadata().schema());
    let schema = String::from_utf8(schema).expect("text");
    let expected = "message audit_event {
  REQUIRED FIXED_LEN_BYTE_ARRAY (16) id (UUID);
  REQUIRED INT64 occurred_at (TIMESTAMP(MICROS,true));
  OPTIONAL INT64 recorded_at (TIMESTAMP(MICROS,true));
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
  OPTIONAL INT64 leaf_index (INTEGER(64,true));
}
";
    assert_eq!(schema, expected);
    let group = reader.metadata().row_group(0);
    for column in ["severity", "action", "resource_type"] {
        let chunk = group
            .columns()
            .iter()
            .find(|chunk| chunk.column_descr().name() == column);
        let chunk = chunk.expect("a column");
        assert!(
            chunk.dictionary_page_offset().is_some(),
            "{column} has a dictionary"
        );
    }
}

/// Memory holds one group, however many rows there are.
#[test]
fn many_rows_come_out_in_groups() {
    let mut table = Box::new(ParquetTable::try_new().expect("it begins"));
    let mut bytes = Vec::new();
    let mut early = 0;
    for page in 0..45 {
        let events: Vec<LoggedEvent> = (0..1_000).map(|n| full(page * 1_000 + n)).collect();
        bytes.extend(table.write(&events).expect("it is written"));
        if page == 30 {
            early = bytes.len();
        }
    }
    assert!(early > 100_000, "{early} bytes came out before the end");
    bytes.extend(table.end().expect("it ends"));
    let reader = open(&bytes).expect("a Parquet file");
    assert_eq!(reader.metadata().num_row_groups(), 3);
    assert_eq!(reader.metadata().file_metadata().num_rows(), 45_000);
}

#[test]
fn a_file_that_breaks_off_is_none() {
    let bytes = written(&[vec![full(1)]]);
    assert!(open(&bytes[..bytes.len() - 9]).is_err());
    assert!(rows(&written(&[])).is_empty());
}
