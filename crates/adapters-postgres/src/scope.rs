//! How far a transaction sees the audit log.
//!
//! The role that the service takes sees no event, and writes none, until its transaction says how
//! far it sees (`migrations/0009_access.sql`). It is said in the statement that begins the
//! transaction, so that it costs no round trip of its own and ends with the transaction.

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};
use tranche_application::ports::audit_search::Scope;

/// The role of every connection but those that change the schema.
pub(crate) const ROLE: &str = "tranche_application";

/// The role by which events leave the log.
pub(crate) const RETENTION: &str = "tranche_retention";

/// What begins a unit of work: it writes events of whatever project.
pub(crate) const BEGIN: &str = "BEGIN; SET LOCAL tranche.scope = 'all'";

/// As [`BEGIN`], for the pipeline. Tables that grow by millions of rows, or empty all the time,
/// outrun the figures that plans are made from, and a plan is kept: one that reads such a table whole
/// was fast for a minute. Every statement of the pipeline has its index.
pub(crate) const BEGIN_PIPELINE: &str =
    "BEGIN; SET LOCAL tranche.scope = 'all'; SET LOCAL enable_seqscan = off";

/// As [`BEGIN_PIPELINE`], for the sealer. What waits is taken in the order of its key, a little of it: a
/// bitmap would be of all that waits, to be sorted then.
pub(crate) const BEGIN_SEALING: &str = "BEGIN; SET LOCAL tranche.scope = 'all';
    SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off";

/// As [`BEGIN_SEALING`], only to look.
pub(crate) const BEGIN_LOOKING: &str = "BEGIN READ ONLY; SET LOCAL tranche.scope = 'all';
    SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off";

/// What begins to read for somebody who sees so far.
pub(crate) fn begin_reading(scope: Scope) -> SqlStr {
    begin_with("BEGIN READ ONLY", scope)
}

/// This beginning, for somebody who sees so far.
pub(crate) fn begin_with(begin: &'static str, scope: Scope) -> SqlStr {
    let begin = match scope {
        Scope::All => format!("{begin}; SET LOCAL tranche.scope = 'all'"),
        // A UUID is hex digits and hyphens.
        Scope::Project(id) => format!("{begin}; SET LOCAL tranche.scope = '{}'", id.0),
    };
    AssertSqlSafe(begin).into_sql_str()
}

#[cfg(test)]
mod tests {
    use tranche_domain::ProjectId;
    use uuid::Uuid;

    use super::*;

    /// A connection goes back to the pool with nothing of what it saw.
    #[test]
    fn what_a_transaction_may_see_ends_with_it() {
        let project = Scope::Project(ProjectId(Uuid::nil()));
        let made = [Scope::All, project].map(begin_reading);
        let made = made.iter().map(SqlStr::as_str);
        let said = [BEGIN, BEGIN_PIPELINE, BEGIN_SEALING, BEGIN_LOOKING];
        for begin in said.into_iter().chain(made) {
            let (first, settings) = begin.split_once(';').unwrap();
            assert!(first.starts_with("BEGIN"), "{begin}");
            assert!(settings.contains("tranche.scope"), "{begin}");
            for setting in settings.split(';') {
                assert!(setting.trim_start().starts_with("SET LOCAL "), "{begin}");
            }
        }
    }
}
