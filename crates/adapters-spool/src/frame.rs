//! What a row of the file holds: events that came together, a line each.
//!
//! A line is the CRC-32 of the event's JSON in eight hexadecimal digits, a space, the JSON, and a
//! line feed, which JSON does not hold. So damage costs the events that it touches and no others.
//! The frame has a checksum over all of it besides, for what no line can tell: that one is missing.

use std::ops::Range;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Error;
use tranche_application::audit::record::EventRecord;
use tranche_application::ports::queue::Unreadable;

/// The most events in one frame: what one worker takes at once.
const MOST_EVENTS: usize = 1_000;
/// The most bytes in a frame of several events.
const MOST_BYTES: usize = 1 << 20;
/// The checksum of a line and the space after it.
const PREFIX: usize = 9;

/// A frame that is not in the file yet.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) events: Vec<Arc<EventRecord>>,
    pub(crate) payload: Vec<u8>,
    pub(crate) pushed_at: DateTime<Utc>,
}

impl Draft {
    /// Takes the other one in, where both together are one frame's worth.
    pub(crate) fn absorb(&mut self, other: Self) -> Result<(), Self> {
        let fits = self.events.len() + other.events.len() <= MOST_EVENTS
            && self.payload.len() + other.payload.len() <= MOST_BYTES;
        if !fits {
            return Err(other);
        }
        self.events.extend(other.events);
        self.payload.extend_from_slice(&other.payload);
        self.pushed_at = self.pushed_at.min(other.pushed_at);
        Ok(())
    }
}

/// Events as they are written, before it is known how many there is room for.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    text: Vec<u8>,
    /// Where each line ends.
    ends: Vec<usize>,
}

impl Lines {
    /// Writes the events, each once.
    pub(crate) fn of(events: &[Arc<EventRecord>]) -> Result<Self, Error> {
        let mut lines = Self::default();
        lines.ends.reserve(events.len());
        for event in events {
            let start = lines.text.len();
            lines.text.extend_from_slice(&[b' '; PREFIX]);
            serde_json::to_writer(&mut lines.text, &**event)?;
            let (_, line) = lines.text.split_at_mut(start);
            let (prefix, json) = line.split_at_mut(PREFIX);
            let digits = format!("{:08x} ", crc32fast::hash(json));
            prefix.copy_from_slice(digits.as_bytes());
            lines.text.push(b'\n');
            lines.ends.push(lines.text.len());
        }
        Ok(lines)
    }

    /// How many of the first lines fit into so many bytes, and how many bytes those take.
    pub(crate) fn within(&self, bytes: u64) -> (usize, u64) {
        let fit = self.ends.partition_point(|end| *end as u64 <= bytes);
        let taken = fit.checked_sub(1).and_then(|last| self.ends.get(last));
        (fit, taken.map_or(0, |end| *end as u64))
    }

    /// Frames of the first events, which are those that the lines were written from.
    pub(crate) fn into_drafts(
        mut self,
        events: &[Arc<EventRecord>],
        pushed_at: DateTime<Utc>,
    ) -> Vec<Draft> {
        self.ends.truncate(events.len());
        let draft = |range: Range<usize>, payload: Vec<u8>| Draft {
            events: events.get(range).unwrap_or_default().to_vec(),
            payload,
            pushed_at,
        };
        let frames = self.frames();
        if let [(all, end)] = frames.as_slice() {
            self.text.truncate(*end);
            return vec![draft(all.clone(), self.text)];
        }
        let mut start = 0;
        let cut = |(range, end): (Range<usize>, usize)| {
            let payload = self.text.get(start..end).unwrap_or_default().to_vec();
            start = end;
            draft(range, payload)
        };
        frames.into_iter().map(cut).collect()
    }

    /// Which lines make a frame each, and where it ends.
    fn frames(&self) -> Vec<(Range<usize>, usize)> {
        let mut frames: Vec<(Range<usize>, usize)> = Vec::new();
        let mut start = 0;
        for (line, end) in self.ends.iter().copied().enumerate() {
            match frames.last_mut() {
                Some((range, last)) if range.len() < MOST_EVENTS && end - start <= MOST_BYTES => {
                    range.end = line + 1;
                    *last = end;
                }
                last => {
                    start = last.map_or(0, |(_, end)| *end);
                    frames.push((line..line + 1, end));
                }
            }
        }
        frames
    }
}

/// What a frame gives when it is read back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) events: Vec<Arc<EventRecord>>,
    pub(crate) unreadable: Vec<Unreadable>,
}

impl Content {
    /// Reads a frame that was written with so many events and this checksum. Whatever does not fit
    /// is unreadable; what does is given.
    pub(crate) fn read(payload: &[u8], events: u64, checksum: u32) -> Self {
        let mut content = Self::default();
        for line in payload.split_inclusive(|byte| *byte == b'\n') {
            match event(line) {
                Ok(event) => content.events.push(Arc::new(event)),
                Err(error) => content.unreadable.push(Unreadable {
                    content: String::from_utf8_lossy(line).trim_end().to_owned(),
                    error,
                }),
            }
        }
        if content.unreadable.is_empty() {
            let found = content.events.len();
            if found as u64 != events {
                content.lost(format!("{found} of {events} events are left of a frame"));
            } else if crc32fast::hash(payload) != checksum {
                content.lost("the checksum of a frame is wrong".to_owned());
            }
        }
        content
    }

    /// Something is missing, and nothing is left of it.
    pub(crate) fn lost(&mut self, error: String) {
        let content = String::new();
        self.unreadable.push(Unreadable { content, error });
    }
}

fn event(line: &[u8]) -> Result<EventRecord, String> {
    let cut = line.strip_suffix(b"\n").and_then(|line| {
        let (prefix, json) = line.split_at_checked(PREFIX)?;
        let digits = str::from_utf8(prefix.strip_suffix(b" ")?).ok()?;
        Some((u32::from_str_radix(digits, 16).ok()?, json))
    });
    let (checksum, json) = cut.ok_or("the line is not whole")?;
    if crc32fast::hash(json) != checksum {
        return Err("the checksum is wrong".to_owned());
    }
    serde_json::from_slice(json).map_err(|error| format!("it is no event: {error}"))
}
