//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use tranche_domain::Role;
use uuid::Uuid;

use crate::config::Settings;

/// Releases a fund's money milestone by milestone: burn, NAV, milestone and evidence move together.
#[derive(Parser)]
#[command(name = "tranche", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub settings: Settings,
}

#[derive(Subcommand)]
pub enum Command {
    /// Run the service
    Serve,
    /// Start a service of its own, walk one milestone from draft to burned, and keep serving
    Demo {
        /// Stop after the walk; exit code 0 only if the books agree
        #[arg(long)]
        exit: bool,
    },
    /// Run the sandbox ledger alone; it listens at `--listen` [default: 127.0.0.1:8000]
    Sandbox {
        /// Where it keeps its state
        #[arg(long = "data", value_name = "DIR", default_value = "sandbox-data")]
        data: PathBuf,
        /// How often a ledger closes, in milliseconds
        #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(10..=60_000))]
        ledger_interval_ms: u64,
        /// The network's passphrase
        #[arg(long, value_name = "TEXT", default_value = stellar_sandbox::SANDBOX_PASSPHRASE)]
        network_passphrase: String,
    },
    /// Bring the database's schema up to date
    Migrate,
    /// Issue, list and revoke API keys
    #[command(subcommand)]
    Key(KeyCommand),
    /// Take up every open disbursement once
    Reconcile,
    /// Print the settings in force, secrets masked
    Config,
    /// Print the OpenAPI document
    Openapi,
}

#[derive(Subcommand)]
pub enum KeyCommand {
    /// Issue a key and print it, once
    Issue {
        /// Who it speaks for
        #[arg(long, value_name = "NAME", value_parser = subject)]
        subject: String,
        /// What it may do: viewer, manager, approver, treasurer, auditor, service, admin
        #[arg(long = "role", value_name = "ROLE[,ROLE…]", required = true, value_delimiter = ',', value_parser = role)]
        roles: Vec<Role>,
        /// The only project it may see
        #[arg(long, value_name = "ID")]
        project: Option<Uuid>,
        /// Requests allowed, such as 5000/h; kept with the key, not enforced yet
        #[arg(long, value_name = "N/h", value_parser = rate_limit)]
        rate_limit: Option<String>,
    },
    /// List keys
    List,
    /// Revoke a key
    Revoke {
        /// Its id, as `key list` shows it
        id: String,
    },
}

fn subject(text: &str) -> Result<String, String> {
    let good = (1..=200).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if good && !text.trim().is_empty() {
        Ok(text.to_owned())
    } else {
        Err("must be 1 to 200 characters, without control characters".to_owned())
    }
}

fn role(text: &str) -> Result<Role, String> {
    Role::named(text.trim()).ok_or_else(|| {
        let names: Vec<&str> = Role::ALL.iter().map(|role| role.as_str()).collect();
        format!("must be one of {}", names.join(", "))
    })
}

fn rate_limit(text: &str) -> Result<String, String> {
    let (count, unit) = text.split_once('/').unwrap_or((text, ""));
    let good = matches!(unit, "s" | "min" | "h" | "d") && count.parse::<u32>().is_ok_and(|n| n > 0);
    if good {
        Ok(text.to_owned())
    } else {
        Err("must be like 5000/h (s, min, h or d)".to_owned())
    }
}
