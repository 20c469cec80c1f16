//! Which ledger, and how it is reached.

use std::net::SocketAddr;
use std::time::Duration;

use tranche_adapters_stellar::{Asset, StellarConfig};

use super::{ConfigError, Settings, address, http_url, number, place, value};

/// Which ledger. Its URLs may hold a provider's key, so it is printed by [`Ledger::describe`] alone.
#[derive(Clone)]
pub enum Ledger {
    /// The sandbox, in this process.
    Sandbox {
        /// Where it listens.
        listen: SocketAddr,
        /// How often it closes a ledger.
        interval: Duration,
    },
    /// A Stellar network.
    Stellar {
        /// The endpoints that stand in for one another, the preferred one first.
        rpc_urls: Vec<String>,
        /// An endpoint of another provider that must agree.
        witness_rpc_url: Option<String>,
        /// The network.
        passphrase: String,
        /// What is burned.
        asset: Asset,
        /// The most a burn may cost, in stroops.
        most_fee: u64,
    },
}

impl Settings {
    pub(super) fn ledger(&self) -> Result<Ledger, ConfigError> {
        match self.ledger.as_deref().unwrap_or("sandbox") {
            "sandbox" => self.sandbox(),
            "stellar" => self.stellar(),
            other => {
                let why = format!("is \"{other}\" and must be sandbox or stellar");
                Err(value("TRANCHE_LEDGER", why))
            }
        }
    }

    fn sandbox(&self) -> Result<Ledger, ConfigError> {
        let listen = self.sandbox_listen.as_deref();
        let interval = self.sandbox_ledger_ms.as_deref();
        let interval = number("TRANCHE_SANDBOX_LEDGER_MS", interval, 1000, 10..=60_000)?;
        Ok(Ledger::Sandbox {
            listen: address("TRANCHE_SANDBOX_LISTEN", listen, "127.0.0.1:0")?,
            interval: Duration::from_millis(interval),
        })
    }

    fn stellar(&self) -> Result<Ledger, ConfigError> {
        let given = |setting, text: &Option<String>| {
            text.clone()
                .filter(|text| !text.trim().is_empty())
                .ok_or_else(|| value(setting, "is required by TRANCHE_LEDGER=stellar"))
        };
        let asset = given("TRANCHE_ASSET", &self.asset)?;
        let setting = "TRANCHE_STELLAR_RPC_URL";
        let urls = given(setting, &self.stellar_rpc_url)?;
        let http = |setting, url: &str| {
            let url = url.trim();
            http_url(setting, url).map(|()| url.to_owned())
        };
        let rpc_urls: Result<Vec<_>, _> = urls.split(',').map(|url| http(setting, url)).collect();
        let rpc_urls = rpc_urls?;
        let setting = "TRANCHE_STELLAR_WITNESS_RPC_URL";
        let witness = self.stellar_witness_rpc_url.as_deref();
        let witness = witness.filter(|url| !url.trim().is_empty());
        let witness = witness.map(|url| http(setting, url)).transpose()?;
        if witness
            .as_ref()
            .is_some_and(|witness| rpc_urls.contains(witness))
        {
            let why = "must be of another provider than TRANCHE_STELLAR_RPC_URL";
            return Err(value(setting, why));
        }
        let setting = "TRANCHE_STELLAR_MOST_FEE";
        let most_fee = self.stellar_most_fee.as_deref();
        let most_fee = number(
            setting,
            most_fee,
            StellarConfig::MOST_FEE,
            100..=1_000_000_000,
        )?;
        let passphrase = &self.stellar_network_passphrase;
        Ok(Ledger::Stellar {
            rpc_urls,
            witness_rpc_url: witness,
            passphrase: given("TRANCHE_STELLAR_NETWORK_PASSPHRASE", passphrase)?,
            asset: asset
                .parse()
                .map_err(|error| value("TRANCHE_ASSET", format!("{error}")))?,
            most_fee,
        })
    }
}

impl Ledger {
    /// Its settings in force, a line each, with secrets masked.
    pub(super) fn describe(&self) -> Vec<String> {
        match self {
            Self::Sandbox { listen, interval } => vec![
                "TRANCHE_LEDGER=sandbox".to_owned(),
                format!("TRANCHE_SANDBOX_LISTEN={listen}"),
                format!("TRANCHE_SANDBOX_LEDGER_MS={}", interval.as_millis()),
            ],
            Self::Stellar {
                rpc_urls,
                witness_rpc_url,
                passphrase,
                asset,
                most_fee,
            } => {
                let places: Vec<String> = rpc_urls.iter().map(|url| place(url)).collect();
                let witness = witness_rpc_url.as_deref().map(place).unwrap_or_default();
                vec![
                    "TRANCHE_LEDGER=stellar".to_owned(),
                    format!("TRANCHE_STELLAR_RPC_URL={}", places.join(",")),
                    format!("TRANCHE_STELLAR_WITNESS_RPC_URL={witness}"),
                    format!("TRANCHE_STELLAR_MOST_FEE={most_fee}"),
                    format!("TRANCHE_STELLAR_NETWORK_PASSPHRASE={passphrase}"),
                    format!("TRANCHE_ASSET={asset}"),
                ]
            }
        }
    }
}
