//! Where the master key comes from, and which custodian holds keys elsewhere.

use std::path::PathBuf;

use clap::Args;
use secrecy::SecretString;
use serde::Deserialize;

use super::{ConfigError, http_url, place, value};

/// Settings as they are given. Keys and tokens are masked wherever settings are shown.
#[derive(Clone, Default, Args, Deserialize)]
pub struct CustodySettings {
    /// 64 hex digits that seal the wallets' seeds; made and kept in the data folder for the
    /// embedded default, required otherwise. Several, apart by white space, while one replaces
    /// another: the first seals, all of them open
    #[arg(
        long,
        env = "TRANCHE_MASTER_KEY",
        global = true,
        value_name = "HEX",
        hide_env_values = true
    )]
    master_key: Option<SecretString>,
    /// A file with the master key instead, that only its owner can read
    #[arg(
        long,
        env = "TRANCHE_MASTER_KEY_FILE",
        global = true,
        value_name = "FILE"
    )]
    master_key_file: Option<PathBuf>,
    /// A program that prints the master key instead, and its arguments; apart by white space, run
    /// without a shell, ended after 30 seconds
    #[arg(
        long,
        env = "TRANCHE_MASTER_KEY_COMMAND",
        global = true,
        value_name = "COMMAND",
        hide_env_values = true
    )]
    master_key_command: Option<String>,
    /// A Vault server whose transit engine signs for wallets in custody `vault`
    #[arg(long, env = "TRANCHE_VAULT_ADDR", global = true, value_name = "URL")]
    vault_addr: Option<String>,
    /// What lets the service into Vault
    #[arg(
        long,
        env = "TRANCHE_VAULT_TOKEN",
        global = true,
        value_name = "TOKEN",
        hide_env_values = true
    )]
    vault_token: Option<SecretString>,
    /// A file with the token instead, read anew for each request
    #[arg(
        long,
        env = "TRANCHE_VAULT_TOKEN_FILE",
        global = true,
        value_name = "FILE"
    )]
    vault_token_file: Option<PathBuf>,
    /// Where the transit engine is mounted [default: transit]
    #[arg(long, env = "TRANCHE_VAULT_MOUNT", global = true, value_name = "PATH")]
    vault_mount: Option<String>,
}

/// Where the master key comes from.
#[derive(Clone)]
pub enum KeySource {
    /// The setting itself.
    Given(SecretString),
    /// A file.
    File(PathBuf),
    /// A program and its arguments.
    Command(Vec<String>),
}

/// Where Vault's token comes from.
#[derive(Clone)]
pub enum TokenSource {
    /// The setting itself.
    Given(SecretString),
    /// A file.
    File(PathBuf),
}

/// A Vault server.
#[derive(Clone)]
pub struct Vault {
    /// Where it answers.
    pub address: String,
    /// Where its transit engine is.
    pub mount: String,
    /// What lets us in.
    pub token: TokenSource,
}

/// Where keys come from and who holds them.
#[derive(Clone)]
pub struct Custody {
    /// The master key's source, or none was named.
    pub master_key: Option<KeySource>,
    /// A Vault server.
    pub vault: Option<Vault>,
}

impl CustodySettings {
    /// Sources of one thing are taken together: a source that is given here is not joined by
    /// another from the file.
    pub(super) fn fill_from(&mut self, file: Self) {
        if self.key_sources().is_empty() {
            self.master_key = file.master_key;
            self.master_key_file = file.master_key_file;
            self.master_key_command = file.master_key_command;
        }
        if self.vault_token.is_none() && self.vault_token_file.is_none() {
            self.vault_token = file.vault_token;
            self.vault_token_file = file.vault_token_file;
        }
        self.vault_addr = self.vault_addr.take().or(file.vault_addr);
        self.vault_mount = self.vault_mount.take().or(file.vault_mount);
    }

    /// The settings in use that say where the master key comes from.
    fn key_sources(&self) -> Vec<&'static str> {
        let sources = [
            ("TRANCHE_MASTER_KEY", self.master_key.is_some()),
            ("TRANCHE_MASTER_KEY_FILE", self.master_key_file.is_some()),
            (
                "TRANCHE_MASTER_KEY_COMMAND",
                self.master_key_command.is_some(),
            ),
        ];
        let given = sources.into_iter().filter(|(_, is_given)| *is_given);
        given.map(|(name, _)| name).collect()
    }

    pub(super) fn resolve(self) -> Result<Custody, ConfigError> {
        if let [first, second, ..] = self.key_sources()[..] {
            let why = format!("is given, and so is {second}: give one of them");
            return Err(value(first, why));
        }
        let vault = self.vault()?;
        let command = match self.master_key_command {
            Some(line) => {
                let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
                if words.is_empty() {
                    return Err(value("TRANCHE_MASTER_KEY_COMMAND", "names no program"));
                }
                Some(KeySource::Command(words))
            }
            None => None,
        };
        let given = self.master_key.map(KeySource::Given);
        Ok(Custody {
            master_key: given
                .or(self.master_key_file.map(KeySource::File))
                .or(command),
            vault,
        })
    }

    fn vault(&self) -> Result<Option<Vault>, ConfigError> {
        let token = match (&self.vault_token, &self.vault_token_file) {
            (Some(_), Some(_)) => {
                let why = "is given, and so is TRANCHE_VAULT_TOKEN_FILE: give one of them";
                return Err(value("TRANCHE_VAULT_TOKEN", why));
            }
            (Some(token), None) => Some(TokenSource::Given(token.clone())),
            (None, Some(path)) => Some(TokenSource::File(path.clone())),
            (None, None) => None,
        };
        let Some(address) = self.vault_addr.clone() else {
            return match token {
                None => Ok(None),
                Some(_) => Err(value("TRANCHE_VAULT_ADDR", "is required by Vault's token")),
            };
        };
        http_url("TRANCHE_VAULT_ADDR", &address)?;
        let token = token.ok_or_else(|| {
            let why = "or TRANCHE_VAULT_TOKEN_FILE is required by TRANCHE_VAULT_ADDR";
            value("TRANCHE_VAULT_TOKEN", why)
        })?;
        let mount = self.vault_mount.as_deref().unwrap_or("transit");
        let mount = mount.trim_matches('/');
        let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if !mount
            .split('/')
            .all(|part| !part.is_empty() && part.chars().all(word))
        {
            let why = "must be letters, digits, - and _, with / between";
            return Err(value("TRANCHE_VAULT_MOUNT", why));
        }
        Ok(Some(Vault {
            address,
            mount: mount.to_owned(),
            token,
        }))
    }
}

impl Custody {
    /// Every setting in force, a line each, with secrets masked.
    pub(super) fn describe(&self, lines: &mut Vec<String>) {
        lines.push(match &self.master_key {
            None => "TRANCHE_MASTER_KEY=".to_owned(),
            Some(KeySource::Given(_)) => "TRANCHE_MASTER_KEY=********".to_owned(),
            Some(KeySource::File(path)) => format!("TRANCHE_MASTER_KEY_FILE={}", path.display()),
            Some(KeySource::Command(words)) => {
                // Arguments may hold what opens the door to the key.
                let rest = if words.len() > 1 { " ********" } else { "" };
                format!("TRANCHE_MASTER_KEY_COMMAND={}{rest}", words[0])
            }
        });
        if let Some(vault) = &self.vault {
            lines.push(format!("TRANCHE_VAULT_ADDR={}", place(&vault.address)));
            lines.push(match &vault.token {
                TokenSource::Given(_) => "TRANCHE_VAULT_TOKEN=********".to_owned(),
                TokenSource::File(path) => format!("TRANCHE_VAULT_TOKEN_FILE={}", path.display()),
            });
            lines.push(format!("TRANCHE_VAULT_MOUNT={}", vault.mount));
        }
    }
}
