//! What is sealed in audit events.

use clap::Args;
use serde::Deserialize;
use tranche_application::audit::sensitive::Rules;

use super::{ConfigError, value};

/// Settings as they are given.
#[derive(Clone, Default, Args, Deserialize)]
pub struct SensitiveSettings {
    /// What is sealed in audit events: paths into their details, such as `$.email` or
    /// `$.patient.*@$.patient.id` (the id says whose it is; the actor's, if there is none),
    /// `ip_address` and `user_agent`, separated by commas [default: nothing]
    #[arg(long, env = "TRANCHE_AUDIT_SEAL", global = true, value_name = "PATHS")]
    audit_seal: Option<String>,
}

impl SensitiveSettings {
    pub(super) fn fill_from(&mut self, file: Self) {
        self.audit_seal = self.audit_seal.take().or(file.audit_seal);
    }

    pub(super) fn resolve(self) -> Result<Rules, ConfigError> {
        let text = self.audit_seal.unwrap_or_default();
        text.parse()
            .map_err(|error| value("TRANCHE_AUDIT_SEAL", format!("{error}")))
    }
}
