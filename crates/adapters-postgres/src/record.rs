//! A change in one statement: every write of it as a common table expression, and whether each
//! found the version before it.
//!
//! All parts of such a statement are executed, whichever of them find nothing to write, so a change
//! that comes too late is told by its counts, and its unit of work must be dropped. The parts see
//! the same snapshot and touch different tables, so their order does not matter; foreign keys are
//! checked when the statement is through, and the evidence when the transaction is.
//!
//! There is a statement for each shape of change, composed at its first use from the parts that the
//! modules of the tables give. Parts write `?` for a parameter, bound in the order of the text.

use std::sync::OnceLock;

use sqlx::PgConnection;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{Postgres, Row};
use tranche_application::audit::record::EventRecord;
use tranche_application::ports::store::StoreError;
use tranche_domain::{Change, Write};

use crate::errors::not_canonical;
use crate::{audit, disbursements, milestones, projects};

/// A statement with the values bound so far.
pub(crate) type Binding<'q> = Query<'q, Postgres, PgArguments>;

/// What becomes of a row.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Insert,
    Update,
    Delete,
}

impl Kind {
    const fn of<T>(write: &Write<T>) -> Self {
        match write {
            Write::Insert(_) => Self::Insert,
            Write::Update(_) => Self::Update,
            Write::Delete(_) => Self::Delete,
        }
    }

    /// 0 for no write at all.
    const fn index(kind: Option<Self>) -> usize {
        match kind {
            None => 0,
            Some(Self::Insert) => 1,
            Some(Self::Update) => 2,
            Some(Self::Delete) => 3,
        }
    }
}

/// Which writes a change consists of.
#[derive(Clone, Copy)]
struct Shape {
    project: Option<Kind>,
    milestone: Option<Kind>,
    disbursement: Option<Kind>,
    critical: bool,
}

impl Shape {
    const COUNT: usize = 4 * 4 * 4 * 2;

    fn of(change: &Change) -> Self {
        Self {
            project: change.project().map(Kind::of),
            milestone: change.milestone().map(Kind::of),
            disbursement: change.disbursement().map(Kind::of),
            critical: change.event().action.is_critical(),
        }
    }

    const fn index(self) -> usize {
        let writes = (Kind::index(self.project) * 4 + Kind::index(self.milestone)) * 4
            + Kind::index(self.disbursement);
        writes * 2 + self.critical as usize
    }

    fn text(self) -> &'static str {
        static TEXTS: [OnceLock<String>; Shape::COUNT] = [const { OnceLock::new() }; Shape::COUNT];
        TEXTS[self.index()].get_or_init(|| self.compose())
    }

    fn compose(self) -> String {
        let mut parts = Vec::new();
        let mut found = Vec::new();
        if let Some(kind) = self.project {
            parts.push(projects::part(kind));
            found.push("(SELECT count(*) FROM project) = 1");
        }
        if let Some(kind) = self.milestone {
            parts.push(milestones::part(kind));
            found.push("(SELECT count(*) FROM milestone) = 1");
        }
        if let Some(kind) = self.disbursement {
            parts.push(disbursements::part(kind));
            found.push("(SELECT count(*) FROM disbursement) = 1");
        }
        parts.push(if self.critical {
            audit::LOGGED
        } else {
            audit::POSTED
        });
        let found = if found.is_empty() {
            "true".to_owned()
        } else {
            found.join(" AND ")
        };
        numbered(&format!("WITH {} SELECT {found}", parts.join(", ")))
    }
}

/// The text with `$1`, `$2`, … for each `?`.
pub(crate) fn numbered(text: &str) -> String {
    let mut pieces = text.split('?');
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.enumerate().fold(first, |text, (index, piece)| {
        format!("{text}${}{piece}", index + 1)
    })
}

/// A change on its way into the database.
pub(crate) struct Statement<'c> {
    change: &'c Change,
    event: EventRecord,
    /// Of a critical event: it goes into the log at once, so its leaf is due.
    leaf_hash: Option<[u8; 32]>,
}

impl<'c> Statement<'c> {
    pub(crate) fn of(change: &'c Change) -> Result<Self, StoreError> {
        let event = EventRecord::from(change.event());
        // Its time of recording is the time of the act: they commit together.
        let leaf_hash = change
            .event()
            .action
            .is_critical()
            .then(|| event.leaf_hash(event.occurred_at))
            .transpose()
            .map_err(not_canonical)?;
        Ok(Self {
            change,
            event,
            leaf_hash,
        })
    }

    /// Whether every write found the version before it.
    pub(crate) async fn run(&self, connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
        let mut query = sqlx::query(Shape::of(self.change).text());
        if let Some(write) = self.change.project() {
            query = projects::bind(query, Kind::of(write), write.value());
        }
        if let Some(write) = self.change.milestone() {
            query = milestones::bind(query, Kind::of(write), write.value(), self.event.id);
        }
        if let Some(write) = self.change.disbursement() {
            query = disbursements::bind(query, Kind::of(write), write.value());
        }
        query = audit::bind(query, &self.event);
        if let Some(leaf_hash) = &self.leaf_hash {
            query = query
                .bind(self.event.occurred_at)
                .bind(leaf_hash.as_slice());
        }
        query.fetch_one(connection).await?.try_get(0)
    }
}
