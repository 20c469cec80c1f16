//! Questions asked in turns: through the port, in plain SQL on the same tables, and over HTTP, so that all
//! three meet the machine in the same mood; and then of the usual table. The server's cache has room for
//! one of the two at a time.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sqlx::{AssertSqlSafe, PgConnection, raw_sql};
use tranche_adapters_postgres::PostgresStore;
use tranche_application::audit::filter::EventFilter;
use tranche_application::ports::audit_search::{AuditSearch, Bucket, EventPage, Scope, StatsQuery};
use tranche_application::ports::store::StoreError;
use tranche_benches::client::Client;
use tranche_benches::content::Random;

use uuid::Uuid;

use crate::figures::Samples;
use crate::kinds::Kind;
use crate::rows::Span;

/// Who is asked.
pub struct Asked {
    pub store: PostgresStore,
    pub connection: PgConnection,
    pub client: Option<Client>,
    pub span: Span,
}

/// How long one kind of question is asked, and how often at most.
#[derive(Clone, Copy)]
pub struct Budget {
    pub longest: Duration,
    pub most: usize,
}

/// Of what the same questions are asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// The log, in three ways.
    Log,
    /// The table of the usual design.
    Usual,
}

/// Questions before the clock counts: plans are made and pages read.
const WARM: usize = 6;
/// How often rows are counted, which takes seconds.
const COUNTED: usize = 5;

fn micros(begun: Instant) -> Result<u64> {
    Ok(u64::try_from(begun.elapsed().as_micros())?)
}

impl Asked {
    /// Plain SQL, whole; in microseconds. Nothing when it takes longer than a search may.
    async fn plain(&mut self, sql: String) -> Result<(u64, usize)> {
        let begun = Instant::now();
        let rows = raw_sql(AssertSqlSafe(sql)).fetch_all(&mut self.connection);
        let rows = rows.await?.len();
        Ok((micros(begun)?, rows))
    }

    /// Over HTTP; in microseconds.
    async fn http(&mut self, path: Option<String>) -> Result<Option<u64>> {
        let (Some(client), Some(path)) = (self.client.as_mut(), path) else {
            return Ok(None);
        };
        let begun = Instant::now();
        let (status, said) = client.get(&path).await?;
        let took = micros(begun)?;
        ensure!(
            status.is_success(),
            "{path}: {status}: {}",
            String::from_utf8_lossy(&said)
        );
        Ok(Some(took))
    }

    /// Events of one kind of question.
    pub async fn events(
        &mut self,
        of: Of,
        kind: Kind,
        budget: Budget,
        samples: &mut Samples,
    ) -> Result<()> {
        let mut random = Random::new(7);
        let (begun, mut in_sql) = (Instant::now(), Duration::ZERO);
        for turn in 0..budget.most + WARM {
            if turn > WARM && begun.elapsed() > budget.longest + in_sql {
                break;
            }
            let question = kind.ask(&mut random, self.span);
            if of == Of::Usual {
                let (took, _) = self.plain(question.sql("usual_log", "occurred_at")).await?;
                samples.usual(turn >= WARM, took);
                continue;
            }
            let asked = Instant::now();
            let found = self
                .store
                .events(&question.filter, Scope::All, question.page);
            let found = match found.await {
                Err(StoreError::TooMuch) => {
                    samples.refused += 1;
                    continue;
                }
                found => found?.len(),
            };
            let port = micros(asked)?;
            // Plain SQL may take all the time there is.
            let sql = if in_sql < budget.longest / 3 {
                let (took, rows) = self.plain(question.sql("audit_events", "id")).await?;
                ensure!(found == rows, "{kind:?}: {found} events, {rows} rows");
                in_sql += Duration::from_micros(took);
                Some(took)
            } else {
                None
            };
            let http = self.http(question.path()).await?;
            samples.log(turn >= WARM, port, sql, http);
        }
        Ok(())
    }

    /// Statistics since a moment, by day.
    pub async fn statistics(
        &mut self,
        of: Of,
        days: Option<i64>,
        budget: Budget,
        samples: &mut Samples,
    ) -> Result<()> {
        let from = days.map(|days| self.span.last - chrono::TimeDelta::days(days));
        let query = StatsQuery {
            filter: EventFilter {
                from,
                ..EventFilter::default()
            },
            bucket: Bucket::Day,
        };
        let since = from.map_or(String::new(), |from| {
            format!(" WHERE occurred_at >= '{}'", from.to_rfc3339())
        });
        let sql = |table: &str| {
            format!(
                "SELECT severity, action, resource_type, date_trunc('day', occurred_at, 'UTC'),
                    count(*) FROM {table}{since} GROUP BY 1, 2, 3, 4"
            )
        };
        if of == Of::Usual {
            for _ in 0..COUNTED {
                let (took, _) = self.plain(sql("usual_log")).await?;
                samples.usual(true, took);
            }
            return Ok(());
        }
        let mut path = "/v1/audit/stats?bucket=day".to_owned();
        if let Some(from) = from {
            let from = from.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
            path = format!("{path}&from={from}");
        }
        let begun = Instant::now();
        for turn in 0..budget.most + WARM {
            if turn > WARM + COUNTED && begun.elapsed() > budget.longest {
                break;
            }
            let asked = Instant::now();
            let stats = self.store.stats(&query, Scope::All).await?;
            let port = micros(asked)?;
            let sql = if (WARM..WARM + COUNTED).contains(&turn) {
                Some(self.plain(sql("audit_events")).await?.0)
            } else {
                None
            };
            let http = self.http(Some(path.clone())).await?;
            ensure!(stats.total > 0, "there is nothing to count");
            samples.log(turn >= WARM, port, sql, http);
        }
        Ok(())
    }

    /// One event by its id.
    pub async fn one(&mut self, of: Of, budget: Budget, samples: &mut Samples) -> Result<()> {
        let mut random = Random::new(9);
        let begun = Instant::now();
        for turn in 0..budget.most + WARM {
            if turn > WARM && begun.elapsed() > budget.longest {
                break;
            }
            let question = Kind::Deep.ask(&mut random, self.span);
            let page = EventPage {
                limit: 1,
                ..question.page
            };
            let some = self
                .store
                .events(&question.filter, Scope::All, page)
                .await?;
            let Some(id) = some.first().map(|logged| logged.event.id) else {
                continue;
            };
            let text = |table| format!("SELECT * FROM {table} WHERE id = '{id}'");
            if of == Of::Usual {
                let (took, _) = self.plain(text("usual_log")).await?;
                samples.usual(turn >= WARM, took);
                continue;
            }
            let asked = Instant::now();
            let found = self.store.event(id, Scope::All).await?;
            let port = micros(asked)?;
            found.with_context(|| format!("{id} is not there"))?;
            let (sql, _) = self.plain(text("audit_events")).await?;
            let http = self.http(Some(format!("/v1/audit/events/{id}"))).await?;
            samples.log(turn >= WARM, port, Some(sql), http);
        }
        Ok(())
    }

    /// The id of the newest event.
    pub async fn newest(&self) -> Result<Uuid> {
        let page = EventPage {
            before: None,
            offset: 0,
            limit: 1,
            archived: false,
        };
        let all = EventFilter::default();
        let some = self.store.events(&all, Scope::All, page).await?;
        Ok(some.first().context("the log is empty")?.event.id)
    }

    /// Events a second in the order of the log, as followers and exports read them.
    pub async fn in_order(&mut self, longest: Duration) -> Result<u64> {
        let (begun, all) = (Instant::now(), EventFilter::default());
        let (mut from, mut events) = (0, 0_u64);
        while begun.elapsed() < longest {
            let part = self.store.in_order(from, &all, Scope::All, 1_000);
            let part = part.await?;
            if part.next == from {
                break;
            }
            ensure!(
                part.events.len() == usize::try_from(part.next - from)?,
                "leaves from {from} on have no events"
            );
            events += u64::try_from(part.events.len())?;
            from = part.next;
        }
        Ok(events * 1_000_000 / micros(begun)?.max(1))
    }
}
