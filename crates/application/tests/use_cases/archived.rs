//! Files of expired events: what they say of themselves, and whether the log said so.

use tranche_application::audit::manifest::Manifest;
use tranche_application::audit::record::LoggedEvent;
use tranche_application::audit::retention::announced::Announced;
use tranche_application::audit::verify::archived::{
    ArchiveReader, ArchivedRow, Fingerprint, VerifiedArchive,
};
use tranche_application::audit::verify::exported::{CopyReader, VerifiedCopy};
use tranche_application::audit::verify::finding::{Finding, Kind};
use tranche_application::audit::verify::key::VerifierKey;
use tranche_application::ports::event_archive::Contents;
use tranche_application::ports::retention::ArchiveFile;
use tranche_domain::Severity;
use uuid::Uuid;

use super::scene::time;
use super::small_log::{SmallLog, key};

const SHA256: [u8; 32] = [7; 32];

/// A file of the log's infos, its manifest, and the log's announcement of it.
struct Scene {
    rows: Vec<Result<ArchivedRow, String>>,
    manifest: Manifest,
    file: Fingerprint,
    copy: VerifiedCopy,
    key: Option<VerifierKey>,
}

fn row(logged: &LoggedEvent) -> ArchivedRow {
    let recorded_at = logged.recorded_at.unwrap();
    ArchivedRow {
        event: logged.event.clone(),
        recorded_at,
        leaf_index: logged.leaf_index.unwrap(),
        leaf_hash: logged.event.leaf_hash(recorded_at).unwrap(),
    }
}

fn announced() -> Announced {
    Announced {
        severity: Severity::Info,
        month: "2025-09".parse().unwrap(),
        leaves: 1..=29,
        sha256: Some(SHA256),
    }
}

impl Scene {
    fn new() -> Self {
        let log = SmallLog::of(30, 0, &key(1));
        let infos = log.events.iter().filter(|row| row.event.severity == "info");
        let rows: Vec<_> = infos.map(row).map(Ok).collect();
        let file = ArchiveFile {
            name: "info/2025-09/run.parquet".to_owned(),
            sha256: SHA256,
        };
        let contents = Contents {
            severity: Severity::Info,
            month: announced().month,
            events: rows.len() as u64,
            leaves: Some((1, 29)),
            checkpoint: Some(log.checkpoint.note.clone()),
            run: Uuid::from_u128(9),
            at: time(0),
        };
        // Of the reader of copies, the end of none.
        let (copy, _) = CopyReader::new(None).end();
        Self {
            rows,
            manifest: Manifest::of(&file, 4_000, "columns", &contents),
            file: Fingerprint {
                bytes: 4_000,
                sha256: SHA256,
            },
            copy: VerifiedCopy {
                announced: Some(announced()),
                ..copy
            },
            key: VerifierKey::parse(&key(1).verifier()).ok(),
        }
    }

    fn row(&mut self, at: usize) -> &mut ArchivedRow {
        self.rows[at].as_mut().unwrap()
    }

    fn judged(self) -> (VerifiedArchive, Vec<Finding>) {
        let mut reader = ArchiveReader::new(self.manifest, self.key);
        let mut findings = Vec::new();
        for row in self.rows {
            findings.extend(reader.row(row));
        }
        let (archive, last) = reader.end(self.file, Some(&self.copy));
        findings.extend(last);
        (archive, findings)
    }
}

// S7: what a run wrote down is right, and says which tree it is of.
#[test]
fn a_file_of_the_log_agrees_with_itself() {
    let (archive, findings) = Scene::new().judged();
    assert_eq!(findings, []);
    assert_eq!((archive.events, archive.leaves), (20, Some((1, 29))));
    assert_eq!(archive.stated.map(|(size, _)| size), Some(30));

    let without = Scene {
        key: None,
        ..Scene::new()
    };
    let (archive, findings) = without.judged();
    assert_eq!((archive.stated, findings), (None, vec![]));
}

/// What is done to a scene.
type Attack = fn(&mut Scene);

// S7 S8: each alteration of file, manifest or announcement is told for what it is; of a row, naming it.
#[test]
fn every_attack_on_a_file_is_named() {
    use Kind::{
        CheckpointDiffers, CheckpointMalformed, CheckpointNotSigned, ExportMiscounted, FileAltered,
        FileUnannounced, LineMisplaced, RowAltered, RowUnreadable,
    };
    let attacks: [(Attack, &[Kind]); 18] = [
        (|scene| scene.row(3).event.actor.id.push('x'), &[RowAltered]),
        (|scene| scene.row(3).leaf_hash[0] ^= 1, &[RowAltered]),
        (|scene| scene.row(3).event.salt[0] ^= 1, &[RowAltered]),
        (|scene| scene.row(3).recorded_at = time(1), &[RowAltered]),
        (
            |scene| scene.row(3).event.details = (1_u64 << 60).into(),
            &[RowUnreadable],
        ),
        (
            |scene| scene.rows[3] = Err("torn".to_owned()),
            &[RowUnreadable],
        ),
        (|scene| scene.rows.swap(3, 4), &[LineMisplaced]),
        (
            |scene| scene.rows.insert(3, scene.rows[3].clone()),
            &[LineMisplaced, ExportMiscounted],
        ),
        (|scene| drop(scene.rows.remove(3)), &[ExportMiscounted]),
        (
            |scene| scene.row(19).leaf_index = 27,
            &[ExportMiscounted, FileUnannounced],
        ),
        (|scene| scene.file.sha256[0] ^= 1, &[FileAltered]),
        (|scene| scene.file.bytes += 1, &[FileAltered]),
        (|scene| scene.copy.announced = None, &[FileUnannounced]),
        (
            |scene| scene.manifest.month = "2025-10".to_owned(),
            &[FileUnannounced],
        ),
        (|scene| scene.manifest.format.push('0'), &[ExportMiscounted]),
        (
            |scene| scene.manifest.checkpoint = Some("none".to_owned()),
            &[CheckpointMalformed],
        ),
        (
            |scene| scene.key = VerifierKey::parse(&key(2).verifier()).ok(),
            &[CheckpointNotSigned],
        ),
        (
            |scene| {
                let older = SmallLog::of(30, 2, &key(1));
                scene.manifest.checkpoint = Some(older.checkpoint.note.clone());
            },
            &[CheckpointDiffers],
        ),
    ];
    for (place, (attack, expected)) in attacks.into_iter().enumerate() {
        let mut scene = Scene::new();
        attack(&mut scene);
        let id = scene.rows[3].as_ref().ok().map(|row| row.event.id);
        let (_, findings) = scene.judged();
        let kinds: Vec<Kind> = findings.iter().map(|finding| finding.kind).collect();
        assert_eq!(kinds, expected, "attack {place}: {findings:?}");
        if kinds == [RowAltered] {
            assert_eq!(findings[0].event_id, id, "attack {place}");
        }
    }
    let mut scene = Scene::new();
    scene.manifest.severity = "warning".to_owned();
    let (_, findings) = scene.judged();
    assert_eq!(findings.len(), 21, "every row, and the announcement");
}
