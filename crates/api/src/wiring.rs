//! Puts the adapters behind the ports, as the configuration says.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use stellar_sandbox::{SANDBOX_PASSPHRASE, Sandbox};
use tokio::sync::Notify;
use tranche_adapters_postgres::{PostgresConfig, PostgresStore};
use tranche_adapters_sqlite::SqliteStore;
use tranche_adapters_stellar::{LocalCustody, SandboxWallets, StellarBurner, StellarConfig};
use tranche_application::Services;
use tranche_application::disbursement::Disbursements;
use tranche_application::keys::Keys;
use tranche_application::milestones::Milestones;
use tranche_application::ports::custody::SealedWallets;
use tranche_application::ports::entropy::Entropy;
use tranche_application::ports::queries::Queries;
use tranche_application::ports::store::Store;
use tranche_application::ports::wallets::WalletOpener;
use tranche_application::projects::Projects;
use tranche_application::reading::Reading;

use crate::auth::oidc::{Oidc, OidcConfig};
use crate::config::{Config, Database, Ledger};
use crate::master_key::{Secrets, secrets};
use crate::monitor::LogMonitor;
use crate::state::App;
use crate::system::{SystemClock, SystemEntropy};

/// The store, behind each of its ports.
pub struct Stores {
    store: Arc<dyn Store>,
    queries: Arc<dyn Queries>,
    wallets: Arc<dyn SealedWallets>,
    postgres: Option<PostgresStore>,
}

/// Opens the store and brings its schema up to date.
pub async fn open_store(config: &Config) -> anyhow::Result<Stores> {
    match &config.database {
        Database::Sqlite(path) => {
            let store = SqliteStore::open(&path.to_string_lossy())
                .await
                .with_context(|| format!("{} cannot be opened", named(config, path)))?;
            store
                .migrate()
                .await
                .with_context(|| format!("{}: its schema stays as it was", named(config, path)))?;
            Ok(Stores::of(store, None))
        }
        Database::Postgres(url) => {
            let store = PostgresStore::connect(url, PostgresConfig::default())
                .await
                .with_context(|| {
                    format!(
                        "TRANCHE_DATABASE_URL: {} cannot be reached",
                        config.database
                    )
                })?;
            store.migrate().await.with_context(|| {
                format!(
                    "TRANCHE_DATABASE_URL: {}: its schema stays as it was",
                    config.database
                )
            })?;
            Ok(Stores::of(store.clone(), Some(store)))
        }
    }
}

/// The setting that says where the SQLite file is, and where that is.
fn named(config: &Config, file: &Path) -> String {
    let setting = if file.parent() == Some(config.data_dir.as_path()) {
        "TRANCHE_DATA_DIR"
    } else {
        "TRANCHE_DATABASE_URL"
    };
    format!("{setting}: {}", config.database)
}

impl Stores {
    fn of<S>(store: S, postgres: Option<PostgresStore>) -> Self
    where
        S: Store + Queries + SealedWallets + 'static,
    {
        let store = Arc::new(store);
        Self {
            postgres,
            store: store.clone(),
            queries: store.clone(),
            wallets: store,
        }
    }

    /// The store itself where it has partitions to be made ahead.
    pub fn postgres(&self) -> Option<PostgresStore> {
        self.postgres.clone()
    }

    /// Reads.
    pub fn queries(&self) -> Arc<dyn Queries> {
        self.queries.clone()
    }
}

/// The services that need no ledger.
pub fn services(stores: &Stores) -> Services {
    Services {
        store: stores.store.clone(),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        monitor: Arc::new(LogMonitor),
        outbox: Arc::new(Notify::new()),
    }
}

/// The commands on API keys.
pub fn keys(config: &Config, stores: &Stores) -> anyhow::Result<Keys> {
    let Secrets { ring, .. } = secrets(config, &SystemEntropy)?;
    Ok(Keys::new(services(stores), ring))
}

/// A sandbox ledger, and the claim to its folder: two of them on one folder would be two ledgers.
pub struct OwnSandbox {
    /// The ledger.
    pub ledger: Sandbox,
    _claim: File,
}

impl OwnSandbox {
    /// Starts a ledger on a folder that nobody else has.
    pub async fn start(config: stellar_sandbox::Config) -> anyhow::Result<Self> {
        let folder = config.data_dir.clone();
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("{} cannot be made", folder.display()))?;
        let claim = File::create(folder.join("lock"))
            .with_context(|| format!("{} cannot be written", folder.display()))?;
        claim.try_lock().map_err(|_| {
            let folder = folder.display();
            anyhow::anyhow!("the sandbox ledger in {folder} is in use by another tranche")
        })?;
        let ledger = stellar_sandbox::start(config)
            .await
            .context("the sandbox ledger cannot be started")?;
        Ok(Self {
            ledger,
            _claim: claim,
        })
    }
}

/// The sandbox ledger, where the configuration wants it in this process.
pub async fn start_sandbox(config: &Config) -> anyhow::Result<Option<OwnSandbox>> {
    let Ledger::Sandbox { listen, interval } = &config.ledger else {
        return Ok(None);
    };
    let sandbox = OwnSandbox::start(stellar_sandbox::Config {
        listen: *listen,
        data_dir: config.data_dir.join("sandbox"),
        ledger_interval: *interval,
        network_passphrase: SANDBOX_PASSPHRASE.to_owned(),
    });
    sandbox.await.map(Some)
}

/// The whole application over a store and a ledger.
pub fn app(config: &Config, stores: &Stores, sandbox: Option<&OwnSandbox>) -> anyhow::Result<App> {
    let Secrets { master, ring } = secrets(config, &SystemEntropy)?;
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let custody = Arc::new(LocalCustody::new(
        master,
        stores.wallets.clone(),
        entropy.clone(),
    ));
    let stellar = stellar_config(config, sandbox.map(|sandbox| &sandbox.ledger))?;
    let opener: Option<Arc<dyn WalletOpener>> = match sandbox {
        Some(_) => Some(Arc::new(SandboxWallets::try_new(
            &stellar.rpc_url,
            stellar.asset.clone(),
            stellar.timeout,
            entropy.clone(),
        )?)),
        None => None,
    };
    let burner = Arc::new(StellarBurner::try_new(stellar, custody.clone())?);
    let services = services(stores);
    let queries = stores.queries.clone();
    let oidc = config.oidc.as_ref().map(|oidc| {
        Oidc::try_new(OidcConfig {
            issuer: oidc.issuer.clone(),
            audience: oidc.audience.clone(),
            jwks_url: oidc.jwks_url.clone(),
            roles_claim: oidc.roles_claim.clone(),
        })
    });
    Ok(App {
        projects: Projects::new(services.clone(), custody, opener),
        milestones: Milestones::new(services.clone(), queries.clone()),
        disbursements: Disbursements::new(services.clone(), queries.clone(), burner.clone()),
        reading: Reading::new(queries.clone()),
        queries,
        burner,
        ring,
        oidc: oidc.transpose()?.map(Arc::new),
        entropy,
        services,
    })
}

fn stellar_config(config: &Config, sandbox: Option<&Sandbox>) -> anyhow::Result<StellarConfig> {
    let (rpc_url, network_passphrase, asset) = match (&config.ledger, sandbox) {
        (
            Ledger::Stellar {
                rpc_url,
                passphrase,
                asset,
            },
            _,
        ) => (rpc_url.clone(), passphrase.clone(), asset.clone()),
        (Ledger::Sandbox { .. }, Some(sandbox)) => {
            let asset = format!("NGNTS:{}", sandbox.issuer_account()).parse()?;
            (
                sandbox.url(),
                sandbox.network_passphrase().to_owned(),
                asset,
            )
        }
        (Ledger::Sandbox { .. }, None) => anyhow::bail!("the sandbox ledger is not running"),
    };
    let mut stellar = StellarConfig::new(rpc_url, network_passphrase, asset);
    stellar.burn_ttl = config.burn_ttl;
    Ok(stellar)
}
