//! The queue of audit events on Redis Streams, for several processes on several machines.
//!
//! # What it promises
//! - What [`push`] said is in, is on the disk of Redis, and is given out until somebody says that it
//!   is done: at least once. For that, Redis must have `appendonly yes`, `appendfsync always` and
//!   `maxmemory-policy noeviction`. [`RedisQueue::connect`] refuses one that forgets, and warns where
//!   it cannot tell. It also warns of `appendfsync everysec`: a machine that fails then takes the last
//!   second with it. Replicas are not waited for: a failover may lose what they had not got yet.
//! - Never more than the limit waits, however many push: counting and appending are one script.
//! - Nobody waits for one command longer than the deadline, though Redis hangs. A connection that fell
//!   silent is given up, and everything goes on by itself when Redis is back.
//!
//! # How it works
//! One stream holds an entry for each event: `event` is its JSON, `at` when it was pushed. All workers
//! are one consumer group. An entry leaves the stream when it is done and never by trimming, so the
//! length of the stream is what waits or is held.
//!
//! - [`push`] sends pieces of a thousand events or a megabyte, one after the other, because Redis does
//!   nothing else while it runs a script. It ends at the first that finds no room for all.
//! - [`take`] gives the first of these that there is: what Redis gave to this consumer and never
//!   arrived (asked only after a take was interrupted or failed); what somebody gave back; what was
//!   held longer than [`Settings::claim_after`] (looked for twice in that time, a thousand at once);
//!   what is new, waiting for it on a connection of its own. While it waits it looks again at least
//!   once a second.
//! - [`done`] acknowledges and deletes in one transaction. It comes after the commit to the log: a
//!   crash between the two gives the event out again, and the log passes over it.
//! - [`give_back`] hands the entries to a consumer `returned`, which never takes: whoever takes next,
//!   in whichever process, has them.
//!
//! A consumer that disappeared is removed once others have claimed what it held. A stream or group
//! that somebody deleted is made again, and everything in the stream is given out from its beginning.
//! An entry that is no event is given out as unreadable, and is in nobody's way.
//!
//! # What it costs
//! A push is one round trip and one flush of the disk for each piece; those who push at the same time
//! share the flush. A take is two round trips. Redis also writes down who took what, and rewrites its
//! file when that has grown (`auto-aof-rewrite-percentage`). [`depth`] is exact in number and moment;
//! its bytes are an estimate above 32 entries: those of the fields of 16 entries at each end of the
//! stream, times the length. With `appendfsync always`, Redis ends itself when its disk is full.
//!
//! It needs Redis 7 and an account that may use the commands listed in `tests/it/durability.rs`. TLS
//! (`rediss://`) trusts the public authorities and nobody else.
//!
//! [`push`]: tranche_application::ports::queue::AuditQueue::push
//! [`take`]: tranche_application::ports::queue::AuditQueue::take
//! [`done`]: tranche_application::ports::queue::AuditQueue::done
//! [`give_back`]: tranche_application::ports::queue::AuditQueue::give_back
//! [`depth`]: tranche_application::ports::queue::AuditQueue::depth

mod commands;
mod durability;
mod entry;
mod error;
mod held;
mod link;
mod queue;
mod readers;
mod settings;

pub use entry::Waiting;
pub use error::{ConnectError, Fault};
pub use queue::RedisQueue;
pub use settings::Settings;
