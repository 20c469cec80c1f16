//! Looking into a queue without taking anything, while a service uses it or not.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::sqlite::SqliteConnection;
use sqlx::{ConnectOptions, Error};
use tranche_application::audit::record::EventRecord;

use crate::errors::OpenError;
use crate::file;

/// One event that waits, or what is left of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its place: the number of its frame, and of itself in it, from 1.
    pub position: String,
    /// When it was pushed.
    pub pushed_at: DateTime<Utc>,
    /// The event, where it can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<Arc<EventRecord>>,
    /// What is left of it as text, where it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Reads a queue's file from its oldest entry on, a frame at a time. Whether somebody holds an entry
/// is known to the service alone, so those that are held are shown too.
#[derive(Debug)]
pub struct Peek {
    file: PathBuf,
    connection: SqliteConnection,
    after: i64,
    entries: VecDeque<Entry>,
}

impl Peek {
    /// Opens the file for reading. A service that uses it is not disturbed.
    ///
    /// # Errors
    /// [`OpenError`] when it is not there, cannot be read, or is something else.
    pub async fn open(file: &Path) -> Result<Self, OpenError> {
        let failed = |source| crate::unusable(file, source);
        let opened = file::reading(file).connect().await;
        let mut connection = opened.map_err(failed)?;
        let identity = file::identity(&mut connection).await.map_err(failed)?;
        if !file::is_queue(identity) {
            let file = file.to_owned();
            return Err(OpenError::Foreign { file });
        }
        Ok(Self {
            file: file.to_owned(),
            connection,
            after: 0,
            entries: VecDeque::new(),
        })
    }

    /// The next entry; `None` behind the last.
    ///
    /// # Errors
    /// [`OpenError::Unusable`] when the file cannot be read any more.
    pub async fn next(&mut self) -> Result<Option<Entry>, OpenError> {
        while self.entries.is_empty() {
            match self.load().await {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(source) => return Err(crate::unusable(&self.file, source)),
            }
        }
        Ok(self.entries.pop_front())
    }

    /// Reads one frame; says whether there was one.
    async fn load(&mut self) -> Result<bool, Error> {
        let frames = file::after(&mut self.connection, self.after, 1).await?;
        let Some(frame) = frames.first() else {
            return Ok(false);
        };
        let sequence = frame.sequence;
        self.after = sequence;
        // Between the two reads it may have been done: then there is nothing in it.
        let content = file::content(&mut self.connection, sequence, frame.amount.events).await?;
        let events = content.events.into_iter().map(|event| Entry {
            position: String::new(),
            pushed_at: frame.pushed_at,
            event: Some(event),
            unreadable: None,
            error: None,
        });
        let unreadable = content.unreadable.into_iter().map(|entry| Entry {
            position: String::new(),
            pushed_at: frame.pushed_at,
            event: None,
            unreadable: Some(entry.content),
            error: Some(entry.error),
        });
        for (place, mut entry) in (1_u64..).zip(events.chain(unreadable)) {
            entry.position = format!("{sequence}.{place}");
            self.entries.push_back(entry);
        }
        Ok(true)
    }
}
