//! The sandbox ledger in this process, and the way to the one of a service that runs already.

use std::fs::{self, File};
use std::path::Path;

use anyhow::Context;
use stellar_sandbox::{SANDBOX_PASSPHRASE, Sandbox};

use crate::config::{Config, Ledger};

/// Where a ledger on a folder answers, for commands beside the service that runs it.
const ENDPOINT: &str = "endpoint";

/// Where a sandbox ledger answers.
pub struct SandboxAt {
    /// Its RPC endpoint.
    pub url: String,
    /// Who issues the asset there.
    pub issuer: String,
}

/// A sandbox ledger, and the claim to its folder: two of them on one folder would be two ledgers.
pub struct OwnSandbox {
    /// The ledger.
    pub ledger: Sandbox,
    _claim: File,
}

impl OwnSandbox {
    /// Starts a ledger on a folder that nobody else has.
    pub async fn start(config: stellar_sandbox::Config) -> anyhow::Result<Self> {
        let claim = claim(&config.data_dir)?;
        Self::start_claimed(config, claim).await
    }

    async fn start_claimed(config: stellar_sandbox::Config, claim: File) -> anyhow::Result<Self> {
        let endpoint = config.data_dir.join(ENDPOINT);
        let unwritable = || format!("{} cannot be written", endpoint.display());
        // What a process before left there leads nowhere, or elsewhere.
        if endpoint.exists() {
            fs::remove_file(&endpoint).with_context(unwritable)?;
        }
        let ledger = stellar_sandbox::start(config)
            .await
            .context("the sandbox ledger cannot be started")?;
        let own = Self {
            ledger,
            _claim: claim,
        };
        let SandboxAt { url, issuer } = own.at();
        // Whole or not at all: others may be reading.
        let draft = endpoint.with_extension("new");
        fs::write(&draft, format!("{url} {issuer}"))
            .and_then(|()| fs::rename(&draft, &endpoint))
            .with_context(unwritable)?;
        Ok(own)
    }

    /// Where it answers.
    pub fn at(&self) -> SandboxAt {
        SandboxAt {
            url: self.ledger.url(),
            issuer: self.ledger.issuer_account(),
        }
    }
}

/// Claims a sandbox ledger's folder until the claim is dropped.
pub fn claim(folder: &Path) -> anyhow::Result<File> {
    try_claim(folder)?.with_context(|| {
        let folder = folder.display();
        format!("the sandbox ledger in {folder} is in use by another tranche")
    })
}

/// As [`claim`]; `None` when somebody else has the folder.
fn try_claim(folder: &Path) -> anyhow::Result<Option<File>> {
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let claim = File::create(folder.join("lock"))
        .with_context(|| format!("{} cannot be written", folder.display()))?;
    Ok(claim.try_lock().is_ok().then_some(claim))
}

/// The sandbox ledger, where the configuration wants it in this process.
pub async fn start(config: &Config) -> anyhow::Result<Option<OwnSandbox>> {
    match settings(config) {
        Some(settings) => OwnSandbox::start(settings).await.map(Some),
        None => Ok(None),
    }
}

/// The sandbox ledger of a service that runs already, or one of our own until we are done.
pub async fn find_or_start(
    config: &Config,
) -> anyhow::Result<(Option<SandboxAt>, Option<OwnSandbox>)> {
    let Some(settings) = settings(config) else {
        return Ok((None, None));
    };
    let endpoint = settings.data_dir.join(ENDPOINT);
    if let Some(claim) = try_claim(&settings.data_dir)? {
        let own = OwnSandbox::start_claimed(settings, claim).await?;
        return Ok((Some(own.at()), Some(own)));
    }
    let text = fs::read_to_string(&endpoint)
        .with_context(|| format!("{} cannot be read", endpoint.display()))?;
    let (url, issuer) = text
        .split_once(' ')
        .with_context(|| format!("{} is not an endpoint", endpoint.display()))?;
    let at = SandboxAt {
        url: url.to_owned(),
        issuer: issuer.to_owned(),
    };
    Ok((Some(at), None))
}

fn settings(config: &Config) -> Option<stellar_sandbox::Config> {
    let Ledger::Sandbox { listen, interval } = &config.ledger else {
        return None;
    };
    Some(stellar_sandbox::Config {
        listen: *listen,
        data_dir: config.data_dir.join("sandbox"),
        ledger_interval: *interval,
        network_passphrase: SANDBOX_PASSPHRASE.to_owned(),
    })
}
