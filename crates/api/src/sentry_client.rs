//! The way to Sentry: a thread of its own with a bounded queue. Its requests have a deadline, for
//! without one a Sentry that hangs would keep the process from ending.

use std::sync::Arc;
use std::time::Duration;

use sentry::transports::ReqwestHttpTransportOptions;
use sentry::{ClientInitGuard, ClientOptions, Transport, TransportFactory, TransportOptions};

/// The longest that one request to Sentry may take.
const REQUEST: Duration = Duration::from_secs(3);
/// The longest that the end of the process waits for what is still to be sent.
const GOODBYE: Duration = Duration::from_secs(2);

/// Sends with a deadline.
struct Bounded(reqwest::Client);

impl TransportFactory for Bounded {
    fn create_transport_with_options(&self, options: TransportOptions) -> Arc<dyn Transport> {
        let options = ReqwestHttpTransportOptions::from(options);
        Arc::new(options.with_client(self.0.clone()).build())
    }
}

/// Options for this DSN.
///
/// # Errors
/// For what is no DSN, naming the setting.
pub fn options(dsn: &str) -> anyhow::Result<ClientOptions> {
    let client = reqwest::Client::builder().timeout(REQUEST).build()?;
    let mut options = ClientOptions::new()
        .maybe_release(sentry::release_name!())
        .shutdown_timeout(GOODBYE)
        .transport(Bounded(client));
    let dsn = dsn.parse();
    options.dsn = Some(dsn.map_err(|_| anyhow::anyhow!("TRANCHE_SENTRY_DSN: is not a DSN"))?);
    Ok(options)
}

/// Reports to Sentry until the guard is dropped.
///
/// # Errors
/// As [`options`].
pub fn init(dsn: Option<&str>) -> anyhow::Result<Option<ClientInitGuard>> {
    dsn.map(|dsn| Ok(sentry::init(options(dsn)?))).transpose()
}
