//! What a file's manifest says.

use chrono::SecondsFormat;
use serde_json::json;
use tranche_application::ports::event_archive::Contents;
use tranche_application::ports::retention::ArchiveFile;

/// Names the manifest's own form.
const FORMAT: &str = "tranche-audit-archive/1";

/// The manifest of a file, as JSON.
pub fn of(file: &ArchiveFile, bytes: u64, schema: &str, contents: &Contents) -> Vec<u8> {
    let manifest = json!({
        "format": FORMAT,
        "files": [{
            "name": file.name,
            "bytes": bytes,
            "sha256": hex::encode(file.sha256),
            "rows": contents.events,
        }],
        "schema": schema,
        "severity": contents.severity.as_str(),
        "month": contents.month.to_string(),
        "rows": contents.events,
        "first_leaf": contents.leaves.map(|(first, _)| first),
        "last_leaf": contents.leaves.map(|(_, last)| last),
        "checkpoint": contents.checkpoint,
        "run_id": contents.run,
        "written_at": contents.at.to_rfc3339_opts(SecondsFormat::Micros, true),
    });
    format!("{manifest:#}\n").into_bytes()
}
