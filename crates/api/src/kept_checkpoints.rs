//! The newest checkpoint, in the data folder: `checkpoints/newest`, with one a minute of the former
//! ones in `checkpoints/history-YYYY-MM`.
//!
//! The file is written whole beside its place, flushed, renamed, and the folder flushed: whoever reads
//! it finds one checkpoint or the one after it. Processes that share the folder take turns, and none
//! puts an older one back.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use tranche_application::audit::tree::note::stated;
use tranche_application::ports::kept::{KeepError, KeptCheckpoints};
use tranche_application::ports::tree::Checkpoint;

/// How long after a former checkpoint another one is remembered.
const REMEMBERED: TimeDelta = TimeDelta::minutes(1);

/// A place at which a crash test ends the process or makes the disk fail.
macro_rules! step {
    ($name:literal) => {
        #[cfg(feature = "failpoints")]
        fail::fail_point!($name, |_| Err(Error::other(concat!($name, " failed"))));
    };
}

/// The folder; cheap to clone.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
    /// When the last checkpoint was signed that went into the history.
    remembered: Arc<Mutex<Option<DateTime<Utc>>>>,
}

impl Folder {
    /// The checkpoints of this data folder.
    #[must_use]
    pub fn within(data_dir: &Path) -> Self {
        Self {
            path: data_dir.join("checkpoints"),
            remembered: Arc::default(),
        }
    }

    fn newest_path(&self) -> PathBuf {
        self.path.join("newest")
    }

    fn read(&self) -> Result<Option<String>, Error> {
        match std::fs::read_to_string(self.newest_path()) {
            Ok(note) => Ok(Some(note)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// This process's turn, until it is dropped.
    fn turn(&self) -> Result<File, Error> {
        std::fs::create_dir_all(&self.path)?;
        let turn = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path.join("turn"))?;
        turn.lock()?;
        Ok(turn)
    }

    fn write(&self, checkpoint: &Checkpoint) -> Result<(), Error> {
        let _turn = self.turn()?;
        let before = self.read()?;
        let former = before.as_deref().and_then(|note| stated(note).ok());
        if former.is_some_and(|(size, _)| size >= checkpoint.size) {
            return Ok(());
        }
        let draft = self.path.join("newest.draft");
        step!("kept.create");
        let mut file = File::create(&draft)?;
        step!("kept.write");
        file.write_all(checkpoint.note.as_bytes())?;
        step!("kept.flush");
        file.sync_all()?;
        step!("kept.rename");
        std::fs::rename(&draft, self.newest_path())?;
        step!("kept.flush_folder");
        self.flush()?;
        step!("kept.remember");
        self.remember(checkpoint)
    }

    /// The names in it are on the disk.
    fn flush(&self) -> Result<(), Error> {
        File::open(&self.path)?.sync_all()
    }

    /// Puts it into the month's history, if the last one is a minute older.
    fn remember(&self, checkpoint: &Checkpoint) -> Result<(), Error> {
        let mut remembered = self
            .remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let at = checkpoint.signed_at;
        if remembered.is_some_and(|last| (at - last).abs() < REMEMBERED) {
            return Ok(());
        }
        let month = self.path.join(format!("history-{}", at.format("%Y-%m")));
        let mut history = OpenOptions::new().create(true).append(true).open(month)?;
        history.write_all(format!("{}\n", checkpoint.note).as_bytes())?;
        *remembered = Some(at);
        Ok(())
    }

    /// The former ones' files go with the newest: they are of the same history, which is not this
    /// log's any more.
    fn put_aside(&self) -> Result<Option<String>, Error> {
        let _turn = self.turn()?;
        let Some(note) = self.read()? else {
            return Ok(None);
        };
        let aside = match stated(&note) {
            Ok((size, root)) => format!("set-aside-{size}-{}", hex::encode(&root[..8])),
            Err(_) => "set-aside-unreadable".to_owned(),
        };
        // The newest goes last: while it is there, whoever was interrupted can do it again.
        for history in self.histories()? {
            let beside = format!("{aside}-{history}");
            std::fs::rename(self.path.join(history), self.path.join(beside))?;
        }
        let aside = self.path.join(aside);
        std::fs::rename(self.newest_path(), &aside)?;
        self.flush()?;
        *self
            .remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = None;
        Ok(Some(aside.display().to_string()))
    }

    /// The names of the months' files.
    fn histories(&self) -> Result<Vec<String>, Error> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let name = name.to_str().filter(|name| name.starts_with("history-"));
            names.extend(name.map(str::to_owned));
        }
        Ok(names)
    }

    async fn at_the_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, KeepError> {
        let folder = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&folder)).await;
        done.unwrap_or_else(|error| Err(Error::other(error)))
            .map_err(|error| KeepError {
                place: self.path.display().to_string(),
                why: error.to_string(),
            })
    }
}

#[async_trait]
impl KeptCheckpoints for Folder {
    async fn newest(&self) -> Result<Option<String>, KeepError> {
        self.at_the_disk(Self::read).await
    }

    async fn keep(&self, checkpoint: &Checkpoint) -> Result<(), KeepError> {
        let checkpoint = checkpoint.clone();
        self.at_the_disk(move |folder| folder.write(&checkpoint))
            .await
    }

    async fn set_aside(&self) -> Result<Option<String>, KeepError> {
        self.at_the_disk(Self::put_aside).await
    }
}
