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
    let event = full(1).event;
    let cells = [
        "01990000-0000-7000-8000-000000000001",
        "2026-09-21T14:13:20.123457Z",
        "2026-09-21T14:13:21.823457Z",
        "warning",
        "order.paid.1",
        "actor-1",
        "service",
        "00000000-0000-0000-0000-000000000007",
        "00000000-0000-0000-0000-000000000008",
        "order",
        "1",
        "draft",
        "submitted",
        &event.changes.to_string(),
        &event.metadata.to_string(),
        &event.details.to_string(),
        "2001:db8::7",
        "curl/8, \"quoted\"\r\nsecond line",
        "r-1",
        "1",
    ];
    assert_eq!(rows[1], cells);
    let empty = COLUMNS.iter().zip(&rows[2]);
    let empty: Vec<&str> = empty
        .filter(|(_, cell)| cell.is_empty())
        .map(|(name, _)| *name)
        .collect();
    assert_eq!(
        empty,
        [
            "recorded_at",
            "actor_id",
            "actor_role",
            "project_id",
            "milestone_id",
            "resource_id",
            "previous_status",
            "new_status",
            "changes",
            "metadata",
            "details",
            "ip_address",
            "user_agent",
            "request_id",
            "leaf_index"
        ]
    );
    assert_eq!(rows[3][10], "3");
    let text = String::from_utf8(bytes).expect("text");
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

// S11: what strangers sent is calculated by no spreadsheet, in whichever column it is.
#[test]
fn no_cell_begins_like_a_formula() {
    for first in [
        '=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}', '\'',
    ] {
        let sent = || format!("{first}1+1");
        let mut logged = full(1);
        let event = &mut logged.event;
        event.severity = sent();
        event.action = sent();
        event.actor.id = sent();
        event.actor.role = Some(sent());
        event.resource_type = sent();
        event.resource_id = Some(sent());
        event.previous_status = Some(sent());
        event.new_status = Some(sent());
        event.user_agent = Some(sent());
        event.request_id = Some(sent());
        event.changes = (-5).into();
        event.metadata = (-5).into();
        event.details = (-5).into();
        let rows = read(&written(&[&[logged]]));
        for (column, cell) in COLUMNS.iter().zip(&rows[1]) {
            let expected = match *column {
                "changes" | "metadata" | "details" => "'-5".to_owned(),
                "severity" | "action" | "actor_id" | "actor_role" | "resource_type"
                | "resource_id" | "previous_status" | "new_status" | "user_agent"
                | "request_id" => format!("'{first}1+1"),
                _ => continue,
            };
            assert_eq!(*cell, expected, "{column}");
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
