//! Files of expired events: whole with their manifest, or nothing.

use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};
use tranche_adapters_archive::{FileArchive, Format, OpenError};
use tranche_application::audit::export::Table;
use tranche_application::audit::record::{EventRecord, LoggedEvent, RecordedActor};
use tranche_application::ports::event_archive::{Contents, EventArchive};
use tranche_application::ports::store::Source;
use tranche_domain::Severity;
use uuid::Uuid;

/// A line for each event, given out when there are three.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Table for Lines {
    fn write(&mut self, events: &[LoggedEvent]) -> Result<Vec<u8>, Source> {
        for event in events {
            self.0.extend(format!("{}\n", event.event.id).into_bytes());
        }
        let full = self.0.len() > 100;
        Ok(if full {
            std::mem::take(&mut self.0)
        } else {
            vec![]
        })
    }

    fn end(self: Box<Self>) -> Result<Vec<u8>, Source> {
        let mut rest = self.0;
        rest.extend(b"end\n");
        Ok(rest)
    }
}

const FORMAT: Format = Format {
    ending: "lines",
    schema: "id",
    begin: || Ok(Box::<Lines>::default()),
};

pub fn event(number: u128) -> LoggedEvent {
    let event = EventRecord {
        id: Uuid::from_u128(number),
        severity: "info".to_owned(),
        occurred_at: chrono::DateTime::UNIX_EPOCH,
        action: "a".to_owned(),
        actor: RecordedActor {
            id: "b".to_owned(),
            role: None,
        },
        project_id: None,
        milestone_id: None,
        resource_type: "c".to_owned(),
        resource_id: None,
        previous_status: None,
        new_status: None,
        changes: Value::Null,
        metadata: Value::Null,
        details: Value::Null,
        ip_address: None,
        user_agent: None,
        request_id: None,
        salt: [0; 16],
    };
    LoggedEvent {
        event,
        recorded_at: None,
        leaf_index: None,
    }
}

pub fn contents() -> Contents {
    Contents {
        severity: Severity::Info,
        month: "2024-01".parse().expect("a month"),
        events: 4,
        leaves: Some((3, 9)),
        checkpoint: Some("note\n".to_owned()),
        run: Uuid::from_u128(7),
        at: chrono::DateTime::UNIX_EPOCH,
    }
}

fn files(folder: &Path) -> Vec<String> {
    let folder = folder.join("info/2024-01");
    let entries = std::fs::read_dir(folder).expect("a folder");
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        entry
            .expect("an entry")
            .file_name()
            .to_string_lossy()
            .into_owned()
    };
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_file_has_its_manifest_and_its_hash() {
    let folder = tempfile::tempdir().expect("a folder");
    let below = folder.path().join("not/yet/there");
    let url = format!("file://{}", below.display());
    let archive = FileArchive::open(&url, [], FORMAT).expect("it opens");
    let told = contents();
    let writer = archive.begin(told.severity, told.month, told.run).await;
    let mut writer = writer.expect("it begins");
    for number in 0..4 {
        writer
            .write(vec![event(number)])
            .await
            .expect("it is written");
    }
    let file = writer.finish(&told).await.expect("it is whole");
    let run = Uuid::from_u128(7);
    assert_eq!(file.name, format!("info/2024-01/{run}.lines"));
    let bytes = std::fs::read(below.join(&file.name)).expect("the file");
    assert_eq!(bytes.len(), 4 * 37 + 4);
    assert!(bytes.ends_with(b"end\n"));
    assert_eq!(<[u8; 32]>::from(Sha256::digest(&bytes)), file.sha256);

    let manifest = below.join(format!("info/2024-01/{run}.json"));
    let manifest = std::fs::read(manifest).expect("the manifest");
    let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
    assert_eq!(manifest["files"][0]["sha256"], hex::encode(file.sha256));
    assert_eq!(manifest["files"][0]["bytes"], 152);
    assert_eq!(
        (&manifest["rows"], &manifest["first_leaf"]),
        (&4.into(), &3.into())
    );
    assert_eq!(manifest["checkpoint"], "note\n");
    assert_eq!(files(&below).len(), 2);
}

#[tokio::test]
async fn what_is_not_finished_has_no_manifest() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("file://{}", folder.path().display());
    let archive = FileArchive::open(&url, [], FORMAT).expect("it opens");
    let told = contents();
    for run in [1, 2] {
        let begun = archive
            .begin(told.severity, told.month, Uuid::from_u128(run))
            .await;
        let mut writer = begun.expect("it begins");
        writer.write(vec![event(1)]).await.expect("it is written");
        drop(writer);
    }
    let whole = |name: &String| [".json", ".lines"].iter().any(|end| name.ends_with(end));
    assert!(
        !files(folder.path()).iter().any(whole),
        "{:?}",
        files(folder.path())
    );
}

#[tokio::test]
async fn a_folder_that_takes_nothing_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("file://{}", folder.path().display());
    let archive = FileArchive::open(&url, [], FORMAT).expect("it opens");
    // A file where a folder should be: root may write everywhere else.
    std::fs::write(folder.path().join("info"), "").expect("a file");
    let told = contents();
    let begun = archive.begin(told.severity, told.month, told.run).await;
    assert!(begun.is_err());
}

#[test]
fn an_address_is_a_folder_or_a_bucket() {
    for wrong in ["", "/var/archive", "file://relative", "ftp://x/y"] {
        let refused = FileArchive::open(wrong, [], FORMAT).err();
        assert!(matches!(refused, Some(OpenError::Scheme)), "{wrong}");
    }
    for wrong in [
        "s3://",
        "s3:///below",
        "s3://bucket?region=x",
        "s3://id:secret@bucket",
        "s3://bucket/below//there",
    ] {
        let refused = FileArchive::open(wrong, [], FORMAT).err();
        assert!(matches!(refused, Some(OpenError::Bucket)), "{wrong}");
    }
}
