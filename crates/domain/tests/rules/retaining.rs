//! What is kept: months, policies, and holds.

use chrono::{DateTime, Utc};
use tranche_domain::text::Reason;
use tranche_domain::{
    Actor, EventId, Fact, Held, Hold, Month, Occasion, Origin, PolicyError, ProjectId,
    RetentionPolicies, RetentionPolicy, Role, Severity,
};
use uuid::Uuid;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn month(text: &str) -> Month {
    text.parse().unwrap()
}

// S7: days count from the end of the month, so that none of its events leaves too early.
#[test]
fn a_month_leaves_when_its_last_event_is_old_enough() {
    let policy = RetentionPolicy::try_new(90, 365).unwrap();
    let february = Month::of(at("2024-02-29T23:59:59.999999Z"));
    assert_eq!(february, month("2024-02"));
    assert_eq!(february.to_string(), "2024-02");
    assert_eq!(february.starts_at(), at("2024-02-01T00:00:00Z"));
    assert_eq!(february.ends_at(), at("2024-03-01T00:00:00Z"));
    assert_eq!(policy.archives_at(february), at("2024-05-30T00:00:00Z"));
    assert_eq!(policy.expires_at(february), at("2025-03-01T00:00:00Z"));
    assert_eq!(month("2023-12").next(), month("2024-01"));
    for wrong in [
        "2024",
        "2024-1",
        "2024-13",
        "2024-00",
        "24-01",
        "+024-01",
        "2024-01-01",
        "",
    ] {
        assert!(wrong.parse::<Month>().is_err(), "{wrong}");
    }
}

#[test]
fn a_policy_archives_before_it_lets_go() {
    let policies = RetentionPolicies::default();
    for (severity, archive, keep) in [
        (Severity::Info, 90, 365),
        (Severity::Warning, 180, 1_095),
        (Severity::Critical, 365, 2_555),
    ] {
        let policy = policies.of(severity);
        assert_eq!((policy.archive_after(), policy.keep()), (archive, keep));
        assert_eq!(RetentionPolicy::try_new(archive, keep), Ok(policy));
    }
    assert!(RetentionPolicy::try_new(7, 7).is_ok());
    assert_eq!(
        RetentionPolicy::try_new(8, 7),
        Err(PolicyError::ArchivedLate)
    );
    for (archive, keep) in [(0, 7), (1, 0), (1, 36_501)] {
        let refused = RetentionPolicy::try_new(archive, keep);
        assert_eq!(refused, Err(PolicyError::OutOfRange));
    }
}

#[test]
fn a_hold_says_what_it_keeps_and_is_lifted_once() {
    let occasion = Occasion {
        by: Actor {
            id: "ada".to_owned(),
            role: Role::Admin,
        },
        origin: Origin::default(),
        at: at("2024-06-15T12:00:00Z"),
        event_id: EventId(Uuid::from_u128(1)),
        salt: [0; 16],
    };
    let held = Held {
        severity: Some(Severity::Warning),
        from: Some(month("2024-01")),
        to: Some(month("2024-03")),
        project: Some(ProjectId(Uuid::from_u128(7))),
    };
    for (severity, of, reached) in [
        (Severity::Warning, "2023-12", false),
        (Severity::Warning, "2024-01", true),
        (Severity::Warning, "2024-03", true),
        (Severity::Warning, "2024-04", false),
        (Severity::Critical, "2024-02", false),
    ] {
        assert_eq!(held.reaches(severity, month(of)), reached, "{of}");
        assert!(Held::default().reaches(severity, month(of)));
    }
    let reason = |text: &str| Reason::try_new(text).unwrap();
    let (placed, change) = Hold::place(Uuid::from_u128(9), held, reason("a lawsuit"), &occasion);
    let event = change.event();
    assert_eq!(event.action.as_str(), "retention.hold_placed");
    assert_eq!(event.project_id, held.project);
    assert_eq!(event.metadata["reason"], Fact::text("a lawsuit"));
    assert_eq!(event.metadata["to_month"], Fact::text("2024-03"));
    let (lifted, change) = placed.lift(reason("settled"), &occasion).unwrap();
    assert_eq!(change.event().metadata["reason"], Fact::text("settled"));
    assert_eq!(lifted.lifted.as_ref().unwrap().by, "ada");
    assert_eq!(lifted.lift(reason("again"), &occasion), None);
}
