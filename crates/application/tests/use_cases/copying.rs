//! Copies of the log: whole or told to be broken, recorded, and provable without the log.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::Value;
use tranche_application::audit::export::{
    ExportError, Exported, Exports, Format, Request, Sheet, Table,
};
use tranche_application::audit::filter::EventFilter;
use tranche_application::audit::record::LoggedEvent;
use tranche_application::audit::tree::note::LogKey;
use tranche_application::audit::verify::exported::{CopyReader, VerifiedCopy};
use tranche_application::audit::verify::finding::{Finding, Kind};
use tranche_application::audit::verify::key::VerifierKey;
use tranche_application::ports::audit_search::Scope;
use tranche_application::ports::store::Source;
use tranche_application::ports::tree::Tree;

use super::scene::{PROJECT, caller};
use super::script::Step;
use super::small_log::{SmallLog, key};
use super::stage::Stage;

/// A table that writes the ids, one a line.
struct Ids;

impl Table for Ids {
    fn write(&mut self, events: &[LoggedEvent]) -> Result<Vec<u8>, Source> {
        let lines = events.iter().map(|logged| format!("{}\n", logged.event.id));
        Ok(lines.collect::<String>().into_bytes())
    }

    fn end(self: Box<Self>) -> Result<Vec<u8>, Source> {
        Ok(b"end\n".to_vec())
    }
}

pub(super) fn ids() -> Sheet {
    Sheet::Table(Format::Csv, Box::new(Ids))
}

fn warnings() -> EventFilter {
    EventFilter {
        severities: vec!["warning".to_owned()],
        ..EventFilter::default()
    }
}

pub(super) fn request(filter: EventFilter) -> Request {
    Request {
        filter,
        described: "as asked".to_owned(),
        caller: caller("auditor"),
    }
}

/// A copy, whether it is whole, what it came to, and what was recorded of it.
async fn copied(
    log: Arc<SmallLog>,
    request: Request,
    sheet: Sheet,
) -> (Vec<u8>, Option<ExportError>, Exported, Value) {
    let mut stage = Stage::new();
    stage.work([Step::Post(Ok(())), Step::Commit(Ok(()))]);
    let exports = Exports::new(stage.services(), log.clone(), log);
    let project = request.caller.scope.map(|project| project.0);
    let (mut pieces, copying) = exports.begin(request, sheet);
    let (mut bytes, mut broken) = (Vec::new(), None);
    while let Some(piece) = pieces.recv().await {
        match piece {
            Ok(piece) => bytes.extend(piece.bytes),
            Err(error) => broken = Some(error),
        }
    }
    let exported = copying.await.unwrap();
    let recorded = stage.seen.lock().unwrap().posted[0].clone();
    assert_eq!(recorded.action, "audit.exported");
    assert_eq!(recorded.actor.id, "auditor");
    assert_eq!(recorded.project_id, project, "whoever sees it saw the copy");
    (bytes, broken, exported, recorded.metadata)
}

async fn proven(log: &Arc<SmallLog>, key: &LogKey, filter: EventFilter) -> Vec<u8> {
    let sheet = Sheet::Proven(log.checkpoint.clone(), key.verifier());
    let (bytes, broken, ..) = copied(log.clone(), request(filter), sheet).await;
    assert!(broken.is_none(), "{broken:?}");
    bytes
}

fn pinned(key: &LogKey) -> VerifierKey {
    VerifierKey::parse(&key.verifier()).unwrap()
}

fn judged(copy: &[u8], key: Option<VerifierKey>) -> (VerifiedCopy, Vec<Finding>) {
    let mut reader = CopyReader::new(key);
    let mut findings = Vec::new();
    let lines = copy.strip_suffix(b"\n").unwrap_or(copy);
    for line in lines.split(|byte| *byte == b'\n') {
        findings.extend(reader.line(line));
    }
    let (copy, last) = reader.end();
    findings.extend(last);
    (copy, findings)
}

fn kinds(findings: &[Finding]) -> Vec<Kind> {
    findings.iter().map(|finding| finding.kind).collect()
}

// S11: every event once, newest first, over many pages; and who took it.
#[tokio::test]
async fn a_table_is_whole_and_recorded() {
    let log = SmallLog::of(1_234, 0, &key(1));
    let (bytes, broken, exported, recorded) =
        copied(log.clone(), request(EventFilter::default()), ids()).await;
    assert!(broken.is_none() && exported.broke_off.is_none());
    let mut expected: Vec<String> = log
        .events
        .iter()
        .map(|row| row.event.id.to_string())
        .collect();
    expected.reverse();
    expected.push("end".to_owned());
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    assert_eq!(exported.rows, 1_234);
    let expected = serde_json::json!({
        "broke_off": null, "complete": "true", "filter": "as asked", "format": "csv", "rows": 1234
    });
    assert_eq!(recorded, expected);
}

// S11: a list that would read long for little is a walk through the log, which nothing cuts short.
#[tokio::test]
async fn a_table_of_several_conditions_is_in_the_order_of_the_log() {
    let several = EventFilter {
        actors: vec!["maker".to_owned()],
        actions: vec!["milestone.approved".to_owned()],
        ..EventFilter::default()
    };
    let one = EventFilter {
        actions: several.actions.clone(),
        severities: vec!["warning".to_owned()],
        ..EventFilter::default()
    };
    let thing = EventFilter {
        resource_types: vec!["loan".to_owned()],
        resource_id: Some("7".to_owned()),
        ..EventFilter::default()
    };
    let text = EventFilter {
        text: Some("x".to_owned()),
        ..EventFilter::default()
    };
    let everything = EventFilter::default();
    let (all, project) = (Scope::All, Scope::Project(PROJECT));
    for (filter, scope, in_vain) in [
        (&everything, all, false),
        (&everything, project, false),
        (&one, all, false),
        (&one, project, true),
        (&several, all, true),
        (&thing, all, false),
        (&text, all, true),
    ] {
        assert_eq!(filter.reads_in_vain(scope), in_vain, "{filter:?} {scope:?}");
    }
    let log = SmallLog::of(1_234, 0, &key(1));
    let event = &log.events[0].event;
    let asked = EventFilter {
        actors: vec![event.actor.id.clone()],
        actions: vec![event.action.clone()],
        ..EventFilter::default()
    };
    let (bytes, broken, ..) = copied(log.clone(), request(asked), ids()).await;
    assert!(broken.is_none());
    let mut expected: Vec<String> = log
        .events
        .iter()
        .map(|row| row.event.id.to_string())
        .collect();
    expected.push("end".to_owned());
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
}

// S11: a copy that breaks off says so, to whoever takes it and in the log.
#[tokio::test]
async fn a_copy_that_breaks_off_does_not_look_whole() {
    let key = key(1);
    for sheet in [
        ids(),
        Sheet::Proven(
            SmallLog::of(1_234, 0, &key).checkpoint.clone(),
            key.verifier(),
        ),
    ] {
        let mut log = SmallLog::of(1_234, 0, &key);
        Arc::get_mut(&mut log).unwrap().breaks_at = Some(500);
        let (bytes, broken, exported, recorded) =
            copied(log, request(EventFilter::default()), sheet).await;
        assert!(matches!(broken, Some(ExportError::Store(_))), "{broken:?}");
        assert!(exported.broke_off.is_some());
        assert_eq!(recorded["complete"], "false");
        assert!(recorded["broke_off"].as_str().is_some());
        assert!(!bytes.ends_with(b"end\n"));
        let (_, findings) = judged(&bytes, Some(pinned(&key)));
        assert!(!findings.is_empty());
    }
}

// S11: nobody reads for a reader that went away.
#[tokio::test]
async fn a_reader_that_goes_away_ends_the_reading() {
    let log = SmallLog::of(100_000, 0, &key(1));
    let mut stage = Stage::new();
    stage.work([Step::Post(Ok(())), Step::Commit(Ok(()))]);
    let exports = Exports::new(stage.services(), log.clone(), log);
    let (mut pieces, copying) = exports.begin(request(EventFilter::default()), ids());
    pieces.recv().await.unwrap().unwrap();
    drop(pieces);
    let exported = copying.await.unwrap();
    assert!(exported.rows < 10_000, "{} were read", exported.rows);
    let recorded = stage.seen.lock().unwrap().posted[0].clone();
    assert_eq!(recorded.metadata["broke_off"], "the reader went away");
}

// S9, S11: whichever way a table of one project is read.
#[tokio::test]
async fn a_table_of_one_project_has_nothing_else() {
    let mut log = SmallLog::of(700, 0, &key(1));
    for at in [3, 300, 301, 699] {
        Arc::get_mut(&mut log).unwrap().events[at].event.project_id = Some(PROJECT.0);
    }
    let of_one_kind = EventFilter {
        actions: vec![log.events[0].event.action.clone()],
        ..EventFilter::default()
    };
    let id = |at: usize| log.events[at].event.id.to_string();
    let newest = [id(699), id(301), id(300), id(3), "end".to_owned()];
    let oldest = [id(3), id(300), id(301), id(699), "end".to_owned()];
    for (filter, expected) in [(EventFilter::default(), newest), (of_one_kind, oldest)] {
        let mut asked = request(filter);
        asked.caller.scope = Some(PROJECT);
        let (bytes, broken, exported, _) = copied(log.clone(), asked, ids()).await;
        assert!(broken.is_none());
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
        assert_eq!(exported.rows, 4);
    }
}

// S8, S11: a proven copy stands by itself.
#[tokio::test]
async fn a_whole_copy_is_proven_without_the_log() {
    let key = key(1);
    let log = SmallLog::of(1_300, 10, &key);
    let copy = proven(&log, &key, EventFilter::default()).await;
    let (copy, findings) = judged(&copy, Some(pinned(&key)));
    assert_eq!(findings, []);
    assert_eq!((copy.events, copy.others), (1_290, 0));
    assert_eq!(copy.stated, Some((1_290, log.checkpoint.root)));
    assert!(copy.is_pinned);
}

// S8: whoever has no key learns that the file brought its own.
#[tokio::test]
async fn the_key_in_the_file_is_told_from_a_pinned_one() {
    let key = key(1);
    let log = SmallLog::of(10, 0, &key);
    let copy = proven(&log, &key, EventFilter::default()).await;
    let (copy, findings) = judged(&copy, None);
    assert_eq!(findings, []);
    assert!(!copy.is_pinned);
    assert_eq!(copy.embedded_key, Some(key.verifier()));
}

// S9: a project's auditor gets that project's events, and proofs that they are in the log.
#[tokio::test]
async fn a_copy_of_one_project_is_proven_too() {
    let key = key(1);
    let mut log = SmallLog::of(700, 0, &key);
    {
        let log = Arc::get_mut(&mut log).unwrap();
        for at in [3, 300, 301, 699] {
            log.events[at].event.project_id = Some(PROJECT.0);
            let recorded_at = log.events[at].recorded_at.unwrap();
            log.hashes[at] = log.events[at].event.leaf_hash(recorded_at).unwrap();
        }
        let root = tranche_application::audit::tree::merkle::root_over(&log.hashes);
        log.checkpoint = key.sign(700, root, log.checkpoint.signed_at);
    }
    let mut asked = request(EventFilter::default());
    asked.caller.scope = Some(PROJECT);
    let sheet = Sheet::Proven(log.checkpoint.clone(), key.verifier());
    let (bytes, broken, ..) = copied(log, asked, sheet).await;
    assert!(broken.is_none(), "{broken:?}");
    let (copy, findings) = judged(&bytes, Some(pinned(&key)));
    assert_eq!(findings, []);
    assert_eq!((copy.events, copy.others), (4, 696));
}

/// A copy of twenty events, of which every third is in it.
async fn small_copy(key: &LogKey) -> Vec<u8> {
    proven(&SmallLog::of(20, 0, key), key, warnings()).await
}

// S8: whichever byte is altered, it is found. What a copy says of itself is not signed: the filter
// and the key that it brings along.
#[tokio::test]
async fn every_altered_byte_is_found() {
    let key = key(1);
    let copy = small_copy(&key).await;
    let unsigned = |what: &str| {
        let text = String::from_utf8(copy.clone()).unwrap();
        let start = text.find(what).unwrap() + what.len();
        start..start + text[start..].find('"').unwrap()
    };
    let free = [unsigned("\"filter\":\""), unsigned("\"verifier_key\":\"")];
    for at in 0..copy.len() - 1 {
        for flip in [1, 0x20] {
            let mut altered = copy.clone();
            altered[at] ^= flip;
            if free.iter().any(|range| range.contains(&at)) {
                continue;
            }
            let (_, findings) = judged(&altered, Some(pinned(&key)));
            let around = String::from_utf8_lossy(&altered[at.saturating_sub(20)..]).into_owned();
            assert!(
                !findings.is_empty(),
                "byte {at} by {flip}: {}",
                &around[..around.len().min(40)]
            );
        }
    }
}

/// How many of the lines are events.
fn events_of(lines: &[&str]) -> usize {
    let event = |line: &&&str| line.starts_with("{\"leaf_index\":");
    lines.iter().filter(event).count()
}

// S8: each attack is told by what it did.
#[tokio::test]
async fn every_attack_on_a_copy_is_named() {
    let key = key(1);
    let copy = String::from_utf8(small_copy(&key).await).unwrap();
    let lines: Vec<&str> = copy.lines().collect();
    let told = |lines: &[&str]| judged(lines.join("\n").as_bytes(), Some(pinned(&key))).1;
    assert_eq!(told(&lines), []);

    let row = lines
        .iter()
        .position(|line| line.contains("\"leaf_index\":9"))
        .unwrap();
    let mut altered = lines.clone();
    let line = lines[row].replace("amina", "aminu");
    altered[row] = &line;
    let findings = told(&altered);
    assert_eq!(findings[0].kind, Kind::RowAltered);
    assert_eq!(findings[0].leaves, Some(9..10));
    assert!(findings[0].event_id.is_some());

    for at in 0..lines.len() - 1 {
        let mut dropped = lines.clone();
        dropped.remove(at);
        let kinds = kinds(&told(&dropped));
        let is_last = at == lines.len() - 2;
        let expected = if is_last {
            Kind::CheckpointDiffers
        } else {
            Kind::LineMisplaced
        };
        assert!(kinds.contains(&expected), "line {at}: {kinds:?}");

        let mut doubled = lines.clone();
        doubled.insert(at, lines[at]);
        assert!(!told(&doubled).is_empty(), "line {at} twice");

        let mut swapped = lines.clone();
        swapped.swap(at, at + 1);
        assert!(!told(&swapped).is_empty(), "lines {at} and the next");

        assert_eq!(told(&lines[..=at]).last().unwrap().kind, Kind::ExportCutOff);
    }
    let (end, events) = (lines[lines.len() - 1], events_of(&lines));
    let said = |events: usize| format!("\"events\":{events}");
    assert!(end.contains(&said(events)), "{end}");
    let end = end.replacen(&said(events), &said(events + 1), 1);
    let mut miscounted = lines.clone();
    miscounted.pop();
    miscounted.push(&end);
    assert_eq!(kinds(&told(&miscounted)), [Kind::ExportMiscounted]);

    let mut longer = lines.clone();
    longer.push(lines[row]);
    assert_eq!(kinds(&told(&longer)), [Kind::LineMisplaced]);
}

// S8: what another reader would take differently is no copy of ours.
#[tokio::test]
async fn a_line_says_one_thing_to_everybody() {
    let key = key(1);
    let copy = String::from_utf8(small_copy(&key).await).unwrap();
    for (what, by) in [
        ("\"share\":0.1", "\"share\":0.10000000000000000001"),
        ("\"number\":9", "\"number\":1,\"number\":9"),
        ("\"number\":9", "\"number\": 9"),
        ("\"action\":", "\"note\":\"paid\",\"action\":"),
        ("\"leaf_index\":9", "\"leaf_index\":9,\"verified\":true"),
        ("\"end\":{", "\"end\":{\"whole\":true,"),
    ] {
        let altered = copy.replacen(what, by, 1);
        assert_ne!(altered, copy, "{what}");
        let kinds = kinds(&judged(altered.as_bytes(), Some(pinned(&key))).1);
        assert!(kinds.contains(&Kind::LineMalformed), "{by}: {kinds:?}");
    }
}

// S8: a row that was altered with its leaf, a checkpoint of another log, one signed by another key.
#[tokio::test]
async fn a_copy_with_a_checkpoint_that_is_not_its_own_is_found() {
    let (ours, theirs) = (key(1), key(2));
    let log = SmallLog::of(20, 0, &ours);
    let whole = String::from_utf8(proven(&log, &ours, EventFilter::default()).await).unwrap();

    let mut forged = whole.clone();
    let row = &log.events[9];
    let mut event = row.event.clone();
    event.actor.id = "aminu".to_owned();
    let leaf = event.leaf_hash(row.recorded_at.unwrap()).unwrap();
    forged = forged.replace(&hex::encode(log.hashes[9]), &hex::encode(leaf));
    let line = forged.lines().nth(9).unwrap().to_owned();
    forged = forged.replace(&line, &line.replace("amina", "aminu"));
    let (_, findings) = judged(forged.as_bytes(), Some(pinned(&ours)));
    assert_eq!(kinds(&findings), [Kind::CheckpointDiffers]);

    let other = SmallLog::of(21, 0, &ours);
    let note = |log: &SmallLog| serde_json::to_string(&log.checkpoint.note).unwrap();
    let foreign = whole.replace(&note(&log), &note(&other));
    let (_, findings) = judged(foreign.as_bytes(), Some(pinned(&ours)));
    assert_eq!(kinds(&findings), [Kind::CheckpointDiffers]);

    let resigned = proven(
        &SmallLog::of(20, 0, &theirs),
        &theirs,
        EventFilter::default(),
    )
    .await;
    let (_, findings) = judged(&resigned, Some(pinned(&ours)));
    assert_eq!(kinds(&findings), [Kind::CheckpointNotSigned]);
    let (copy, findings) = judged(&resigned, None);
    assert_eq!(
        findings,
        [],
        "by its own key it stands, which is why that is told"
    );
    assert!(!copy.is_pinned);
}

#[tokio::test]
async fn an_empty_file_is_no_copy() {
    assert_eq!(kinds(&CopyReader::new(None).end().1), [Kind::ExportCutOff]);
    let (_, findings) = judged(b"id,occurred_at\r\n", None);
    assert_eq!(kinds(&findings), [Kind::LineMalformed, Kind::ExportCutOff]);
    let log = SmallLog::of(3, 0, &key(1));
    assert!(Tree::checkpoint(log.as_ref()).await.unwrap().is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// However large the log and whatever is in the copy, it is proven, and a row less is not.
    #[test]
    fn any_copy_is_proven(count in 1_u32..1_500, late in 0_u32..3, picked in 0_u8..4) {
        let key = key(1);
        let late = late.min(count - 1);
        let log = SmallLog::of(count, late, &key);
        let filter = match picked {
            0 => EventFilter::default(),
            1 => warnings(),
            2 => EventFilter { actions: vec!["none".to_owned()], ..EventFilter::default() },
            _ => EventFilter { details: Some(serde_json::json!({ "number": count / 2 })), ..EventFilter::default() },
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let copy = runtime.block_on(proven(&log, &key, filter.clone()));
        let (verified, findings) = judged(&copy, Some(pinned(&key)));
        prop_assert_eq!(findings, []);
        let matching = log.events[..(count - late) as usize].iter().filter(|row| filter.matches(&row.event));
        prop_assert_eq!(verified.events, matching.count() as u64);
        prop_assert_eq!(verified.events + verified.others, u64::from(count - late));
    }
}
