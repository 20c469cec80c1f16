//! The `tranche` binary: wiring and the command line. Everything else is in the crates inward.

mod alerting;
mod answer;
mod archive;
mod audit_query;
mod auth;
mod background;
mod batch;
mod bodies;
mod channel_commands;
mod cli;
mod client;
mod config;
mod copies;
mod cursor;
mod custody;
mod custody_commands;
mod dead_letters_commands;
mod demo;
mod disbursement_commands;
mod erase_command;
mod export_command;
#[cfg(feature = "failpoints")]
mod failpoints;
mod form;
mod handlers;
mod incoming;
mod kept_checkpoints;
mod key_commands;
mod listening;
mod log_commands;
mod master_key;
mod metrics;
mod monitor;
mod page;
mod pipeline;
mod problem;
mod progress;
mod queue_commands;
mod rate_limit;
mod receivers;
mod reconcile_command;
mod request_id;
mod retention_commands;
mod routes;
mod sandbox;
mod sentry_client;
mod serve;
mod state;
mod streams;
mod supervise;
mod system;
mod trails_commands;
mod verify_archive;
mod verify_command;
mod views;
mod wiring;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tracing_subscriber::EnvFilter;
use tranche_application::services::with_causes;

use crate::cli::{Cli, Command};
use crate::config::{Config, Role};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let failed = match &cli.command {
        Command::Verify(_) => ExitCode::from(verify_command::NOT_DONE),
        _ => ExitCode::FAILURE,
    };
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("tranche: {}", with_causes(error.as_ref()));
            failed
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let mut settings = cli.settings;
    match &cli.command {
        Command::Sandbox { .. } => settings.listen_by_default("127.0.0.1:8000"),
        // Several workers on a machine do not meet.
        Command::Serve { role } if role == "worker" => settings.listen_by_default("127.0.0.1:0"),
        _ => {}
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
    let _sentry = sentry_client::init(config.sentry_dsn.as_deref())?;
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
        Command::Serve { role } => serve::serve(config, Role::named(&role)?).await?,
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
        Command::Queue(command) => return queue_commands::run(command, config).await,
        Command::DeadLetters(command) => {
            return dead_letters_commands::run(command, config).await;
        }
        Command::Custody(command) => return custody_commands::run(command, config).await,
        Command::Log(command) => return log_commands::run(command, config).await,
        Command::Erase {
            subject,
            reason,
            dry_run,
            yes,
        } => {
            let asked = erase_command::Asked {
                subject,
                reason,
                dry_run,
                yes,
            };
            return erase_command::run(asked, config).await;
        }
        Command::Key(command) => return key_commands::run(command, config).await,
        Command::Retention(command) => return retention_commands::run(command, config).await,
        Command::Reconcile { check, accept_gap } => {
            return reconcile_command::run(check, accept_gap, config).await;
        }
        Command::Disbursement(command) => {
            return disbursement_commands::run(command, config).await;
        }
        Command::Channels(command) => return channel_commands::run(command, config).await,
        Command::Trails(command) => return trails_commands::run(command, config).await,
        Command::Export(args) => return export_command::run(args, config).await,
        Command::Verify(args) => return Ok(verify_command::run(args, config).await),
        Command::Config => serve::say(&config.describe()),
        Command::Openapi => serve::say(&routes::openapi().to_pretty_json()?),
    }
    Ok(ExitCode::SUCCESS)
}

/// Logs go to stderr: JSON for the service, quiet for commands that people read.
fn init_log(config: &Config, command: &Command) -> anyhow::Result<()> {
    let served = matches!(command, Command::Serve { .. } | Command::Sandbox { .. });
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
