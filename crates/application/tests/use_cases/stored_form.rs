//! An event of our own, in the columns of the store.

use serde_json::json;
use tranche_application::audit::record::EventRecord;
use tranche_domain::actor::SealedOrigin;
use tranche_domain::audit::Resource;
use tranche_domain::{Action, AuditEvent, Fact};

use super::scene::{caller, time};
use super::stage::Stage;

fn event() -> AuditEvent {
    let occasion = Stage::new().services().occasion(&caller("maker"));
    AuditEvent::new(Action::MilestoneUpdated, Resource::Milestone, 7, &occasion)
}

#[test]
fn changes_and_facts_are_told_as_they_are() {
    let event = event()
        .change("title", Fact::Absent, Fact::text("Wells"))
        .change("number", Fact::Count(1), Fact::Count(2))
        .change("description", Fact::text("same"), Fact::text("same"))
        .with("rows", Fact::Count(-3));
    let record = EventRecord::from(&event);
    let changes = json!({
        "title": { "from": null, "to": "Wells" },
        "number": { "from": 1, "to": 2 },
    });
    assert_eq!(record.changes, changes);
    assert_eq!(record.metadata, json!({ "rows": -3 }));
    assert_eq!(record.action, "milestone.updated");
    assert_eq!(record.resource_id.as_deref(), Some("7"));
    assert_eq!(record.occurred_at, time(0));
    assert!(record.ip_address.is_some() && record.user_agent.is_some());
}

// S9
#[test]
fn where_it_came_from_is_with_the_facts_once_it_is_sealed() {
    let mut event = event();
    event.origin.sealed = Some(SealedOrigin {
        key: uuid::Uuid::from_u128(9),
        content: vec![1, 2, 3],
    });
    (event.origin.ip_address, event.origin.user_agent) = (None, None);
    let record = EventRecord::from(&event);
    assert!(record.metadata["origin"].is_object(), "{}", record.metadata);
    assert_eq!((record.ip_address, record.user_agent), (None, None));
}
