//! Puts the adapters behind the ports, as the configuration says.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use stellar_sandbox::SANDBOX_PASSPHRASE;
use tokio::sync::Notify;
use tranche_adapters_postgres::{PostgresConfig, PostgresStore};
use tranche_adapters_sqlite::SqliteStore;
use tranche_adapters_stellar::{
    ConfigError, FunderAccount, SandboxChannels, SandboxWallets, StellarBurner, StellarConfig,
};
use tranche_application::Services;
use tranche_application::audit::export::Exports;
use tranche_application::audit::failsafe::Failsafe;
use tranche_application::audit::retention::Retention;
use tranche_application::audit::search_terms::SearchTerms;
use tranche_application::audit::searching::Searching;
use tranche_application::audit::sensitive::Sensitive;
use tranche_application::audit::tree::keeper::Keeper;
use tranche_application::channels::ChannelPool;
use tranche_application::disbursement::{Disbursements, Reads};
use tranche_application::keys::{KeyRing, Keys};
use tranche_application::milestones::Milestones;
use tranche_application::ports::actors::Actors;
use tranche_application::ports::audit_search::AuditSearch;
use tranche_application::ports::audit_store::AuditStore;
use tranche_application::ports::books::Books;
use tranche_application::ports::channels::{ChannelFunder, Channels};
use tranche_application::ports::custody::{SealedSecrets, SealedWallets, SecretSeed};
use tranche_application::ports::dead_letters::DeadLetters;
use tranche_application::ports::entropy::Entropy;
use tranche_application::ports::growth::LogGrowth;
use tranche_application::ports::queries::Queries;
use tranche_application::ports::reports::Reports;
use tranche_application::ports::retention::RetentionStore;
use tranche_application::ports::store::Store;
use tranche_application::ports::subject_keys::SubjectKeys;
use tranche_application::ports::trails::{TrailCleanUps, TrailStore};
use tranche_application::ports::tree::Tree;
use tranche_application::ports::verification::Verifiable;
use tranche_application::ports::wallets::WalletOpener;
use tranche_application::ports::webhooks::Webhooks;
use tranche_application::projects::Projects;
use tranche_application::reading::Reading;
use tranche_application::trails::clean_up::CleanUp;
use tranche_application::trails::{Backend, Memory, MemoryLimits, Trails};

use tranche_domain::Amount;

use crate::archive;
use crate::auth::acquaintance::Acquaintances;
use crate::auth::oidc::{Oidc, OidcConfig};
use crate::config::{Config, Database, Ledger};
use crate::copies::Copies;
use crate::custody::Keyholder;
use crate::kept_checkpoints::Folder;
use crate::master_key::has_master_key;
use crate::monitor::LogMonitor;
use crate::sandbox::{self, OwnSandbox, SandboxAt};
use crate::state::App;
use crate::system::{SystemClock, SystemEntropy};

/// The store, behind each of its ports.
pub struct Stores {
    /// Units of work.
    pub store: Arc<dyn Store>,
    /// Reads.
    pub queries: Arc<dyn Queries>,
    /// Sealed wallets.
    pub wallets: Arc<dyn SealedWallets>,
    /// Everything that is sealed.
    pub secrets: Arc<dyn SealedSecrets>,
    /// The pool of channel accounts.
    pub channels: Arc<dyn Channels>,
    /// The books, for the watch.
    pub books: Arc<dyn Books>,
    /// The audit log, as the pipeline writes it.
    pub audit: Arc<dyn AuditStore>,
    /// What the log refused.
    pub letters: Arc<dyn DeadLetters>,
    /// The keys under which sensitive details are sealed.
    pub subject_keys: Arc<dyn SubjectKeys>,
    /// What processes tell of themselves.
    pub reports: Arc<dyn Reports>,
    /// The parts of the log.
    pub retention: Arc<dyn RetentionStore>,
    /// The log, as it is read.
    pub search: Arc<dyn AuditSearch>,
    /// Who the actors are.
    pub actors: Arc<dyn Actors>,
    /// Word of the log's growth.
    pub growth: Arc<dyn LogGrowth>,
    /// Webhooks.
    pub webhooks: Arc<dyn Webhooks>,
    /// The public tree.
    pub tree: Arc<dyn Tree>,
    /// The audit store, for whoever verifies it.
    pub verifiable: Arc<dyn Verifiable>,
    /// Assessment trails.
    pub trails: Arc<dyn TrailStore>,
    /// Whose turn it is to clean them up.
    pub trail_clean_ups: Arc<dyn TrailCleanUps>,
    /// What every use case shares, made once: who posts an event rings for who relays it.
    services: Services,
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
            let store = connected(config, url).await?;
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

/// Opens the store as it is: makes nothing, and changes nothing.
pub async fn open_unchanged(config: &Config) -> anyhow::Result<Stores> {
    let stores = match &config.database {
        Database::Sqlite(path) => {
            anyhow::ensure!(path.exists(), "{} is not there", named(config, path));
            let store = SqliteStore::open(&path.to_string_lossy()).await;
            let cannot = || format!("{} cannot be opened", named(config, path));
            Stores::of(store.with_context(cannot)?, None)
        }
        Database::Postgres(url) => {
            let store = connected(config, url).await?;
            Stores::of(store.clone(), Some(store))
        }
    };
    stores.queries.ready().await.with_context(|| {
        format!(
            "{}: this program reads only a store of its own version, and changed nothing",
            config.database
        )
    })?;
    Ok(stores)
}

async fn connected(config: &Config, url: &str) -> anyhow::Result<PostgresStore> {
    let store = PostgresStore::connect(url, PostgresConfig::default()).await;
    store.with_context(|| {
        format!(
            "TRANCHE_DATABASE_URL: {} cannot be reached",
            config.database
        )
    })
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
        S: Store + Queries + Channels + Books + SealedWallets + SealedSecrets,
        S: AuditStore + DeadLetters + Reports + AuditSearch + Actors + SubjectKeys,
        S: Tree + RetentionStore + Verifiable + LogGrowth + Webhooks,
        S: TrailStore + TrailCleanUps + 'static,
    {
        let store = Arc::new(store);
        let clock = Arc::new(SystemClock);
        let services = Services {
            store: store.clone(),
            monitor: Arc::new(LogMonitor::new(clock.clone())),
            clock,
            entropy: Arc::new(SystemEntropy),
            outbox: Arc::new(Notify::new()),
        };
        Self {
            services,
            postgres,
            store: store.clone(),
            queries: store.clone(),
            channels: store.clone(),
            books: store.clone(),
            audit: store.clone(),
            letters: store.clone(),
            reports: store.clone(),
            retention: store.clone(),
            subject_keys: store.clone(),
            search: store.clone(),
            actors: store.clone(),
            growth: store.clone(),
            webhooks: store.clone(),
            tree: store.clone(),
            verifiable: store.clone(),
            trails: store.clone(),
            trail_clean_ups: store.clone(),
            wallets: store.clone(),
            secrets: store,
        }
    }

    /// The store itself where it has partitions to be made ahead.
    pub fn postgres(&self) -> Option<PostgresStore> {
        self.postgres.clone()
    }
}

/// The services that need no ledger.
pub fn services(stores: &Stores) -> Services {
    stores.services.clone()
}

/// How long events are kept. Where there is a keeper, what is exported bears a checkpoint.
pub fn retention(
    config: &Config,
    stores: &Stores,
    services: Services,
    keeper: Option<Keeper>,
) -> anyhow::Result<Retention> {
    let mut retention = Retention::new(
        services,
        stores.retention.clone(),
        stores.queries.clone(),
        config.retention.policies,
    );
    if let Some(keeper) = keeper {
        retention = retention.with_keeper(keeper);
    }
    match &config.retention.archive_url {
        Some(url) => Ok(retention.with_archive(archive::open(url)?)),
        None => Ok(retention),
    }
}

/// Assessment trails, kept at first where the configuration says.
pub fn trails(config: &Config, stores: &Stores, services: Services, failsafe: Failsafe) -> Trails {
    let trails = &config.trails;
    if trails.backend == Backend::Memory {
        tracing::warn!(
            "assessment trails are in this process's memory: no other process knows them, and they \
             end with it"
        );
    }
    let limits = MemoryLimits {
        trails: trails.memory_count,
        keep: trails.retention(),
        ..MemoryLimits::DEFAULT
    };
    let memory = Arc::new(Memory::new(services.clock.clone(), limits));
    let (queries, database) = (stores.queries.clone(), stores.trails.clone());
    Trails::new(
        services,
        queries,
        failsafe,
        database,
        memory,
        trails.backend,
    )
}

/// What deletes assessment trails that are past their time.
pub fn trail_clean_up(config: &Config, stores: &Stores, services: Services) -> CleanUp {
    let (database, turns) = (stores.trails.clone(), stores.trail_clean_ups.clone());
    CleanUp::new(services, database, turns, config.trails.retention_days)
}

/// Copies of the log, those that are proven against a checkpoint that is kept.
pub async fn copies(stores: &Stores, keys: &Keyholder, keeper: &Keeper) -> anyhow::Result<Copies> {
    let terms = SearchTerms::new(&keys.key_ring(stores).await?);
    let exports = Exports::new(services(stores), stores.search.clone(), stores.tree.clone());
    Ok(Copies::new(exports, keeper.clone(), terms))
}

/// What keeps checkpoints where events are let go and nothing is answered; none where nothing is exported,
/// or without a master key.
pub async fn exporters_keeper(config: &Config, stores: &Stores) -> anyhow::Result<Option<Keeper>> {
    if config.retention.archive_url.is_none() || !has_master_key(config) {
        return Ok(None);
    }
    let keys = Keyholder::of(config).await?;
    keeper(config, stores, &keys).await.map(Some)
}

/// What keeps the log's checkpoints, with the key that signs them.
pub async fn keeper(config: &Config, stores: &Stores, keys: &Keyholder) -> anyhow::Result<Keeper> {
    let key = keys.log_key(config, stores).await?;
    let folder = Arc::new(Folder::within(&config.data_dir));
    Ok(Keeper::new(
        services(stores),
        stores.tree.clone(),
        folder,
        key,
    ))
}

/// The commands on API keys.
pub async fn keys(config: &Config, stores: &Stores) -> anyhow::Result<Keys> {
    let ring = Keyholder::of(config).await?.key_ring(stores).await?;
    Ok(Keys::new(services(stores), ring))
}

/// What seals and opens the sensitive parts of events.
pub async fn sensitive(config: &Config, stores: &Stores) -> anyhow::Result<Sensitive> {
    let keys = Keyholder::of(config).await?;
    let ring = keys.key_ring(stores).await?;
    Ok(sealing(config, stores, &keys, ring))
}

fn sealing(config: &Config, stores: &Stores, keys: &Keyholder, ring: KeyRing) -> Sensitive {
    Sensitive::new(
        config.sensitive.clone(),
        services(stores),
        stores.subject_keys.clone(),
        keys.local.clone(),
        ring,
    )
}

/// The application of a command that runs beside the service, or without it.
pub struct Standalone {
    /// The application.
    pub app: App,
    /// The sandbox ledger, if it runs here.
    pub sandbox: Option<OwnSandbox>,
}

/// Store, ledger and application for a command.
pub async fn standalone(config: &Config) -> anyhow::Result<Standalone> {
    let stores = open_store(config).await?;
    let keys = Keyholder::of(config).await?;
    let (at, sandbox) = sandbox::find_or_start(config).await?;
    Ok(Standalone {
        app: app(config, &stores, &keys, at.as_ref()).await?,
        sandbox,
    })
}

/// The whole application over a store and a ledger.
pub async fn app(
    config: &Config,
    stores: &Stores,
    keys: &Keyholder,
    sandbox: Option<&SandboxAt>,
) -> anyhow::Result<App> {
    let ring = keys.key_ring(stores).await?;
    let custody = Arc::new(keys.custodians(config, stores)?);
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let stellar = stellar_config(config, sandbox)?;
    let opener: Option<Arc<dyn WalletOpener>> = match sandbox {
        Some(at) => Some(Arc::new(SandboxWallets::try_new(
            &at.url,
            stellar.asset.clone(),
            stellar.timeout,
            entropy.clone(),
        )?)),
        None => None,
    };
    let burner = Arc::new(StellarBurner::try_new(stellar, custody.clone())?);
    let services = services(stores);
    let queries = stores.queries.clone();
    let reads = Reads {
        queries: queries.clone(),
        channels: stores.channels.clone(),
        books: stores.books.clone(),
    };
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
        disbursements: Disbursements::new(services.clone(), reads, burner.clone()),
        reading: Reading::new(queries.clone()),
        sensitive: sealing(config, stores, keys, ring.clone()),
        keeper: keeper(config, stores, keys).await?,
        searching: Searching::new(
            stores.search.clone(),
            stores.actors.clone(),
            services.clock.clone(),
        ),
        acquaintances: Acquaintances::new(stores.actors.clone(), services.clock.clone()),
        queries,
        burner,
        ring,
        oidc: oidc.transpose()?.map(Arc::new),
        services,
    })
}

/// Who pays for channel accounts on a ledger that gives none away.
pub struct Funder {
    /// The paying account's seed.
    pub seed: SecretSeed,
    /// What each channel begins with, in XLM.
    pub each: Option<Amount>,
}

/// The pool of channel accounts, paid for by the funder, or by the sandbox.
pub async fn channels(
    config: &Config,
    stores: &Stores,
    sandbox: Option<&SandboxAt>,
    funder: Option<Funder>,
) -> anyhow::Result<ChannelPool> {
    let custody = Keyholder::of(config).await?.custodians(config, stores)?;
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let stellar = stellar_config(config, sandbox)?;
    let network = stellar.network_passphrase.clone();
    let funder: Arc<dyn ChannelFunder> = match (funder, sandbox) {
        (Some(Funder { seed, each }), _) => {
            let funder = FunderAccount::try_new(&stellar, &seed, each, entropy);
            Arc::new(funder.map_err(|error| match error {
                ConfigError::Funder => {
                    anyhow::anyhow!("--funder-seed-file: must hold a secret seed, S…")
                }
                ConfigError::StartingBalance => {
                    anyhow::anyhow!("--starting-balance: must be at least 1 XLM")
                }
                other => other.into(),
            })?)
        }
        (None, Some(at)) => Arc::new(SandboxChannels::try_new(&at.url, stellar.timeout, entropy)?),
        (None, None) => anyhow::bail!("--funder-seed-file: is required on this ledger"),
    };
    Ok(ChannelPool::new(
        services(stores),
        stores.channels.clone(),
        Arc::new(custody),
        funder,
        network,
    ))
}

/// The network's name.
pub fn network(config: &Config) -> String {
    match &config.ledger {
        Ledger::Stellar { passphrase, .. } => passphrase.clone(),
        Ledger::Sandbox { .. } => SANDBOX_PASSPHRASE.to_owned(),
    }
}

fn stellar_config(config: &Config, sandbox: Option<&SandboxAt>) -> anyhow::Result<StellarConfig> {
    let mut stellar = match (&config.ledger, sandbox) {
        (
            Ledger::Stellar {
                rpc_urls,
                witness_rpc_url,
                passphrase,
                asset,
                most_fee,
            },
            _,
        ) => {
            let mut stellar =
                StellarConfig::new(rpc_urls.clone(), passphrase.clone(), asset.clone());
            stellar.witness_rpc_url.clone_from(witness_rpc_url);
            stellar.most_fee = *most_fee;
            stellar
        }
        (Ledger::Sandbox { .. }, Some(at)) => {
            let asset = format!("NGNTS:{}", at.issuer).parse()?;
            StellarConfig::new(vec![at.url.clone()], SANDBOX_PASSPHRASE.to_owned(), asset)
        }
        (Ledger::Sandbox { .. }, None) => anyhow::bail!("the sandbox ledger is not running"),
    };
    stellar.burn_ttl = config.burn_ttl;
    Ok(stellar)
}
