//! The disbursement protocol against a model of everything around it.
//!
//! Two replicas drive the burns of one project's milestones, step by step, through a ledger that
//! lags, forgets and loses what it is told. A *schedule* says what happens and in which order; tens
//! of thousands are drawn at random, each is played without any I/O, and a broken one is shrunk and
//! told as a numbered list.
//!
//! After every step (**safety**, `check`): at most one burn a milestone; nothing on the ledger that
//! was not kept before it was sent; settled means burned, in that ledger; failed means never burned,
//! then or later; NAV, reservation and counters are the sums of the disbursements; one event for
//! every order, settlement and failure; a channel account is leased by one open disbursement; a
//! person is called with reason only.
//! When the faults have stopped (**liveness**, `play`): within a bounded number of ledgers every
//! disbursement is settled, failed, or waits for a person because no node can prove anything any
//! more; what left the NAV is what burned; and every milestone that is still approved is disbursed
//! when somebody asks again.
//!
//! **Real:** the domain's plans, commands and `decide`. **Modelled:**
//! - the ledger (`ledger`): sequence numbers, validity by close time with ledgers that share a
//!   second, loss, late inclusion, refusal, and somebody else with the key who uses a number, passes
//!   it, or removes the account and creates it anew;
//! - two nodes (`node`), each with its own past, memory, queue (one transaction an account, dropped
//!   after 4 ledgers), ban list (10 ledgers), fees, and answers to sending; a lookup reads the
//!   transaction first and its newest ledger later;
//! - the database (`store`): versions, unique constraints, leases, commits that fail or are done
//!   and not heard of;
//! - two replicas (`replica`, `prepare`, `send`, `outbid`, `advance`, `ends`), each with a request and
//!   a reconciler, whose steps mirror the application's and the Stellar adapter's: a request may be
//!   lost before or after it acts, or act long after its sender gave up; a node that asks for a higher
//!   fee gets a further envelope, a fee bump or the burn signed anew; a replica may be killed between
//!   any two steps.
//!
//! **Not modelled:** units of work that interleave (the row locks; `tests/contract` holds the
//! stores to them), several ends in one unit of work, what people decide, idempotency keys, a database restored from an old backup, a node that lies, a
//! reset network, transactions that cannot be read. What the adapter does out of caution beyond the
//! domain's proof (no expiry by a state older than the newest seen) is left out on purpose: the
//! protocol must be safe without it.
//!
//! **The checker is checked** (`variants`): two habits of other platforms are kept as parameters of
//! the replica, and each must be found to burn twice.
//!
//! Every test prints its seed. To play the same schedules again, or more of them:
//! ```text
//! TRANCHE_MODEL_SEED=42 TRANCHE_MODEL_SCHEDULES=1000000 \
//!     cargo test -p tranche-tests --test model -- --nocapture
//! ```

#[cfg(test)]
mod advance;
#[cfg(test)]
mod check;
#[cfg(test)]
mod ends;
#[cfg(test)]
mod ledger;
#[cfg(test)]
mod node;
#[cfg(test)]
mod outbid;
#[cfg(test)]
mod play;
#[cfg(test)]
mod prepare;
#[cfg(test)]
mod replica;
#[cfg(test)]
mod runs;
#[cfg(test)]
mod schedule;
#[cfg(test)]
mod send;
#[cfg(test)]
mod sound;
#[cfg(test)]
mod store;
#[cfg(test)]
mod variants;
#[cfg(test)]
mod world;
