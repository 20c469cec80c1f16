//! Milestones to approve and burns to settle, and whether they were.

use std::collections::BTreeMap;
use std::vec::IntoIter;

use anyhow::{Context, Result, ensure};
use sqlx::PgConnection;
use tranche_adapters_postgres::{PostgresConfig, PostgresStore};
use tranche_benches::server::Server;
use uuid::Uuid;

use crate::plan::{Act, Plan};
use crate::service::APPROVER;

pub const DATABASE: &str = "tranche";

/// In an order that has nothing to do with where the rows lie.
const SUBMITTED: &str =
    "SELECT id FROM milestones WHERE status = 'submitted' ORDER BY md5(id::text)";
/// Those of the hot project, or all the others.
const IN_FLIGHT: &str = "SELECT d.id FROM disbursements d JOIN projects p ON p.id = d.project_id
    WHERE (p.name = 'Project 5001') = $1 ORDER BY md5(d.id::text)";

/// Milestones that are as they should be, with the evidence of it in the log and on its way into
/// the tree.
const APPROVED: &str = "SELECT count(*) FROM milestones m
    JOIN milestone_evidence e ON e.milestone_id = m.id AND e.version = m.version
    JOIN audit_events a ON a.severity = 'critical' AND a.id = e.event_id
    JOIN audit_pending p ON p.event_id = a.id
    WHERE m.id = ANY ($1) AND m.status = 'approved' AND m.approved_by = $2
        AND a.milestone_id = m.id AND a.action = 'milestone.approved'";
const SETTLED: &str = "SELECT count(*) FROM disbursements d
    JOIN milestones m ON m.id = d.milestone_id
    JOIN milestone_evidence e ON e.milestone_id = m.id AND e.version = m.version
    JOIN audit_events a ON a.severity = 'critical' AND a.id = e.event_id
    JOIN audit_pending p ON p.event_id = a.id
    WHERE d.id = ANY ($1) AND d.state = 'settled' AND m.status = 'disbursed'
        AND m.burned = d.amount AND m.burn_id = d.burn_id
        AND a.milestone_id = m.id AND a.action = 'milestone.disbursed'";

const BOOKS: &str = "SELECT nav::bigint, reserved::bigint, completed::bigint,
        (SELECT count(*) FROM audit_events), (SELECT count(*) FROM audit_pending)
    FROM (SELECT sum(nav) AS nav, sum(nav_reserved) AS reserved,
        sum(completed_milestones) AS completed FROM projects) sums";

/// NAV and reservations in stroops, completed milestones, events, leaves to come.
pub type Books = (i64, i64, i64, i64, i64);

pub struct Stock {
    connection: PgConnection,
    left: BTreeMap<Act, IntoIter<Uuid>>,
}

impl Stock {
    pub async fn init(server: &Server, plan: &Plan) -> Result<Self> {
        server.create(DATABASE).await?;
        let url = server.url(DATABASE);
        let store = PostgresStore::connect(&url, PostgresConfig::default()).await?;
        store.migrate().await?;
        store.close().await;
        let mut connection = server.connect(DATABASE).await?;
        let wanted = [
            ("seed.approvals", Act::Approve),
            ("seed.settlements", Act::Settle),
            ("seed.hot", Act::SettleHot),
        ];
        for (setting, act) in wanted {
            sqlx::query("SELECT set_config($1, $2, false)")
                .bind(setting)
                .bind(plan.total(act).to_string())
                .execute(&mut connection)
                .await?;
        }
        sqlx::raw_sql(include_str!("seed.sql"))
            .execute(&mut connection)
            .await?;
        let mut left = BTreeMap::new();
        let submitted: Vec<_> = sqlx::query_scalar(SUBMITTED)
            .fetch_all(&mut connection)
            .await?;
        left.insert(Act::Approve, submitted.into_iter());
        for (act, hot) in [(Act::Settle, false), (Act::SettleHot, true)] {
            let in_flight: Vec<_> = sqlx::query_scalar(IN_FLIGHT)
                .bind(hot)
                .fetch_all(&mut connection)
                .await?;
            left.insert(act, in_flight.into_iter());
        }
        Ok(Self { connection, left })
    }

    /// Clears away what former rounds left behind, and gets what they wrote to the disk.
    pub async fn tidy(&mut self) -> Result<()> {
        for text in ["VACUUM ANALYZE", "CHECKPOINT"] {
            sqlx::raw_sql(text).execute(&mut self.connection).await?;
        }
        Ok(())
    }

    /// What each client is to work through.
    pub fn take(&mut self, act: Act, clients: u32, each: u32) -> Result<Vec<Vec<Uuid>>> {
        let left = self.left.get_mut(&act).context("nothing was seeded")?;
        let each = usize::try_from(each)?;
        (0..clients)
            .map(|_| {
                let share: Vec<_> = left.take(each).collect();
                ensure!(share.len() == each, "too little was seeded");
                Ok(share)
            })
            .collect()
    }

    pub async fn books(&mut self) -> Result<Books> {
        Ok(sqlx::query_as(BOOKS)
            .fetch_one(&mut self.connection)
            .await?)
    }

    /// Fails unless everything was done, each once, and nothing else.
    pub async fn check(&mut self, act: Act, ids: &[Uuid], before: &Books) -> Result<()> {
        let done: i64 = match act {
            Act::Approve => {
                let query = sqlx::query_scalar(APPROVED).bind(ids).bind(APPROVER);
                query.fetch_one(&mut self.connection).await?
            }
            Act::Settle | Act::SettleHot => {
                let query = sqlx::query_scalar(SETTLED).bind(ids);
                query.fetch_one(&mut self.connection).await?
            }
        };
        let wanted = i64::try_from(ids.len())?;
        ensure!(
            done == wanted,
            "{}: {done} of {wanted} were done",
            act.name()
        );

        let (burned, completed) = match act {
            Act::Approve => (0, 0),
            Act::Settle | Act::SettleHot => (self.sum(ids).await?, wanted),
        };
        let after = self.books().await?;
        let moved = (
            before.0 - after.0,
            before.1 - after.1,
            after.2 - before.2,
            after.3 - before.3,
            after.4 - before.4,
        );
        let expected = (burned, burned, completed, wanted, wanted);
        ensure!(
            moved == expected,
            "{}: NAV, reservations, completed, events and leaves moved by {moved:?}, not by \
             {expected:?}",
            act.name()
        );
        Ok(())
    }

    async fn sum(&mut self, ids: &[Uuid]) -> Result<i64> {
        let text = "SELECT sum(amount)::bigint FROM disbursements WHERE id = ANY ($1)";
        let query = sqlx::query_scalar(text).bind(ids);
        Ok(query.fetch_one(&mut self.connection).await?)
    }
}
