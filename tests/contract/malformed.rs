//! What the application never writes and whoever has the database in hand may: each is told as what it is
//! (S8).

use tranche_application::audit::verify::finding::Kind;
use uuid::Uuid;

use super::sealed_log::{Sealed, kinds, names, range};
use super::{Dialect, StoreUnderTest};

/// The columns of a table with what an insert takes for each, from a row of its like.
async fn copied(subject: &dyn StoreUnderTest, table: &str, but: (&str, &str)) -> (String, String) {
    let columns = subject.columns(table).await;
    let names: Vec<String> = columns.into_iter().map(|column| column.0).collect();
    let value = |name: &String| {
        if name == but.0 {
            but.1.to_owned()
        } else {
            name.clone()
        }
    };
    let values: Vec<String> = names.iter().map(value).collect();
    (names.join(", "), values.join(", "))
}

/// A column that nothing of ours reads, and a row that there is twice.
pub async fn a_row_that_cannot_be_is_named(subject: &dyn StoreUnderTest) {
    let sealed = Sealed::of(subject).await;
    let (masked, doubled) = (sealed.id(150), sealed.id(160));
    sealed
        .force(&format!(
            "UPDATE audit_events SET ip_address = '203.0.113.0/24' WHERE id = '{masked}'"
        ))
        .await;
    let findings = sealed.findings().await;
    assert!(
        kinds(&findings).contains(&Kind::RowUnreadable) && names(&findings, masked),
        "{findings:?}"
    );
    assert_eq!(range(&findings, Kind::RowUnreadable), Some(150..151));

    // Where one table takes no two of an id, another one does.
    let (into, but) = match sealed.dialect() {
        Dialect::Postgres => {
            let other = "CASE severity WHEN 'info' THEN 'warning' ELSE 'info' END";
            ("audit_events", ("severity", other))
        }
        Dialect::Sqlite => ("audit_archive", ("id", "id")),
    };
    let (columns, values) = copied(subject, "audit_events", but).await;
    sealed
        .force(&format!(
            "INSERT INTO {into} ({columns}) SELECT {values} FROM audit_events WHERE id = '{doubled}'"
        ))
        .await;
    let findings = sealed.findings().await;
    assert!(
        kinds(&findings).contains(&Kind::RowDoubled) && names(&findings, doubled),
        "{findings:?}"
    );
}

/// No hash, no place of its own, and two for one event.
pub async fn a_leaf_that_cannot_be_is_named(subject: &dyn StoreUnderTest) {
    let sealed = Sealed::of(subject).await;
    let leaf = sealed.dialect().leaf_column();
    let (short, id) = (sealed.dialect().bytes(&[9]), sealed.id(170));
    let but = format!("'{id}'");
    let (columns, values) = copied(subject, "audit_pending", ("event_id", &but)).await;
    sealed
        .force(&format!(
            "INSERT INTO audit_pending ({columns}) SELECT {values} FROM audit_pending"
        ))
        .await;
    let findings = sealed.findings().await;
    assert!(
        kinds(&findings).contains(&Kind::LeafDoubled) && names(&findings, id),
        "{findings:?}"
    );

    let waiting = sealed.waiting;
    sealed
        .force(&format!(
            "DELETE FROM audit_pending WHERE event_id = '{id}'"
        ))
        .await;
    sealed
        .force(&format!("UPDATE audit_pending SET {leaf} = {short}"))
        .await;
    let findings = sealed.findings().await;
    assert_eq!(kinds(&findings), [Kind::LeafMalformed]);
    assert!(names(&findings, waiting), "{findings:?}");

    let last = sealed.events.len() - 1;
    for (set, place, told) in [
        (format!("{leaf} = {short}"), last, 1),
        ("leaf_index = -5".to_owned(), last - 1, 0),
    ] {
        let id = sealed.id(place);
        sealed
            .force(&format!(
                "UPDATE audit_leaves SET {set} WHERE leaf_index = {place}"
            ))
            .await;
        let findings = sealed.findings().await;
        let of_it = findings
            .iter()
            .filter(|finding| finding.kind == Kind::LeafMalformed && finding.event_id == Some(id));
        assert!(of_it.count() > told, "{set}: {findings:?}");
    }
    let findings = sealed.findings().await;
    let gap = last as u64 - 1;
    assert_eq!(range(&findings, Kind::LeafGap), Some(gap..gap + 1));
}

/// What waits repeats of its event what the statistics count, where it does.
pub async fn what_waits_repeats_its_event(subject: &dyn StoreUnderTest) {
    let sealed = Sealed::of(subject).await;
    let past = sealed
        .dialect()
        .time(sealed.world.now() - chrono::TimeDelta::days(1));
    let columns = subject.columns("audit_pending").await;
    let mut repeated = 0;
    for (column, _) in columns {
        let value = match column.as_str() {
            "severity" | "action" | "resource_type" => "'forged'",
            "occurred_at" => past.as_str(),
            _ => continue,
        };
        repeated += 1;
        sealed
            .force(&format!("UPDATE audit_pending SET {column} = {value}"))
            .await;
        let findings = sealed.findings().await;
        assert_eq!(kinds(&findings), [Kind::PendingAltered], "{column}");
        assert!(names(&findings, sealed.waiting), "{findings:?}");
        assert!(findings[0].what.contains(&column), "{findings:?}");
        sealed
            .force(&format!(
                "UPDATE audit_pending SET {column} = \
                 (SELECT {column} FROM audit_events WHERE id = event_id)"
            ))
            .await;
    }
    let expected = match sealed.dialect() {
        Dialect::Postgres => 4,
        Dialect::Sqlite => 0,
    };
    assert_eq!(repeated, expected);
}

/// A key that is no id stands in no order, so nothing else would come upon it.
pub async fn a_key_that_is_none_is_named(subject: &dyn StoreUnderTest) {
    let sealed = Sealed::of(subject).await;
    if sealed.dialect() == Dialect::Postgres {
        let none = "UPDATE audit_events SET id = 'none'";
        subject.force(none).await.expect_err("the type refuses it");
        return;
    }
    let of_row = sealed.id(30);
    let of_leaf = sealed.id(31);
    for (table, key, id) in [
        ("audit_events", "id", of_row),
        ("audit_leaves", "event_id", of_leaf),
        ("audit_pending", "event_id", sealed.waiting),
    ] {
        let written = written_otherwise(id);
        sealed
            .force(&format!(
                "UPDATE {table} SET {key} = '{written}' WHERE {key} = '{id}'"
            ))
            .await;
        let findings = sealed.findings().await;
        let told = findings.iter().any(|finding| {
            finding.kind == Kind::RowWithoutKey
                && finding.what.contains(table)
                && finding.what.contains(&written)
        });
        assert!(told, "{findings:?}");
    }
}

/// The same id, as the application does not write it.
fn written_otherwise(id: Uuid) -> String {
    id.simple().to_string()
}
