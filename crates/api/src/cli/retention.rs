//! The commands on what is kept.

use clap::{Args, Subcommand};
use tranche_domain::{Month, Severity};
use uuid::Uuid;

#[derive(Subcommand)]
pub enum RetentionCommand {
    /// Archive what is due and let go what has expired; exit code 0 only if nothing had to stay that
    /// nobody holds
    Run {
        /// Only tell what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Show policies, holds, the last runs, and what becomes of each part of the log when
    Status,
    /// Legal holds: what must not expire
    #[command(subcommand)]
    Hold(HoldCommand),
}

#[derive(Subcommand)]
pub enum HoldCommand {
    /// Keep what everything given is true of; nothing given is everything
    Place(PlaceArgs),
    /// Let go what it keeps, when its time comes
    Lift {
        /// Its id, as `retention hold list` shows it
        id: Uuid,
        /// Why it may be lifted
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// List holds, the newest first, a line of JSON each
    List {
        /// Lifted ones too
        #[arg(long)]
        all: bool,
    },
}

/// What a hold keeps.
#[derive(Args)]
pub struct PlaceArgs {
    /// Only events of this severity: info, warning or critical
    #[arg(long, value_name = "SEVERITY", value_parser = severity)]
    pub severity: Option<Severity>,
    /// Only events of this month and later
    #[arg(long, value_name = "YYYY-MM")]
    pub from_month: Option<Month>,
    /// Only events of this month and earlier
    #[arg(long, value_name = "YYYY-MM")]
    pub to_month: Option<Month>,
    /// Only parts of the log that hold events of this project
    #[arg(long, value_name = "ID")]
    pub project: Option<Uuid>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

fn severity(text: &str) -> Result<Severity, String> {
    Severity::named(text).ok_or_else(|| "must be info, warning or critical".to_owned())
}
