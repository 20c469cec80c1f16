//! The rows: as the service would have written them, each with the leaf of its very content.

use anyhow::{Context, Result};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tranche_application::audit::record::{EventRecord, RecordedActor};
use tranche_benches::binary::{Binary, address, since_2000};
use tranche_benches::content::{Event, Mix, RESOURCE_TYPE, Random, USER_AGENT};
use uuid::Uuid;

/// Rows a statement.
pub const CHUNK: u64 = 1_000;
/// One row in so many is of a milestone.
const MILESTONES: u64 = 10;
/// The beginning of every milestone's id; the rest is its number.
const MILESTONE: u128 = 0x0192_8f00_0000_7001_8000_0000_0000_0000;

pub const EVENTS: &str =
    "COPY audit_events (id, milestone_id, project_id, occurred_at, recorded_at,
    severity, action, actor_id, resource_type, resource_id, changes, metadata, details, ip_address,
    user_agent, request_id, salt) FROM STDIN WITH (FORMAT binary)";
pub const LEAVES: &str =
    "COPY audit_leaves (leaf_index, event_id, leaf_hash) FROM STDIN WITH (FORMAT binary)";

/// A milestone that rows may be of.
pub fn milestone(random: &mut Random) -> Uuid {
    Uuid::from_u128(MILESTONE + u128::from(random.below(50_000)))
}

/// When each row happened: evenly from the first to the last.
#[derive(Clone, Copy)]
pub struct Span {
    pub first: DateTime<Utc>,
    pub last: DateTime<Utc>,
    pub rows: u64,
}

impl Span {
    /// Of this row.
    fn moment(&self, row: u64) -> Result<DateTime<Utc>> {
        let whole = u128::try_from(
            (self.last - self.first)
                .num_microseconds()
                .context("a span")?,
        )?;
        let part = whole * u128::from(row) / u128::from(self.rows);
        Ok(self.first + TimeDelta::microseconds(i64::try_from(part)?))
    }
}

/// A chunk of rows in COPY's format.
pub struct Chunk {
    pub events: Vec<u8>,
    pub leaves: Vec<u8>,
    pub rows: u64,
}

impl Chunk {
    /// The rows from this one on; the same in every run with the same span.
    pub fn make(span: Span, from: u64) -> Result<Self> {
        let mut random = Random::new(from);
        let (mut events, mut leaves) = (Binary::default(), Binary::default());
        let end = (from + CHUNK).min(span.rows);
        let request = Uuid::from_u128(u128::from(from)).to_string();
        for row in from..end {
            let event = Event::make(&mut random, Mix::Usual);
            let record = record(&mut random, &event, span.moment(row)?, &request)?;
            let recorded_at = record.occurred_at + TimeDelta::milliseconds(3);
            append(&mut events, &event, &record, recorded_at)?;
            leaves.row(3);
            leaves.field(&i64::try_from(row)?.to_be_bytes());
            leaves.field(record.id.as_bytes());
            leaves.field(&record.leaf_hash(recorded_at)?);
        }
        Ok(Self {
            events: events.end(),
            leaves: leaves.end(),
            rows: end - from,
        })
    }
}

fn record(
    random: &mut Random,
    event: &Event,
    at: DateTime<Utc>,
    request: &str,
) -> Result<EventRecord> {
    let mut salt = [0; 16];
    salt[..8].copy_from_slice(&random.next().to_be_bytes());
    salt[8..].copy_from_slice(&random.next().to_be_bytes());
    let is_of_milestone = random.below(MILESTONES) == 0;
    // Whatever changes a milestone has its version in the books, and these are empty.
    let action = if is_of_milestone {
        "evidence.uploaded"
    } else {
        event.action
    };
    Ok(EventRecord {
        id: random.id(u64::try_from(at.timestamp_millis())?),
        severity: event.severity.to_owned(),
        occurred_at: at,
        action: action.to_owned(),
        actor: RecordedActor {
            id: event.actor_id.clone(),
            role: None,
        },
        project_id: Some(event.project_id),
        milestone_id: is_of_milestone.then(|| milestone(random)),
        resource_type: RESOURCE_TYPE.to_owned(),
        resource_id: Some(event.resource_id.clone()),
        previous_status: None,
        new_status: None,
        changes: json!({}),
        metadata: json!({ "sent_by": "bench" }),
        details: serde_json::from_str::<Value>(&event.details)?,
        ip_address: Some(event.address.into()),
        user_agent: Some(USER_AGENT.to_owned()),
        request_id: Some(request.to_owned()),
        salt,
    })
}

fn append(
    rows: &mut Binary,
    event: &Event,
    record: &EventRecord,
    recorded_at: DateTime<Utc>,
) -> Result<()> {
    let time =
        |at: DateTime<Utc>| Ok::<_, anyhow::Error>(since_2000(at.timestamp_micros().try_into()?));
    rows.row(17);
    rows.field(record.id.as_bytes());
    rows.maybe(record.milestone_id.as_ref().map(|id| &id.as_bytes()[..]));
    rows.maybe(record.project_id.as_ref().map(|id| &id.as_bytes()[..]));
    rows.field(&time(record.occurred_at)?);
    rows.field(&time(recorded_at)?);
    rows.field(record.severity.as_bytes());
    rows.field(record.action.as_bytes());
    rows.field(record.actor.id.as_bytes());
    rows.field(record.resource_type.as_bytes());
    rows.maybe(record.resource_id.as_deref().map(str::as_bytes));
    rows.json(&record.changes.to_string());
    rows.json(&record.metadata.to_string());
    rows.json(&event.details);
    rows.field(&address(event.address));
    rows.maybe(record.user_agent.as_deref().map(str::as_bytes));
    rows.maybe(record.request_id.as_deref().map(str::as_bytes));
    rows.field(&record.salt);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{CHUNK, Chunk, Span};

    #[test]
    fn rows_are_spread_over_the_span_and_the_same_each_time() {
        let first = chrono::DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let span = Span {
            first,
            last: first + chrono::TimeDelta::days(700),
            rows: 2 * CHUNK + 1,
        };
        assert_eq!(span.moment(0).unwrap(), first);
        assert!(span.moment(span.rows - 1).unwrap() < span.last);
        let rows = [0, CHUNK, 2 * CHUNK].map(|from| Chunk::make(span, from).unwrap().rows);
        assert_eq!(rows, [CHUNK, CHUNK, 1]);
        let again = [(); 2].map(|()| Chunk::make(span, CHUNK).unwrap());
        assert_eq!(again[0].events, again[1].events);
        assert_eq!(again[0].leaves, again[1].leaves);
    }
}
