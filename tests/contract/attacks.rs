//! Whatever somebody with the database in hand does to the log, verification tells of it, and names
//! the event or the range of leaves (S8, M14).

use tranche_application::audit::tree::merkle::leaf_hash;
use tranche_application::audit::verify::finding::{Finding, Kind};
use tranche_application::ports::tree::Checkpoint;
use uuid::Uuid;

use super::pipeline::events;
use super::sealed_log::{Sealed, key, kinds, names, range, seal};
use super::{Dialect, StoreUnderTest};

/// An id that nothing has.
const FORGED: &str = "0190f0f0-0000-7000-8000-00000000f0f0";

/// What is right is found right, also while one event waits, and what there is is counted.
pub async fn an_intact_log_is_verified(subject: &dyn StoreUnderTest) {
    let sealed = Sealed::of(subject).await;
    let (verified, findings) = sealed.verified().await;
    assert_eq!(findings, []);
    let sealed_events = sealed.events.len() as u64;
    assert_eq!(
        (verified.events, verified.leaves),
        (sealed_events + 1, sealed_events)
    );
    assert_eq!((verified.waiting, verified.expired), (1, 0));
    assert_eq!(verified.checkpoints, 6, "three in the database, three kept");
    let newest = sealed.kept.last().expect("one");
    assert_eq!(verified.newest, Some((newest.size, newest.root)));
}

/// A snapshot is of one moment, whatever is written and sealed meanwhile.
pub async fn a_log_is_verified_while_it_grows(subject: &dyn StoreUnderTest) {
    let sealed = Sealed::of(subject).await;
    let (store, tree) = (subject.audit_store(), subject.tree());
    let (world, _) = (sealed.world.clone(), tree);
    let writing = async {
        for _ in 0..8 {
            let new = store.append(&events(&world, 40), world.now()).await;
            new.expect("it is appended");
            seal(subject, &world, 30).await;
        }
    };
    let verifying = async {
        let mut all = Vec::new();
        for _ in 0..4 {
            all.extend(sealed.findings().await);
        }
        all
    };
    let ((), findings) = tokio::join!(writing, verifying);
    assert_eq!(findings, []);
}

/// A value for a column that nobody wrote there.
fn forged(dialect: Dialect, column: &str, kind: &str) -> String {
    let other_id = format!("'{FORGED}'");
    match (column, kind) {
        ("id" | "project_id" | "milestone_id", _) | (_, "uuid") => other_id,
        ("changes" | "metadata" | "details", _) | (_, "jsonb") => "'{\"forged\":true}'".to_owned(),
        ("ip_address", _) => "'203.0.113.9'".to_owned(),
        ("severity", _) => format!("CASE {column} WHEN 'info' THEN 'warning' ELSE 'info' END"),
        (_, "timestamptz") => format!("{column} + interval '1 microsecond'"),
        (_, "INTEGER" | "int8" | "int4") => format!("{column} + 1"),
        (_, "bytea" | "BLOB") => dialect.bytes(&[9; 16]),
        _ => format!("coalesce({column}, '') || 'x'"),
    }
}

/// Every column that there is, those that a later schema adds included: no change of it passes.
pub async fn every_column_of_a_row_matters(subject: &dyn StoreUnderTest) {
    let sealed = Sealed::of(subject).await;
    let columns = subject.columns("audit_events").await;
    assert!(columns.len() >= 20, "{columns:?}");
    let own = sealed
        .events
        .iter()
        .position(|row| row.event.milestone_id.is_some());
    for id in [sealed.id(150), sealed.id(own.expect("one")), sealed.waiting] {
        let saved = format!("saved_{}", id.simple());
        let copy = format!("CREATE TABLE {saved} AS SELECT * FROM audit_events WHERE id = '{id}'");
        subject.execute(&copy).await.expect("it is copied");
        for (column, kind) in &columns {
            let mut values = vec![forged(sealed.dialect(), column, kind)];
            let has_value = format!("audit_events WHERE id = '{id}' AND {column} IS NOT NULL");
            let may_be_null = ["project_id", "details", "changes", "metadata", "request_id"];
            if may_be_null.contains(&column.as_str()) && subject.count(&has_value).await == 1 {
                values.push("NULL".to_owned());
            }
            for value in values {
                sealed
                    .force(&format!(
                        "UPDATE audit_events SET {column} = {value} WHERE id = '{id}'"
                    ))
                    .await;
                let findings = sealed.findings().await;
                assert!(
                    names(&findings, id),
                    "{column} = {value} of {id}: {findings:?}"
                );
                sealed
                    .force(&format!(
                        "DELETE FROM audit_events WHERE id IN ('{id}', '{FORGED}')"
                    ))
                    .await;
                sealed
                    .force(&format!("INSERT INTO audit_events SELECT * FROM {saved}"))
                    .await;
            }
        }
    }
    assert_eq!(sealed.findings().await, [], "all is as it was");
}

/// Contents of two rows that change places, a row that is gone, one with its leaf, one put in.
pub async fn rows_are_where_they_were(subject: &dyn StoreUnderTest) {
    let sealed = Sealed::of(subject).await;
    let (one, other) = (sealed.id(120), sealed.id(121));
    for (from, to) in [
        (one.to_string(), FORGED.to_owned()),
        (other.to_string(), one.to_string()),
        (FORGED.to_owned(), other.to_string()),
    ] {
        sealed
            .force(&format!(
                "UPDATE audit_events SET id = '{to}' WHERE id = '{from}'"
            ))
            .await;
    }
    let findings = sealed.findings().await;
    assert_eq!(kinds(&findings), [Kind::RowAltered, Kind::RowAltered]);
    assert!(
        names(&findings, one) && names(&findings, other),
        "{findings:?}"
    );

    let sealed = Sealed {
        events: sealed.events,
        ..sealed
    };
    let gone = sealed.id(200);
    sealed
        .force(&format!("DELETE FROM audit_events WHERE id = '{gone}'"))
        .await;
    let findings = sealed.findings().await;
    assert!(
        kinds(&findings).contains(&Kind::LeafWithoutRow),
        "{findings:?}"
    );
    assert!(names(&findings, gone));

    sealed
        .force(&format!(
            "DELETE FROM audit_leaves WHERE event_id = '{gone}'"
        ))
        .await;
    let findings = sealed.findings().await;
    assert_eq!(range(&findings, Kind::LeafGap), Some(200..201));

    let extra = Uuid::parse_str(FORGED).expect("an id");
    let columns: Vec<String> = subject
        .columns("audit_events")
        .await
        .into_iter()
        .map(|column| column.0)
        .collect();
    let values: Vec<String> = columns
        .iter()
        .map(|name| {
            if name == "id" {
                format!("'{extra}'")
            } else {
                name.clone()
            }
        })
        .collect();
    let (names_of, id) = (columns.join(", "), sealed.id(10));
    sealed
        .force(&format!(
            "INSERT INTO audit_events ({names_of}) SELECT {} FROM audit_events WHERE id = '{id}'",
            values.join(", ")
        ))
        .await;
    let findings = sealed.findings().await;
    assert!(
        kinds(&findings).contains(&Kind::RowWithoutLeaf),
        "{findings:?}"
    );
    assert!(names(&findings, extra));
}

/// Leaves, the hashes above them, and what waits.
pub async fn the_tree_is_what_its_leaves_give(subject: &dyn StoreUnderTest) {
    let sealed = Sealed::of(subject).await;
    let dialect = sealed.dialect();
    let (leaf, other) = (dialect.leaf_column(), dialect.bytes(&[9; 32]));
    sealed
        .force(&format!(
            "UPDATE audit_pending SET {leaf} = {other} WHERE event_id = '{}'",
            sealed.waiting
        ))
        .await;
    let findings = sealed.findings().await;
    assert_eq!(kinds(&findings), [Kind::RowAltered]);
    assert!(names(&findings, sealed.waiting));
    sealed
        .force(&format!(
            "DELETE FROM audit_pending WHERE event_id = '{}'",
            sealed.waiting
        ))
        .await;
    let findings = sealed.findings().await;
    assert_eq!(kinds(&findings), [Kind::RowWithoutLeaf]);
    assert!(names(&findings, sealed.waiting));

    sealed
        .force(&format!(
            "UPDATE audit_nodes SET hash = {other} WHERE level = 1 AND place = 1"
        ))
        .await;
    let findings = sealed.findings().await;
    assert_eq!(range(&findings, Kind::NodeAltered), Some(256..512));
    sealed
        .force("DELETE FROM audit_nodes WHERE level = 1 AND place = 1")
        .await;
    let findings = sealed.findings().await;
    assert_eq!(range(&findings, Kind::NodeMissing), Some(256..512));
    sealed
        .force(&format!(
            "INSERT INTO audit_nodes (level, place, hash) VALUES (1, 77, {other})"
        ))
        .await;
    assert!(kinds(&sealed.findings().await).contains(&Kind::NodeExcess));

    let id = sealed.id(130);
    sealed
        .force(&format!(
            "UPDATE audit_leaves SET {leaf} = {other} WHERE event_id = '{id}'"
        ))
        .await;
    let findings = sealed.findings().await;
    assert!(names(&findings, id));
    assert_eq!(range(&findings, Kind::CheckpointDiffers), Some(100..300));
}

/// The end is cut off: alone, with all that is above it, and by putting back an older copy.
pub async fn the_end_stays(subject: &dyn StoreUnderTest) {
    let sealed = Sealed::of(subject).await;
    let all = sealed.events.len() as u64;
    let last = sealed.id(sealed.events.len() - 1);
    sealed
        .force(&format!("DELETE FROM audit_events WHERE id = '{last}'"))
        .await;
    sealed
        .force(&format!(
            "DELETE FROM audit_leaves WHERE event_id = '{last}'"
        ))
        .await;
    let findings = sealed.findings().await;
    assert_eq!(range(&findings, Kind::CheckpointBeyond), Some(all - 1..all));

    // Yesterday's copy: whole in itself, and shorter than what was kept.
    let yesterday = &sealed.kept[1];
    let after: Vec<String> = sealed.events[300..]
        .iter()
        .map(|row| format!("'{}'", row.event.id))
        .collect();
    sealed
        .force(&format!(
            "DELETE FROM audit_events WHERE id IN ({})",
            after.join(", ")
        ))
        .await;
    sealed
        .force("DELETE FROM audit_leaves WHERE leaf_index >= 300")
        .await;
    sealed
        .force("DELETE FROM audit_nodes WHERE level > 1 OR place >= 1")
        .await;
    sealed.force("DELETE FROM audit_tree").await;
    sealed
        .force(
            "INSERT INTO audit_tree (size, root, note, signed_at) \
             SELECT size, root, note, signed_at FROM audit_checkpoints WHERE size = 300",
        )
        .await;
    sealed.force("DELETE FROM audit_rollups").await;
    let (_, findings) = sealed.verified_by(&[]).await;
    let beside = [
        Kind::CheckpointBeyond,
        Kind::CheckpointDiffers,
        Kind::CheckpointMissing,
    ];
    assert!(
        kinds(&findings).iter().all(|kind| !beside.contains(kind)),
        "{findings:?}"
    );
    let (_, findings) = sealed.verified_by(&sealed.kept).await;
    assert_eq!(range(&findings, Kind::CheckpointBeyond), Some(300..all));
    let (_, findings) = sealed.verified_by(std::slice::from_ref(yesterday)).await;
    assert!(
        !kinds(&findings).contains(&Kind::CheckpointBeyond),
        "as long as it was"
    );
}

/// An event altered with its leaf and every hash above it: the checkpoints say between which of them,
/// and when they were signed anew as well, those that were kept outside do.
pub async fn history_is_not_rewritten(subject: &dyn StoreUnderTest) {
    let sealed = Sealed::of(subject).await;
    let leaves = sealed.rewrite(150).await;
    let (_, findings) = sealed.verified_by(&[]).await;
    assert_eq!(range(&findings, Kind::CheckpointDiffers), Some(100..300));
    assert!(!names(&findings, sealed.id(150)), "row and leaf agree");

    sealed.resign(&key(3), &leaves).await;
    let (_, findings) = sealed.verified_by(&[]).await;
    assert!(
        !kinds(&findings).contains(&Kind::CheckpointDiffers),
        "by the log's own key"
    );
    let (_, findings) = sealed.verified().await;
    assert_eq!(range(&findings, Kind::CheckpointDiffers), Some(100..300));

    sealed.resign(&key(4), &leaves).await;
    let (_, findings) = sealed.verified_by(&[]).await;
    let unsigned = findings
        .iter()
        .filter(|finding| finding.kind == Kind::CheckpointNotSigned);
    assert_eq!(unsigned.count(), 3, "{findings:?}");
    let forged = Checkpoint {
        note: key(4).sign(1, [0; 32], sealed.world.now()).note,
        ..sealed.kept[0].clone()
    };
    let (_, findings) = sealed.verified_by(&[forged]).await;
    let told = |finding: &&Finding| finding.what.contains("the folder");
    assert_eq!(findings.iter().filter(told).count(), 1, "{findings:?}");
}

/// Checkpoints that are gone, or whose rows say something else than their notes.
pub async fn checkpoints_are_what_was_signed(subject: &dyn StoreUnderTest) {
    let sealed = Sealed::of(subject).await;
    let zero = sealed.dialect().bytes(&[0; 32]);
    sealed
        .force(&format!(
            "UPDATE audit_checkpoints SET root = {zero} WHERE size = 100"
        ))
        .await;
    assert_eq!(kinds(&sealed.findings().await), [Kind::CheckpointMalformed]);
    sealed
        .force("UPDATE audit_checkpoints SET note = 'signed' WHERE size = 100")
        .await;
    assert_eq!(kinds(&sealed.findings().await), [Kind::CheckpointMalformed]);
    let copy = subject.execute("CREATE TABLE newest AS SELECT * FROM audit_tree");
    copy.await.expect("it is copied");
    sealed.force("DELETE FROM audit_tree").await;
    let all = sealed.events.len() as u64;
    let findings = sealed.findings().await;
    assert_eq!(range(&findings, Kind::CheckpointMissing), Some(300..all));
    sealed
        .force("INSERT INTO audit_tree SELECT * FROM newest")
        .await;
    sealed.force("DELETE FROM audit_checkpoints").await;
    assert_eq!(
        sealed.findings().await,
        [],
        "former ones are not all remembered"
    );
    sealed.force("DELETE FROM audit_tree").await;
    assert_eq!(
        range(&sealed.findings().await, Kind::CheckpointMissing),
        Some(0..all)
    );
}

/// Statistics that tell another story than the rows.
pub async fn roll_ups_are_recounted(subject: &dyn StoreUnderTest) {
    let sealed = Sealed::of(subject).await;
    sealed
        .force("UPDATE audit_rollups SET events = events + 1 WHERE action = 'milestone.approved' AND bucket = 'day'")
        .await;
    let findings = sealed.findings().await;
    assert_eq!(kinds(&findings), [Kind::RollUpDiffers]);
    assert!(
        findings[0].what.contains("milestone.approved"),
        "{findings:?}"
    );
    sealed
        .force("DELETE FROM audit_rollups WHERE action = 'milestone.approved'")
        .await;
    assert_eq!(
        kinds(&sealed.findings().await),
        [Kind::RollUpDiffers, Kind::RollUpDiffers]
    );
}

/// Books and log prove each other, in both directions (M14).
pub async fn books_and_log_bear_each_other_out(subject: &dyn StoreUnderTest) {
    let sealed = Sealed::of(subject).await;
    let of = |action: &str| {
        let row = sealed.events.iter().find(|row| row.event.action == action);
        row.expect(action).event.clone()
    };
    let approved = of("milestone.approved");
    sealed
        .force(&format!(
            "DELETE FROM milestone_evidence WHERE event_id = '{}'",
            approved.id
        ))
        .await;
    let findings = sealed.findings().await;
    assert_eq!(
        kinds(&findings),
        [Kind::VersionWithoutEvent, Kind::EventWithoutVersion]
    );
    assert!(names(&findings, approved.id));

    let submitted = of("milestone.submitted");
    let milestone = submitted.milestone_id.expect("a milestone");
    sealed
        .force(&format!(
            "INSERT INTO milestone_evidence (milestone_id, version, event_id) \
             VALUES ('{milestone}', 77, '{}')",
            submitted.id
        ))
        .await;
    let findings = sealed.findings().await;
    assert!(
        kinds(&findings).contains(&Kind::EventOfSeveralVersions),
        "{findings:?}"
    );

    sealed
        .force("UPDATE disbursements SET state = 'prepared', settled_at = NULL, settled_ledger = NULL WHERE state = 'settled'")
        .await;
    let findings = sealed.findings().await;
    assert!(
        kinds(&findings).contains(&Kind::EventWithoutBurn),
        "{findings:?}"
    );
    assert!(names(&findings, of("milestone.disbursed").id));
    sealed
        .force("UPDATE disbursements SET state = 'settled' WHERE state = 'failed'")
        .await;
    assert!(kinds(&sealed.findings().await).contains(&Kind::BurnWithoutEvent));
    let memo = sealed.dialect().bytes(&[9; 32]);
    sealed
        .force(&format!(
            "UPDATE disbursements SET memo = {memo} WHERE state = 'prepared'"
        ))
        .await;
    assert!(kinds(&sealed.findings().await).contains(&Kind::MemoIsNotTheLeaf));
}

/// A row that is gone is only expired when the record of its leaf is kept, and is what was hashed.
pub async fn an_expired_row_leaves_its_record(subject: &dyn StoreUnderTest) {
    let sealed = Sealed::of(subject).await;
    let logged = &sealed.events[40];
    let recorded_at = logged.recorded_at.expect("it is in the log");
    let record = logged.event.leaf(recorded_at).expect("canonical");
    assert_eq!(
        leaf_hash(&record),
        logged.event.leaf_hash(recorded_at).expect("canonical")
    );
    let other = sealed.dialect().bytes(b"{}");
    sealed
        .force(&format!(
            "INSERT INTO audit_leaf_records (leaf_index, record) VALUES (40, {other})"
        ))
        .await;
    sealed
        .force(&format!(
            "DELETE FROM audit_events WHERE id = '{}'",
            logged.event.id
        ))
        .await;
    let findings = sealed.findings().await;
    assert!(
        kinds(&findings).contains(&Kind::RecordAltered),
        "{findings:?}"
    );
    assert!(names(&findings, logged.event.id));
    let bytes = sealed.dialect().bytes(&record);
    sealed
        .force(&format!(
            "UPDATE audit_leaf_records SET record = {bytes} WHERE leaf_index = 40"
        ))
        .await;
    let findings = sealed.findings().await;
    assert!(
        kinds(&findings).contains(&Kind::LeafWithoutRow),
        "let go by nobody: {findings:?}"
    );
    assert!(names(&findings, logged.event.id));
}
