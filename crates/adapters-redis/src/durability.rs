//! Whether Redis keeps what it confirms.

use redis::cmd;

use crate::error::{ConnectError, Fault};
use crate::link::{Link, Question};

const APPEND_ONLY: &str = "set appendonly yes and appendfsync always (docs: Redis persistence)";
const NO_EVICTION: &str = "set maxmemory-policy noeviction; a full Redis then refuses new events, \
     which go to the disk spool";

/// Refuses a Redis that forgets, and warns of one that may.
pub(crate) async fn check(link: &Link) -> Result<(), ConnectError> {
    let Some(append_only) = setting(link, "appendonly").await? else {
        return Ok(());
    };
    if append_only != "yes" {
        return Err(ConnectError::Forgetful {
            setting: "appendonly",
            value: append_only,
            advice: APPEND_ONLY,
        });
    }
    if let Some(policy) = setting(link, "maxmemory-policy").await?
        && policy != "noeviction"
    {
        return Err(ConnectError::Forgetful {
            setting: "maxmemory-policy",
            value: policy,
            advice: NO_EVICTION,
        });
    }
    if let Some(sync) = setting(link, "appendfsync").await?
        && sync != "always"
    {
        tracing::warn!(
            appendfsync = sync,
            "Redis confirms events before they are on its disk: if its machine fails, the last of \
             them are lost; set appendfsync always to lose none"
        );
    }
    Ok(())
}

/// How something is set; `None`, and a warning, when we may not know.
async fn setting(link: &Link, name: &'static str) -> Result<Option<String>, Fault> {
    let mut ask = cmd("CONFIG");
    ask.arg("GET").arg(name);
    match link.ask::<Vec<String>>(Question::One(&ask)).await {
        Ok(answer) if answer.len() == 2 => Ok(answer.into_iter().nth(1)),
        // Redis answers, but does not tell: it is hosted, or the account may not ask.
        Ok(_) => Ok(unknown(name, "no such setting")),
        Err(fault) if matches!(fault.code(), Some("NOPERM" | "ERR")) => {
            Ok(unknown(name, &fault.to_string()))
        }
        Err(fault) => Err(fault),
    }
}

fn unknown(name: &str, why: &str) -> Option<String> {
    tracing::warn!(
        setting = name,
        why,
        "whether Redis keeps what it confirms could not be checked: make sure of appendonly yes, \
         appendfsync always and maxmemory-policy noeviction"
    );
    None
}
