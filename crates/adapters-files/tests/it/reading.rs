//! An archive's table is read back as it was written, and anything else is refused.

use std::fs::File;
use std::io::Write;

use proptest::prelude::*;
use serde_json::{Value, json};
use tranche_adapters_files::parquet::ParquetTable;
use tranche_adapters_files::parquet::reading::{ArchivedTable, NoTable};
use tranche_application::audit::export::Table;
use tranche_application::audit::record::LoggedEvent;
use tranche_application::audit::verify::archived::ArchivedRow;

use crate::scene::{bare, full};

fn written(mut table: Box<ParquetTable>, events: &[LoggedEvent]) -> Vec<u8> {
    let mut bytes = table.write(events).expect("it is written");
    bytes.extend(table.end().expect("it ends"));
    bytes
}

fn archive(events: &[LoggedEvent]) -> Vec<u8> {
    let table = ParquetTable::for_archive().expect("it begins");
    written(Box::new(table), events)
}

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(bytes).expect("it is written");
    file
}

fn rows(bytes: &[u8]) -> Result<Vec<Result<ArchivedRow, String>>, NoTable> {
    let mut rows = Vec::new();
    ArchivedTable::open(file(bytes))?.rows(|row| {
        rows.push(row);
        Ok::<(), NoTable>(())
    })?;
    Ok(rows)
}

/// With a place in the tree, as every event has that expires.
fn placed(mut logged: LoggedEvent, number: u32) -> LoggedEvent {
    logged.recorded_at = Some(logged.event.occurred_at);
    logged.leaf_index = Some(i64::from(number));
    logged
}

fn read_back(logged: &LoggedEvent) -> ArchivedRow {
    let recorded_at = logged.recorded_at.expect("a time");
    ArchivedRow {
        event: logged.event.clone(),
        recorded_at,
        leaf_index: logged.leaf_index.expect("a place"),
        leaf_hash: logged.event.leaf_hash(recorded_at).expect("a leaf"),
    }
}

// S7 S11: every column, the salt and the leaf; over several groups.
#[test]
fn an_archives_row_is_read_back_whole() {
    let mut events: Vec<LoggedEvent> = (0..20_003).map(|n| placed(full(n), n)).collect();
    events[7] = placed(bare(7), 7);
    let expected: Vec<_> = events.iter().map(|logged| Ok(read_back(logged))).collect();
    assert!(rows(&archive(&events)).expect("a table") == expected);
    assert_eq!(rows(&archive(&[])).expect("a table"), []);
}

// S7: what never had a place in the tree did not expire.
#[test]
fn a_row_without_a_place_is_none() {
    let rows = rows(&archive(&[bare(1)])).expect("a table");
    assert!(rows[0].is_err(), "{rows:?}");
}

#[test]
fn another_table_is_refused() {
    let table = ParquetTable::try_new().expect("it begins");
    let people = written(Box::new(table), &[full(1)]);
    assert!(matches!(rows(&people), Err(NoTable::Columns)));
    let bytes = archive(&[placed(full(1), 1)]);
    for cut in [&bytes[..bytes.len() - 9], b"PAR1", b""] {
        assert!(matches!(rows(cut), Err(NoTable::Broken(_))));
    }
}

// S7: bytes that are altered in place, where no checksum of the format looks, give another row or none.
#[test]
fn an_altered_byte_is_not_read_over() {
    let mut event = placed(full(1), 1);
    event.event.details = json!({"alpha": "bravo", "charlie": 1});
    let bytes = archive(std::slice::from_ref(&event));
    let altered = |from: &[u8], to: &[u8]| {
        let mut bytes = bytes.clone();
        let places: Vec<usize> = (0..bytes.len() - from.len())
            .filter(|at| bytes[*at..].starts_with(from))
            .collect();
        assert!(!places.is_empty());
        for at in places {
            bytes[at..at + to.len()].copy_from_slice(to);
        }
        rows(&bytes).expect("a table").remove(0)
    };
    let row = altered(b"bravo", b"brave").expect("a row");
    let leaf = row.event.leaf_hash(row.recorded_at).expect("a leaf");
    assert_ne!(leaf, row.leaf_hash);
    assert!(
        altered(b"\"charlie\":", b" \"harlie\":").is_err(),
        "not as written"
    );
    assert!(
        altered(b"2001:db8::7", b"2001:db8:07").is_err(),
        "no address"
    );
}

fn any_document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("\\PC{0,4}", inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    // S7: whatever the log holds, its leaf can be computed from the file.
    #[test]
    fn any_document_keeps_its_leaf(details in any_document(), agent in "\\PC{0,12}") {
        let mut event = placed(full(1), 1);
        event.event.details = details;
        event.event.user_agent = Some(agent);
        // What no leaf can hold is refused before it comes into the log.
        prop_assume!(event.event.leaf_hash(event.event.occurred_at).is_ok());
        let rows = rows(&archive(std::slice::from_ref(&event))).expect("a table");
        prop_assert_eq!(&rows[0], &Ok(read_back(&event)));
    }
}
