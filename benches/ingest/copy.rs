//! What the database itself can do: COPY of the same rows into the same table.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use sqlx::{Connection, PgConnection};
use tranche_benches::server::Server;

use crate::content::{Event, Mix, Moment, RESOURCE_TYPE, Random, USER_AGENT};
use crate::figures::Outcome;
use crate::rows::Rows;

/// Rows a statement.
const CHUNK: usize = 1_000;

const EVENTS: &str = "COPY audit_events (id, occurred_at, recorded_at, severity, action, actor_id,
    project_id, resource_type, resource_id, changes, metadata, details, ip_address, user_agent,
    request_id, salt) FROM STDIN WITH (FORMAT binary)";
const PENDING: &str = "COPY audit_pending (event_id, severity, leaf_hash, occurred_at, action,
    resource_type) FROM STDIN WITH (FORMAT binary)";

/// Copies so many rows with so many writers into a database of its own, each chunk a transaction.
pub async fn run(
    server: &Server,
    database: &str,
    writers: usize,
    events: usize,
    pending: bool,
) -> Result<Outcome> {
    let mut random = Random::new(Moment::now().0);
    let mut shares = Vec::new();
    for _ in 0..writers {
        let chunks: Vec<_> = (0..events / CHUNK / writers)
            .map(|_| Chunk::make(&mut random, pending))
            .collect();
        let mut writer = Writer(server.connect(database).await?);
        writer.write(&Chunk::make(&mut random, pending)).await?;
        shares.push((writer, chunks));
    }
    let begun = Instant::now();
    let latencies = try_join_all(shares.iter_mut().map(|(writer, chunks)| async {
        let mut latencies = Vec::new();
        for chunk in chunks.iter() {
            let begun = Instant::now();
            writer.write(chunk).await?;
            latencies.push(u64::try_from(begun.elapsed().as_micros())?);
        }
        Ok::<_, anyhow::Error>(latencies)
    }));
    let latencies = latencies.await?.concat();
    let took = begun.elapsed();
    for (writer, _) in shares {
        writer.0.close().await?;
    }
    let mut rows = Rows::open(server, database).await?;
    rows.expect(events + writers * CHUNK).await?;
    rows.close().await?;
    Outcome::copied(events, took, latencies).context("nothing was copied")
}

struct Writer(PgConnection);

impl Writer {
    async fn write(&mut self, chunk: &Chunk) -> Result<()> {
        if let Some(pending) = &chunk.pending {
            let mut transaction = self.0.begin().await?;
            copy(&mut transaction, EVENTS, &chunk.events).await?;
            copy(&mut transaction, PENDING, pending).await?;
            transaction.commit().await?;
        } else {
            copy(&mut self.0, EVENTS, &chunk.events).await?;
        }
        Ok(())
    }
}

async fn copy(connection: &mut PgConnection, statement: &str, bytes: &[u8]) -> Result<()> {
    let mut copy = connection.copy_in_raw(statement).await?;
    copy.send(bytes).await?;
    let copied = copy.finish().await?;
    ensure!(copied == u64::try_from(CHUNK)?, "{copied} rows were copied");
    Ok(())
}

/// What one statement, or two, take in.
struct Chunk {
    events: Vec<u8>,
    pending: Option<Vec<u8>>,
}

impl Chunk {
    fn make(random: &mut Random, pending: bool) -> Self {
        let mut events = Binary::new();
        let mut leaves = Binary::new();
        let request = random.id(Moment::now().0 / 1_000).to_string();
        for _ in 0..CHUNK {
            let now = Moment::now();
            let id = random.id(now.0 / 1_000);
            let event = Event::make(random, Mix::Usual);
            let mut salt = [0; 16];
            salt[..8].copy_from_slice(&random.next().to_be_bytes());
            salt[8..].copy_from_slice(&random.next().to_be_bytes());
            let time = since_2000(now);
            events.row(16);
            events.field(id.as_bytes());
            events.field(&time);
            events.field(&time);
            events.field(event.severity.as_bytes());
            events.field(event.action.as_bytes());
            events.field(event.actor_id.as_bytes());
            events.field(event.project_id.as_bytes());
            events.field(RESOURCE_TYPE.as_bytes());
            events.field(event.resource_id.as_bytes());
            events.json("{}");
            events.json(r#"{"sent_by":"bench"}"#);
            events.json(&event.details);
            events.field(&address(event.address));
            events.field(USER_AGENT.as_bytes());
            events.field(request.as_bytes());
            events.field(&salt);
            leaves.row(6);
            leaves.field(id.as_bytes());
            leaves.field(event.severity.as_bytes());
            leaves.field(&[salt, salt].concat());
            leaves.field(&time);
            leaves.field(event.action.as_bytes());
            leaves.field(RESOURCE_TYPE.as_bytes());
        }
        Self {
            events: events.end(),
            pending: pending.then(|| leaves.end()),
        }
    }
}

/// PostgreSQL counts microseconds from 2000.
fn since_2000(moment: Moment) -> [u8; 8] {
    (moment.0 - 946_684_800_000_000).to_be_bytes()
}

/// IPv4: its family, its bits, that it is no network, and its length.
const fn address([a, b, c, d]: [u8; 4]) -> [u8; 8] {
    [2, 32, 0, 4, a, b, c, d]
}

/// COPY's binary format.
struct Binary(Vec<u8>);

impl Binary {
    fn new() -> Self {
        let mut bytes = b"PGCOPY\n\xff\r\n\0".to_vec();
        bytes.extend_from_slice(&[0; 8]);
        Self(bytes)
    }

    fn row(&mut self, fields: u16) {
        self.0.extend_from_slice(&fields.to_be_bytes());
    }

    fn field(&mut self, bytes: &[u8]) {
        let length = u32::try_from(bytes.len()).unwrap_or_default();
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(bytes);
    }

    /// JSONB: its version, then text.
    fn json(&mut self, text: &str) {
        self.field(&[&[1], text.as_bytes()].concat());
    }

    fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0xff, 0xff]);
        self.0
    }
}
