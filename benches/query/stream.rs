//! A reader of the stream, and how long after its commit an event is there.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Incoming;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use sqlx::PgConnection;
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};
use tranche_benches::client::{Answer, Client, Target};
use tranche_benches::content::{Body, Mix, Moment, RESOURCE_TYPE, Random};
use tranche_benches::table::percentiles;
use uuid::Uuid;

/// Between two events.
const EVERY: Duration = Duration::from_millis(20);
/// No event takes so long.
const TOO_LONG: Duration = Duration::from_secs(30);

/// When the transactions of events since a moment were committed.
const COMMITTED: &str =
    "SELECT id, (extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000000)::bigint
    FROM audit_events WHERE id >= audit_id_floor($1) AND resource_type = $2";

#[derive(Deserialize)]
struct Event {
    id: Uuid,
}

struct Reader {
    body: Incoming,
    read: Vec<u8>,
}

impl Reader {
    async fn open(target: &Target) -> Result<Self> {
        let stream = TcpStream::connect(target.address).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let path = format!("/v1/audit/stream?resource_type={RESOURCE_TYPE}");
        let request = Request::get(path)
            .header("host", target.address.to_string())
            .header("authorization", format!("Bearer {}", target.key))
            .body(Empty::<Bytes>::new())?;
        let answer = sender.send_request(request).await?;
        ensure!(answer.status().is_success(), "stream: {}", answer.status());
        let mut reader = Self {
            body: answer.into_body(),
            read: Vec::new(),
        };
        // The beginning says from where on it reads.
        reader.frame().await?;
        Ok(reader)
    }

    /// What is said up to the next empty line.
    async fn frame(&mut self) -> Result<String> {
        loop {
            if let Some(end) = self.read.windows(2).position(|bytes| bytes == b"\n\n") {
                let rest = self.read.split_off(end + 2);
                let frame = std::mem::replace(&mut self.read, rest);
                return Ok(String::from_utf8(frame)?);
            }
            let more = self.body.frame().await.context("the stream ended")??;
            if let Ok(bytes) = more.into_data() {
                self.read.extend_from_slice(&bytes);
            }
        }
    }

    async fn event(&mut self) -> Result<(Uuid, Moment)> {
        loop {
            let frame = timeout(TOO_LONG, self.frame()).await??;
            let at = Moment::now();
            if let Some(data) = frame.lines().find_map(|line| line.strip_prefix("data: ")) {
                return Ok((serde_json::from_str::<Event>(data)?.id, at));
            }
        }
    }
}

/// From the commit of critical events to their arrival, in microseconds: median and 99th percentile.
pub async fn latency(
    target: &Target,
    connection: &mut PgConnection,
    events: usize,
) -> Result<(u64, u64)> {
    let began = DateTime::<Utc>::from_timestamp_micros(i64::try_from(Moment::now().0)?);
    let mut reader = Reader::open(target).await?;
    let mut writer = Client::connect(target).await?;
    let mut random = Random::new(Moment::now().0);
    let mut body = Body::make(&mut random, Mix::Critical, 1);
    let write = async {
        let mut due = interval(EVERY);
        for _ in 0..events {
            due.tick().await;
            let bytes = Bytes::copy_from_slice(body.stamped(&mut random, Moment::now()));
            if let Answer::Later(why) = writer.post(bytes, 1).await? {
                bail!("a critical event was not taken: {why}");
            }
        }
        Ok(())
    };
    let read = async {
        let mut arrived = Vec::new();
        for _ in 0..events {
            arrived.push(reader.event().await?);
        }
        Ok(arrived)
    };
    let ((), arrived) = tokio::try_join!(write, read)?;
    let committed: Vec<(Uuid, i64)> = sqlx::query_as(COMMITTED)
        .bind(began)
        .bind(RESOURCE_TYPE)
        .fetch_all(connection)
        .await?;
    let committed: HashMap<Uuid, i64> = committed.into_iter().collect();
    let waits = arrived.into_iter().map(|(id, at)| {
        let committed = committed
            .get(&id)
            .with_context(|| format!("{id} is no row"))?;
        Ok(at.0.saturating_sub(u64::try_from(*committed)?))
    });
    percentiles(waits.collect::<Result<_>>()?).context("nothing was streamed")
}
