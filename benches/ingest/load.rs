//! Load on the service: as fast as it goes, or at a steady rate.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::Bytes;
use futures::future::try_join_all;
use tokio::time::{Instant, sleep, sleep_until};

use tranche_benches::client::{Answer, Client, Target};
use tranche_benches::content::{Body, Mix, Moment, Random};

/// How long a client waits when the service asks it to come again.
const PAUSE: Duration = Duration::from_millis(50);
/// No request is sent again more often.
const MOST_TRIES: u32 = 1_200;
/// How many different events are kept ready at most, all clients together.
const READY: usize = 100_000;

/// What is sent.
#[derive(Clone, Copy)]
pub struct Load {
    pub clients: usize,
    /// Events a request.
    pub batch: usize,
    /// Events altogether.
    pub events: usize,
    pub mix: Mix,
    /// The time between two requests of one client; none: each follows the answer to the last.
    pub every: Option<Duration>,
}

impl Load {
    const fn requests(&self) -> usize {
        self.events / self.batch / self.clients
    }
}

/// An acknowledged request.
#[derive(Clone, Copy)]
pub struct Sent {
    /// The moment that its events carry.
    pub at: Moment,
    pub events: usize,
    /// Microseconds from its sending to its answer.
    pub took: u64,
    /// How often the service had asked to come again.
    pub refused: u32,
}

/// What is acknowledged so far, for whoever watches.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<Sent>>>);

impl Log {
    fn push(&self, sent: Sent) {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.push(sent);
    }

    /// Something of it all.
    pub fn read<T>(&self, look: impl FnOnce(&[Sent]) -> T) -> T {
        look(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many events there are.
    pub fn events(&self) -> usize {
        self.read(|log| log.iter().map(|sent| sent.events).sum())
    }
}

/// Clients that are connected, with what they are to send.
pub struct Clients {
    load: Load,
    clients: Vec<Prepared>,
}

struct Prepared {
    client: Client,
    random: Random,
    bodies: Vec<Body>,
}

impl Clients {
    /// Connects them and makes their requests.
    pub async fn prepare(target: &Target, load: Load) -> Result<Self> {
        let ready = (READY / load.batch / load.clients).max(1);
        let bodies = load.requests().clamp(1, ready);
        let clients = (1..=load.clients).map(|number| async move {
            let mut random = Random::new(u64::try_from(number)? << 32);
            let bodies = (0..bodies)
                .map(|_| Body::make(&mut random, load.mix, load.batch))
                .collect();
            Ok::<_, anyhow::Error>(Prepared {
                client: Client::connect(target).await?,
                // Another run must not have the same ids.
                random: Random::new(random.next() ^ Moment::now().0),
                bodies,
            })
        });
        let clients = try_join_all(clients).await?;
        Ok(Self { load, clients })
    }

    /// Lets every client send a few, so that connections and caches are warm.
    pub async fn warm(&mut self) -> Result<usize> {
        let each = (100 / self.load.batch).max(2);
        let load = Load {
            events: each * self.load.batch * self.load.clients,
            every: None,
            ..self.load
        };
        let log = Log::default();
        self.send(load, &log, &AtomicBool::new(false)).await?;
        Ok(log.events())
    }

    /// Sends it all, until it is done or somebody says stop.
    pub async fn run(&mut self, log: &Log, stop: &AtomicBool) -> Result<()> {
        self.send(self.load, log, stop).await
    }

    async fn send(&mut self, load: Load, log: &Log, stop: &AtomicBool) -> Result<()> {
        let begun = Instant::now();
        let count = u32::try_from(load.clients)?;
        let clients = self.clients.iter_mut().zip(0_u32..);
        let clients = clients.map(|(prepared, index)| {
            // Steady clients take turns.
            let first = begun
                + load
                    .every
                    .map_or(Duration::ZERO, |every| every * index / count);
            prepared.work(load, first, log, stop)
        });
        try_join_all(clients).await?;
        Ok(())
    }
}

impl Prepared {
    async fn work(
        &mut self,
        load: Load,
        first: Instant,
        log: &Log,
        stop: &AtomicBool,
    ) -> Result<()> {
        let mut due = first;
        for request in 0..load.requests() {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let mut from = Instant::now();
            if let Some(every) = load.every {
                if due > from {
                    sleep_until(due).await;
                    from = Instant::now();
                } else {
                    // The last answer came too late: the wait is this one's as well.
                    from = due;
                }
                due += every;
            }
            let index = request % self.bodies.len();
            let sent = self.send(index, from).await?;
            log.push(sent);
        }
        Ok(())
    }

    async fn send(&mut self, index: usize, from: Instant) -> Result<Sent> {
        let late = from.elapsed();
        let at = Moment(Moment::now().0 - u64::try_from(late.as_micros())?);
        let body = &mut self.bodies[index];
        let events = body.events();
        let bytes = Bytes::copy_from_slice(body.stamped(&mut self.random, at));
        let mut refused = 0;
        // Again and again with the same ids: what was taken in already is passed over.
        while let Answer::Later(why) = self.client.post(bytes.clone(), events).await? {
            refused += 1;
            ensure!(refused < MOST_TRIES, "refused {refused} times: {why}");
            sleep(PAUSE).await;
        }
        Ok(Sent {
            at,
            events,
            took: u64::try_from(from.elapsed().as_micros())?,
            refused,
        })
    }
}
