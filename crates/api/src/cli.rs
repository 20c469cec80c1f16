//! The command line.

mod retention;
mod trails;

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand};
use secrecy::SecretString;
use tranche_application::audit::export::Format;
use tranche_application::audit::filter::EventFilter;
use tranche_application::audit::verify::key::VerifierKey;
use tranche_domain::{Amount, Role};
use uuid::Uuid;

use crate::audit_query::{FilterQuery, Reader};
use crate::config::Settings;
use crate::rate_limit::OwnRates;

pub use retention::{HoldCommand, PlaceArgs, RetentionCommand};
pub use trails::{ServerArgs, TrailsCommand};

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
    Serve {
        /// What this process does: all of it, answer over HTTP, or write events from the queue; a
        /// worker listens on a free port unless told where, for health and metrics alone
        #[arg(
            id = "process_role",
            long = "role",
            env = "TRANCHE_ROLE",
            value_name = "all|api|worker",
            default_value = "all"
        )]
        role: String,
    },
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
    /// Look at the audit events that wait
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Look at the audit events that the log refused, and try them again
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
    /// Archive old audit events, let go what has expired, and keep what is held
    #[command(subcommand)]
    Retention(RetentionCommand),
    /// Clean assessment trails up, and move them from memory to the database
    #[command(subcommand)]
    Trails(TrailsCommand),
    /// Copy the audit log, or a part of it, into a file
    Export(ExportArgs),
    /// The audit log's verifier key, and a database that contradicts its checkpoints
    #[command(subcommand)]
    Log(LogCommand),
    /// Erase what is sealed of a subject, for good; asks first
    Erase {
        /// The subject's id: an actor's, or what a path of `TRANCHE_AUDIT_SEAL` names
        #[arg(long, value_name = "ID")]
        subject: String,
        /// Why; kept in the log for good, so it should name nobody
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Only tell how many events it would be about
        #[arg(long)]
        dry_run: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
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
    /// Verify the audit log: that nothing in it was altered, put in, taken out or cut off; exit code
    /// 0 if so, 1 if not, 2 if that could not be found out
    Verify(VerifyArgs),
    /// Print the settings in force, secrets masked
    Config,
    /// Print the OpenAPI document
    Openapi,
}

/// What is copied, and where to.
#[derive(Args)]
pub struct ExportArgs {
    /// csv and parquet are tables; ndjson carries what proves it, for `verify --export`
    #[arg(long, value_name = "csv|ndjson|parquet", value_parser = format)]
    pub format: Format,
    /// The file; it appears when it is whole
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Overwrite the file
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub filter: FilterArgs,
}

/// Which events: all conditions given must be met, as `GET /v1/audit/events` has them.
#[derive(Args)]
pub struct FilterArgs {
    /// info, warning or critical
    #[arg(long, value_name = "NAME[,NAME…]")]
    severity: Option<String>,
    /// What was done, such as milestone.approved
    #[arg(long, value_name = "NAME[,NAME…]")]
    action: Option<String>,
    /// By whom
    #[arg(long, value_name = "ID[,ID…]")]
    actor: Option<String>,
    /// To what kind of thing
    #[arg(long, value_name = "NAME[,NAME…]")]
    resource_type: Option<String>,
    /// To which one
    #[arg(long, value_name = "ID")]
    resource_id: Option<String>,
    /// In this project
    #[arg(long, value_name = "ID")]
    project_id: Option<String>,
    /// To this milestone
    #[arg(long, value_name = "ID")]
    milestone_id: Option<String>,
    /// It occurred then or later, such as 2026-11-01T00:00:00Z
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// It occurred before
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// This text is somewhere in it
    #[arg(long, value_name = "TEXT")]
    q: Option<String>,
    /// Its details contain this JSON object
    #[arg(long, value_name = "JSON")]
    details: Option<String>,
}

impl FilterArgs {
    /// The filter, or every flag that is wrong.
    pub fn filter(self) -> anyhow::Result<EventFilter> {
        let query = FilterQuery {
            severity: self.severity,
            action: self.action,
            actor: self.actor,
            resource_type: self.resource_type,
            resource_id: self.resource_id,
            project_id: self.project_id,
            milestone_id: self.milestone_id,
            from: self.from,
            to: self.to,
            q: self.q,
            details: self.details,
        };
        let mut reader = Reader::default();
        let filter = query.read(&mut reader);
        reader.finish(filter).map_err(|problem| {
            let flags = problem.errors.iter().map(|error| {
                let flag = error.field.replace('_', "-");
                format!("--{flag} {}", error.message)
            });
            anyhow::anyhow!(flags.collect::<Vec<_>>().join("; "))
        })
    }
}

/// What is verified, and by what.
#[derive(Args)]
pub struct VerifyArgs {
    /// A file of `export --format ndjson`, or one that expired events went into with its manifest beside
    /// it, instead of the database; needs neither it nor a network
    #[arg(long, value_name = "FILE", conflicts_with = "checkpoint")]
    pub export: Option<PathBuf>,
    /// A file of `export --format ndjson --action retention.expiring`: where the log announces the file
    /// that expired events went into
    #[arg(long, value_name = "FILE", requires = "export")]
    pub announced: Option<PathBuf>,
    /// The log's verifier key, noted down when it was made known
    #[arg(long, value_name = "VKEY", value_parser = verifier_key)]
    pub key: Option<VerifierKey>,
    /// A checkpoint that was kept outside the database; may be given several times [default: those in
    /// the data folder]
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Vec<PathBuf>,
    /// A line of JSON for each finding, and one for the summary
    #[arg(long)]
    pub json: bool,
}

#[derive(Subcommand)]
pub enum QueueCommand {
    /// Print what waits in queue and spool, oldest first, a line of JSON each; takes nothing away
    Show {
        /// How many of each at most
        #[arg(long, value_name = "COUNT", default_value_t = 100)]
        limit: usize,
    },
}

#[derive(Subcommand)]
pub enum DeadLettersCommand {
    /// Print them, newest first, a line of JSON each
    List {
        /// How many at most
        #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    /// Put them into the log after all; exit code 0 only if all that were asked for went
    #[command(group(ArgGroup::new("which").required(true).args(["id", "all"])))]
    Redrive {
        /// Only this one, by its id
        #[arg(value_name = "ID")]
        id: Option<Uuid>,
        /// All of them, oldest first
        #[arg(long)]
        all: bool,
    },
}

#[derive(Subcommand)]
pub enum LogCommand {
    /// Print the verifier key of the audit log, for outsiders to pin
    Key,
    /// Print what the log has in place of a search term: who reads the log is recorded with the
    /// hashes of what they looked for in contents
    SearchTerm(SearchTermArgs),
    /// Let the log go on from this database although it contradicts the checkpoint that this data
    /// folder keeps, because an older one had to be restored; recorded in the log
    Accept {
        /// Why
        #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
        reason: String,
    },
}

#[derive(Args)]
#[command(group(ArgGroup::new("term").required(true).args(["q", "details"])))]
pub struct SearchTermArgs {
    /// A text, as the parameter `q`
    #[arg(long, value_name = "TEXT")]
    pub q: Option<String>,
    /// A JSON object, as the parameter `details`
    #[arg(long, value_name = "JSON")]
    pub details: Option<String>,
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
        /// What they are called, shown beside what they did
        #[arg(long, value_name = "NAME", value_parser = subject)]
        name: Option<String>,
        /// Their address, shown beside what they did
        #[arg(long, value_name = "ADDRESS", value_parser = subject)]
        email: Option<String>,
        /// How many requests with audit events it may send, such as 5000/h (s, min, h or d), and how
        /// often it may search the log: as often, or after a comma another limit, 5000/h,200/h
        // Not the service's setting of the same name, whose value would come here with the environment.
        #[arg(long = "rate-limit", value_name = "N/h[,N/h]", value_parser = rate_limit)]
        own_rate_limit: Option<String>,
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

fn format(text: &str) -> Result<Format, String> {
    Format::named(text).ok_or_else(|| "must be csv, ndjson or parquet".to_owned())
}

fn verifier_key(text: &str) -> Result<VerifierKey, String> {
    VerifierKey::parse(text.trim()).map_err(|error| error.to_string())
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
    let rates: OwnRates = text.parse().map_err(|error| format!("{error}"))?;
    Ok(rates.to_string())
}
