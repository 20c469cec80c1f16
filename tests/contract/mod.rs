//! The rules of the store, as functions that run on any adapter.
//!
//! An adapter hands in a [`StoreUnderTest`] on an empty, migrated database and expands
//! [`store_contract!`](crate::store_contract) in its `tests/contract.rs`:
//!
//! ```ignore
//! async fn fresh() -> impl tranche_tests::contract::StoreUnderTest { … }
//! tranche_tests::store_contract!(fresh);
//! ```
//!
//! # What the database itself must refuse
//!
//! Whoever writes past the application meets the same rules, so they live in the schema:
//!
//! - `milestones (id, version)` references `milestone_evidence (milestone_id, version)`, deferred to
//!   the commit: a new or changed milestone without evidence does not commit.
//! - That key alone would let a row change *without* a new version, because the old evidence still
//!   stands. So a `BEFORE UPDATE` trigger demands `version = old.version + 1`.
//! - It would also let a row vanish, because nothing refers to it any more. So a `BEFORE DELETE`
//!   trigger demands evidence of version `old.version + 1`: the version of its absence. Evidence is
//!   therefore written before the milestone.
//! - And it would let a deleted row come back under its first evidence, or, where the database can
//!   replace rows, a row be replaced by another of the same version. So a `BEFORE INSERT` trigger
//!   demands version 1, no such milestone, and no evidence of a later version.
//! - `audit_events`, `audit_leaves` and `milestone_evidence` refuse UPDATE, DELETE, TRUNCATE and replacement.
//! - So do `audit_nodes`, `audit_checkpoints` and `audit_leaf_records`; the one row of `audit_tree` only grows.
//!
//! - Log and evidence are linked the other way too: nothing here can see whether the event that a
//!   piece of evidence names exists, because it may still be in the outbox. The completeness
//!   checker does.
//!
//! A unit of work whose step failed commits nothing and says so: what stands before the failed step
//! must not become half an act.
//!
//! # Names that the rules use in SQL
//!
//! | table | columns |
//! |---|---|
//! | `projects` | `id, name, nav, nav_reserved, lp_tokens_outstanding, total_milestones, completed_milestones, last_milestone_date, burn_policy, created_at, opening_nav` |
//! | `milestones` | `id, project_id, number, title, description, target_amount, status, submitted_by, submitted_at, rejection_reason, approved_by, approved_at, transfer_reference, transfer_amount, transfer_date, disbursed_by, burned, created_at, updated_at, version` |
//! | `milestone_evidence` | `milestone_id, version, event_id` |
//! | `disbursements` | `id, amount, ordered_by_role, prepared_at, signed_at_ledger, replacements, state, proposal, settled_at, settled_burn_id, settled_ledger, failure_code, attempts` |
//! | `ledger_burns`, `ledger_watch` | `ledger, amount`; `watched_from` |
//! | `audit_events` | `id, action, severity` |
//! | `audit_leaves` | `leaf_index, event_id` |
//! | `audit_pending` | `event_id` |
//! | `audit_subject_keys` | `id, subject, sealed, erased_at, created_at` |
//! | `audit_nodes`, `audit_checkpoints`, `audit_tree`, `audit_leaf_records` | `level, place`; `size, signed_at`; `size`; `leaf_index, record` |
//! | `audit_rollups`, `audit_dead_letters`, `audit_reports`, `audit_outbox`, `webhooks`, `webhook_secrets`, `channel_accounts`, `wallets`, `api_keys`, `idempotency_keys` | only counted |
//!
//! UUIDs are written as `'…'` literals of the hyphenated lower-case form, amounts as whole stroops.
#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "test support: a rule that does not hold fails its test"
)]

pub mod actors;
pub mod attacks;
pub mod books;
pub mod calendar;
pub mod channels;
pub mod counting;
pub mod deleting;
mod dialect;
pub mod evidence;
pub mod expiring;
pub mod idempotency;
pub mod leases;
pub mod leaving;
pub mod letters;
pub mod lifecycle;
mod log;
pub mod malformed;
pub mod numbering;
pub mod pipeline;
pub mod races;
pub mod reading;
pub mod retention;
mod rules;
pub mod scene;
pub mod seal;
pub mod sealed;
mod sealed_log;
pub mod search;
pub mod sensitive;
pub mod settlements;
pub mod subject_keys;
pub mod tampered;
mod tools;
pub mod trails;
pub mod tree;
pub mod unique;
pub mod units;
pub mod waiting;
pub mod walks;
pub mod webhooks;

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tranche_application::ports::actors::Actors;
use tranche_application::ports::audit_search::AuditSearch;
use tranche_application::ports::audit_store::AuditStore;
use tranche_application::ports::books::Books;
use tranche_application::ports::channels::Channels;
use tranche_application::ports::custody::{SealedSecrets, SealedWallets};
use tranche_application::ports::dead_letters::DeadLetters;
use tranche_application::ports::growth::LogGrowth;
use tranche_application::ports::queries::Queries;
use tranche_application::ports::reports::Reports;
use tranche_application::ports::retention::RetentionStore;
use tranche_application::ports::store::Store;
use tranche_application::ports::subject_keys::SubjectKeys;
use tranche_application::ports::tree::Tree;
use tranche_application::ports::verification::Verifiable;
use tranche_application::ports::webhooks::Webhooks;
use uuid::Uuid;

pub use dialect::Dialect;

/// A statement that the database refused, in its own words.
pub type Refused = String;

/// A row of the roll-ups.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RollUp {
    /// `hour` or `day`.
    pub bucket: String,
    /// Where it begins.
    pub starts_at: DateTime<Utc>,
    /// The events' severity.
    pub severity: String,
    /// The events' action.
    pub action: String,
    /// The events' kind of resource.
    pub resource_type: String,
    /// How many there are.
    pub events: i64,
}

/// A store on a fresh database, with the hooks that let a rule go past it.
#[async_trait]
pub trait StoreUnderTest: Send + Sync {
    /// Units of work.
    fn store(&self) -> Arc<dyn Store>;

    /// Reads.
    fn queries(&self) -> Arc<dyn Queries>;

    /// Sealed wallets.
    fn wallets(&self) -> Arc<dyn SealedWallets>;

    /// Everything that is sealed.
    fn secrets(&self) -> Arc<dyn SealedSecrets>;

    /// The books, for the watch.
    fn books(&self) -> Arc<dyn Books>;

    /// Channel accounts.
    fn channels(&self) -> Arc<dyn Channels>;

    /// The log, for the pipeline.
    fn audit_store(&self) -> Arc<dyn AuditStore>;
    /// The dead letters.
    fn dead_letters(&self) -> Arc<dyn DeadLetters>;

    /// The parts of the log.
    fn retention(&self) -> Arc<dyn RetentionStore>;
    /// Word of the log's growth.
    fn growth(&self) -> Arc<dyn LogGrowth>;
    /// Webhooks.
    fn webhooks(&self) -> Arc<dyn Webhooks>;
    /// What processes tell of themselves.
    fn reports(&self) -> Arc<dyn Reports>;

    /// The keys under which sensitive details are sealed.
    fn subject_keys(&self) -> Arc<dyn SubjectKeys>;
    /// The log, as it is read.
    fn search(&self) -> Arc<dyn AuditSearch>;
    /// Who the actors are.
    fn actors(&self) -> Arc<dyn Actors>;

    /// Makes a month of the archive, moves the rows of the log there that belong to it, whatever
    /// their severity, and says how many there were.
    async fn archive(&self, month: DateTime<Utc>) -> u64;

    /// The public tree.
    fn tree(&self) -> Arc<dyn Tree>;
    /// The audit store, for whoever verifies it.
    fn verifiable(&self) -> Arc<dyn Verifiable>;

    /// What its statements are written in.
    fn dialect(&self) -> Dialect;

    /// Takes away every trigger that [`StoreUnderTest::force`] would still meet.
    async fn drop_triggers(&self);

    /// The columns of a table with their types, as the database's own catalogue has them.
    async fn columns(&self, table: &str) -> Vec<(String, String)>;

    /// Another store on the same database, with connections of its own, as another process has.
    async fn second_store(&self) -> Arc<dyn Store>;

    /// Executes and commits one statement as the tables' owner, past the application, with every
    /// rule of the schema in force. Says how many rows it touched.
    async fn execute(&self, sql: &str) -> Result<u64, Refused>;

    /// As [`StoreUnderTest::execute`], with as many rules of the schema off as the database lets
    /// its owner turn off: makes rows that cannot be.
    async fn force(&self, sql: &str) -> Result<u64, Refused>;

    /// `SELECT count(*) FROM {from}`; `from` is a table with an optional `WHERE`.
    async fn count(&self, from: &str) -> i64;

    /// The leaf that waits for its number under this event.
    async fn pending_leaf(&self, event: Uuid) -> Option<Vec<u8>>;

    /// The leaf that has its number under this event.
    async fn numbered_leaf(&self, event: Uuid) -> Option<(i64, Vec<u8>)>;

    /// The bytes of this leaf, where they are kept because its event is gone.
    async fn leaf_record(&self, leaf_index: i64) -> Option<Vec<u8>>;

    /// Makes the log's part for the month of a moment, where a store has such parts.
    async fn make_month(&self, moment: DateTime<Utc>);

    /// The one number that a statement gives.
    async fn number(&self, sql: &str) -> i64;

    /// The time by the store's own clock.
    async fn now(&self) -> DateTime<Utc>;

    /// Every roll-up, sorted.
    async fn roll_ups(&self) -> Vec<RollUp>;

    /// The evidence of a milestone: version and event, by version.
    async fn evidence(&self, milestone: Uuid) -> Vec<(i64, Uuid)>;

    /// Makes every insert into `audit_events` fail with an error of the database (a trigger that
    /// raises will do), until [`StoreUnderTest::heal_audit_log`].
    async fn break_audit_log(&self);

    /// Ends what [`StoreUnderTest::break_audit_log`] began.
    async fn heal_audit_log(&self);

    /// Statements of this database that would change or empty `table` and must all be refused,
    /// beyond plain UPDATE and DELETE: TRUNCATE, INSERT OR REPLACE, … `id` names a row.
    fn other_ways_to_alter(&self, table: &str, id: Uuid) -> Vec<String>;
}
