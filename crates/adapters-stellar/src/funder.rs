//! The `ChannelFunder` port on a real network: an account of the operator's pays for new channel
//! accounts, up to a hundred in one transaction.
//!
//! The ledger creates an account once, so nothing is ever paid for twice, whoever else funds the same
//! accounts and however often this is called again. Done is what the ledger shows: answers to sending
//! only hurry it. One reading of the funder and the channels at one ledger tells everything: all are
//! there; or the sequence number is used and some are not, or it expired unused, and then a new
//! transaction is due; or the same bytes are sent again.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer, SigningKey};
use stellar_strkey::ed25519::PrivateKey;
use stellar_xdr::{AccountId, Limits, WriteXdr};
use tranche_application::ports::burner::LedgerError;
use tranche_application::ports::channels::ChannelFunder;
use tranche_application::ports::custody::SecretSeed;
use tranche_application::ports::entropy::Entropy;
use tranche_domain::Amount;
use tranche_domain::disbursement::verdict::ClosedLedger;

use crate::account;
use crate::config::{ConfigError, StellarConfig};
use crate::entries::{AccountState, Snapshot, account_key};
use crate::envelope::{Draft, Opening};
use crate::keypair::keypair;
use crate::network::Network;
use crate::providers::Providers;

/// The most operations of one transaction.
const MOST_AT_ONCE: usize = 100;
/// How long to wait between two looks at the ledger: less than a ledger takes.
const PAUSE: Duration = Duration::from_secs(1);
/// How many transactions one call signs before it gives up: another user of the funder's key can
/// take its sequence number now and then, but not for ever.
const MOST_TRANSACTIONS: usize = 3;
/// The least that an account needs to exist, in stroops: two base reserves.
const LEAST_BALANCE: i64 = 10_000_000;

/// Opens channel accounts from the operator's own.
pub struct FunderAccount {
    providers: Providers,
    network: Arc<Network>,
    key: SigningKey,
    id: AccountId,
    /// In stroops.
    starting_balance: i64,
    time_to_live: Duration,
    /// For one operation, in stroops.
    max_fee: u32,
    entropy: Arc<dyn Entropy>,
}

/// What one reading of the ledger shows.
struct Look {
    closed: ClosedLedger,
    snapshot: Snapshot,
}

impl Look {
    fn missing(&self, accounts: &[AccountId]) -> Vec<AccountId> {
        let missing = accounts.iter();
        let missing = missing.filter(|id| self.snapshot.account(id).is_none());
        missing.cloned().collect()
    }
}

/// A signed transaction.
struct Sent {
    envelope: String,
    sequence: i64,
    max_time: i64,
}

impl FunderAccount {
    /// 5 XLM: the reserve, and thousands of burns at the fee they offer at first.
    pub const STARTING_BALANCE: i64 = 50_000_000;

    /// Connects to nothing yet. `starting_balance` is in XLM, what each channel begins with.
    ///
    /// # Errors
    /// [`ConfigError`] for a setting that cannot work.
    pub fn try_new(
        config: &StellarConfig,
        seed: &SecretSeed,
        starting_balance: Option<Amount>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, ConfigError> {
        config.check()?;
        let private = PrivateKey::from_string(seed.expose()).map_err(|_| ConfigError::Funder)?;
        let key = SigningKey::from_bytes(&private.0);
        let starting_balance = starting_balance.map_or(Self::STARTING_BALANCE, Amount::stroops);
        if starting_balance < LEAST_BALANCE {
            return Err(ConfigError::StartingBalance);
        }
        let network = Arc::new(Network::new(config.network_passphrase.clone()));
        Ok(Self {
            providers: Providers::try_new(config, &network)?,
            network,
            id: account::of_key(key.verifying_key().to_bytes()),
            key,
            starting_balance,
            time_to_live: config.burn_ttl,
            max_fee: config.first_fee(),
            entropy,
        })
    }

    async fn look(&self, accounts: &[AccountId]) -> Result<Look, LedgerError> {
        self.providers
            .ask(|node| async move {
                let closed = node.ledger_time().await?;
                let keys = std::iter::once(&self.id).chain(accounts).map(account_key);
                let snapshot = node.read(keys.collect()).await?;
                if snapshot.ledger < closed.sequence {
                    let why = "the state is older than the newest ledger";
                    return Err(LedgerError::Unavailable(why.to_owned()));
                }
                Ok(Look { closed, snapshot })
            })
            .await
    }

    fn own(&self, look: &Look) -> Result<AccountState, LedgerError> {
        look.snapshot.account(&self.id).ok_or_else(|| {
            LedgerError::Misconfigured(format!("the funder {} does not exist", self.id))
        })
    }

    /// A transaction that opens these accounts, as things stand.
    fn draft(&self, look: &Look, missing: Vec<AccountId>) -> Result<Sent, LedgerError> {
        let funder = self.own(look)?;
        let count = u32::try_from(missing.len()).unwrap_or(u32::MAX);
        let fee = self.max_fee.saturating_mul(count);
        let costs = self.starting_balance.saturating_mul(i64::from(count));
        if funder.spendable < costs.saturating_add(i64::from(fee)) {
            return Err(LedgerError::Refused {
                code: "underfunded",
                detail: format!(
                    "the funder {} can spend {} stroops of XLM; {count} channels take {costs} and up \
                     to {fee} for the fee",
                    self.id, funder.spendable
                ),
            });
        }
        let ttl = i64::try_from(self.time_to_live.as_secs()).unwrap_or(i64::MAX);
        let max_time = look.closed.closed_at.timestamp().saturating_add(ttl);
        let end = u64::try_from(max_time).ok().and_then(NonZeroU64::new);
        let sequence = funder.sequence.checked_add(1);
        let (Some(end), Some(sequence)) = (end, sequence) else {
            let why = format!("{max_time} s or the funder's sequence number cannot be used");
            return Err(LedgerError::Unavailable(why));
        };
        let opening = Opening {
            source: self.id.clone(),
            sequence,
            fee,
            max_time: end,
            accounts: missing,
            starting_balance: self.starting_balance,
        };
        let draft = Draft::opening(&opening, &self.network)?;
        let signature = self.key.sign(&draft.hash()).to_bytes();
        let envelope = draft.sign(&[(self.id.clone(), signature)])?;
        let envelope = envelope
            .to_xdr(Limits::none())
            .map_err(|error| LedgerError::Misconfigured(error.to_string()))?;
        Ok(Sent {
            envelope: STANDARD.encode(envelope),
            sequence,
            max_time,
        })
    }

    /// Sends until the ledger has decided about the transaction.
    async fn drive(&self, sent: &Sent, accounts: &[AccountId]) -> Result<Look, LedgerError> {
        let envelope = &sent.envelope;
        loop {
            let hint = self
                .providers
                .ask(|node| async move { Ok(node.rpc.send_transaction(envelope).await?) });
            match hint.await {
                Ok(hint) => tracing::debug!(status = hint.status, "channel accounts sent for"),
                // It may have arrived all the same: only the ledger tells.
                Err(error) => tracing::warn!(%error, "no answer to the sending"),
            }
            tokio::time::sleep(PAUSE).await;
            let look = self.look(accounts).await?;
            let used = self.own(&look)?.sequence >= sent.sequence;
            let expired = look.closed.closed_at.timestamp() > sent.max_time;
            if used || expired || look.missing(accounts).is_empty() {
                return Ok(look);
            }
        }
    }
}

#[async_trait]
impl ChannelFunder for FunderAccount {
    fn draw(&self) -> SecretSeed {
        keypair(self.entropy.as_ref()).1
    }

    async fn fund(&self, account_ids: &[String]) -> Result<(), LedgerError> {
        if account_ids.len() > MOST_AT_ONCE {
            return Err(LedgerError::Refused {
                code: "too_many_channels",
                detail: format!("at most {MOST_AT_ONCE} accounts are opened at once"),
            });
        }
        let mut accounts = account_ids
            .iter()
            .map(|id| {
                account::parse(id).ok_or_else(|| LedgerError::Refused {
                    code: "malformed_account",
                    detail: format!("{id:?} is not an account id"),
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        accounts.sort_unstable();
        accounts.dedup();
        self.providers
            .ask(|node| async move { node.ready().await })
            .await?;
        let mut look = self.look(&accounts).await?;
        for _ in 0..MOST_TRANSACTIONS {
            let missing = look.missing(&accounts);
            if missing.is_empty() {
                return Ok(());
            }
            let sent = self.draft(&look, missing)?;
            look = self.drive(&sent, &accounts).await?;
        }
        let missing = look.missing(&accounts).len();
        if missing == 0 {
            return Ok(());
        }
        Err(LedgerError::Unavailable(format!(
            "{missing} channel accounts are not open after {MOST_TRANSACTIONS} transactions of {}",
            self.id
        )))
    }
}
