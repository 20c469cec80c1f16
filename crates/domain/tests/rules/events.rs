//! Names, severities, and who an event says it was.

use std::collections::BTreeSet;

use tranche_domain::audit::Resource;
use tranche_domain::{Action, Fact, Role, Severity};

use crate::scene::{CHECKER, MAKER, Scene, TREASURER, act, burn, plan_of, project, reason};
use tranche_domain::{Milestone, MilestoneStatus, Policy};

const ACTIONS: [(Action, &str, Severity); 38] = [
    (Action::AuditExported, "audit.exported", Severity::Warning),
    (Action::SubjectErased, "subject.erased", Severity::Critical),
    (Action::TrailChanged, "trail.changed", Severity::Warning),
    (Action::TrailsCleaned, "trails.cleaned", Severity::Info),
    (
        Action::TrailsBackendSwitched,
        "trails.backend_switched",
        Severity::Warning,
    ),
    (Action::ProjectCreated, "project.created", Severity::Info),
    (Action::ProjectDeleted, "project.deleted", Severity::Warning),
    (
        Action::MilestoneCreated,
        "milestone.created",
        Severity::Info,
    ),
    (
        Action::MilestoneUpdated,
        "milestone.updated",
        Severity::Info,
    ),
    (
        Action::MilestoneDeleted,
        "milestone.deleted",
        Severity::Warning,
    ),
    (
        Action::MilestoneSubmitted,
        "milestone.submitted",
        Severity::Info,
    ),
    (
        Action::MilestoneRejected,
        "milestone.rejected",
        Severity::Warning,
    ),
    (
        Action::MilestoneRevised,
        "milestone.revised",
        Severity::Info,
    ),
    (
        Action::MilestoneApproved,
        "milestone.approved",
        Severity::Critical,
    ),
    (
        Action::BankTransferRecorded,
        "milestone.bank_transfer_recorded",
        Severity::Critical,
    ),
    (
        Action::MilestoneDisbursed,
        "milestone.disbursed",
        Severity::Critical,
    ),
    (
        Action::DisbursementPrepared,
        "disbursement.prepared",
        Severity::Critical,
    ),
    (
        Action::DisbursementFailed,
        "disbursement.failed",
        Severity::Critical,
    ),
    (
        Action::DisbursementNeedsOperator,
        "disbursement.needs_operator",
        Severity::Critical,
    ),
    (
        Action::DisbursementReplaced,
        "disbursement.replaced",
        Severity::Critical,
    ),
    (
        Action::DisbursementResolutionProposed,
        "disbursement.resolution_proposed",
        Severity::Critical,
    ),
    (Action::ChannelCreated, "channel.created", Severity::Warning),
    (
        Action::LedgerGapAccepted,
        "ledger.gap_accepted",
        Severity::Warning,
    ),
    (Action::KeyIssued, "key.issued", Severity::Warning),
    (Action::KeyRevoked, "key.revoked", Severity::Warning),
    (Action::AuditRead, "audit.read", Severity::Info),
    (
        Action::AuditEventsLost,
        "audit.events_lost",
        Severity::Critical,
    ),
    (
        Action::LogContradictionAccepted,
        "audit.contradiction_accepted",
        Severity::Critical,
    ),
    (
        Action::DeadLetterRedriven,
        "audit.dead_letter_redriven",
        Severity::Warning,
    ),
    (
        Action::RetentionHoldPlaced,
        "retention.hold_placed",
        Severity::Critical,
    ),
    (
        Action::RetentionHoldLifted,
        "retention.hold_lifted",
        Severity::Critical,
    ),
    (
        Action::RetentionExpiring,
        "retention.expiring",
        Severity::Critical,
    ),
    (Action::RetentionRun, "retention.run", Severity::Warning),
    (Action::WebhookCreated, "webhook.created", Severity::Warning),
    (Action::WebhookDeleted, "webhook.deleted", Severity::Warning),
    (
        Action::WebhookDisabled,
        "webhook.disabled",
        Severity::Warning,
    ),
    (
        Action::WebhookReplayed,
        "webhook.replayed",
        Severity::Warning,
    ),
    (
        Action::WebhookSecretRotated,
        "webhook.secret_rotated",
        Severity::Warning,
    ),
];

#[test]
fn actions_keep_their_names_and_their_severity() {
    assert_eq!(Action::ALL.len(), ACTIONS.len());
    for (action, name, severity) in ACTIONS {
        assert!(Action::ALL.contains(&action));
        assert_eq!((action.as_str(), action.to_string().as_str()), (name, name));
        assert_eq!(action.severity(), severity, "{name}");
        assert_eq!(
            action.is_critical(),
            severity == Severity::Critical,
            "{name}"
        );
    }
    let names: BTreeSet<_> = Action::ALL.iter().map(|action| action.as_str()).collect();
    assert_eq!(names.len(), Action::ALL.len(), "every name is used once");
}

#[test]
fn severities_and_roles_keep_their_names() {
    assert_eq!(Severity::Info.as_str(), "info");
    assert_eq!(Severity::Warning.as_str(), "warning");
    assert_eq!(Severity::Critical.as_str(), "critical");
    assert!(Severity::Info < Severity::Warning && Severity::Warning < Severity::Critical);
    for role in Role::ALL {
        assert_eq!(Role::named(role.as_str()), Some(role));
        assert_eq!(role.to_string(), role.as_str());
    }
    assert_eq!(Role::named("root"), None);
}

// M10
#[test]
fn an_event_says_who_from_where_when_and_on_which_occasion() {
    let occasion = act(MAKER, 9);
    let change = Scene::at(MilestoneStatus::Draft)
        .milestone
        .submit(&occasion)
        .unwrap();
    let event = change.event();
    assert_eq!(event.actor, occasion.by);
    assert_eq!(event.origin, occasion.origin);
    assert_eq!(event.occurred_at, occasion.at);
    assert_eq!((event.id, event.salt), (occasion.event_id, occasion.salt));
}

// M1, M3
#[test]
fn creating_and_deleting_say_what_there_is_and_was() {
    let created = Milestone::draft(
        plan_of(3),
        project(1_000, 100, Policy::default()),
        &act(MAKER, 1),
    )
    .unwrap();
    let scene = Scene::at(MilestoneStatus::Draft);
    let deleted = scene
        .milestone
        .clone()
        .delete(scene.project, &act(MAKER, 9))
        .unwrap();
    for (event, number) in [(created.event(), 3), (deleted.event(), 1)] {
        assert_eq!(event.resource, Resource::Milestone);
        assert_eq!(event.metadata["number"], Fact::Count(number));
        assert_eq!(event.metadata["title"], Fact::from("Wells drilled"));
        assert_eq!(event.metadata["target_amount"], Fact::from("0.0000500"));
        assert_eq!(event.metadata["description"], Fact::Absent);
    }
    assert_eq!(created.event().previous_status, None);
    assert_eq!(created.event().new_status, Some(MilestoneStatus::Draft));
    assert_eq!(
        deleted.event().previous_status,
        Some(MilestoneStatus::Draft)
    );
    assert_eq!(deleted.event().new_status, None);
    assert_eq!(
        deleted.milestone().unwrap().value().version,
        scene.milestone.version + 1
    );
}

// M5, M6
#[test]
fn a_rejection_says_why_and_an_approval_of_whose_work() {
    let scene = Scene::at(MilestoneStatus::Submitted);
    let rejected = scene
        .milestone
        .clone()
        .reject(reason(), &act(CHECKER, 9))
        .unwrap();
    let said = &rejected.event().metadata["reason"];
    assert_eq!(*said, Fact::from("the report is missing"));
    let approved = scene.milestone.approve(&act(CHECKER, 9)).unwrap();
    assert_eq!(approved.event().metadata["submitted_by"], Fact::from(MAKER));
}

// M8
#[test]
fn a_settlement_says_amount_hash_ledger_nav_and_price() {
    let scene = Scene::at(MilestoneStatus::Disbursing);
    let open = scene.disbursement.clone().unwrap();
    let change = open
        .settle(
            scene.milestone,
            scene.project,
            burn(41).id,
            110,
            &act(TREASURER, 9),
        )
        .unwrap();
    let event = change.event();
    assert_eq!(event.metadata["amount"], Fact::from("0.0000500"));
    assert_eq!(event.metadata["new_nav"], Fact::from("0.0000500"));
    assert_eq!(event.metadata["ledger"], Fact::Count(110));
    assert_eq!(
        event.metadata["tx_hash"],
        Fact::Text(format!("{:064x}", 41))
    );
    let price = &event.changes["lp_token_price"];
    assert_eq!(price.from, Fact::from("10.0000000"));
    assert_eq!(price.to, Fact::from("5.0000000"));
    let nav = &event.changes["nav"];
    assert_eq!(
        (&nav.from, &nav.to),
        (&Fact::from("0.0001000"), &Fact::from("0.0000500"))
    );
}
