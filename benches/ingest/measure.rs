//! A cell of the service: a fresh service on a fresh database, warmed, loaded, and its rows counted.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::figures::Outcome;
use crate::load::{Clients, Load, Log};
use crate::plan::{Cell, STEADY_RATE};
use crate::rows::Rows;
use crate::service::{Release, Service};
use tranche_benches::content::{Mix, Moment};
use tranche_benches::cpu;

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
    let home = release.server().socket.clone();
    let work = async |service: &Service, rows: &mut Rows| measure(service, rows, load, &home).await;
    release.with(work).await
}

async fn measure(service: &Service, rows: &mut Rows, load: Load, home: &Path) -> Result<Outcome> {
    let mut clients = Clients::prepare(&service.target(), load).await?;
    let warm = clients.warm().await?;
    rows.wait(warm).await?;
    rows.all_sealed().await?;

    let before = (cpu::of_server(home)?, service.cpu()?);
    let log = Log::default();
    let begun = Moment::now();
    clients.run(&log, &AtomicBool::new(false)).await?;
    let acknowledged = Moment::now();
    rows.wait(warm + log.events()).await?;
    rows.all_sealed().await?;
    let after = (cpu::of_server(home)?, service.cpu()?);
    let arrived = rows.arrived(begun).await?;
    let outcome = log.read(|log| Outcome::ingested(log, begun, acknowledged, arrived));
    let cpu = (
        after.0.saturating_sub(before.0),
        after.1.saturating_sub(before.1),
    );
    Ok(outcome.context("nothing was sent")?.with_cpu(cpu))
}
