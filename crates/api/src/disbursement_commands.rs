//! `tranche disbursement`: the page of evidence, and the decision of two people.

use std::process::ExitCode;

use secrecy::ExposeSecret;
use tranche_application::{Call, Outcome};
use tranche_domain::disbursement::{Judgement, Proposal, Verdict};
use tranche_domain::text::Reason;
use tranche_domain::{BurnId, Disbursement, DisbursementId, DisbursementState, Origin};

use crate::auth::{Authenticated, Permission};
use crate::cli::{ApiKey, DisbursementCommand, JudgementArgs};
use crate::config::Config;
use crate::serve::say;
use crate::state::App;
use crate::wiring::{self, Standalone};

/// Runs a disbursement command.
pub async fn run(command: DisbursementCommand, config: &Config) -> anyhow::Result<ExitCode> {
    let Standalone { app, sandbox } = wiring::standalone(config).await?;
    let outcome = match command {
        DisbursementCommand::Show { id } => show(&app, DisbursementId(id)).await,
        DisbursementCommand::Resolve {
            id,
            judgement,
            why,
            who,
        } => propose(&app, DisbursementId(id), judgement, why, &who).await,
        DisbursementCommand::Confirm {
            id,
            if_version,
            who,
        } => confirm(&app, DisbursementId(id), if_version, &who).await,
    };
    if let Some(sandbox) = sandbox {
        sandbox.ledger.stop().await?;
    }
    outcome.map(|()| ExitCode::SUCCESS)
}

async fn show(app: &App, id: DisbursementId) -> anyhow::Result<()> {
    let disbursement = app.queries.disbursement(id).await?;
    let disbursement =
        disbursement.ok_or_else(|| anyhow::anyhow!("there is no disbursement {id}"))?;
    say(&page(&disbursement).join("\n"));
    let ledger = match app.disbursements.testimony(&disbursement).await {
        Ok(verdict) => in_words(&verdict),
        Err(error) => format!("cannot be asked: {error}"),
    };
    say(&format!("the ledger now   {ledger}"));
    if let DisbursementState::NeedsOperator { proposal, .. } = &disbursement.state {
        say("");
        say(next_step(proposal.as_ref()));
    }
    Ok(())
}

/// What the books hold about it, a line each.
fn page(disbursement: &Disbursement) -> Vec<String> {
    let burn = &disbursement.burn;
    let mut lines = vec![
        format!("disbursement     {}", disbursement.id),
        format!("state            {}", disbursement.state.as_str()),
        format!("project          {}", disbursement.project_id),
        format!("milestone        {}", disbursement.milestone_id),
        format!("amount           {}", disbursement.amount),
        format!("wallet           {}", disbursement.wallet_account_id),
        format!("sequence account {}", burn.slot.account),
        format!("sequence number  {}", burn.slot.sequence),
        format!("network          {}", burn.slot.network),
        format!("memo             {}", hex::encode(burn.memo)),
        format!("signed at ledger {}", burn.signed_at_ledger),
        format!("valid until      {}", burn.lasts_until().to_rfc3339()),
        format!("times sent       {}", disbursement.attempts),
        format!("ordered by       {}", disbursement.ordered_by.id),
        format!("version          {}", disbursement.version),
        format!("prepared at      {}", disbursement.prepared_at.to_rfc3339()),
    ];
    lines.extend(burn.ids().map(|id| format!("transaction      {id}")));
    match &disbursement.state {
        DisbursementState::Prepared | DisbursementState::Submitted => {}
        DisbursementState::NeedsOperator { reason, proposal } => {
            lines.push(format!("undecided        {reason}"));
            if let Some(proposal) = proposal {
                let (by, at) = (&proposal.by, proposal.at.to_rfc3339());
                let judgement = judged(&proposal.judgement);
                lines.push(format!("proposed         {judgement}, by {by} at {at}"));
                lines.push(format!("because          {}", proposal.why.as_str()));
            }
        }
        DisbursementState::Settled { at, burn, ledger } => {
            let at = at.to_rfc3339();
            lines.push(format!(
                "settled          {burn} in ledger {ledger}, at {at}"
            ));
        }
        DisbursementState::Failed { at, failure } => {
            let (code, detail, at) = (&failure.code, &failure.detail, at.to_rfc3339());
            lines.push(format!("failed           {code}: {detail}, at {at}"));
        }
    }
    lines
}

fn judged(judgement: &Judgement) -> String {
    match judgement {
        Judgement::Burned { burn, ledger } => format!("burned by {burn} in ledger {ledger}"),
        Judgement::Failed => "failed".to_owned(),
    }
}

fn in_words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Burned { burn, ledger } => format!("it burned: {burn} in ledger {ledger}"),
        Verdict::Failed(failure) => format!("it failed ({}): {}", failure.code, failure.detail),
        Verdict::NeedsOperator { reason } => format!("nothing is proven: {reason}"),
        Verdict::Undecided(_) => "it may still happen".to_owned(),
    }
}

const fn next_step(proposal: Option<&Proposal>) -> &'static str {
    if proposal.is_some() {
        "A second person checks this and runs `tranche disbursement confirm ID --if-version N`."
    } else {
        "Look the transactions up with a provider whose memory reaches back to the ledger at which \
         it was signed, and check what used the sequence number. Then one person runs `tranche \
         disbursement resolve ID --burned TX_HASH --in-ledger N --why …` or `… --failed --why …`, and \
         a second one `tranche disbursement confirm ID --if-version N`."
    }
}

async fn propose(
    app: &App,
    id: DisbursementId,
    judgement: JudgementArgs,
    why: String,
    who: &ApiKey,
) -> anyhow::Result<()> {
    let why = Reason::try_new(why).map_err(|error| anyhow::anyhow!("--why: {error}"))?;
    let judgement = match (judgement.burned, judgement.in_ledger) {
        (Some(burn), Some(ledger)) => Judgement::Burned {
            burn: BurnId(burn),
            ledger,
        },
        _ => Judgement::Failed,
    };
    let call = call(app, who).await?;
    let outcome = app.disbursements.propose(id, judgement, why, &call).await?;
    if let Outcome::Done(disbursement) = outcome {
        say(&page(&disbursement).join("\n"));
    }
    say("proposed; a second person confirms");
    Ok(())
}

async fn confirm(
    app: &App,
    id: DisbursementId,
    if_version: i64,
    who: &ApiKey,
) -> anyhow::Result<()> {
    let mut call = call(app, who).await?;
    call.expected_version = Some(if_version);
    if let Outcome::Done(disbursement) = app.disbursements.confirm(id, &call).await? {
        say(&page(&disbursement).join("\n"));
    }
    Ok(())
}

/// The call of whoever the API key speaks for.
async fn call(app: &App, who: &ApiKey) -> anyhow::Result<Call> {
    let refused = |problem: crate::problem::Problem| anyhow::anyhow!("{}", problem.detail);
    let token = who.key.expose_secret();
    let person = Authenticated::by_token(token, Origin::default(), app).await;
    let person = person.map_err(refused)?;
    Ok(Call {
        caller: person.may(Permission::Resolve).map_err(refused)?,
        idempotency: None,
        expected_version: None,
    })
}
