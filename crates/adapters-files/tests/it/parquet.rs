use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use tranche_adapters_files::COLUMNS;
use tranche_adapters_files::parquet::ParquetTable;
use tranche_application::audit::export::Table;
use tranche_application::audit::record::LoggedEvent;

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
    let event = full(1).event;
    assert_eq!(
        field(&rows[0], "occurred_at"),
        Field::TimestampMicros(event.occurred_at.timestamp_micros())
    );
    assert_eq!(
        field(&rows[0], "action"),
        Field::Str("order.paid.1".to_owned())
    );
    assert_eq!(
        field(&rows[0], "details"),
        Field::Str(event.details.to_string())
    );
    assert_eq!(field(&rows[0], "leaf_index"), Field::Long(1));
    let Field::Bytes(id) = field(&rows[0], "id") else {
        panic!("{:?}", field(&rows[0], "id"));
    };
    assert_eq!(id.data(), event.id.as_bytes());
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
    let schema = reader.metadata().file_metadata().schema_descr().clone();
    let logical = |name: &str| {
        let column = schema.columns().iter().find(|column| column.name() == name);
        format!("{:?}", column.expect("a column").logical_type_ref())
    };
    assert!(logical("id").contains("Uuid"), "{}", logical("id"));
    assert!(logical("project_id").contains("Uuid"));
    assert!(
        logical("details").contains("Json"),
        "{}",
        logical("details")
    );
    let time = logical("occurred_at").to_lowercase();
    assert!(
        time.contains("timestamp") && time.contains("micros"),
        "{time}"
    );
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
