//! `tranche verify --export` of a file that expired events went into: with its manifest, the log's key, and a
//! copy of the log in which the file is announced. Needs neither a database nor a network.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;
use tranche_adapters_files::parquet::reading::{ArchivedTable, NoTable};
use tranche_application::audit::manifest::Manifest;
use tranche_application::audit::verify::archived::{ArchiveReader, Fingerprint, VerifiedArchive};
use tranche_application::audit::verify::exported::{CopyReader, VerifiedCopy};
use tranche_application::audit::verify::finding::{Finding, Kind};
use tranche_application::audit::verify::key::VerifierKey;

use crate::progress::Progress;
use crate::verify_command::{Report, read_copy, warn_of_embedded_key};

/// What a Parquet file begins with.
const MAGIC: &[u8; 4] = b"PAR1";
/// The largest manifest that is read; one is a few kilobytes.
const LARGEST_MANIFEST: u64 = 1024 * 1024;
/// How much of the file is hashed at a time.
const PIECE: usize = 1024 * 1024;

/// Whether this is a file of expired events, and no copy of lines.
pub async fn is_archive(path: &Path) -> anyhow::Result<bool> {
    let file = tokio::fs::File::open(path).await;
    let mut file = file.with_context(|| format!("--export: {}", path.display()))?;
    let mut begin = [0; MAGIC.len()];
    match file.read_exact(&mut begin).await {
        Ok(_) => Ok(begin == *MAGIC),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether everything is right.
pub async fn run(
    path: &Path,
    announced: Option<&Path>,
    key: Option<VerifierKey>,
    report: Report,
) -> anyhow::Result<bool> {
    let manifest = manifest(&path.with_extension("json"))?;
    let fingerprint = fingerprint_of(path.to_owned());
    let fingerprint = tokio::task::spawn_blocking(fingerprint).await??;
    let mut findings = 0;
    let copy = match announced {
        Some(announced) => {
            let reader = CopyReader::new(key.clone()).looking_for(fingerprint.sha256);
            let (copy, found) = read_copy(announced, "--announced", reader, report).await?;
            findings += found;
            Some(copy)
        }
        None => None,
    };
    warn(key.is_some(), &manifest, copy.as_ref());
    let reader = ArchiveReader::new(manifest, key);
    let rows = rows_of(path.to_owned(), reader, report);
    let (reader, found) = tokio::task::spawn_blocking(rows).await??;
    findings += found;
    let (archive, last) = reader.end(fingerprint, copy.as_ref());
    for finding in last {
        findings += 1;
        report.found(&finding)?;
    }
    let (summary, words) = summary(&archive, fingerprint, copy.as_ref(), findings);
    report.end(&summary, &words)?;
    Ok(findings == 0)
}

fn manifest(path: &Path) -> anyhow::Result<Manifest> {
    let named = || format!("the manifest, which must lie beside it: {}", path.display());
    let mut text = Vec::new();
    let file = File::open(path).with_context(named)?;
    file.take(LARGEST_MANIFEST).read_to_end(&mut text)?;
    serde_json::from_slice(&text).with_context(named)
}

fn fingerprint_of(path: PathBuf) -> impl FnOnce() -> anyhow::Result<Fingerprint> {
    move || {
        let mut file = File::open(path)?;
        let (mut sha256, mut bytes) = (Sha256::new(), 0);
        let mut piece = vec![0; PIECE];
        loop {
            let read = file.read(&mut piece)?;
            let Some(piece) = piece.get(..read).filter(|piece| !piece.is_empty()) else {
                break;
            };
            sha256.update(piece);
            bytes += read as u64;
        }
        Ok(Fingerprint {
            bytes,
            sha256: sha256.finalize().into(),
        })
    }
}

/// Reads every row; how many findings there were.
fn rows_of(
    path: PathBuf,
    mut reader: ArchiveReader,
    report: Report,
) -> impl FnOnce() -> anyhow::Result<(ArchiveReader, u64)> {
    move || {
        let file = File::open(path)?;
        let mut findings = 0;
        let mut progress = Progress::begin("events");
        let read = ArchivedTable::open(file).map_err(anyhow::Error::from);
        let read = read.and_then(|table| {
            table.rows(|row| {
                for finding in reader.row(row) {
                    findings += 1;
                    report.found(&finding)?;
                }
                progress.tell(reader.rows(), None);
                Ok(())
            })
        });
        progress.end();
        if let Err(error) = read {
            // A manifest says that it is a table: one that cannot be read was altered.
            let broken = error.downcast::<NoTable>()?;
            let what = format!("after row {}: {broken}", reader.rows());
            report.found(&Finding::new(Kind::RowUnreadable, what))?;
            findings += 1;
        }
        Ok((reader, findings))
    }
}

/// What a good end would not say.
fn warn(is_pinned: bool, manifest: &Manifest, copy: Option<&VerifiedCopy>) {
    match copy {
        None => eprintln!(
            "tranche: WARNING: whoever made up the file made up the leaves in it too: give a copy of the \
             log's announcements by --announced, to know that the file is the one that the log announced"
        ),
        Some(copy) if !is_pinned => warn_of_embedded_key(copy),
        Some(_) => {}
    }
    if manifest.checkpoint.is_some() && !is_pinned {
        eprintln!("tranche: WARNING: the manifest's checkpoint is not looked at without --key");
    }
}

fn summary(
    archive: &VerifiedArchive,
    file: Fingerprint,
    copy: Option<&VerifiedCopy>,
    findings: u64,
) -> (Value, String) {
    let sha256 = hex::encode(file.sha256);
    let stated = archive.stated;
    let checkpoint = stated.map(|(size, root)| json!({ "size": size, "root": hex::encode(root) }));
    let summary = json!({
        "ok": findings == 0,
        "events": archive.events,
        "first_leaf": archive.leaves.map(|(first, _)| first),
        "last_leaf": archive.leaves.map(|(_, last)| last),
        "sha256": sha256,
        "checkpoint": checkpoint,
        "announced": copy.map(|copy| copy.announced.is_some()),
        "findings": findings,
    });
    let state = match (findings, copy) {
        (0, Some(_)) => "every event in it is what its leaf says, and the log announced the file",
        (0, None) => "every event in it is what the leaf beside it says",
        _ => "it is not what it should be",
    };
    let count = match findings {
        0 => String::new(),
        findings => format!("; findings: {findings}"),
    };
    let words = format!(
        "{state}: {} events{count}; SHA-256 {sha256}",
        archive.events
    );
    (summary, words)
}
