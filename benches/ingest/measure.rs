//! A cell of the service: a fresh service on a fresh database, warmed, loaded, and its rows counted.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::content::{Mix, Moment};
use crate::figures::Outcome;
use crate::load::{Clients, Load, Log};
use crate::plan::{Cell, STEADY_RATE};
use crate::rows::Rows;
use crate::service::{Release, Service};

/// What a cell asks of the service, if it asks anything.
pub fn load(cell: Cell, events: usize) -> Option<Load> {
    let usual = Load {
        clients: cell.clients(),
        batch: 1,
        events,
        mix: Mix::Usual,
        every: None,
    };
    match cell {
        Cell::Ingest { batch, .. } => Some(Load { batch, ..usual }),
        Cell::Burst => Some(Load {
            batch: 1_000,
            mix: Mix::Info,
            ..usual
        }),
        Cell::Steady { critical } => {
            let clients = u64::try_from(cell.clients()).unwrap_or_default();
            let every = Duration::from_micros(clients * 1_000_000 / STEADY_RATE);
            Some(Load {
                mix: if critical { Mix::Critical } else { Mix::Info },
                every: Some(every),
                ..usual
            })
        }
        Cell::Copy { .. } | Cell::NodeHttp | Cell::RedisList { .. } => None,
    }
}

/// Puts the load on a service of its own.
pub async fn run(release: &mut Release, load: Load) -> Result<Outcome> {
    let work = async |service: &Service, rows: &mut Rows| measure(service, rows, load).await;
    release.with(work).await
}

async fn measure(service: &Service, rows: &mut Rows, load: Load) -> Result<Outcome> {
    let mut clients = Clients::prepare(&service.target(), load).await?;
    let warm = clients.warm().await?;
    rows.wait(warm).await?;

    let log = Log::default();
    let begun = Moment::now();
    clients.run(&log, &AtomicBool::new(false)).await?;
    let acknowledged = Moment::now();
    rows.wait(warm + log.events()).await?;
    let arrived = rows.arrived(begun).await?;
    log.read(|log| Outcome::ingested(log, begun, acknowledged, arrived))
        .context("nothing was sent")
}
