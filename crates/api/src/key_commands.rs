//! `tranche key`: issue, list, revoke.

use std::process::ExitCode;

use tranche_application::Caller;
use tranche_application::keys::IssueKey;
use tranche_application::ports::actors::Person;
use tranche_application::ports::clock::Clock;
use tranche_domain::{Actor, Origin, ProjectId, Role};

use crate::cli::KeyCommand;
use crate::config::Config;
use crate::serve::say;
use crate::system::SystemClock;
use crate::wiring;

/// Runs a key command.
pub async fn run(command: KeyCommand, config: &Config) -> anyhow::Result<ExitCode> {
    let stores = wiring::open_store(config).await?;
    let keys = wiring::keys(config, &stores).await?;
    match command {
        KeyCommand::Issue {
            subject,
            roles,
            project,
            own_rate_limit,
            name,
            email,
        } => {
            let project_id = project.map(ProjectId);
            if let Some(id) = project_id
                && stores.queries.project(id).await?.is_none()
            {
                anyhow::bail!("--project: there is no project {id}");
            }
            let new = IssueKey {
                subject,
                roles,
                project_id,
                rate_limit: own_rate_limit,
            };
            let person = Person { name, email };
            stores
                .actors
                .keep(&new.subject, &person, SystemClock.now())
                .await?;
            say(keys.issue(new, &operator()).await?.expose());
        }
        KeyCommand::List => {
            let all = stores.queries.keys().await?;
            say(&format!(
                "{:<16}  {:<24}  {:<9}  {:<20}  ROLES",
                "ID", "SUBJECT", "STATE", "ISSUED"
            ));
            for key in all {
                let roles: Vec<&str> = key.roles.iter().map(|role| role.as_str()).collect();
                let state = if key.revoked_at.is_some() {
                    "revoked"
                } else {
                    "in force"
                };
                let issued = key.created_at.format("%Y-%m-%dT%H:%M:%SZ");
                let scope = key
                    .project_id
                    .map(|id| format!("  (project {id})"))
                    .unwrap_or_default();
                let (id, subject) = (&key.id, &key.subject);
                say(&format!(
                    "{id:<16}  {subject:<24}  {state:<9}  {issued:<20}  {}{scope}",
                    roles.join(",")
                ));
            }
        }
        KeyCommand::Revoke { id } => {
            if !keys.revoke(&id, &operator()).await? {
                // What was given may be a whole token, so it is not repeated.
                anyhow::bail!("there is no such key in force; `tranche key list` shows the ids");
            }
            say(&format!("revoked {id}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Whoever runs the command line on the service's own machine.
pub fn operator() -> Caller {
    let name = std::env::var("USER")
        .ok()
        .filter(|name| (1..=100).contains(&name.len()));
    let id = format!("cli:{}", name.as_deref().unwrap_or("operator"));
    Caller {
        actor: Actor {
            id,
            role: Role::Admin,
        },
        origin: Origin::default(),
        scope: None,
    }
}
