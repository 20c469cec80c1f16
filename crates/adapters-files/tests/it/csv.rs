use proptest::prelude::*;
use tranche_adapters_files::COLUMNS;
use tranche_adapters_files::csv::{CsvTable, FORMULA, safe};
use tranche_application::audit::export::Table;
use tranche_application::audit::record::LoggedEvent;

use crate::scene::{bare, full};

fn written(pages: &[&[LoggedEvent]]) -> Vec<u8> {
    let mut table = Box::new(CsvTable::try_new().expect("it begins"));
    let mut bytes = Vec::new();
    for page in pages {
        bytes.extend(table.write(page).expect("it is written"));
    }
    bytes.extend(table.end().expect("it ends"));
    bytes
}

fn read(bytes: &[u8]) -> Vec<Vec<String>> {
    csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(bytes)
        .into_records()
        .map(|row| row.expect("a row").iter().map(ToOwned::to_owned).collect())
        .collect()
}

// S11
#[test]
fn a_row_is_read_back_as_it_was() {
    let bytes = written(&[&[full(1), bare(2)], &[full(3)]]);
    let rows = read(&bytes);
    assert_eq!(rows.len(), 4);
    assert_eq!(rows[0], COLUMNS);
    let of = |row: usize, column: &str| {
        let place = COLUMNS.iter().position(|name| *name == column);
        rows[row][place.expect("a column")].clone()
    };
    let event = full(1).event;
    assert_eq!(of(1, "id"), event.id.to_string());
    assert_eq!(of(1, "occurred_at"), "2026-09-21T14:13:20.123457Z");
    assert_eq!(of(1, "user_agent"), event.user_agent.expect("one"));
    assert_eq!(of(1, "details"), event.details.to_string());
    assert_eq!(of(1, "leaf_index"), "1");
    assert_eq!(of(2, "recorded_at"), "");
    assert_eq!(of(2, "details"), "");
    assert_eq!(of(3, "resource_id"), "3");
    let text = String::from_utf8(bytes).expect("text");
    assert!(
        text.starts_with("id,occurred_at,recorded_at,severity,"),
        "{text}"
    );
    assert!(text.ends_with("\r\n"), "lines end as RFC 4180 has it");
    assert!(!text.contains("070707"), "the salt is no column");
}

#[test]
fn an_empty_table_has_a_header() {
    assert_eq!(
        read(&written(&[])),
        [COLUMNS.map(ToOwned::to_owned).to_vec()]
    );
}

// S11: what strangers sent is calculated by no spreadsheet.
#[test]
fn no_cell_begins_like_a_formula() {
    let mut event = full(1);
    event.event.action = "=HYPERLINK(\"http://evil\")".to_owned();
    event.event.actor.id = "@SUM(1)".to_owned();
    event.event.user_agent = Some("\t=1+1".to_owned());
    event.event.resource_id = Some("+1".to_owned());
    event.event.resource_type = "'-1".to_owned();
    event.event.request_id = Some("＝1".to_owned());
    event.event.details = "=1+1".into();
    event.event.metadata = (-5).into();
    for row in &read(&written(&[&[event]]))[1..] {
        for cell in row {
            assert!(!cell.starts_with(FORMULA), "{cell:?}");
        }
    }
}

proptest! {
    #[test]
    fn the_apostrophe_is_taken_away_by_one_rule(text in "[='+@\\-\\PC]{0,8}") {
        let cell = safe(&text);
        prop_assert!(!cell.starts_with(FORMULA));
        prop_assert_eq!(cell.strip_prefix('\'').unwrap_or(&cell), text.as_str());
    }
}
