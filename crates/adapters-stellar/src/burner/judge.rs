//! Gathering the testimony about one burn, in the only order that proves anything:
//!
//! 1. look the burn up; the answer also shows a closed ledger and its time;
//! 2. **later**, read the sequence account: if its ledger is not before the closed one and the number
//!    is still unused, everything up to that closed ledger went by without the burn;
//! 3. the domain decides;
//! 4. if the number is used and the burn was not found, search the ledgers for what used it, and let
//!    the domain decide again. A search that finds our burn shows its envelope and result, the same
//!    evidence a second look would give, so it stands in for the lookup.
//!
//! Nothing is concluded from a node of another network, from one that stands before the burn was
//! signed, or, for an expiry, from any but the newest state seen.

use std::sync::atomic::Ordering;

use stellar_xdr::AccountId;
use tranche_application::ports::burner::LedgerError;
use tranche_domain::disbursement::verdict::{
    AccountRead, ClosedLedger, EXPIRED, Lookup, Scan, Testimony, Wait, decide,
};
use tranche_domain::disbursement::{PreparedBurn, Verdict};

use super::StellarBurner;
use super::search::{Found, Search};
use crate::account;
use crate::classify::{Garbled, Ours};
use crate::entries::account_key;

impl From<Garbled> for LedgerError {
    fn from(garbled: Garbled) -> Self {
        Self::Unavailable(garbled.to_string())
    }
}

impl StellarBurner {
    pub(super) async fn judge(&self, burn: &PreparedBurn) -> Result<Verdict, LedgerError> {
        self.check_slot(burn)?;
        let (hash, source) = names(burn)?;
        let ours = Ours {
            hash: &hash,
            network_id: self.network.id(),
        };

        let answer = self.rpc.get_transaction(&burn.id.0).await?;
        self.witness(answer.latest_ledger)?;
        let lookup = ours.lookup(&answer)?;
        let closed = answer.closed();
        let newest = self.newest.load(Ordering::Relaxed);
        let account = self.read_sequence(&source).await?;
        not_before_signing(burn, closed, account)?;

        let testimony = Testimony {
            lookup,
            closed,
            account,
            scan: None,
        };
        let verdict = match decide(burn, &testimony) {
            Verdict::Undecided(Wait::ScanNeeded) => {
                let search = Search {
                    rpc: &self.rpc,
                    ours,
                    source: &source,
                    sequence: burn.slot.sequence,
                    valid_until: burn.valid_until.timestamp(),
                    from: burn.signed_at_ledger.max(answer.oldest_ledger),
                    reach: account.ledger,
                };
                after_search(burn, testimony, &search).await?
            }
            decided => decided,
        };
        self.vouch_for(verdict, account.ledger, newest).await
    }

    async fn read_sequence(&self, source: &AccountId) -> Result<AccountRead, LedgerError> {
        let keys = account_key(source).map(|key| vec![key]);
        let snapshot = self.read(keys).await?;
        Ok(AccountRead {
            ledger: snapshot.ledger,
            sequence: snapshot.account(source).map(|account| account.sequence),
        })
    }

    /// A burn that is given up, or given to a person, is so on the word of the right network only;
    /// and nothing expires by a state older than the newest seen.
    async fn vouch_for(
        &self,
        verdict: Verdict,
        ledger: u32,
        newest: u32,
    ) -> Result<Verdict, LedgerError> {
        match &verdict {
            Verdict::Burned { .. } | Verdict::Undecided(_) => Ok(verdict),
            Verdict::Failed(failure) if failure.code == EXPIRED && ledger < newest => {
                Ok(Verdict::Undecided(Wait::MayStillHappen))
            }
            Verdict::Failed(_) | Verdict::NeedsOperator { .. } => {
                self.check_network().await?;
                Ok(verdict)
            }
        }
    }
}

/// The hash and the sequence account by which the ledger knows the burn.
fn names(burn: &PreparedBurn) -> Result<([u8; 32], AccountId), LedgerError> {
    let mut hash = [0; 32];
    hex::decode_to_slice(&burn.id.0, &mut hash).map_err(|_| {
        LedgerError::Misconfigured(format!("{} is not a transaction hash", burn.id))
    })?;
    let source = account::parse(&burn.slot.account).ok_or_else(|| {
        LedgerError::Misconfigured(format!("{:?} is not an account id", burn.slot.account))
    })?;
    Ok((hash, source))
}

/// Refuses answers that cannot come from the ledger on which the burn was signed.
fn not_before_signing(
    burn: &PreparedBurn,
    closed: Option<ClosedLedger>,
    account: AccountRead,
) -> Result<(), LedgerError> {
    let too_late = closed.is_some_and(|closed| {
        closed.sequence < burn.signed_at_ledger && closed.closed_at > burn.valid_until
    });
    if account.ledger >= burn.signed_at_ledger && !too_late {
        return Ok(());
    }
    let shown = closed.map_or(account.ledger, |closed| closed.sequence.min(account.ledger));
    Err(LedgerError::Unavailable(format!(
        "the ledger runs backwards: it stands at {shown}, and burn {} was signed at {}; the node lags, \
         or the network was reset",
        burn.id, burn.signed_at_ledger
    )))
}

async fn after_search(
    burn: &PreparedBurn,
    testimony: Testimony,
    search: &Search<'_>,
) -> Result<Verdict, LedgerError> {
    let searched = search.run().await?;
    let (lookup, taker) = match searched.found {
        Found::Ours(lookup) => (lookup, None),
        Found::Other(taker) => (Lookup::NotFound, Some(taker)),
        // The listing lags behind the account: time heals that, and no person could.
        Found::Nothing if searched.from <= burn.signed_at_ledger && searched.to < search.reach => {
            return Ok(Verdict::Undecided(Wait::ScanNeeded));
        }
        Found::Nothing => (Lookup::NotFound, None),
    };
    if let Some(taker) = &taker {
        tracing::warn!(
            burn = %burn.id, account = burn.slot.account, sequence = burn.slot.sequence, %taker,
            "another transaction used the sequence number: the key is used elsewhere"
        );
    }
    Ok(decide(
        burn,
        &Testimony {
            lookup,
            scan: Some(Scan {
                from: searched.from,
                to: searched.to,
                taker,
            }),
            ..testimony
        },
    ))
}
