//! The `tranche` binary: wiring and the command line. Everything else is in the crates inward.

mod answer;
mod auth;
mod bodies;
mod channel_commands;
mod cli;
mod config;
mod custody;
mod custody_commands;
mod demo;
mod disbursement_commands;
#[cfg(feature = "failpoints")]
mod failpoints;
mod form;
mod handlers;
mod incoming;
mod key_commands;
mod master_key;
mod monitor;
mod page;
mod problem;
mod reconcile_command;
mod request_id;
mod routes;
mod sandbox;
mod serve;
mod state;
mod supervise;
mod system;
mod views;
mod wiring;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Command};
use crate::config::Config;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("tranche: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let mut settings = cli.settings;
    if matches!(cli.command, Command::Sandbox { .. }) {
        settings.listen_by_default("127.0.0.1:8000");
    }
    let config = settings.resolve()?;
    if rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .is_err()
    {
        anyhow::bail!("another TLS provider is installed");
    }
    #[cfg(feature = "failpoints")]
    let _armed = failpoints::arm()?;
    let _sentry = init_sentry(&config)?;
    init_log(&config, &cli.command)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let code = runtime.block_on(dispatch(cli.command, &config))?;
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(code)
}

async fn dispatch(command: Command, config: &Config) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve => serve::serve(config).await?,
        Command::Demo { exit } => return demo::run(config, exit).await,
        Command::Sandbox {
            data,
            ledger_interval_ms,
            network_passphrase,
        } => {
            serve::serve_sandbox(stellar_sandbox::Config {
                listen: config.listen,
                data_dir: data,
                ledger_interval: Duration::from_millis(ledger_interval_ms),
                network_passphrase,
            })
            .await?;
        }
        Command::Migrate => {
            wiring::open_store(config).await?;
            serve::say(&format!("{} is up to date", config.database));
        }
        Command::Custody(command) => return custody_commands::run(command, config).await,
        Command::Key(command) => return key_commands::run(command, config).await,
        Command::Reconcile { check, accept_gap } => {
            return reconcile_command::run(check, accept_gap, config).await;
        }
        Command::Disbursement(command) => {
            return disbursement_commands::run(command, config).await;
        }
        Command::Channels(command) => return channel_commands::run(command, config).await,
        Command::Config => serve::say(&config.describe()),
        Command::Openapi => serve::say(&routes::openapi().to_pretty_json()?),
    }
    Ok(ExitCode::SUCCESS)
}

fn init_sentry(config: &Config) -> anyhow::Result<Option<sentry::ClientInitGuard>> {
    let Some(dsn) = &config.sentry_dsn else {
        return Ok(None);
    };
    let mut options = sentry::ClientOptions::new().maybe_release(sentry::release_name!());
    options.dsn = Some(
        dsn.parse()
            .map_err(|_| anyhow::anyhow!("TRANCHE_SENTRY_DSN: is not a DSN"))?,
    );
    Ok(Some(sentry::init(options)))
}

/// Logs go to stderr: JSON for the service, quiet for commands that people read.
fn init_log(config: &Config, command: &Command) -> anyhow::Result<()> {
    let served = matches!(command, Command::Serve | Command::Sandbox { .. });
    let wanted = if served || config.log != "info" {
        config.log.as_str()
    } else {
        "warn"
    };
    let filter =
        EnvFilter::try_new(wanted).map_err(|error| anyhow::anyhow!("TRANCHE_LOG: {error}"))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if served {
        log.json().flatten_event(true).with_span_list(false).init();
    } else {
        log.compact().with_target(false).init();
    }
    Ok(())
}
