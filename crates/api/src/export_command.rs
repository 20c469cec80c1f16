//! `tranche export`: a copy of the log in a file, straight from the store.
//!
//! The copy is written beside its place and takes it when it is whole: whoever finds the file finds
//! all of it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncWriteExt, BufWriter};
use tranche_application::audit::export::{Pieces, Request};

use crate::cli::ExportArgs;
use crate::config::Config;
use crate::custody::Keyholder;
use crate::key_commands::operator;
use crate::progress::Progress;
use crate::serve::{Signals, say};
use crate::wiring;

/// Runs it. Exit code 0 only when the file is whole and in its place.
pub async fn run(args: ExportArgs, config: &Config) -> anyhow::Result<ExitCode> {
    let ExportArgs {
        format,
        out,
        force,
        filter,
    } = args;
    if !force && fs::try_exists(&out).await? {
        return Err(anyhow!(
            "--out: {} is there already; --force overwrites it",
            out.display()
        ));
    }
    let filter = filter.filter()?;
    let stores = wiring::open_store(config).await?;
    let keys = Keyholder::of(config).await?;
    let keeper = wiring::keeper(config, &stores, &keys).await?;
    let copies = wiring::copies(&stores, &keys, &keeper).await?;
    let sheet = copies
        .sheet(format)
        .await?
        .ok_or_else(|| anyhow!("nothing in this log is sealed yet, so nothing can be proven"))?;
    let mut signals = Signals::new()?;
    let mut draft = Draft::create(&out).await?;
    let request = Request {
        described: copies.described(&filter),
        filter,
        caller: operator(),
    };
    let (pieces, copying) = copies.exports.begin(request, sheet);
    let written = tokio::select! {
        written = draft.write(pieces) => written,
        () = signals.stop() => Err(anyhow!("stopped")),
    };
    // Also when nobody takes the pieces any more: then the record says that it broke off.
    let exported = copying.await?;
    let finished = match written {
        Ok(()) => draft.finish(&out).await,
        Err(error) => Err(error),
    };
    if let Err(error) = finished {
        draft.discard().await;
        return Err(error);
    }
    say(&format!("{} events in {}", exported.rows, out.display()));
    Ok(ExitCode::SUCCESS)
}

/// The file while it is not whole.
struct Draft {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Draft {
    async fn create(out: &Path) -> anyhow::Result<Self> {
        let name = out
            .file_name()
            .ok_or_else(|| anyhow!("--out: {} is no file", out.display()))?;
        let mut draft = std::ffi::OsString::from(".");
        draft.push(name);
        draft.push(format!(".{}.part", std::process::id()));
        let path = out.with_file_name(draft);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        options.mode(0o600);
        let file = options
            .open(&path)
            .await
            .with_context(|| format!("--out: {} cannot be made", path.display()))?;
        Ok(Self {
            path,
            file: BufWriter::with_capacity(1 << 20, file),
        })
    }

    async fn write(&mut self, mut pieces: Pieces) -> anyhow::Result<()> {
        let mut progress = Progress::begin("rows");
        while let Some(piece) = pieces.recv().await {
            let piece = piece?;
            self.file.write_all(&piece.bytes).await?;
            progress.tell(piece.rows, None);
        }
        progress.end();
        Ok(())
    }

    async fn finish(&mut self, out: &Path) -> anyhow::Result<()> {
        self.file.flush().await?;
        self.file.get_ref().sync_all().await?;
        fs::rename(&self.path, out)
            .await
            .with_context(|| format!("--out: {}", out.display()))?;
        let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = File::open(folder.unwrap_or_else(|| Path::new("."))).await?;
        Ok(folder.sync_all().await?)
    }

    async fn discard(self) {
        if let Err(error) = fs::remove_file(&self.path).await
            && error.kind() != io::ErrorKind::NotFound
        {
            eprintln!("tranche: {} stays: {error}", self.path.display());
        }
    }
}
