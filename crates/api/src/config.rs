//! Configuration: flags, then `TRANCHE_*` in the environment, then a TOML file, then defaults.
//!
//! A mistake stops the start with one readable line that names the setting.

mod alerts;
mod custody;
mod database;
mod ledger;
mod pipeline;
mod place;
mod realtime;
mod retention;
mod sensitive;
mod time_of_day;
mod trails;

use std::net::{SocketAddr, ToSocketAddrs};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use thiserror::Error;
use tranche_application::audit::sensitive::Rules;
use tranche_application::audit::tree::note::Origin;

use crate::rate_limit;
pub use alerts::{AlertSettings, Alerting, PagerDuty};
pub use custody::{Custody, CustodySettings, KeySource, TokenSource, Vault};
pub use database::Database;
use database::database;
pub use ledger::Ledger;
pub use pipeline::{Pipeline, PipelineSettings, Queue, Role};
use place::place;
pub use realtime::{Realtime, RealtimeSettings};
pub use retention::{Retention, RetentionSettings};
pub use sensitive::SensitiveSettings;
pub use trails::{TrailSettings, Trails};

/// A setting that cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration file {path} cannot be used: {why}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A value that is not one.
    #[error("{setting}: {why}")]
    Value {
        /// The setting's environment name.
        setting: &'static str,
        /// What is wrong.
        why: String,
    },
}

/// Settings as they are given; what is absent has a default.
#[derive(Clone, Default, Args, Deserialize)]
#[serde(deny_unknown_fields)]
#[command(next_help_heading = "Settings")]
pub struct Settings {
    /// A TOML file with these settings, by their long names with underscores
    #[arg(long, env = "TRANCHE_CONFIG", global = true, value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,
    /// Where the service listens [default: 127.0.0.1:8080]; port 0 picks a free one
    #[arg(long, env = "TRANCHE_LISTEN", global = true, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// `sqlite://FILE` or `postgres://…` [default: tranche.db in the data folder]
    #[arg(
        long,
        env = "TRANCHE_DATABASE_URL",
        global = true,
        value_name = "URL",
        hide_env_values = true
    )]
    database_url: Option<String>,
    /// `sandbox` (in this process) or `stellar` [default: sandbox]
    #[arg(long, env = "TRANCHE_LEDGER", global = true)]
    ledger: Option<String>,
    /// The Stellar RPC endpoint, with the ledger `stellar`; several, separated by commas, stand in
    /// for one another, the first one preferred
    #[arg(
        long,
        env = "TRANCHE_STELLAR_RPC_URL",
        global = true,
        value_name = "URL",
        hide_env_values = true
    )]
    stellar_rpc_url: Option<String>,
    /// An endpoint of another provider that must agree before a burn counts as final or as failed
    #[arg(
        long,
        env = "TRANCHE_STELLAR_WITNESS_RPC_URL",
        global = true,
        value_name = "URL",
        hide_env_values = true
    )]
    stellar_witness_rpc_url: Option<String>,
    /// The most a burn may cost under fee pressure, in stroops of XLM [default: 10000000]
    #[arg(
        long,
        env = "TRANCHE_STELLAR_MOST_FEE",
        global = true,
        value_name = "STROOPS"
    )]
    stellar_most_fee: Option<String>,
    /// The network's passphrase, with the ledger `stellar`
    #[arg(
        long,
        env = "TRANCHE_STELLAR_NETWORK_PASSPHRASE",
        global = true,
        value_name = "TEXT"
    )]
    stellar_network_passphrase: Option<String>,
    /// The asset that is burned, with the ledger `stellar`
    #[arg(long, env = "TRANCHE_ASSET", global = true, value_name = "CODE:ISSUER")]
    asset: Option<String>,
    /// How long a signed burn stays valid, in seconds of ledger time, 30 to 3600 [default: 180]
    #[arg(
        long,
        env = "TRANCHE_BURN_TTL_SECONDS",
        global = true,
        value_name = "SECONDS"
    )]
    burn_ttl_seconds: Option<String>,
    /// Where the sandbox ledger listens [default: 127.0.0.1:0]
    #[arg(
        long,
        env = "TRANCHE_SANDBOX_LISTEN",
        global = true,
        value_name = "HOST:PORT"
    )]
    sandbox_listen: Option<String>,
    /// How often the sandbox closes a ledger, in milliseconds [default: 1000]
    #[arg(
        long,
        env = "TRANCHE_SANDBOX_LEDGER_MS",
        global = true,
        value_name = "MS"
    )]
    sandbox_ledger_ms: Option<String>,
    /// Where the service keeps its files [default: tranche-data]
    #[arg(long, env = "TRANCHE_DATA_DIR", global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    #[serde(flatten)]
    custody: CustodySettings,
    #[command(flatten)]
    #[serde(flatten)]
    pipeline: PipelineSettings,
    #[command(flatten)]
    #[serde(flatten)]
    retention: RetentionSettings,
    #[command(flatten)]
    #[serde(flatten)]
    alerts: AlertSettings,
    #[command(flatten)]
    #[serde(flatten)]
    realtime: RealtimeSettings,
    #[command(flatten)]
    #[serde(flatten)]
    sensitive: SensitiveSettings,
    #[command(flatten)]
    #[serde(flatten)]
    trails: TrailSettings,
    /// An OIDC issuer whose tokens are accepted too
    #[arg(long, env = "TRANCHE_OIDC_ISSUER", global = true, value_name = "URL")]
    oidc_issuer: Option<String>,
    /// The audience that its tokens must have
    #[arg(
        long,
        env = "TRANCHE_OIDC_AUDIENCE",
        global = true,
        value_name = "TEXT"
    )]
    oidc_audience: Option<String>,
    /// Its key set, where it is not discovered from the issuer
    #[arg(long, env = "TRANCHE_OIDC_JWKS_URL", global = true, value_name = "URL")]
    oidc_jwks_url: Option<String>,
    /// The claim that holds the roles [default: `tranche_roles`]
    #[arg(
        long,
        env = "TRANCHE_OIDC_ROLES_CLAIM",
        global = true,
        value_name = "NAME"
    )]
    oidc_roles_claim: Option<String>,
    /// How many requests with audit events a key may send, such as 5000/h (s, min, h or d), or `off`; after
    /// a comma, how often it may search the log [default: 1000/h,100/h]; a key's own limits go before it
    #[arg(
        long = "default-rate-limit",
        env = "TRANCHE_RATE_LIMIT",
        global = true,
        value_name = "N/h[,N/h]"
    )]
    rate_limit: Option<String>,
    /// The name of the audit log in its checkpoints, such as `audit.example.com/tranche`; outsiders
    /// pin it, so it stays [default: one made of the log's key]
    #[arg(long, env = "TRANCHE_LOG_ORIGIN", global = true, value_name = "NAME")]
    log_origin: Option<String>,
    /// Where incidents are reported too
    #[arg(
        long,
        env = "TRANCHE_SENTRY_DSN",
        global = true,
        value_name = "DSN",
        hide_env_values = true
    )]
    sentry_dsn: Option<String>,
    /// What is logged, such as `info` or `tranche_api=debug` [default: info]
    #[arg(long, env = "TRANCHE_LOG", global = true, value_name = "FILTER")]
    log: Option<String>,
}

/// An OIDC issuer.
#[derive(Clone, Debug)]
pub struct OidcSettings {
    /// Who issues the tokens.
    pub issuer: String,
    /// For whom.
    pub audience: String,
    /// Its key set, or discovered.
    pub jwks_url: Option<String>,
    /// The claim that holds the roles.
    pub roles_claim: String,
}

/// The configuration in force. Holds secrets, so it cannot be printed but by [`Config::describe`].
#[derive(Clone)]
pub struct Config {
    /// Where the service listens.
    pub listen: SocketAddr,
    /// Which database.
    pub database: Database,
    /// Which ledger.
    pub ledger: Ledger,
    /// How long a signed burn stays valid, by the ledger's clock.
    pub burn_ttl: Duration,
    /// Where the service keeps its files.
    pub data_dir: PathBuf,
    /// Where keys come from and who holds them.
    pub custody: Custody,
    /// The audit pipeline.
    pub pipeline: Pipeline,
    /// How long audit events are kept.
    pub retention: Retention,
    /// An OIDC issuer.
    pub oidc: Option<OidcSettings>,
    /// How much a credential may do.
    pub rate_limits: rate_limit::Defaults,
    /// The name of the audit log in its checkpoints.
    pub log_origin: Option<Origin>,
    /// Where incidents are reported too.
    pub sentry_dsn: Option<String>,
    /// Whom to tell when the audit pipeline stops being right.
    pub alerting: Alerting,
    /// Streams and webhooks.
    pub realtime: Realtime,
    /// What is sealed in audit events.
    pub sensitive: Rules,
    /// Assessment trails.
    pub trails: Trails,
    /// What is logged.
    pub log: String,
}

fn value(setting: &'static str, why: impl Into<String>) -> ConfigError {
    ConfigError::Value {
        setting,
        why: why.into(),
    }
}

impl Settings {
    /// The configuration in force.
    ///
    /// # Errors
    /// [`ConfigError`] for the first setting that cannot be used.
    pub fn resolve(mut self) -> Result<Config, ConfigError> {
        if let Some(path) = self.config.take() {
            let file = from_file(&path)?;
            self.fill_from(file);
        }
        let data_dir = self
            .data_dir
            .take()
            .unwrap_or_else(|| PathBuf::from("tranche-data"));
        let ledger = self.ledger()?;
        let burn_ttl = self.burn_ttl_seconds.as_deref();
        let burn_ttl = number("TRANCHE_BURN_TTL_SECONDS", burn_ttl, 180, 30..=3600)?;
        Ok(Config {
            listen: address("TRANCHE_LISTEN", self.listen.as_deref(), "127.0.0.1:8080")?,
            database: database(self.database_url.as_deref(), &data_dir)?,
            ledger,
            burn_ttl: Duration::from_secs(burn_ttl),
            data_dir,
            custody: std::mem::take(&mut self.custody).resolve()?,
            pipeline: std::mem::take(&mut self.pipeline).resolve()?,
            retention: std::mem::take(&mut self.retention).resolve()?,
            oidc: self.oidc()?,
            rate_limits: rate_limits(self.rate_limit.as_deref())?,
            log_origin: origin(self.log_origin.as_deref())?,
            sentry_dsn: self.sentry_dsn,
            alerting: self.alerts.resolve()?,
            realtime: self.realtime.resolve()?,
            sensitive: self.sensitive.resolve()?,
            trails: self.trails.resolve()?,
            log: self.log.unwrap_or_else(|| "info".to_owned()),
        })
    }

    /// Another default than the service's for where to listen.
    pub fn listen_by_default(&mut self, address: &str) {
        self.listen.get_or_insert_with(|| address.to_owned());
    }

    fn fill_from(&mut self, file: Self) {
        macro_rules! fill { ($($field:ident)*) => { $(
            if self.$field.is_none() { self.$field = file.$field; }
        )* } }
        fill!(listen database_url ledger stellar_rpc_url stellar_witness_rpc_url stellar_most_fee
            stellar_network_passphrase asset burn_ttl_seconds sandbox_listen sandbox_ledger_ms
            data_dir oidc_issuer oidc_audience oidc_jwks_url oidc_roles_claim rate_limit log_origin sentry_dsn
            log);
        self.custody.fill_from(file.custody);
        self.pipeline.fill_from(file.pipeline);
        self.retention.fill_from(file.retention);
        self.alerts.fill_from(file.alerts);
        self.realtime.fill_from(file.realtime);
        self.sensitive.fill_from(file.sensitive);
        self.trails.fill_from(file.trails);
    }

    fn oidc(&self) -> Result<Option<OidcSettings>, ConfigError> {
        let Some(issuer) = self.oidc_issuer.clone() else {
            return Ok(None);
        };
        let audience = self.oidc_audience.clone().ok_or_else(|| {
            value(
                "TRANCHE_OIDC_AUDIENCE",
                "is required by TRANCHE_OIDC_ISSUER",
            )
        })?;
        Ok(Some(OidcSettings {
            issuer,
            audience,
            jwks_url: self.oidc_jwks_url.clone(),
            roles_claim: self
                .oidc_roles_claim
                .clone()
                .unwrap_or_else(|| "tranche_roles".to_owned()),
        }))
    }
}

fn from_file(path: &Path) -> Result<Settings, ConfigError> {
    config::Config::builder()
        .add_source(config::File::from(path).format(config::FileFormat::Toml))
        .build()
        .and_then(config::Config::try_deserialize)
        .map_err(|error| ConfigError::File {
            path: path.to_owned(),
            why: in_one_line(&error.to_string()),
        })
}

/// An error without the picture of the line that it is about, which may hold a secret.
fn in_one_line(error: &str) -> String {
    let is_picture = |line: &&str| {
        let line = line.trim_start_matches(|c: char| c.is_ascii_digit());
        !line.trim_start().starts_with('|')
    };
    let said: Vec<&str> = error.lines().map(str::trim).filter(is_picture).collect();
    said.join(" ")
}

fn address(
    setting: &'static str,
    text: Option<&str>,
    default: &str,
) -> Result<SocketAddr, ConfigError> {
    let text = text.unwrap_or(default);
    let resolved = text
        .to_socket_addrs()
        .ok()
        .and_then(|mut found| found.next());
    resolved.ok_or_else(|| {
        value(
            setting,
            format!("is \"{text}\" and must be HOST:PORT, such as {default}"),
        )
    })
}

fn http_url(setting: &'static str, text: &str) -> Result<(), ConfigError> {
    let is_http = reqwest::Url::parse(text)
        .is_ok_and(|url| url.has_host() && matches!(url.scheme(), "http" | "https"));
    if is_http {
        Ok(())
    } else {
        Err(value(setting, "must be an http or https URL with a host"))
    }
}

fn number(
    setting: &'static str,
    text: Option<&str>,
    default: u64,
    range: RangeInclusive<u64>,
) -> Result<u64, ConfigError> {
    let Some(text) = text else {
        return Ok(default);
    };
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| {
        let (least, most) = (range.start(), range.end());
        let why = format!("is \"{text}\" and must be a whole number from {least} to {most}");
        value(setting, why)
    })
}

fn rate_limits(text: Option<&str>) -> Result<rate_limit::Defaults, ConfigError> {
    let read = |text: &str| {
        let read: Result<rate_limit::Defaults, _> = text.parse();
        let why = |error| format!("is \"{text}\" and {error}, or off");
        read.map_err(|error| value("TRANCHE_RATE_LIMIT", why(error)))
    };
    Ok(text.map(read).transpose()?.unwrap_or_default())
}

fn origin(text: Option<&str>) -> Result<Option<Origin>, ConfigError> {
    let origin = text.map(Origin::parse).transpose();
    origin.map_err(|error| value("TRANCHE_LOG_ORIGIN", error.to_string()))
}

impl Config {
    /// Whether everything is embedded: only then does the service make its own master key.
    #[must_use]
    pub const fn is_embedded(&self) -> bool {
        matches!(self.database, Database::Sqlite(_))
            && matches!(self.ledger, Ledger::Sandbox { .. })
    }

    /// Every setting in force, a line each, with secrets masked.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut lines = vec![
            format!("TRANCHE_LISTEN={}", self.listen),
            format!("TRANCHE_DATABASE_URL={}", self.database),
        ];
        lines.extend(self.ledger.describe());
        lines.push(format!(
            "TRANCHE_BURN_TTL_SECONDS={}",
            self.burn_ttl.as_secs()
        ));
        lines.push(format!("TRANCHE_DATA_DIR={}", self.data_dir.display()));
        let masked = |given: bool| if given { "********" } else { "" };
        self.custody.describe(&mut lines);
        self.pipeline.describe(&mut lines);
        self.retention.describe(&mut lines);
        lines.push(format!("TRANCHE_AUDIT_SEAL={}", self.sensitive));
        if let Some(oidc) = &self.oidc {
            lines.push(format!("TRANCHE_OIDC_ISSUER={}", oidc.issuer));
            lines.push(format!("TRANCHE_OIDC_AUDIENCE={}", oidc.audience));
            let jwks_url = oidc.jwks_url.as_deref().unwrap_or("");
            lines.push(format!("TRANCHE_OIDC_JWKS_URL={jwks_url}"));
            lines.push(format!("TRANCHE_OIDC_ROLES_CLAIM={}", oidc.roles_claim));
        }
        lines.push(format!("TRANCHE_RATE_LIMIT={}", self.rate_limits));
        let origin = self.log_origin.as_ref().map_or("", Origin::as_str);
        lines.push(format!("TRANCHE_LOG_ORIGIN={origin}"));
        lines.push(format!(
            "TRANCHE_SENTRY_DSN={}",
            masked(self.sentry_dsn.is_some())
        ));
        self.alerting.describe(&mut lines);
        self.realtime.describe(&mut lines);
        self.trails.describe(&mut lines);
        lines.push(format!("TRANCHE_LOG={}", self.log));
        lines.join("\n")
    }
}
