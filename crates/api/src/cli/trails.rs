//! The commands on assessment trails.

use clap::{Args, Subcommand};
use secrecy::SecretString;
use tranche_application::trails::Backend;

#[derive(Subcommand)]
pub enum TrailsCommand {
    /// Delete the trails in the database that are past their time
    Clean {
        /// Only tell how many
        #[arg(long)]
        dry_run: bool,
    },
    /// Tell where a running service keeps trails, or keep them elsewhere from now on
    Backend {
        /// memory, dual or database
        #[arg(value_name = "memory|dual|database", value_parser = backend)]
        to: Option<Backend>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Copy the trails in a running service's memory into the database; may be repeated
    Migrate {
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Compare the trails in a running service's memory with the database; exit code 1 if one is
    /// missing there or differs
    Compare {
        #[command(flatten)]
        server: ServerArgs,
    },
}

/// Which service, and who asks.
#[derive(Args)]
pub struct ServerArgs {
    /// Where it answers [default: where `TRANCHE_LISTEN` says]; each process has a memory of its own
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// The API key of an admin of all projects; better in the environment, since others of the
    /// machine see arguments
    #[arg(
        long = "api-key",
        env = "TRANCHE_API_KEY",
        hide_env_values = true,
        value_name = "KEY"
    )]
    pub key: SecretString,
}

fn backend(text: &str) -> Result<Backend, String> {
    Backend::named(text).ok_or_else(|| "must be memory, dual or database".to_owned())
}
