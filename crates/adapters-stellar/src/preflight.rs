//! What the ledger would refuse, found out from one snapshot before anything is signed.
//!
//! Each refusal has a stable code. None of this is proof of anything later: the issuer may withdraw
//! its leave between the reading and the burn, and then the ledger says so itself.

use stellar_xdr::AccountId;
use tranche_application::ports::burner::LedgerError;
use tranche_domain::disbursement::BurnOrder;

use crate::account;
use crate::asset::Asset;
use crate::classify::codes::{NO_TRUSTLINE, NOT_AUTHORIZED, UNDERFUNDED};
use crate::entries::{AccountState, Snapshot, account_key, trustline_key};

/// The accounts of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parties {
    /// Whose tokens burn.
    pub wallet: AccountId,
    /// Whose sequence number is used, and who pays the fee.
    pub sequence: AccountId,
}

const TOO_WEAK: &str = "signature_too_weak";

fn refused<T>(code: &'static str, detail: String) -> Result<T, LedgerError> {
    Err(LedgerError::Refused { code, detail })
}

impl Parties {
    /// Reads an order's accounts, and refuses the one burn that the ledger accepts and that burns
    /// nothing: the issuer's own.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] with `malformed`, `malformed_account` or `wallet_is_issuer`.
    pub fn of(order: &BurnOrder, asset: &Asset) -> Result<Self, LedgerError> {
        let read = |text: &str| {
            account::parse(text).map_or_else(
                || {
                    refused(
                        "malformed_account",
                        format!("{text:?} is not an account id"),
                    )
                },
                Ok,
            )
        };
        let parties = Self {
            wallet: read(&order.wallet_account_id)?,
            sequence: read(&order.sequence_account_id)?,
        };
        if parties.wallet == *asset.issuer() {
            return refused(
                "wallet_is_issuer",
                format!(
                    "{} issues the asset: its payment to itself burns nothing",
                    parties.wallet
                ),
            );
        }
        if order.amount.is_zero() {
            return refused("malformed", "the amount must be more than zero".to_owned());
        }
        Ok(parties)
    }

    /// The wallet, when it is not the source of the sequence number.
    pub fn other_wallet(&self) -> Option<&AccountId> {
        Some(&self.wallet).filter(|wallet| **wallet != self.sequence)
    }

    /// Everyone who signs: the source first.
    pub fn signers(&self) -> impl Iterator<Item = &AccountId> {
        std::iter::once(&self.sequence).chain(self.other_wallet())
    }

    /// The keys of everything the burn depends on, to be read together.
    ///
    /// # Errors
    /// When a key cannot be encoded.
    pub fn keys(&self, asset: &Asset) -> Result<Vec<String>, stellar_xdr::Error> {
        self.signers()
            .map(account_key)
            .chain([trustline_key(&self.wallet, asset)])
            .collect()
    }

    /// The sequence number the burn takes, if the ledger would accept it as things stand.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] with `no_account`, `no_trustline`, `not_authorized`, `underfunded` or
    /// what is said of a source: `no_sequence_account`, `insufficient_fee_balance`,
    /// `signature_too_weak` or `sequence_exhausted`. Of a source that is not the wallet, and of which
    /// there are others, that is [`LedgerError::UnfitSequenceAccount`].
    pub fn check(
        &self,
        order: &BurnOrder,
        fee: u32,
        asset: &Asset,
        snapshot: &Snapshot,
    ) -> Result<i64, LedgerError> {
        let Some(wallet) = snapshot.account(&self.wallet) else {
            return refused("no_account", format!("{} does not exist", self.wallet));
        };
        self.check_tokens(order, asset, snapshot)?;
        let Some(source) = snapshot.account(&self.sequence) else {
            return self.unfit(
                "no_sequence_account",
                format!("the sequence account {} does not exist", self.sequence),
            );
        };
        if source.spendable < i64::from(fee) {
            return self.unfit(
                "insufficient_fee_balance",
                format!(
                    "{} can spend {} stroops of XLM above its reserve; the fee may take {fee}",
                    self.sequence, source.spendable
                ),
            );
        }
        too_weak(&self.sequence, &source, source.low)
            .map_or(Ok(()), |detail| self.unfit(TOO_WEAK, detail))?;
        too_weak(&self.wallet, &wallet, wallet.medium)
            .map_or(Ok(()), |detail| refused(TOO_WEAK, detail))?;
        source.sequence.checked_add(1).map_or_else(
            || {
                self.unfit(
                    "sequence_exhausted",
                    format!("{} has no sequence number left", self.sequence),
                )
            },
            Ok,
        )
    }

    /// Refuses for what is wrong with the source: another one may do, where it is not the wallet.
    fn unfit<T>(&self, code: &'static str, detail: String) -> Result<T, LedgerError> {
        if self.other_wallet().is_some() {
            return Err(LedgerError::UnfitSequenceAccount { code, detail });
        }
        refused(code, detail)
    }

    fn check_tokens(
        &self,
        order: &BurnOrder,
        asset: &Asset,
        snapshot: &Snapshot,
    ) -> Result<(), LedgerError> {
        let Some(line) = snapshot.trustline(&self.wallet, asset) else {
            return refused(
                NO_TRUSTLINE,
                format!("{} has no trustline for {asset}", self.wallet),
            );
        };
        if !line.authorized {
            return refused(
                NOT_AUTHORIZED,
                format!(
                    "the issuer does not let {} move {}",
                    self.wallet,
                    asset.code()
                ),
            );
        }
        if line.spendable < order.amount.stroops() {
            return refused(
                UNDERFUNDED,
                format!(
                    "{} can spend {} stroops of {}; the burn takes {}",
                    self.wallet,
                    line.spendable,
                    asset.code(),
                    order.amount.stroops()
                ),
            );
        }
        Ok(())
    }
}

/// Why the master key alone may not sign, if so: custody holds no other.
fn too_weak(id: &AccountId, account: &AccountState, needed: u8) -> Option<String> {
    let needed = needed.max(1);
    (account.master_weight < needed).then(|| {
        format!(
            "the key of {id} weighs {}, and {needed} is needed",
            account.master_weight
        )
    })
}

#[cfg(test)]
mod tests;
