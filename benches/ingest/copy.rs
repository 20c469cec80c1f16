//! What the database itself can do: COPY of the same rows into the same table.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use sqlx::{Connection, PgConnection};
use tranche_benches::binary::{Binary, address, since_2000};
use tranche_benches::server::Server;

use crate::figures::Outcome;
use crate::rows::Rows;
use tranche_benches::content::{Event, Mix, Moment, RESOURCE_TYPE, Random, USER_AGENT};
use tranche_benches::cpu;

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
    let before = cpu::of_server(&server.socket)?;
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
    let cpu = cpu::of_server(&server.socket)?.saturating_sub(before);
    for (writer, _) in shares {
        writer.0.close().await?;
    }
    let mut rows = Rows::open(server, database).await?;
    rows.expect(events + writers * CHUNK).await?;
    rows.close().await?;
    let outcome = Outcome::copied(events, took, latencies).context("nothing was copied")?;
    Ok(outcome.with_cpu((cpu, 0)))
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
        let mut events = Binary::default();
        let mut leaves = Binary::default();
        let request = random.id(Moment::now().0 / 1_000).to_string();
        for _ in 0..CHUNK {
            let now = Moment::now();
            let id = random.id(now.0 / 1_000);
            let event = Event::make(random, Mix::Usual);
            let mut salt = [0; 16];
            salt[..8].copy_from_slice(&random.next().to_be_bytes());
            salt[8..].copy_from_slice(&random.next().to_be_bytes());
            let time = since_2000(now.0);
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
