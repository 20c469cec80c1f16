//! `tranche verify`: the store against itself, its checkpoints and those kept outside it; or a copy
//! of the log against the log's key, with no store at all.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::{Context, anyhow};
use serde_json::{Value, json};
use tokio::fs::{self, File};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::mpsc;
use tokio::time::interval;
use tranche_application::audit::verify::exported::{CopyReader, VerifiedCopy};
use tranche_application::audit::verify::finding::Finding;
use tranche_application::audit::verify::key::VerifierKey;
use tranche_application::audit::verify::{Course, KeptCheckpoint, Trusted, Verified, verify};
use tranche_application::ports::clock::Clock;
use tranche_application::services::with_causes;

use crate::cli::VerifyArgs;
use crate::config::Config;
use crate::custody::Keyholder;
use crate::progress::Progress;
use crate::system::SystemClock;
use crate::{verify_archive, wiring};

/// Something is wrong.
const WRONG: u8 = 1;
/// It could not be found out.
pub const NOT_DONE: u8 = 2;

/// How many findings wait to be written.
const AHEAD: usize = 1_000;
/// How often the progress is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// The longest line of a copy: an event's documents have bounds.
const LONGEST_LINE: u64 = 16 * 1024 * 1024;

/// Runs it: exit code 0 when everything is right, 1 when something is not, 2 when that could not be
/// found out.
pub async fn run(args: VerifyArgs, config: &Config) -> ExitCode {
    let report = Report { json: args.json };
    let key = args.key.clone();
    let done = match &args.export {
        Some(file) => of_file(file, &args, key, report).await,
        None => of_store(&args, config, report).await,
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(WRONG),
        Err(error) => {
            eprintln!("tranche: not verified: {}", with_causes(error.as_ref()));
            ExitCode::from(NOT_DONE)
        }
    }
}

async fn of_file(
    file: &Path,
    args: &VerifyArgs,
    key: Option<VerifierKey>,
    report: Report,
) -> anyhow::Result<bool> {
    let announced = args.announced.as_deref();
    if verify_archive::is_archive(file).await? {
        return verify_archive::run(file, announced, key, report).await;
    }
    anyhow::ensure!(
        announced.is_none(),
        "--announced: is for a file of expired events, and --export is a copy that proves itself"
    );
    of_copy(file, key, report).await
}

/// Where findings are written.
#[derive(Clone, Copy)]
pub struct Report {
    json: bool,
}

impl Report {
    /// Tells a finding.
    ///
    /// # Errors
    /// When nobody can read it.
    pub fn found(self, finding: &Finding) -> io::Result<()> {
        if !self.json {
            return self.line(&finding.to_string());
        }
        let leaves = finding
            .leaves
            .as_ref()
            .map(|leaves| json!({ "from": leaves.start, "to": leaves.end }));
        let finding = json!({
            "kind": finding.kind.as_str(),
            "event_id": finding.event_id,
            "leaves": leaves,
            "what": finding.what,
        });
        self.line(&json!({ "finding": finding }).to_string())
    }

    /// Tells what it came to.
    ///
    /// # Errors
    /// As [`Report::found`].
    pub fn end(self, summary: &Value, words: &str) -> io::Result<()> {
        if self.json {
            self.line(&json!({ "summary": summary }).to_string())
        } else {
            self.line(words)
        }
    }

    /// What nobody reads must not look like nothing found.
    #[expect(clippy::unused_self, reason = "every line goes through the report")]
    fn line(self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{text}")?;
        out.flush()
    }
}

async fn of_store(args: &VerifyArgs, config: &Config, report: Report) -> anyhow::Result<bool> {
    let stores = wiring::open_unchanged(config).await?;
    let key = if let Some(key) = &args.key {
        key.clone()
    } else {
        let kept = match Keyholder::found(config).await? {
            Some(holder) => holder.kept_log_key(config, &stores).await?,
            None => None,
        };
        let kept = kept.ok_or_else(|| {
            anyhow!("--key: is required, because this installation holds no key of the log")
        })?;
        eprintln!(
            "tranche: judged by the key that this installation holds; whoever holds it as well \
             could sign anything: --key takes the one that you noted down"
        );
        VerifierKey::parse(&kept.verifier())?
    };
    let kept = kept(args, config).await?;
    if kept.is_empty() {
        eprintln!(
            "tranche: no checkpoint is kept outside the database: an older copy of all of it would \
             not be noticed; --checkpoint takes one"
        );
    }
    let (findings, mut found) = mpsc::channel(AHEAD);
    let course = Course::new(findings);
    let far = course.progress.clone();
    let store = stores.verifiable.clone();
    let policies = config.retention.policies;
    let mut verifying = tokio::spawn(async move {
        let trusted = Trusted {
            key,
            kept,
            policies,
            now: SystemClock.now(),
        };
        verify(store.as_ref(), trusted, &course).await
    });
    let mut progress = Progress::begin("events");
    let mut look = interval(LOOK);
    let verified = loop {
        tokio::select! {
            Some(finding) = found.recv() => report.found(&finding)?,
            verified = &mut verifying => break verified?,
            _ = look.tick() => {
                progress.tell(far.events.load(Relaxed), Some(far.all.load(Relaxed)));
            }
        }
    };
    while let Some(finding) = found.recv().await {
        report.found(&finding)?;
    }
    let verified = verified?;
    progress.tell(verified.events, None);
    progress.end();
    let (summary, words) = summary(&verified);
    report.end(&summary, &words)?;
    Ok(verified.findings == 0)
}

fn summary(verified: &Verified) -> (Value, String) {
    let Verified {
        events,
        leaves,
        waiting,
        expired,
        checkpoints,
        newest,
        findings,
    } = verified;
    let checkpoint = newest.map(|(size, root)| json!({ "size": size, "root": hex::encode(root) }));
    let summary = json!({
        "ok": *findings == 0,
        "events": events,
        "leaves": leaves,
        "waiting": waiting,
        "expired": expired,
        "checkpoints": checkpoints,
        "checkpoint": checkpoint,
        "findings": findings,
    });
    let state = match findings {
        0 => "everything agrees".to_owned(),
        1 => "1 finding".to_owned(),
        several => format!("{several} findings"),
    };
    let tree = newest.map_or_else(String::new, |(size, root)| {
        format!(
            "; the tree of {size} leaves has the root {}",
            hex::encode(root)
        )
    });
    let words = format!(
        "{state}: {events} events, {leaves} leaves, {waiting} waiting, {expired} expired, \
         {checkpoints} checkpoints{tree}"
    );
    (summary, words)
}

/// The checkpoints that were kept outside the database: those given, or the data folder's.
async fn kept(args: &VerifyArgs, config: &Config) -> anyhow::Result<Vec<KeptCheckpoint>> {
    let mut files = args.checkpoint.clone();
    if files.is_empty() {
        files = in_folder(&config.data_dir.join("checkpoints")).await?;
    }
    let mut kept = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file)
            .await
            .with_context(|| format!("the kept checkpoint {}", file.display()))?;
        let name = file.display().to_string();
        kept.extend(notes(&text).map(|note| KeptCheckpoint {
            name: name.clone(),
            note,
        }));
    }
    Ok(kept)
}

/// The newest and the former ones of a folder; none where there is no folder.
async fn in_folder(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut entries = match fs::read_dir(folder).await {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| folder.display().to_string()),
    };
    let mut files = Vec::new();
    while let Some(entry) = entries.next_entry().await? {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name == "newest" || name.starts_with("history-") {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// The notes of a file, one after the other. Each is a text, an empty line and its signatures, and an
/// empty line is between two.
fn notes(file: &str) -> impl Iterator<Item = String> + '_ {
    let mut parts = file.split("\n\n").map(|part| part.trim_matches('\n'));
    std::iter::from_fn(move || {
        let text = parts.find(|part| !part.is_empty())?;
        let signatures = parts.next().unwrap_or_default();
        Some(format!("{text}\n\n{signatures}\n"))
    })
}

async fn of_copy(path: &Path, key: Option<VerifierKey>, report: Report) -> anyhow::Result<bool> {
    let (copy, findings) = read_copy(path, "--export", CopyReader::new(key), report).await?;
    if !copy.is_pinned {
        warn_of_embedded_key(&copy);
    }
    let (summary, words) = summary_of_copy(&copy, findings);
    report.end(&summary, &words)?;
    Ok(findings == 0)
}

/// Reads the copy that `option` names; what it came to, and how many findings there were.
///
/// # Errors
/// When that could not be found out.
pub async fn read_copy(
    path: &Path,
    option: &'static str,
    mut copy: CopyReader,
    report: Report,
) -> anyhow::Result<(VerifiedCopy, u64)> {
    let file = File::open(path)
        .await
        .with_context(|| format!("{option}: {}", path.display()))?;
    let mut lines = BufReader::with_capacity(1 << 20, file);
    let mut progress = Progress::begin("events");
    let mut findings = 0_u64;
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = tokio::io::AsyncReadExt::take(&mut lines, LONGEST_LINE)
            .read_until(b'\n', &mut line)
            .await?;
        if read == 0 {
            break;
        }
        if line.last() != Some(&b'\n') && read as u64 == LONGEST_LINE {
            return Err(anyhow!("{option}: a line is longer than any export writes"));
        }
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        for finding in copy.line(line) {
            findings += 1;
            report.found(&finding)?;
        }
        progress.tell(copy.events(), None);
    }
    let (copy, last) = copy.end();
    for finding in last {
        findings += 1;
        report.found(&finding)?;
    }
    progress.end();
    Ok((copy, findings))
}

/// Says that nothing but the file itself vouches for it.
pub fn warn_of_embedded_key(copy: &VerifiedCopy) {
    eprintln!(
        "tranche: WARNING: judged by the key in the file itself. Whoever made up the file made up \
         the key too: get the log's key another way, and give it by --key"
    );
    if let Some(key) = &copy.embedded_key {
        eprintln!("tranche: the key in the file is {key}");
    }
}

fn summary_of_copy(copy: &VerifiedCopy, findings: u64) -> (Value, String) {
    let VerifiedCopy {
        events,
        others,
        filter,
        stated,
        embedded_key,
        is_pinned,
        announced: _,
    } = copy;
    let checkpoint = stated.map(|(size, root)| json!({ "size": size, "root": hex::encode(root) }));
    let summary = json!({
        "ok": findings == 0,
        "events": events,
        "others": others,
        "filter": filter,
        "checkpoint": checkpoint,
        "embedded_key": embedded_key,
        "key_pinned": is_pinned,
        "findings": findings,
    });
    let state = if findings == 0 {
        "every event in it is in the log as it was signed".to_owned()
    } else {
        format!("findings: {findings}")
    };
    let others = if *others == 0 {
        String::new()
    } else {
        let why = if filter.is_empty() {
            "no filter was asked for: they expired, or were left out"
        } else {
            "the filter left them out, or they expired"
        };
        format!("; {others} others of the log are not in the file ({why})")
    };
    let log = stated.map_or_else(String::new, |(size, root)| {
        format!("; the log had {size} leaves, root {}", hex::encode(root))
    });
    (summary, format!("{state}: {events} events{others}{log}"))
}
