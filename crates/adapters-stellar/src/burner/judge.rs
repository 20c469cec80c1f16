//! Gathering the testimony about one burn, in the only order that proves anything:
//!
//! 1. look the burn up under each of its names; the answers also show a closed ledger and its time;
//! 2. **later**, read the sequence account: if its ledger is not before the closed one and the number
//!    is still unused, everything up to that closed ledger went by without the burn;
//! 3. the domain decides;
//! 4. if the number is used and the burn was not found, search the ledgers for what used it, and let
//!    the domain decide again. A search that finds our burn shows its envelope and result, the same
//!    evidence a second look would give, so it stands in for the lookup.
//!
//! All of it comes from one node. Nothing is concluded from a node of another network, from one that
//! stands before the burn was signed, or, for an expiry, from any but the newest state seen.

use stellar_xdr::AccountId;
use tranche_application::ports::burner::LedgerError;
use tranche_domain::disbursement::verdict::{
    AccountRead, ClosedLedger, EXPIRED, Lookup, Scan, Testimony, Wait, decide,
};
use tranche_domain::disbursement::{PreparedBurn, Verdict};

use super::search::{Found, Search};
use crate::account;
use crate::classify::{Garbled, Ours};
use crate::entries::account_key;
use crate::node::Node;

impl From<Garbled> for LedgerError {
    fn from(garbled: Garbled) -> Self {
        Self::Unavailable(garbled.to_string())
    }
}

/// What the lookups of all names said.
struct Lookups {
    lookup: Lookup,
    closed: Option<ClosedLedger>,
    oldest_ledger: u32,
}

/// The node's judgement of the burn.
///
/// # Errors
/// [`LedgerError::Unavailable`] for answers that prove nothing; [`LedgerError::Misconfigured`] for a
/// burn that cannot be this ledger's.
pub(super) async fn judge(node: &Node, burn: &PreparedBurn) -> Result<Verdict, LedgerError> {
    let names = names(node, burn)?;
    let source = account::parse(&burn.slot.account).ok_or_else(|| {
        LedgerError::Misconfigured(format!("{:?} is not an account id", burn.slot.account))
    })?;

    let Lookups {
        lookup,
        closed,
        oldest_ledger,
    } = look_up(node, &names).await?;
    let newest = node.tip.newest();
    let account = read_sequence(node, &source).await?;
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
                rpc: &node.rpc,
                network_id: node.network.id(),
                ours: &names,
                source: &source,
                sequence: burn.slot.sequence,
                memo: burn.memo,
                from: burn.signed_at_ledger.max(oldest_ledger),
                reach: account.ledger,
            };
            after_search(burn, testimony, &search).await?
        }
        decided => decided,
    };
    vouch_for(node, verdict, account.ledger, newest).await
}

/// The hashes by which the ledger knows the burn.
fn names(node: &Node, burn: &PreparedBurn) -> Result<Vec<Ours>, LedgerError> {
    let network_id = node.network.id();
    burn.ids()
        .map(|id| {
            let mut hash = [0; 32];
            hex::decode_to_slice(&id.0, &mut hash).map_err(|_| {
                LedgerError::Misconfigured(format!("{id} is not a transaction hash"))
            })?;
            Ok(Ours { hash, network_id })
        })
        .collect()
}

/// Looks every name up. One of them can have run at most, so the answer that says most counts.
async fn look_up(node: &Node, names: &[Ours]) -> Result<Lookups, LedgerError> {
    let mut all = Lookups {
        lookup: Lookup::NotFound,
        closed: None,
        oldest_ledger: 0,
    };
    for ours in names {
        let answer = node.transaction(&hex::encode(ours.hash)).await?;
        let lookup = ours.lookup(&answer)?;
        if weight(&lookup) > weight(&all.lookup) {
            all.lookup = lookup;
        }
        let shown = answer.closed();
        if shown.map(|ledger| ledger.sequence) > all.closed.map(|ledger| ledger.sequence) {
            all.closed = shown;
        }
        all.oldest_ledger = all.oldest_ledger.max(answer.oldest_ledger);
    }
    Ok(all)
}

const fn weight(lookup: &Lookup) -> u8 {
    match lookup {
        Lookup::NotFound => 0,
        Lookup::Failed { .. } => 1,
        Lookup::Succeeded {
            as_ordered: false, ..
        } => 2,
        Lookup::Succeeded {
            as_ordered: true, ..
        } => 3,
    }
}

async fn read_sequence(node: &Node, source: &AccountId) -> Result<AccountRead, LedgerError> {
    let keys = account_key(source).map(|key| vec![key]);
    let snapshot = node.read(keys).await?;
    Ok(AccountRead {
        ledger: snapshot.ledger,
        sequence: snapshot.account(source).map(|account| account.sequence),
    })
}

/// A burn that is given up, or given to a person, is so on the word of the right network only; and
/// nothing expires by a state older than the newest seen.
async fn vouch_for(
    node: &Node,
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
            node.check_network().await?;
            Ok(verdict)
        }
    }
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
        Found::Forgotten { taker, ledger } => {
            return Ok(Verdict::NeedsOperator {
                reason: format!(
                    "transaction {taker} in ledger {ledger} used sequence {} of {} and carries this \
                     burn's memo, but is none of its known envelopes: it may be the burn itself",
                    burn.slot.sequence, burn.slot.account
                ),
            });
        }
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
