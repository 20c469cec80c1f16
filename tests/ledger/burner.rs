//! The adapter to the tiny ledger: everything that `LedgerBurner` asks of a ledger with nonces.

use async_trait::async_trait;
use chrono::TimeDelta;
use tranche_application::ports::burner::{
    BurnsSeen, LedgerBurner, LedgerError, SeenBurn, SubmitHint,
};
use tranche_domain::disbursement::verdict::{
    AccountRead, ClosedLedger, Lookup, Scan, Testimony, decide,
};
use tranche_domain::disbursement::{BurnId, BurnOrder, PreparedBurn, Replacement, Verdict};
use tranche_domain::{Amount, LedgerSlot};

use super::chain::{Chain, Transaction};

/// How long a signed burn can be included, by the blocks' clock.
pub const LIFE_SECONDS: i64 = 180;
const NETWORK: &str = "tiny";
const FEE: u64 = 100;

pub struct NonceBurner {
    chain: Chain,
}

impl NonceBurner {
    pub fn new(chain: Chain) -> Self {
        Self { chain }
    }
}

fn refused<T>(code: &'static str, detail: &str) -> Result<T, LedgerError> {
    Err(LedgerError::Refused {
        code,
        detail: detail.to_owned(),
    })
}

fn read(envelope: &[u8]) -> Result<Transaction, LedgerError> {
    serde_json::from_slice(envelope).map_err(|error| LedgerError::Misconfigured(error.to_string()))
}

fn check_network(burn: &PreparedBurn) -> Result<(), LedgerError> {
    if burn.slot.network == NETWORK {
        Ok(())
    } else {
        Err(LedgerError::Misconfigured("another network".to_owned()))
    }
}

#[async_trait]
impl LedgerBurner for NonceBurner {
    fn network(&self) -> &str {
        NETWORK
    }

    async fn prepare(&self, order: &BurnOrder) -> Result<PreparedBurn, LedgerError> {
        let Some((held, _)) = self.chain.account(&order.wallet_account_id) else {
            return refused("no_account", "there is no such wallet");
        };
        if order.amount == Amount::ZERO {
            return refused("malformed", "nothing cannot be burned");
        }
        if held < order.amount.stroops() {
            return refused("underfunded", "the wallet holds less");
        }
        let Some((_, used)) = self.chain.account(&order.sequence_account_id) else {
            return Err(LedgerError::UnfitSequenceAccount {
                code: "no_sequence_account",
                detail: "there is no such account".to_owned(),
            });
        };
        let (block, now) = self.chain.tip();
        let transaction = Transaction {
            account: order.sequence_account_id.clone(),
            nonce: used + 1,
            wallet: order.wallet_account_id.clone(),
            stroops: order.amount.stroops(),
            memo: order.memo,
            fee: FEE,
            valid_until: now + TimeDelta::seconds(LIFE_SECONDS),
        };
        Ok(PreparedBurn {
            id: BurnId(transaction.id()),
            envelope: transaction.bytes(),
            memo: order.memo,
            slot: LedgerSlot {
                network: NETWORK.to_owned(),
                account: transaction.account.clone(),
                sequence: transaction.nonce,
            },
            valid_until: transaction.valid_until,
            signed_at_ledger: block,
            replacements: Vec::new(),
        })
    }

    async fn submit(&self, burn: &PreparedBurn) -> Result<SubmitHint, LedgerError> {
        check_network(burn)?;
        self.chain.send(read(burn.newest_envelope())?);
        Ok(SubmitHint {
            said: "taken".to_owned(),
            fee_asked: None,
        })
    }

    async fn outbid(
        &self,
        burn: &PreparedBurn,
        fee_asked: u64,
    ) -> Result<Option<Replacement>, LedgerError> {
        let newest = read(burn.newest_envelope())?;
        if newest.fee >= fee_asked {
            return Ok(None);
        }
        let dearer = Transaction {
            fee: fee_asked,
            ..newest
        };
        Ok(Some(Replacement {
            id: BurnId(dearer.id()),
            envelope: dearer.bytes(),
            valid_until: dearer.valid_until,
        }))
    }

    /// One reading of the whole chain, so the order of the questions does not matter here.
    async fn verdict(&self, burn: &PreparedBurn) -> Result<Verdict, LedgerError> {
        check_network(burn)?;
        let (block, closed_at) = self.chain.tip();
        let included = self.chain.included();
        let ours = included
            .iter()
            .find(|held| burn.ids().any(|id| id.0 == held.transaction.id()));
        let lookup = ours.map_or(Lookup::NotFound, |held| {
            if held.succeeded {
                Lookup::Succeeded {
                    burn: BurnId(held.transaction.id()),
                    ledger: held.block,
                    as_ordered: true,
                }
            } else {
                Lookup::Failed {
                    ledger: held.block,
                    code: "failed".to_owned(),
                }
            }
        });
        let taker = included.iter().find(|held| {
            let slot = (&held.transaction.account, held.transaction.nonce);
            slot == (&burn.slot.account, burn.slot.sequence)
        });
        let used = self.chain.account(&burn.slot.account);
        let testimony = Testimony {
            lookup,
            closed: Some(ClosedLedger {
                sequence: block,
                closed_at,
            }),
            account: AccountRead {
                ledger: block,
                sequence: used.map(|(_, nonce)| nonce),
            },
            scan: Some(Scan {
                from: 0,
                to: block,
                taker: taker.map(|held| BurnId(held.transaction.id())),
            }),
        };
        Ok(decide(burn, &testimony))
    }

    async fn burns_since(
        &self,
        from: Option<u32>,
        wallets: &[String],
    ) -> Result<BurnsSeen, LedgerError> {
        let (to, _) = self.chain.tip();
        let Some(from) = from else {
            return Ok(BurnsSeen {
                from: to,
                to,
                burns: Vec::new(),
            });
        };
        let of_ours = self.chain.included().into_iter().filter(|held| {
            held.succeeded && held.block >= from && wallets.contains(&held.transaction.wallet)
        });
        let burns = of_ours.map(|held| {
            let amount = Amount::try_from_stroops(held.transaction.stroops)
                .map_err(|error| LedgerError::Unavailable(error.to_string()))?;
            Ok(SeenBurn {
                id: BurnId(held.transaction.id()),
                ledger: held.block,
                wallet_account_id: held.transaction.wallet.clone(),
                amount,
                memo: Some(held.transaction.memo),
            })
        });
        Ok(BurnsSeen {
            from,
            to,
            burns: burns.collect::<Result<_, LedgerError>>()?,
        })
    }

    async fn ready(&self) -> Result<(), LedgerError> {
        Ok(())
    }
}
