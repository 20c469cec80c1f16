//! Every burn of some wallets in a range of closed ledgers, read from the events that the asset's
//! contract emits for them (CAP-67), whoever burned and by whatever operation.
//!
//! Pages are joined by their cursors. A page may end early: a server scans a limited number of ledgers
//! at a time and then says by its cursor how far it came, events or none. The listing is complete
//! once a cursor lies behind everything up to the newest ledger the same page names, and an error
//! otherwise; it is never shortened. Each burn's memo and name come from its transaction, since an
//! event names only the outer hash of a fee bump. What one transaction burns of one wallet is one burn.

use std::collections::{HashMap, HashSet};

use sha2::{Digest, Sha256};
use stellar_xdr::{
    ContractId, ContractIdPreimage, Error, Hash, HashIdPreimage, HashIdPreimageContractId, Limits,
    ScAddress, ScSymbol, ScVal, TransactionEnvelope, WriteXdr,
};
use tranche_application::ports::burner::{BurnsSeen, LedgerError, SeenBurn};
use tranche_domain::Amount;
use tranche_domain::disbursement::BurnId;

use crate::asset::Asset;
use crate::classify::decode;
use crate::classify::held::Held;
use crate::network::Network;
use crate::node::Node;
use crate::rpc::wire::{Event, GetEvents, Status};
use crate::rpc::{EventFilter, Start};

/// More than all ledgers that a server keeps; beyond it something is wrong.
const MOST_PAGES: usize = 100_000;

/// See [`tranche_application::ports::burner::LedgerBurner::burns_since`].
pub(super) async fn since(
    node: &Node,
    asset: &Asset,
    from: Option<u32>,
    wallets: &[String],
) -> Result<BurnsSeen, LedgerError> {
    node.ready().await?;
    let kept = node.ledgers().await?;
    let Some(from) = from.filter(|from| *from <= kept.latest_ledger) else {
        return Ok(BurnsSeen {
            from: from.unwrap_or(kept.latest_ledger),
            to: kept.latest_ledger,
            burns: Vec::new(),
        });
    };
    let filter = filter(&node.network, asset)
        .map_err(|error| LedgerError::Misconfigured(error.to_string()))?;
    let listing = Listing {
        node,
        filter,
        wallets: wallets.iter().map(String::as_str).collect(),
    };
    listing.read(from.max(kept.oldest_ledger)).await
}

/// The contract that speaks for an asset; its id follows from network and asset.
fn contract(network: &Network, asset: &Asset) -> Result<ContractId, Error> {
    let preimage = HashIdPreimage::ContractId(HashIdPreimageContractId {
        network_id: Hash(network.id()),
        contract_id_preimage: ContractIdPreimage::Asset(asset.to_xdr()),
    });
    let bytes = preimage.to_xdr(Limits::none())?;
    Ok(ContractId(Hash(Sha256::digest(bytes).into())))
}

/// `burn`, from anybody, of the asset.
fn filter(network: &Network, asset: &Asset) -> Result<EventFilter, Error> {
    let burn = ScVal::Symbol(ScSymbol("burn".try_into()?));
    Ok(EventFilter {
        contract: contract(network, asset)?.to_string(),
        topics: [
            burn.to_xdr_base64(Limits::none())?,
            "*".to_owned(),
            "*".to_owned(),
        ],
    })
}

struct Listing<'a> {
    node: &'a Node,
    filter: EventFilter,
    wallets: HashSet<&'a str>,
}

impl Listing<'_> {
    async fn read(&self, from: u32) -> Result<BurnsSeen, LedgerError> {
        let mut seen = BurnsSeen {
            from,
            ..BurnsSeen::default()
        };
        let mut transactions = HashMap::new();
        let mut page = self.page(Start::Ledger(from)).await?;
        for _ in 0..MOST_PAGES {
            for event in &page.events {
                if let Some(burn) = self.burn(event, &mut transactions).await? {
                    add(&mut seen.burns, burn, event)?;
                }
            }
            let Some(cursor) = page.cursor.take().filter(|cursor| !cursor.is_empty()) else {
                return Err(unavailable("a page without a cursor"));
            };
            if searched_up_to(&cursor, &page.events)? >= page.latest_ledger {
                seen.to = page.latest_ledger;
                return Ok(seen);
            }
            page = self.page(Start::Cursor(&cursor)).await?;
            if page.cursor.as_ref() == Some(&cursor) {
                return Err(unavailable("the cursor stands still"));
            }
        }
        Err(unavailable("the listing does not end"))
    }

    async fn page(&self, start: Start<'_>) -> Result<GetEvents, LedgerError> {
        let page = self.node.rpc.get_events(start, &self.filter).await?;
        self.node.tip.saw(page.latest_ledger)?;
        Ok(page)
    }

    /// The burn that an event speaks of, if it is one of these wallets'.
    async fn burn(
        &self,
        event: &Event,
        transactions: &mut HashMap<String, Option<Held>>,
    ) -> Result<Option<SeenBurn>, LedgerError> {
        if event.contract_id != self.filter.contract {
            return Err(unreadable(event, "it is another contract's"));
        }
        let wallet_account_id = match burner(event)? {
            Some(wallet) if self.wallets.contains(wallet.as_str()) => wallet,
            _ => return Ok(None),
        };
        let amount = amount(event)?;
        if !transactions.contains_key(&event.tx_hash) {
            let held = self.transaction(event).await?;
            transactions.insert(event.tx_hash.clone(), held);
        }
        let held = transactions.get(&event.tx_hash).and_then(Option::as_ref);
        Ok(held.map(|held| SeenBurn {
            id: BurnId(hex::encode(held.hash)),
            ledger: event.ledger,
            wallet_account_id,
            amount,
            memo: held.memo,
        }))
    }

    /// The transaction of an event; nothing when that failed, and so burned nothing.
    async fn transaction(&self, event: &Event) -> Result<Option<Held>, LedgerError> {
        let answer = self.node.transaction(&event.tx_hash).await?;
        let envelope = match answer.status {
            Status::Failed => return Ok(None),
            Status::NotFound => {
                return Err(unreadable(event, "the node does not know its transaction"));
            }
            Status::Success => answer.envelope_xdr.unwrap_or_default(),
        };
        decode::<TransactionEnvelope>(&envelope)
            .and_then(|envelope| {
                Held::of(&envelope, self.node.network.id()).map_err(|error| error.to_string())
            })
            .map(Some)
            .map_err(|error| unreadable(event, &error))
    }
}

/// One transaction may burn from a wallet several times: what a wallet lost by it is one burn.
fn add(burns: &mut Vec<SeenBurn>, burn: SeenBurn, event: &Event) -> Result<(), LedgerError> {
    let mut of_ledger = burns
        .iter_mut()
        .rev()
        .take_while(|seen| seen.ledger == burn.ledger);
    match of_ledger.find(|seen| name(seen) == name(&burn)) {
        Some(seen) => {
            seen.amount = seen
                .amount
                .checked_add(burn.amount)
                .ok_or_else(|| unreadable(event, "its transaction burns more than exists"))?;
        }
        None => burns.push(burn),
    }
    Ok(())
}

fn name(burn: &SeenBurn) -> (&str, &str) {
    (&burn.id.0, &burn.wallet_account_id)
}

/// What two nodes saw together: every burn that either shows, and the ledgers that both searched.
///
/// # Errors
/// [`LedgerError::Unavailable`] when they show one burn differently.
pub(super) fn union(first: &BurnsSeen, second: BurnsSeen) -> Result<BurnsSeen, LedgerError> {
    let known: HashMap<_, _> = first.burns.iter().map(|seen| (name(seen), seen)).collect();
    let mut burns = first.burns.clone();
    for burn in second.burns {
        match known.get(&name(&burn)) {
            Some(seen) if **seen != burn => {
                return Err(unavailable(&format!(
                    "two providers show the burn {} of {} differently",
                    burn.id, burn.wallet_account_id
                )));
            }
            Some(_) => {}
            None => burns.push(burn),
        }
    }
    burns.sort_by_key(|burn| burn.ledger);
    Ok(BurnsSeen {
        from: first.from.max(second.from),
        to: first.to.min(second.to),
        burns,
    })
}

/// Whose tokens burned; nothing for a contract's.
fn burner(event: &Event) -> Result<Option<String>, LedgerError> {
    let [_, from, _] = event.topic.as_slice() else {
        return Err(unreadable(event, "a burn has three topics"));
    };
    match decode::<ScVal>(from) {
        Ok(ScVal::Address(ScAddress::Account(account))) => Ok(Some(account.to_string())),
        Ok(ScVal::Address(_)) => Ok(None),
        Ok(_) => Err(unreadable(event, "its second topic is not an address")),
        Err(error) => Err(unreadable(event, &error)),
    }
}

fn amount(event: &Event) -> Result<Amount, LedgerError> {
    let value = decode::<ScVal>(&event.value).map_err(|error| unreadable(event, &error))?;
    let stroops = match value {
        ScVal::I128(parts) if parts.hi == 0 => i64::try_from(parts.lo).ok(),
        _ => None,
    };
    stroops
        .and_then(|stroops| Amount::try_from_stroops(stroops).ok())
        .ok_or_else(|| unreadable(event, "its amount is not one of an account's"))
}

/// The last ledger that a page and those before it cover as a whole. A cursor is a place, the ledger
/// in its upper half, and an index. It is either the last event's id, behind which more may follow
/// in the same ledger; or the end of what was scanned: the last place of a ledger, or the first one
/// of the next.
fn searched_up_to(cursor: &str, events: &[Event]) -> Result<u32, LedgerError> {
    let place = cursor.split_once('-').map_or(cursor, |(place, _)| place);
    let place: u64 = place
        .parse()
        .map_err(|_| unavailable("a cursor that is no place"))?;
    let ledger = u32::try_from(place >> 32).unwrap_or(u32::MAX);
    let amid = events.last().is_some_and(|last| last.id == cursor);
    let before = amid || place & u64::from(u32::MAX) == 0;
    Ok(if before {
        ledger.saturating_sub(1)
    } else {
        ledger
    })
}

fn unavailable(detail: &str) -> LedgerError {
    LedgerError::Unavailable(format!("getEvents: {detail}"))
}

fn unreadable(event: &Event, detail: &str) -> LedgerError {
    unavailable(&format!("event {} is not understood: {detail}", event.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_of_an_asset_is_the_published_one() {
        let network = Network::new("Public Global Stellar Network ; September 2015".to_owned());
        let circle = "USDC:GA5ZSEJYB37JRC5AVCIA5MOP4RHTM335X2KGX3IHOJAPP5RE34K4KZVN";
        assert_eq!(
            filter(&network, &circle.parse().unwrap()).unwrap().contract,
            "CCW67TSZV3SSS2HXMBQ5JFGCKJNXKZM7UQUWUZPUTHXSTZLEO7SJMI75"
        );
    }

    #[test]
    fn a_cursor_says_how_far_a_page_came() {
        let ledger = 7_u64 << 32;
        let reached = |place: u64| searched_up_to(&format!("{place:019}-0000000000"), &[]).ok();
        assert_eq!(reached(ledger | u64::from(u32::MAX)), Some(7));
        assert_eq!(reached(ledger), Some(6));
        assert!(searched_up_to("x", &[]).is_err());
    }
}
