//! Copies of the log, or of a part of it, for people and their tools (S11).
//!
//! A copy is made in pieces that whoever takes them waits for: nothing is held but the piece in
//! hand, however large the log is, and when nobody takes them any more, nothing more is read. Each
//! copy is recorded, also one that broke off.

mod proven;
pub mod proven_line;

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tranche_domain::audit::Resource;
use tranche_domain::{Action, AuditEvent, Fact};
use uuid::Uuid;

use super::filter::EventFilter;
use super::record::{EventRecord, LoggedEvent};
use crate::call::Caller;
use crate::ports::audit_search::{AuditSearch, EventPage, Scope};
use crate::ports::store::{Source, StoreError};
use crate::ports::tree::{Checkpoint, Tree};
use crate::services::{Services, with_causes};

/// How many events are read at a time.
const PAGE: u32 = 500;
/// How many pieces wait to be taken.
const AHEAD: usize = 2;
/// How long a piece waits to be taken, until whoever should take it counts as gone.
const PATIENCE: Duration = Duration::from_mins(2);

/// How a copy is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A table for people.
    Csv,
    /// A table for programs.
    Parquet,
    /// The stored columns with what proves them.
    Ndjson,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Csv, Self::Ndjson, Self::Parquet];

    /// Its name, which is its file's ending too.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Parquet => "parquet",
            Self::Ndjson => "ndjson",
        }
    }

    /// The format of this name, if there is one.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == name)
    }
}

/// A table that is being written: its bytes come out as they are ready.
pub trait Table: Send {
    /// Writes rows, and gives the bytes that are ready.
    ///
    /// # Errors
    /// What the format cannot hold.
    fn write(&mut self, events: &[LoggedEvent]) -> Result<Vec<u8>, Source>;

    /// Ends the table, and gives its last bytes.
    ///
    /// # Errors
    /// As [`Table::write`].
    fn end(self: Box<Self>) -> Result<Vec<u8>, Source>;
}

/// What is written.
pub enum Sheet {
    /// A table in this format.
    Table(Format, Box<dyn Table>),
    /// Lines with what proves them, against this checkpoint of this verifier key.
    Proven(Checkpoint, String),
}

impl Sheet {
    /// Its format.
    #[must_use]
    pub const fn format(&self) -> Format {
        match self {
            Self::Table(format, _) => *format,
            Self::Proven(..) => Format::Ndjson,
        }
    }
}

/// Why a copy broke off.
#[derive(Debug, Error)]
pub enum ExportError {
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is in the log cannot be written.
    #[error("the copy cannot be written: {0}")]
    Unwritable(#[source] Source),
    /// Whoever took the copy is gone.
    #[error("the reader went away")]
    Gone,
}

/// What a copy came to.
#[derive(Debug)]
pub struct Exported {
    /// How many events were written.
    pub rows: u64,
    /// Why it broke off, if it did.
    pub broke_off: Option<ExportError>,
}

/// A part of a copy.
#[derive(Debug)]
pub struct Piece {
    /// What follows the pieces before.
    pub bytes: Vec<u8>,
    /// How many events were written by now; some of them may be in a later piece.
    pub rows: u64,
}

/// A copy that is being made: its pieces, then the end of the channel. An error is the last piece:
/// what came before it is no whole copy.
pub type Pieces = mpsc::Receiver<Result<Piece, ExportError>>;

/// Where a table goes on.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// With what is older than this event.
    Before(Option<Uuid>),
    /// From this leaf on.
    Leaf(i64),
    /// It is through.
    End,
}

/// Makes copies.
#[derive(Clone)]
pub struct Exports {
    services: Services,
    search: Arc<dyn AuditSearch>,
    tree: Arc<dyn Tree>,
}

/// What is to be copied.
#[derive(Clone, Debug)]
pub struct Request {
    /// Events that it lets through.
    pub filter: EventFilter,
    /// The filter as the copy and its record in the log have it, without search terms in clear.
    pub described: String,
    /// Who asks; sees no further than they do.
    pub caller: Caller,
}

impl Exports {
    /// Copies of what is behind these ports.
    #[must_use]
    pub const fn new(
        services: Services,
        search: Arc<dyn AuditSearch>,
        tree: Arc<dyn Tree>,
    ) -> Self {
        Self {
            services,
            search,
            tree,
        }
    }

    /// Begins a copy. It goes on by itself while its pieces are taken; what it came to is the task's
    /// result.
    #[must_use]
    pub fn begin(
        &self,
        request: Request,
        sheet: Sheet,
    ) -> (Pieces, tokio::task::JoinHandle<Exported>) {
        let (into, pieces) = mpsc::channel(AHEAD);
        let exports = self.clone();
        let copying = tokio::spawn(async move { exports.carry_out(request, sheet, into).await });
        (pieces, copying)
    }

    async fn carry_out(
        &self,
        request: Request,
        sheet: Sheet,
        into: mpsc::Sender<Result<Piece, ExportError>>,
    ) -> Exported {
        let mut out = Out { into, rows: 0 };
        let format = sheet.format();
        let written = match sheet {
            Sheet::Table(_, table) => self.table(&request, table, &mut out).await,
            Sheet::Proven(checkpoint, key) => {
                proven::write(self, &request, &checkpoint, &key, &mut out).await
            }
        };
        self.record(&request, format, out.rows, written.as_ref().err())
            .await;
        let rows = out.rows;
        match written {
            Ok(()) => Exported {
                rows,
                broke_off: None,
            },
            Err(error) => {
                let told = match &error {
                    ExportError::Store(error) => with_causes(error),
                    error => error.to_string(),
                };
                let _ = timeout(PATIENCE, out.into.send(Err(error))).await;
                Exported {
                    rows,
                    broke_off: Some(ExportError::Unwritable(told.into())),
                }
            }
        }
    }

    /// The newest first, as lists have them. Where a list could read long and find little, in the order
    /// of the log: that reads every event once, and no search of it takes too long.
    async fn table(
        &self,
        request: &Request,
        mut table: Box<dyn Table>,
        out: &mut Out,
    ) -> Result<(), ExportError> {
        let scope = Scope::from(request.caller.scope);
        let mut next = if request.filter.reads_in_vain(scope) {
            Next::Leaf(0)
        } else {
            Next::Before(None)
        };
        while let Some(events) = self.page(request, &mut next).await? {
            out.rows += events.len() as u64;
            // Compressing a piece takes a while, and others have requests.
            let writing = tokio::task::spawn_blocking(move || {
                let bytes = table.write(&events);
                (table, bytes)
            });
            let (written, bytes) = writing.await.map_err(unwritable)?;
            table = written;
            out.piece(bytes.map_err(ExportError::Unwritable)?).await?;
        }
        let ending = tokio::task::spawn_blocking(move || table.end());
        let bytes = ending.await.map_err(unwritable)?;
        out.piece(bytes.map_err(ExportError::Unwritable)?).await
    }

    /// The next events of a table, which may be none; `None` at the end.
    async fn page(
        &self,
        request: &Request,
        next: &mut Next,
    ) -> Result<Option<Vec<LoggedEvent>>, ExportError> {
        let (filter, scope) = (&request.filter, Scope::from(request.caller.scope));
        match *next {
            Next::End => Ok(None),
            Next::Leaf(from) => {
                let page = self.search.in_order(from, filter, scope, PAGE).await?;
                if page.next <= from {
                    return Ok(None);
                }
                *next = Next::Leaf(page.next);
                Ok(Some(page.events))
            }
            Next::Before(before) => {
                let page = EventPage {
                    before,
                    offset: 0,
                    limit: PAGE,
                    archived: true,
                };
                let events = self.search.events(filter, scope, page).await?;
                *next = match events.last() {
                    Some(last) if events.len() as u64 == u64::from(PAGE) => {
                        Next::Before(Some(last.event.id))
                    }
                    _ => Next::End,
                };
                Ok(Some(events))
            }
        }
    }

    /// Who copied what, and how far it came. It goes the way of every event that an act makes: it is
    /// in the store, whoever relays it.
    async fn record(
        &self,
        request: &Request,
        format: Format,
        rows: u64,
        broke_off: Option<&ExportError>,
    ) {
        let occasion = self.services.occasion(&request.caller);
        let mut event = AuditEvent::new(
            Action::AuditExported,
            Resource::AuditLog,
            format.as_str(),
            &occasion,
        )
        .with("format", Fact::text(format.as_str()))
        .with("filter", Fact::text(&request.described))
        .with("rows", Fact::Count(i64::try_from(rows).unwrap_or(i64::MAX)))
        .with("complete", Fact::text(broke_off.is_none()))
        .with("broke_off", Fact::maybe(broke_off.map(ToString::to_string)));
        event.project_id = request.caller.scope;
        if let Err(error) = self.services.post(&EventRecord::from(&event)).await {
            let context = serde_json::json!({ "format": format.as_str(), "rows": rows });
            self.services
                .report_store("audit.exported", false, &error, context);
        }
    }
}

fn unwritable(error: tokio::task::JoinError) -> ExportError {
    ExportError::Unwritable(Box::new(error))
}

/// Where the pieces go.
struct Out {
    into: mpsc::Sender<Result<Piece, ExportError>>,
    rows: u64,
}

impl Out {
    async fn piece(&mut self, bytes: Vec<u8>) -> Result<(), ExportError> {
        if bytes.is_empty() && !self.into.is_closed() {
            return Ok(());
        }
        let piece = Piece {
            bytes,
            rows: self.rows,
        };
        match timeout(PATIENCE, self.into.send(Ok(piece))).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(ExportError::Gone),
        }
    }
}
