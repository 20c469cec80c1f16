//! `tranche retention`: run, status, and legal holds.

use std::process::ExitCode;

use serde::Serialize;
use tranche_application::audit::retention::{Done, Outlook, Report, Retention};
use tranche_application::daily::Daily;
use tranche_application::{Call, Outcome};
use tranche_domain::text::Reason;
use tranche_domain::{Held, Hold, ProjectId};

use crate::cli::{HoldCommand, PlaceArgs, RetentionCommand};
use crate::config::Config;
use crate::key_commands::operator;
use crate::serve::say;
use crate::views::{HoldView, RetentionView};
use crate::wiring;

/// How many holds are listed at most.
const MOST: u32 = 10_000;

/// Runs a command on what is kept.
pub async fn run(command: RetentionCommand, config: &Config) -> anyhow::Result<ExitCode> {
    let stores = wiring::open_store(config).await?;
    let keeper = match &command {
        RetentionCommand::Run { dry_run: false } => {
            wiring::exporters_keeper(config, &stores).await?
        }
        _ => None,
    };
    let retention = wiring::retention(config, &stores, wiring::services(&stores), keeper)?;
    match command {
        RetentionCommand::Run { dry_run } => {
            let report = if dry_run {
                retention.dry_run().await?
            } else {
                retention.run(&operator(), None).await?
            };
            Ok(tell(&report))
        }
        RetentionCommand::Status => {
            let overview = retention.overview().await?;
            let next = Daily::in_utc(config.retention.at).next(overview.at);
            let view = RetentionView::new(&overview, next);
            say(&serde_json::to_string_pretty(&view)?);
            Ok(ExitCode::SUCCESS)
        }
        RetentionCommand::Hold(command) => hold(command, &retention).await,
    }
}

async fn hold(command: HoldCommand, retention: &Retention) -> anyhow::Result<ExitCode> {
    let call = Call {
        caller: operator(),
        idempotency: None,
        expected_version: None,
    };
    match command {
        HoldCommand::Place(args) => {
            let (held, reason) = placed(args)?;
            if let Outcome::Done(hold) = retention.place(held, reason, &call).await? {
                show(&hold)?;
            }
        }
        HoldCommand::Lift { id, reason } => {
            if let Outcome::Done(hold) = retention.lift(id, &why(reason)?, &call).await? {
                show(&hold)?;
            }
        }
        HoldCommand::List { all } => {
            for hold in retention.holds(all, MOST).await? {
                show(&hold)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn placed(args: PlaceArgs) -> anyhow::Result<(Held, Reason)> {
    let held = Held {
        severity: args.severity,
        from: args.from_month,
        to: args.to_month,
        project: args.project.map(ProjectId),
    };
    Ok((held, why(args.reason)?))
}

fn why(reason: String) -> anyhow::Result<Reason> {
    Reason::try_new(reason).map_err(|error| anyhow::anyhow!("--reason: {error}"))
}

fn show(hold: &Hold) -> anyhow::Result<()> {
    line(&HoldView::from(hold))
}

fn line(view: &impl Serialize) -> anyhow::Result<()> {
    say(&serde_json::to_string(view)?);
    Ok(())
}

/// What was or would be done, a line each.
fn tell(report: &Report) -> ExitCode {
    if let Some(leapt) = report.leapt {
        eprintln!(
            "tranche: the clock is {} days ahead of the last run: if it is right, run this again",
            leapt.num_days()
        );
    }
    for done in &report.done {
        say(&in_words(done));
    }
    let failed = report.done.iter().filter(|done| is_failed(done)).count();
    if report.done.is_empty() && report.leapt.is_none() {
        say("nothing is due");
    }
    if failed == 0 && report.leapt.is_none() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

const fn is_failed(done: &Done) -> bool {
    matches!(done.outlook, Outlook::Failed(_))
}

fn in_words(done: &Done) -> String {
    let outlook = match &done.outlook {
        Outlook::Done => "done".to_owned(),
        Outlook::Would => "would be done".to_owned(),
        Outlook::Held => {
            let holds: Vec<String> = done.part.held_by.iter().map(ToString::to_string).collect();
            format!("held by {}", holds.join(", "))
        }
        Outlook::Failed(why) => format!("stays: {why}"),
    };
    let part = &done.part;
    let bytes = part
        .bytes
        .map(|bytes| format!(", {bytes} bytes"))
        .unwrap_or_default();
    format!(
        "{:<7} {}  {} events{bytes}: {outlook}",
        done.work.as_str(),
        part.name,
        part.events
    )
}
