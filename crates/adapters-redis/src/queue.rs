//! The queue.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use redis::{Client, FromRedisValue, Value};
use tokio::time::Instant;
use tranche_application::audit::record::EventRecord;
use tranche_application::ports::queue::{AuditQueue, Depth, QueueError, Receipt, Taken};

use crate::commands::{self, CLAIM, DEPTH, GROUP, MOST, PUSH, RETURNED};
use crate::durability;
use crate::entry::{Entry, Waiting, written};
use crate::error::{ConnectError, Fault};
use crate::held::{Held, Sweep};
use crate::link::{Link, Question};
use crate::readers::{Reader, Readers};
use crate::settings::Settings;

/// How long one read waits at most before it looks for what was given back or held too long.
const LONGEST_READ: Duration = Duration::from_secs(1);
/// How many bytes of events one command carries, so that none holds up Redis for long.
const MOST_BYTES: usize = 1 << 20;
/// How many entries are weighed at each end to know the bytes of all.
const WEIGHED: usize = 16;

/// The queue on one Redis, as one process has it.
pub struct RedisQueue {
    settings: Settings,
    /// For everything that does not wait.
    link: Link,
    readers: Readers,
    held: Held,
    sweep: Sweep,
}

impl fmt::Debug for RedisQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut queue = f.debug_struct("RedisQueue");
        queue.field("settings", &self.settings);
        queue.finish_non_exhaustive()
    }
}

/// What a read of the group answers: of each stream its key and entries, or nothing at all.
type Streams = Option<Vec<(String, Vec<Entry>)>>;

impl RedisQueue {
    /// Connects, makes the stream where there is none, and sees to it that Redis keeps what it
    /// confirms. `process` names this process among those on the same queue, and is used once.
    ///
    /// # Errors
    /// [`ConnectError`]: the URL is malformed, nobody answers in time, or Redis is set up to forget.
    pub async fn connect(
        url: &str,
        process: &str,
        settings: Settings,
    ) -> Result<Self, ConnectError> {
        // What is wrong with it may quote it.
        let client = Client::open(url).map_err(|_| ConnectError::Url)?;
        let link = Link::new(client, settings.deadline);
        durability::check(&link).await?;
        let queue = Self {
            link,
            readers: Readers::new(process),
            held: Held::default(),
            sweep: Sweep::for_claims_after(settings.claim_after),
            settings,
        };
        queue.make_group(&queue.link).await?;
        Ok(queue)
    }

    /// Up to `limit` of the oldest entries, without taking them, held ones included.
    ///
    /// # Errors
    /// [`QueueError`] when Redis does not answer.
    pub async fn peek(&self, limit: usize) -> Result<Vec<Waiting>, QueueError> {
        let look = commands::look(&self.settings.key, limit);
        let entries: Vec<Entry> = self.link.ask(Question::One(&look)).await?;
        Ok(entries.into_iter().map(Waiting::from).collect())
    }

    /// Asks what needs the group, which is made again when somebody emptied Redis.
    async fn ask<T: FromRedisValue>(
        &self,
        link: &Link,
        question: Question<'_>,
        held: Duration,
    ) -> Result<T, Fault> {
        match link.ask_waiting(question, held).await {
            // The second is what a read hears that was waiting when it happened.
            Err(fault) if matches!(fault.code(), Some("NOGROUP" | "UNBLOCKED")) => {
                tracing::warn!(
                    stream = self.settings.key,
                    "the stream or its group is gone from Redis: it is made again"
                );
                self.make_group(link).await?;
                link.ask_waiting(question, held).await
            }
            answer => answer,
        }
    }

    async fn make_group(&self, link: &Link) -> Result<(), Fault> {
        let make = commands::make_group(&self.settings.key);
        match link.ask::<Value>(Question::One(&make)).await {
            Err(fault) if fault.code() != Some("BUSYGROUP") => Err(fault),
            _ => Ok(()),
        }
    }

    /// What a reader may have, the oldest first: what Redis gave it and did not arrive, what others
    /// gave back or held too long, what is new.
    async fn next(
        &self,
        reader: &mut Reader,
        limit: usize,
        wait: Duration,
    ) -> Result<Vec<Entry>, Fault> {
        if reader.unsure {
            let entries = self.not_arrived(reader, limit).await?;
            reader.unsure = !entries.is_empty();
            if reader.unsure {
                return Ok(entries);
            }
        }
        let entries = self.claimed(reader, limit).await?;
        if !entries.is_empty() {
            return Ok(entries);
        }
        let read = commands::read(&self.settings.key, &reader.consumer, limit, wait);
        let streams: Streams = self.ask(&reader.link, Question::One(&read), wait).await?;
        Ok(of_stream(streams))
    }

    /// What a reader was given, and none of the workers of this process has.
    async fn not_arrived(&self, reader: &Reader, limit: usize) -> Result<Vec<Entry>, Fault> {
        let mut after = "0".to_owned();
        loop {
            let again = commands::read_again(&self.settings.key, &reader.consumer, &after);
            let question = Question::One(&again);
            let streams: Streams = self.ask(&reader.link, question, Duration::ZERO).await?;
            let mut entries = of_stream(streams);
            match entries.last() {
                Some(last) => after.clone_from(&last.id),
                None => return Ok(entries),
            }
            self.held.retain_free(&mut entries);
            if !entries.is_empty() {
                entries.truncate(limit);
                return Ok(entries);
            }
        }
    }

    /// What others gave back; else, now and then, what they held too long.
    async fn claimed(&self, reader: &Reader, limit: usize) -> Result<Vec<Entry>, Fault> {
        let piece = self.sweep.piece();
        let long = u64::try_from(self.settings.claim_after.as_millis()).unwrap_or(u64::MAX);
        let mut claim = CLAIM.key(&self.settings.key);
        claim.arg(GROUP).arg(&reader.consumer);
        claim.arg(limit.min(MOST)).arg(RETURNED).arg(long);
        claim.arg(piece.as_deref().unwrap_or_default());
        let question = Question::Script(&claim);
        let (entries, cursor): (Vec<Entry>, String) =
            self.ask(&reader.link, question, Duration::ZERO).await?;
        if piece.is_some() {
            self.sweep.came_to(cursor);
            self.held.forget_older(self.settings.claim_after);
        }
        if !entries.is_empty() {
            tracing::info!(
                events = entries.len(),
                "events that a worker gave back, or held too long, are given out again"
            );
        }
        Ok(entries)
    }

    /// Makes entries what a worker holds. Those deleted behind our back are finished with the rest.
    fn hand_out(&self, entries: Vec<Entry>) -> Taken {
        self.held.begin(&entries);
        let (mut ids, mut events, mut unreadable) = (Vec::new(), Vec::new(), Vec::new());
        for entry in entries {
            if entry.is_there() {
                match entry.event() {
                    Ok(event) => events.push(event),
                    Err(rest) => unreadable.push(rest),
                }
            }
            ids.push(entry.id);
        }
        Taken {
            receipt: Receipt(ids),
            events,
            unreadable,
        }
    }
}

fn of_stream(streams: Streams) -> Vec<Entry> {
    let mut streams = streams.unwrap_or_default();
    streams.pop().map_or_else(Vec::new, |(_, entries)| entries)
}

/// The texts in pieces that one command may carry, one at least in each.
fn pieces(texts: &[Vec<u8>]) -> impl Iterator<Item = &[Vec<u8>]> {
    let mut rest = texts;
    std::iter::from_fn(move || {
        let mut bytes = 0_usize;
        let fit = rest.iter().take(MOST).take_while(|text| {
            bytes = bytes.saturating_add(text.len());
            bytes <= MOST_BYTES
        });
        let (piece, left) = rest.split_at(fit.count().max(1).min(rest.len()));
        rest = left;
        (!piece.is_empty()).then_some(piece)
    })
}

#[async_trait]
impl AuditQueue for RedisQueue {
    async fn push(
        &self,
        events: &[Arc<EventRecord>],
        at: DateTime<Utc>,
    ) -> Result<usize, QueueError> {
        let texts: Result<Vec<_>, _> = events
            .iter()
            .map(|event| serde_json::to_vec(&**event))
            .collect();
        let texts = texts.map_err(Fault::from)?;
        let mut taken = 0;
        for piece in pieces(&texts) {
            let mut push = PUSH.key(&self.settings.key);
            push.arg(self.settings.limit).arg(written(at)).arg(piece);
            let fit: usize = self.link.ask(Question::Script(&push)).await?;
            taken += fit;
            if fit < piece.len() {
                break;
            }
        }
        Ok(taken)
    }

    async fn take(&self, limit: usize, wait: Duration) -> Result<Option<Taken>, QueueError> {
        if limit == 0 {
            return Ok(None);
        }
        let until = Instant::now() + wait;
        let mut seat = self.readers.check_out(&self.link);
        let longest = LONGEST_READ.min(self.sweep.every());
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let entries = self.next(seat.reader(), limit, left.min(longest)).await?;
            let late = Instant::now() >= until;
            if late || !entries.is_empty() {
                seat.finish();
                return Ok((!entries.is_empty()).then(|| self.hand_out(entries)));
            }
        }
    }

    async fn done(&self, receipt: &Receipt) -> Result<(), QueueError> {
        for ids in receipt.0.chunks(MOST) {
            let remove = commands::remove(&self.settings.key, ids);
            let _: Value = self.link.ask(Question::Many(&remove)).await?;
            self.held.end(ids);
        }
        Ok(())
    }

    async fn give_back(&self, receipt: &Receipt) -> Result<(), QueueError> {
        for ids in receipt.0.chunks(MOST) {
            let release = commands::release(&self.settings.key, ids);
            let question = Question::One(&release);
            let _: Value = self.ask(&self.link, question, Duration::ZERO).await?;
            self.held.end(ids);
        }
        Ok(())
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        let mut weigh = DEPTH.key(&self.settings.key);
        weigh.arg(WEIGHED);
        let (events, bytes, oldest): (u64, u64, Option<Entry>) =
            self.link.ask(Question::Script(&weigh)).await?;
        Ok(Depth {
            events,
            bytes,
            oldest: oldest.and_then(|entry| entry.at()),
        })
    }
}
