//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use secrecy::SecretString;
use tranche_domain::{Amount, Role};
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
    /// Show which master key seals what, and re-wrap it all under the one in force
    #[command(subcommand)]
    Custody(CustodyCommand),
    /// Take up every open disbursement once, then compare books and ledger
    Reconcile {
        /// Only compare; exit code 1 when they differ
        #[arg(long)]
        check: bool,
        /// Go on without the ledgers that no node shows any more: you know that no burn is in them
        #[arg(long)]
        accept_gap: bool,
    },
    /// Look at a disbursement that needs an operator, and decide it, two people together
    #[command(subcommand)]
    Disbursement(DisbursementCommand),
    /// Make and list channel accounts: as many burns are in flight at once as there are channels
    #[command(subcommand)]
    Channels(ChannelsCommand),
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

#[derive(Subcommand)]
pub enum CustodyCommand {
    /// Show how much each master key seals; exit code 0 only if every one of them is given
    Status,
    /// Re-wrap every wallet and secret under the master key in force; exit code 0 only if all were
    Rotate {
        /// Put a new key in force first, for the key file that tranche keeps itself
        #[arg(long)]
        new_key: bool,
    },
}

#[derive(Subcommand)]
pub enum DisbursementCommand {
    /// Everything that is known about it, and what the ledger says now
    Show {
        /// Its id
        id: Uuid,
    },
    /// Propose how it ended; the API key says who you are
    Resolve {
        /// Its id
        id: Uuid,
        #[command(flatten)]
        judgement: JudgementArgs,
        /// How you know
        #[arg(long, value_name = "TEXT")]
        why: String,
        #[command(flatten)]
        who: ApiKey,
    },
    /// Confirm what another person proposed
    Confirm {
        /// Its id
        id: Uuid,
        /// The version that you read, as `show` prints it: another one is not confirmed
        #[arg(long, value_name = "N")]
        if_version: i64,
        #[command(flatten)]
        who: ApiKey,
    },
}

/// How it ended.
#[derive(Args)]
#[group(skip)]
pub struct JudgementArgs {
    /// It burned, by this transaction
    #[arg(
        long,
        value_name = "TX_HASH",
        requires = "in_ledger",
        required_unless_present = "failed",
        conflicts_with = "failed"
    )]
    pub burned: Option<String>,
    /// In this ledger
    #[arg(
        long,
        value_name = "NUMBER",
        requires = "burned",
        conflicts_with = "failed"
    )]
    pub in_ledger: Option<u32>,
    /// It did not burn and never will
    #[arg(long, required_unless_present = "burned")]
    pub failed: bool,
}

/// Who decides.
#[derive(Args)]
pub struct ApiKey {
    /// The API key of a treasurer or approver; better in the environment, since others of the
    /// machine see arguments
    #[arg(
        long = "api-key",
        env = "TRANCHE_API_KEY",
        hide_env_values = true,
        value_name = "KEY"
    )]
    pub key: SecretString,
}

#[derive(Subcommand)]
pub enum ChannelsCommand {
    /// Make more channel accounts and fund them; also funds what an earlier try left unfunded
    Create {
        /// How many more; 0 only funds what an earlier try left unfunded
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=1000))]
        count: u16,
        /// A file with the secret seed of the account that pays for them (not on the sandbox)
        #[arg(long, value_name = "FILE")]
        funder_seed_file: Option<PathBuf>,
        /// What each begins with, in XLM [default: 5]
        #[arg(long, value_name = "XLM", requires = "funder_seed_file")]
        starting_balance: Option<Amount>,
    },
    /// List them, with what each is busy with
    List,
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
