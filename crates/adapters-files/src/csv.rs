//! CSV as RFC 4180 has it: a header, lines that end with CR LF, quotes where they are needed.
//!
//! A spreadsheet takes a cell that begins with `=` for a formula, and an event holds what strangers
//! sent. So a cell that begins with one of [`FORMULA`], or with an apostrophe, gets an apostrophe in
//! front. It is taken away again by one rule: of a cell that begins with an apostrophe, drop it.

use std::borrow::Cow;

use ::csv::{Terminator, Writer, WriterBuilder};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;
use tranche_application::audit::export::Table;
use tranche_application::audit::record::LoggedEvent;
use tranche_application::ports::store::Source;
use uuid::Uuid;

use crate::COLUMNS;

/// What a spreadsheet may take for the beginning of a formula, the wide forms included.
pub const FORMULA: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// A table as CSV.
pub struct CsvTable {
    writer: Writer<Vec<u8>>,
}

impl CsvTable {
    /// An empty table, with its header.
    ///
    /// # Errors
    /// None: what it writes into is memory.
    pub fn try_new() -> Result<Self, Source> {
        let mut writer = WriterBuilder::new()
            .terminator(Terminator::CRLF)
            .from_writer(Vec::new());
        writer.write_record(COLUMNS)?;
        Ok(Self { writer })
    }
}

impl Table for CsvTable {
    fn write(&mut self, events: &[LoggedEvent]) -> Result<Vec<u8>, Source> {
        for event in events {
            row(&mut self.writer, event)?;
        }
        let header_and_rows = std::mem::replace(
            &mut self.writer,
            WriterBuilder::new()
                .terminator(Terminator::CRLF)
                .from_writer(Vec::new()),
        );
        Ok(header_and_rows.into_inner()?)
    }

    fn end(self: Box<Self>) -> Result<Vec<u8>, Source> {
        Ok(self.writer.into_inner()?)
    }
}

fn row(writer: &mut Writer<Vec<u8>>, logged: &LoggedEvent) -> Result<(), ::csv::Error> {
    let event = &logged.event;
    let cells = [
        Cow::Owned(event.id.to_string()),
        Cow::Owned(time(event.occurred_at)),
        Cow::Owned(logged.recorded_at.map(time).unwrap_or_default()),
        safe(&event.severity),
        safe(&event.action),
        safe(&event.actor.id),
        text(event.actor.role.as_deref()),
        id(event.project_id),
        id(event.milestone_id),
        safe(&event.resource_type),
        text(event.resource_id.as_deref()),
        text(event.previous_status.as_deref()),
        text(event.new_status.as_deref()),
        document(&event.changes),
        document(&event.metadata),
        document(&event.details),
        Cow::Owned(
            event
                .ip_address
                .map(|address| address.to_string())
                .unwrap_or_default(),
        ),
        text(event.user_agent.as_deref()),
        text(event.request_id.as_deref()),
        Cow::Owned(
            logged
                .leaf_index
                .map(|index| index.to_string())
                .unwrap_or_default(),
        ),
    ];
    writer.write_record(cells.iter().map(|cell| cell.as_bytes()))
}

/// A text that no spreadsheet calculates.
#[must_use]
pub fn safe(text: &str) -> Cow<'_, str> {
    if text.starts_with(FORMULA) || text.starts_with('\'') {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

fn text(text: Option<&str>) -> Cow<'_, str> {
    safe(text.unwrap_or_default())
}

fn id(id: Option<Uuid>) -> Cow<'static, str> {
    Cow::Owned(id.map(|id| id.to_string()).unwrap_or_default())
}

fn document(value: &Value) -> Cow<'static, str> {
    if value.is_null() {
        return Cow::Borrowed("");
    }
    let text = value.to_string();
    Cow::Owned(safe(&text).into_owned())
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}
