//! `tranche demo`: a service of its own, and one milestone walked from draft to burned through the
//! service's own HTTP API, shown as a person would like to see it.

mod books;
mod show;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use serde_json::Value;
use tranche_application::keys::IssueKey;
use tranche_application::ports::clock::Clock;
use tranche_domain::Role;

use crate::bodies::{
    BankTransferBody, CreateMilestoneBody, DisburseBody, EmptyBody, OpenProjectBody,
};
use crate::client::Client;
use crate::config::{self, Config};
use crate::key_commands::operator;
use crate::serve::{Service, Signals, say};
use crate::system::SystemClock;
use crate::wiring;

const NAV: &str = "5000000.0000000";
const LP_TOKENS: &str = "1000000.0000000";
const AMOUNT: &str = "1250000.5000000";

/// The people of the demo: each has one duty, because the duties are separate.
struct Cast {
    admin: Client,
    manager: Client,
    approver: Client,
    treasurer: Client,
}

/// Runs the demo; with `exit`, stops after the walk.
pub async fn run(config: &Config, exit: bool) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new()?;
    let config = on_a_free_port(config);
    let service = Service::start(&config, config::Role::All).await?;
    let base = format!("http://{}", service.address);
    let ledger = service.sandbox_url();
    show::title(&config, ledger.as_deref());
    let walked = walk(&config, &base, ledger.as_deref()).await;
    let agree = match walked {
        Ok(agree) => agree,
        Err(error) => {
            service.stop().await?;
            return Err(error.context("the walk stopped"));
        }
    };
    if exit {
        service.stop().await?;
        return Ok(if agree {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        });
    }
    let all = [
        Role::Viewer,
        Role::Manager,
        Role::Approver,
        Role::Treasurer,
        Role::Auditor,
        Role::Service,
        Role::Admin,
    ];
    let key = issue(&config, "you", &all).await?;
    show::farewell(&base, &key);
    service.run_until(&mut signals).await?;
    say("\nstopping");
    service.stop().await?;
    Ok(ExitCode::SUCCESS)
}

/// The configured address, or a free port beside it when somebody has it.
fn on_a_free_port(config: &Config) -> Config {
    let mut config = config.clone();
    if std::net::TcpListener::bind(config.listen).is_err() {
        config.listen.set_port(0);
    }
    config
}

async fn issue(config: &Config, subject: &str, roles: &[Role]) -> anyhow::Result<String> {
    let stores = wiring::open_store(config).await?;
    let new = IssueKey {
        subject: subject.to_owned(),
        roles: roles.to_vec(),
        project_id: None,
        rate_limit: None,
    };
    let token = wiring::keys(config, &stores)
        .await?
        .issue(new, &operator())
        .await?;
    Ok(token.expose().to_owned())
}

async fn cast(config: &Config, base: &str) -> anyhow::Result<Cast> {
    let client = async |name: &str, role| -> anyhow::Result<Client> {
        Client::new(base, &issue(config, name, &[role]).await?)
    };
    Ok(Cast {
        admin: client("ifeoma", Role::Admin).await?,
        manager: client("ngozi", Role::Manager).await?,
        approver: client("tunde", Role::Approver).await?,
        treasurer: client("amaka", Role::Treasurer).await?,
    })
}

/// The walk; says whether the books agree.
async fn walk(config: &Config, base: &str, ledger: Option<&str>) -> anyhow::Result<bool> {
    let cast = cast(config, base).await?;
    let project = open_project(&cast).await?;
    let project_id = text(&project, "id")?;
    let milestone = prepare_milestone(&cast, &project_id).await?;
    let milestone_id = text(&milestone, "id")?;

    let began = Instant::now();
    let address = format!("/v1/milestones/{milestone_id}/disburse?wait=60");
    let settled = cast
        .treasurer
        .post(&address, &DisburseBody::default())
        .await?;
    anyhow::ensure!(
        settled.get("burn_tx_hash").is_some(),
        "the ledger has not decided in a minute: {settled}"
    );
    show::step(
        6,
        "disbursed by amaka",
        &show::grouped(AMOUNT, " NGNTS burned"),
        began,
    );

    let after = cast
        .admin
        .get(&format!("/v1/projects/{project_id}"))
        .await?;
    let disbursement = settled.get("disbursement").cloned().unwrap_or_default();
    show::books(&project, &after, &disbursement);
    let timeline = cast
        .admin
        .get(&format!("/v1/milestones/{milestone_id}/activity"))
        .await?;
    show::timeline(&timeline);
    let findings = books::check(&project, &after, &settled, &timeline, AMOUNT, ledger).await?;
    show::findings(&findings);
    Ok(findings.iter().all(|finding| finding.holds))
}

async fn open_project(cast: &Cast) -> anyhow::Result<Value> {
    let began = Instant::now();
    let body = OpenProjectBody {
        name: "Lekki solar mini-grid".to_owned(),
        nav: NAV.to_owned(),
        lp_tokens_outstanding: LP_TOKENS.to_owned(),
        wallet: None,
        maker_checker: None,
        burn_policy: None,
    };
    let project = cast.admin.post("/v1/projects", &body).await?;
    show::step(
        1,
        "project opened by ifeoma",
        &show::grouped(NAV, " NGNTS in its wallet"),
        began,
    );
    Ok(project)
}

/// From draft to approved and paid.
async fn prepare_milestone(cast: &Cast, project_id: &str) -> anyhow::Result<Value> {
    let began = Instant::now();
    let body = CreateMilestoneBody {
        number: 1,
        title: "Foundations and first 40 panels".to_owned(),
        description: Some("Civil works finished, panels mounted and inspected.".to_owned()),
        target_amount: AMOUNT.to_owned(),
    };
    let address = format!("/v1/projects/{project_id}/milestones");
    let milestone = cast.manager.post(&address, &body).await?;
    show::step(
        2,
        "milestone drafted by ngozi",
        &show::grouped(AMOUNT, " planned"),
        began,
    );

    let at = format!("/v1/milestones/{}", text(&milestone, "id")?);
    let began = Instant::now();
    cast.manager
        .post(&format!("{at}/submit"), &EmptyBody {})
        .await?;
    show::step(3, "submitted by ngozi", "", began);

    let began = Instant::now();
    cast.approver
        .post(&format!("{at}/approve"), &EmptyBody {})
        .await?;
    show::step(4, "approved by tunde", "whoever submitted may not", began);

    let began = Instant::now();
    let body = BankTransferBody {
        reference: "NIP-2026-000417".to_owned(),
        amount: AMOUNT.to_owned(),
        date: SystemClock.now().date_naive().to_string(),
        notes: Some("Paid to the contractor.".to_owned()),
    };
    let paid = cast
        .treasurer
        .post(&format!("{at}/bank-transfer"), &body)
        .await?;
    show::step(
        5,
        "bank transfer recorded by amaka",
        "NIP-2026-000417",
        began,
    );
    Ok(paid)
}

fn text(view: &Value, name: &str) -> anyhow::Result<String> {
    let text = view.get(name).and_then(Value::as_str);
    Ok(text
        .with_context(|| format!("an answer has no {name}"))?
        .to_owned())
}
