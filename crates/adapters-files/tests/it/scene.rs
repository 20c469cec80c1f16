//! Events to be written.

use chrono::{DateTime, TimeDelta};
use serde_json::{Value, json};
use tranche_application::audit::record::{EventRecord, LoggedEvent, RecordedActor};
use uuid::Uuid;

/// An event with a value in every column.
pub fn full(number: u32) -> LoggedEvent {
    let at =
        DateTime::from_timestamp_micros(1_790_000_000_123_456 + i64::from(number)).expect("a time");
    LoggedEvent {
        event: EventRecord {
            id: Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0000 + u128::from(number)),
            severity: ["info", "warning", "critical"][number as usize % 3].to_owned(),
            occurred_at: at,
            action: format!("order.paid.{}", number % 7),
            actor: RecordedActor {
                id: format!("actor-{}", number % 11),
                role: Some("service".to_owned()),
            },
            project_id: Some(Uuid::from_u128(7)),
            milestone_id: Some(Uuid::from_u128(8)),
            resource_type: "order".to_owned(),
            resource_id: Some(format!("{number}")),
            previous_status: Some("draft".to_owned()),
            new_status: Some("submitted".to_owned()),
            changes: json!({"title": {"from": "a", "to": "b"}}),
            metadata: json!({"sent_by": "shop"}),
            details: json!({"amount": "1.50", "wells": [1, 2, {"deep": true}]}),
            ip_address: Some("2001:db8::7".parse().expect("an address")),
            user_agent: Some("curl/8, \"quoted\"\r\nsecond line".to_owned()),
            request_id: Some("r-1".to_owned()),
            salt: [7; 16],
        },
        recorded_at: Some(at + TimeDelta::milliseconds(1_700)),
        leaf_index: Some(i64::from(number)),
    }
}

/// An event with nothing where nothing may be.
pub fn bare(number: u32) -> LoggedEvent {
    let full = full(number);
    LoggedEvent {
        event: EventRecord {
            actor: RecordedActor {
                id: String::new(),
                role: None,
            },
            project_id: None,
            milestone_id: None,
            resource_id: None,
            previous_status: None,
            new_status: None,
            changes: Value::Null,
            metadata: Value::Null,
            details: Value::Null,
            ip_address: None,
            user_agent: None,
            request_id: None,
            ..full.event
        },
        recorded_at: None,
        leaf_index: None,
    }
}
