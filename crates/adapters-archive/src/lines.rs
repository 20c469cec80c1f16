//! A line of JSON for each event: everything that is stored of it, the salt included, so that its leaf
//! can be computed from the line alone.

use serde_json::json;
use tranche_application::audit::record::LoggedEvent;

use crate::{Encoder, Format, Source};

/// Files of lines.
pub const LINES: Format = Format {
    ending: "ndjson",
    schema: "a line of JSON for each event: {event: {id, severity, occurred_at, action, actor, \
             project_id, milestone_id, resource_type, resource_id, previous_status, new_status, \
             changes, metadata, details, ip_address, user_agent, request_id, salt}, recorded_at, \
             leaf_index}",
    begin: || Ok(Box::new(Lines)),
};

struct Lines;

impl Encoder for Lines {
    fn write(&mut self, events: &[LoggedEvent]) -> Result<Vec<u8>, Source> {
        let mut lines = Vec::with_capacity(events.len() * 512);
        for logged in events {
            let line = json!({
                "event": logged.event,
                "recorded_at": logged.recorded_at,
                "leaf_index": logged.leaf_index,
            });
            serde_json::to_writer(&mut lines, &line)?;
            lines.push(b'\n');
        }
        Ok(lines)
    }

    fn end(self: Box<Self>) -> Result<Vec<u8>, Source> {
        Ok(Vec::new())
    }
}
