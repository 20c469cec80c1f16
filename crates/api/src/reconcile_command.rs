//! `tranche reconcile`: takes up what is open, and shows where books and ledger differ.

use std::process::ExitCode;

use tranche_application::disbursement::Reconciler;
use tranche_application::disbursement::watch::Report;
use tranche_application::ports::books::{Difference, DifferenceKind};

use crate::config::Config;
use crate::key_commands::operator;
use crate::serve::say;
use crate::wiring::{self, Standalone};

/// Runs it. Exit code 1 when books and ledger differ, or something could not be looked at.
pub async fn run(check: bool, accept_gap: bool, config: &Config) -> anyhow::Result<ExitCode> {
    let Standalone { app, sandbox } = wiring::standalone(config).await?;
    let watch = app.disbursements.watch();
    // Compared first: what the books do not know forbids sending.
    let before = if accept_gap {
        watch.accept_gap(&operator()).await
    } else {
        watch.compare().await
    };
    let mut errors = 0;
    if !check {
        let round = Reconciler::new(app.disbursements.clone())
            .run_once()
            .await?;
        errors = round.errors;
        say(&format!(
            "{} ended, {} still open, {} could not be looked at",
            round.ended, round.open, round.errors
        ));
    }
    let mut report = before?;
    if !check {
        report = watch.compare().await?;
    }
    report.differences.extend(watch.missing_events().await?);
    show(&report);
    if let Some(sandbox) = sandbox {
        sandbox.ledger.stop().await?;
    }
    Ok(if errors == 0 && report.differences.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn show(report: &Report) {
    let watched = match report.watched {
        Some(watched) => format!("ledgers {} to {}", watched.from, watched.to),
        None => "no ledger yet".to_owned(),
    };
    if report.differences.is_empty() {
        say(&format!("books and ledger agree ({watched})"));
        return;
    }
    let count = report.differences.len();
    say(&format!(
        "books and ledger differ in {count} rows ({watched}):"
    ));
    say(&format!(
        "{:<14}  {:<36}  {:<64}  {:<30}  FOUND",
        "KIND", "PROJECT", "SUBJECT", "BOOKS"
    ));
    for row in &report.differences {
        let Difference {
            kind,
            project_id,
            subject,
            books,
            found,
        } = row;
        say(&format!(
            "{:<14}  {:<36}  {subject:<64}  {books:<30}  {found}",
            kind.as_str(),
            project_id.to_string()
        ));
    }
    let mut kinds: Vec<DifferenceKind> = report.differences.iter().map(|row| row.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    for kind in kinds {
        say(&format!("{}: {}", kind.as_str(), advice(kind)));
    }
}

/// What to do about a difference.
const fn advice(kind: DifferenceKind) -> &'static str {
    match kind {
        DifferenceKind::UnknownBurn => {
            "the ledger burned and the books do not know: if the database was restored, restore a \
             later backup or replay its write-ahead log up to these burns; if not, the wallet's key \
             is used elsewhere: change it. Nothing is sent for the project until then"
        }
        DifferenceKind::ExcessBurn | DifferenceKind::OtherBurn => {
            "the ledger burned what nobody ordered under an order's memo: the wallet's key is used \
             elsewhere. Change it; nothing is sent for the project until the books are explained"
        }
        DifferenceKind::MissingBurn => {
            "the books say burned and the ledgers watched do not: ask another provider; do not \
             correct the books by hand"
        }
        DifferenceKind::Nav | DifferenceKind::Reservation => {
            "somebody wrote past the application: look at the project's activity and the database's \
             own log"
        }
        DifferenceKind::MissingEvent => {
            "a milestone changed without its event: somebody wrote past the application, or the log \
             lost a row; restore the log from a backup and compare"
        }
    }
}
