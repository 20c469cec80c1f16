//! Searching the ledgers for whatever used a sequence number.
//!
//! Each page of `getTransactions` is one consistent reading, and a page that is not full reaches the
//! newest ledger it names; so pages joined by their cursors leave no gap. The search goes on until it
//! finds what used the number or reaches the account's ledger, even past the end of every envelope we
//! know: a restored database may have forgotten a later one.
//! Cost: one request for a hundred transactions, from the signing to the use of the number.

use stellar_xdr::{AccountId, TransactionEnvelope, TransactionResult};
use tranche_application::ports::burner::LedgerError;
use tranche_domain::disbursement::BurnId;
use tranche_domain::disbursement::verdict::Lookup;

use crate::classify::held::{Held, used_its_sequence};
use crate::classify::{Included, Ours, codes, decode};
use crate::rpc::wire::{GetTransactions, Record, Status};
use crate::rpc::{PAGE, Rpc, Start};

/// More than a full network writes in the longest time to live; beyond it nothing is concluded.
const MOST_PAGES: usize = 5_000;

/// What to look for, and where.
pub(super) struct Search<'a> {
    pub rpc: &'a Rpc,
    /// The network's id, which every hash begins with.
    pub network_id: [u8; 32],
    /// Our burn, by each of its names.
    pub ours: &'a [Ours],
    /// The account whose sequence number was used.
    pub source: &'a AccountId,
    /// The number.
    pub sequence: i64,
    /// What every envelope of the burn carries, those we forgot too.
    pub memo: [u8; 32],
    /// The first ledger to search.
    pub from: u32,
    /// The ledger in whose state the number is used.
    pub reach: u32,
}

/// What was found.
pub(super) enum Found {
    /// Our burn, and what became of it.
    Ours(Lookup),
    /// A success that used the number and carries our memo under a name we do not know: perhaps our
    /// burn, by an envelope that was forgotten.
    Forgotten { taker: BurnId, ledger: u32 },
    /// Another transaction that used the number.
    Other(BurnId),
    /// Neither.
    Nothing,
}

/// What was found, and which ledgers were searched without a gap.
pub(super) struct Searched {
    pub from: u32,
    pub to: u32,
    pub found: Found,
}

/// What one transaction is to the search.
enum Sight {
    Found(Found),
    Passed,
    /// It cannot be read, so it may be anything.
    Unreadable(String),
}

impl Search<'_> {
    pub(super) async fn run(&self) -> Result<Searched, LedgerError> {
        let mut page = self.rpc.get_transactions(Start::Ledger(self.from)).await?;
        let mut searched = Searched {
            from: self.from.max(page.oldest_ledger),
            to: 0,
            found: Found::Nothing,
        };
        for _ in 0..MOST_PAGES {
            if self.take(&page, &mut searched)? {
                return Ok(searched);
            }
            let cursor = match page.cursor.as_deref() {
                Some(cursor) if !cursor.is_empty() => cursor,
                _ => return Err(unavailable("a full page without a cursor")),
            };
            let next = self.rpc.get_transactions(Start::Cursor(cursor)).await?;
            if next.cursor == page.cursor && !next.transactions.is_empty() {
                return Err(unavailable("the cursor stands still"));
            }
            page = next;
        }
        Err(unavailable("the listing does not end"))
    }

    /// Searches one page. Whether the search is over.
    fn take(&self, page: &GetTransactions, searched: &mut Searched) -> Result<bool, LedgerError> {
        for record in &page.transactions {
            match self.look_at(record)? {
                Sight::Passed => searched.to = record.ledger.saturating_sub(1),
                Sight::Found(found) => {
                    searched.to = record.ledger;
                    searched.found = found;
                    return Ok(true);
                }
                Sight::Unreadable(error) => {
                    tracing::warn!(
                        transaction = record.tx_hash,
                        ledger = record.ledger,
                        error,
                        "a transaction cannot be read; the ledgers up to it do not count as searched"
                    );
                    searched.from = record.ledger.saturating_add(1);
                }
            }
        }
        if page.transactions.len() < PAGE {
            searched.to = page.latest_ledger;
            return Ok(true);
        }
        // Transactions of the last ledger may be missing from this page.
        Ok(searched.to >= self.reach)
    }

    fn look_at(&self, record: &Record) -> Result<Sight, LedgerError> {
        let held = decode::<TransactionEnvelope>(&record.envelope_xdr).and_then(|envelope| {
            Held::of(&envelope, self.network_id).map_err(|error| error.to_string())
        });
        let held = match held {
            Ok(held) => held,
            Err(error) => return Ok(Sight::Unreadable(error)),
        };
        if let Some(ours) = self.ours.iter().find(|ours| ours.hash == held.hash) {
            let lookup = ours.included(&Included {
                status: record.status,
                envelope: &record.envelope_xdr,
                result: &record.result_xdr,
                ledger: record.ledger,
            })?;
            return Ok(match lookup {
                Lookup::NotFound => Sight::Passed,
                lookup => Sight::Found(Found::Ours(lookup)),
            });
        }
        if held.source != *self.source || held.sequence != self.sequence {
            return Ok(Sight::Passed);
        }
        Ok(match decode::<TransactionResult>(&record.result_xdr) {
            Err(error) => Sight::Unreadable(error),
            Ok(result) if used_its_sequence(&result, held.bumped) => {
                let taker = BurnId(record.tx_hash.clone());
                // Only a failure by both accounts has certainly burned nothing.
                let failed = record.status == Status::Failed && codes::of_result(&result).is_some();
                Sight::Found(if held.memo == Some(self.memo) && !failed {
                    let ledger = record.ledger;
                    Found::Forgotten { taker, ledger }
                } else {
                    Found::Other(taker)
                })
            }
            Ok(_) => Sight::Passed,
        })
    }
}

fn unavailable(detail: &str) -> LedgerError {
    LedgerError::Unavailable(format!("getTransactions: {detail}"))
}
