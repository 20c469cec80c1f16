//! Questions and changes in turns: through the port, in plain SQL on the same tables, and on the usual
//! table. All meet the machine in the same mood.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row, raw_sql};
use tranche_adapters_postgres::PostgresStore;
use tranche_application::ports::audit_search::Scope;
use tranche_application::ports::trails::TrailStore;
use tranche_benches::content::{Moment, PROJECTS, Random};
use tranche_domain::text::ModelName;
use tranche_domain::trail::sums::{Counted, TimeRange};
use tranche_domain::trail::{
    CostAmount, JsonText, Part, Revised, Stated, TokenCount, TrailAmendment, TrailContent,
};
use tranche_domain::{
    Actor, EventId, MessageId, Occasion, Origin, ProjectId, Role, Trail, TrailChange,
};
use uuid::Uuid;

use crate::figures::Samples;
use crate::fill::Span;

/// Who is asked, and of what.
pub struct Asked {
    pub store: PostgresStore,
    pub connection: PgConnection,
    pub span: Span,
    pub budget: Budget,
}

/// How long one kind of question is asked, and how often at most.
#[derive(Clone, Copy)]
pub struct Budget {
    pub longest: Duration,
    pub most: usize,
}

/// Questions before the clock counts: plans are made and pages read.
const WARM: usize = 10;
/// How often every row is counted, which takes seconds.
const RECOUNTS: usize = 5;
/// Trails a batch of the clean-up, as the service has it.
const BATCH: u32 = 1_000;
const REASONING: &str = r#"[{"step":1,"thought":"the report names twelve wells, of which ten were drilled and tested before the rains; pumps and pipes are on the list of costs"}]"#;

fn micros(begun: Instant) -> Result<u64> {
    Ok(u64::try_from(begun.elapsed().as_micros())?)
}

fn tokens(prompt: Option<u64>, completion: u64) -> Result<Stated<TokenCount>> {
    Ok(Stated {
        prompt: prompt.map(TokenCount::try_new).transpose()?,
        completion: Some(TokenCount::try_new(completion)?),
        total: None,
    })
}

fn cost(prompt: Option<&str>, completion: &str) -> Result<Stated<CostAmount>> {
    Ok(Stated {
        prompt: prompt.map(str::parse).transpose()?,
        completion: Some(completion.parse()?),
        total: None,
    })
}

/// A new trail of now.
fn opened(random: &mut Random) -> Result<TrailChange> {
    let now = DateTime::from_timestamp_micros(Moment::now().0.try_into()?).context("a time")?;
    let number = random.below(1_000);
    // As the projects were made: decimal digits.
    let project = format!("01928f00-0000-7000-8000-{number:012}").parse()?;
    let content = TrailContent {
        created_at: Some(now),
        model: Some(ModelName::try_new("model-1")?),
        reasoning_traces: Some(JsonText::try_new(REASONING)?),
        context_layers: Some(JsonText::try_new(r#"{"layers":[]}"#)?),
        tokens: Some(tokens(Some(1_200), 300)?),
        cost: Some(cost(Some("0.000300"), "0.000375")?),
    };
    let id = (u128::from(random.next()) << 64) | u128::from(random.next());
    Ok(Trail::open(
        MessageId(Uuid::from_u128(id)),
        ProjectId(project),
        content,
        now,
    )?)
}

/// Another cost and another token: an audited change of a completed trail.
fn amended(trail: Trail, random: &mut Random) -> Result<TrailChange> {
    let moment = Moment::now().0;
    let spent = trail.record().tokens.context("a completed trail")?;
    let amendment = TrailAmendment {
        tokens: Part::Given(tokens(None, spent.completion().get() + 1)?),
        cost: Part::Given(cost(None, "0.000999")?),
        ..TrailAmendment::default()
    };
    let occasion = Occasion {
        by: Actor {
            id: "bench".to_owned(),
            role: Role::Service,
        },
        origin: Origin::default(),
        at: DateTime::from_timestamp_micros(moment.try_into()?).context("a time")?,
        event_id: EventId(random.id(moment / 1_000)),
        salt: [7; 16],
    };
    match trail.amend(amendment, &occasion)? {
        Revised::Changed(change) => Ok(*change),
        Revised::Unchanged(_) => anyhow::bail!("nothing changed"),
    }
}

/// Completed messages and their cost, counted row by row.
fn recounted(rows: &[PgRow]) -> Result<(i64, i128)> {
    let mut all = (0, 0);
    for row in rows {
        // As text: so do plain statements answer.
        all.0 += row.try_get::<i64, _>(2)?;
        let cost: CostAmount = row.try_get::<String, _>(3)?.parse()?;
        all.1 += cost.trillionths();
    }
    Ok(all)
}

fn summed(counted: &Counted) -> (i64, i128) {
    let days = counted.days.iter();
    days.fold((0, 0), |all, (_, sums)| {
        (
            all.0 + sums.messages,
            all.1 + sums.prompt_cost + sums.completion_cost,
        )
    })
}

impl Asked {
    /// Plain SQL, whole; in microseconds.
    async fn plain(&mut self, sql: String) -> Result<(u64, Vec<PgRow>)> {
        let begun = Instant::now();
        let rows = raw_sql(AssertSqlSafe(sql)).fetch_all(&mut self.connection);
        let rows = rows.await?;
        Ok((micros(begun)?, rows))
    }

    /// Completed messages, at random.
    async fn messages(&mut self) -> Result<Vec<Uuid>> {
        let wanted = self.budget.most + WARM;
        let percent = 400 * wanted as u64 / self.span.rows + 1;
        let sql = format!(
            "SELECT message_id FROM assessment_trails TABLESAMPLE SYSTEM ({})
            WHERE completed_at IS NOT NULL ORDER BY random() LIMIT {wanted}",
            percent.min(100)
        );
        let (_, rows) = self.plain(sql).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// A trail by its message.
    pub async fn read(&mut self) -> Result<[String; 5]> {
        let mut samples = Samples::default();
        let started = Instant::now();
        for (turn, id) in self.messages().await?.into_iter().enumerate() {
            if turn > WARM && started.elapsed() > self.budget.longest {
                break;
            }
            let begun = Instant::now();
            let found = self.store.read(MessageId(id), Scope::All).await?;
            let port = micros(begun)?;
            found.with_context(|| format!("{id} is not there"))?;
            let of = |table| format!("SELECT * FROM {table} WHERE message_id = '{id}'");
            let (sql, _) = self.plain(of("assessment_trails")).await?;
            let (usual, _) = self.plain(of("usual_trails")).await?;
            if turn >= WARM {
                samples.port.push(port);
                samples.sql.push(sql);
                samples.usual.push(usual);
            }
        }
        samples.line("read by message")
    }

    /// A new trail, whole.
    pub async fn put(&mut self) -> Result<[String; 5]> {
        let (mut random, mut samples) = (Random::new(11), Samples::default());
        let started = Instant::now();
        for turn in 0..self.budget.most + WARM {
            if turn > WARM && started.elapsed() > self.budget.longest {
                break;
            }
            let change = opened(&mut random)?;
            let record = change.trail().record();
            let usual = format!(
                "INSERT INTO usual_trails VALUES ('{}', '{}', now(), '{{\"model\":\"model-1\",
                \"reasoning_traces\":{REASONING},\"context_layers\":{{\"layers\":[]}},
                \"tokens\":{{\"prompt\":1200,\"completion\":300,\"total\":1500}},
                \"cost\":{{\"prompt\":0.0003,\"completion\":0.000375,\"total\":0.000675}}}}')",
                record.message_id, record.project_id
            );
            let begun = Instant::now();
            self.store.save(&change).await?;
            let port = micros(begun)?;
            let (usual, _) = self.plain(usual).await?;
            if turn >= WARM {
                samples.port.push(port);
                samples.usual.push(usual);
            }
        }
        samples.line("put: a new trail and its sums")
    }

    /// A completed trail amended: read, and saved with its sums and its event.
    pub async fn amend(&mut self) -> Result<[String; 5]> {
        let (mut random, mut samples) = (Random::new(13), Samples::default());
        let started = Instant::now();
        for (turn, id) in self.messages().await?.into_iter().enumerate() {
            if turn > WARM && started.elapsed() > self.budget.longest {
                break;
            }
            let begun = Instant::now();
            let found = self.store.read(MessageId(id), Scope::All).await?;
            let found = found.with_context(|| format!("{id} is not there"))?;
            self.store.save(&amended(found, &mut random)?).await?;
            let port = micros(begun)?;
            let usual = format!(
                "UPDATE usual_trails SET trail = jsonb_set(jsonb_set(trail, '{{cost,total}}',
                    '0.001'), '{{tokens,total}}', '1') WHERE message_id = '{id}'"
            );
            let (usual, _) = self.plain(usual).await?;
            if turn >= WARM {
                samples.port.push(port);
                samples.usual.push(usual);
            }
        }
        samples.line("patch: read, saved, told")
    }

    /// What the first project's messages cost: it has a tenth of all.
    pub async fn counted(&mut self, days: i64) -> Result<[String; 5]> {
        let (mut random, mut samples) = (Random::new(17), Samples::default());
        let project = ProjectId(Uuid::from_u128(PROJECTS));
        let started = Instant::now();
        for turn in 0..self.budget.most + WARM {
            if turn > WARM + RECOUNTS && started.elapsed() > self.budget.longest {
                break;
            }
            // Neither end on the hour.
            let late = TimeDelta::seconds(i64::try_from(random.below(3_000))?);
            let range = TimeRange::try_new(
                self.span.last - TimeDelta::days(days) + late,
                self.span.last - late,
            )?;
            let begun = Instant::now();
            let counted = self.store.counted(project, range, 10).await?;
            let port = micros(begun)?;
            if turn < WARM {
                continue;
            }
            samples.port.push(port);
            if turn < WARM + RECOUNTS {
                let when = |at: DateTime<Utc>| at.to_rfc3339();
                let of = |table: &str, model: &str, cost: &str, tokens: &str| {
                    format!(
                        "SELECT (created_at AT TIME ZONE 'UTC')::date, {model}, count(*),
                            sum({cost})::text, sum({tokens})::text FROM {table}
                        WHERE project_id = '{project}' AND created_at >= '{}'
                            AND created_at < '{}' AND {model} IS NOT NULL GROUP BY 1, 2",
                        when(range.from()),
                        when(range.to())
                    )
                };
                let sql = of(
                    "assessment_trails",
                    "model",
                    "prompt_cost + completion_cost",
                    "prompt_tokens + completion_tokens",
                );
                let (sql, rows) = self.plain(sql).await?;
                ensure!(
                    recounted(&rows)? == summed(&counted),
                    "the sums are not the rows'"
                );
                let usual = of(
                    "usual_trails",
                    "trail->>'model'",
                    "(trail->'cost'->>'total')::numeric",
                    "(trail->'tokens'->>'total')::bigint",
                );
                let (usual, _) = self.plain(usual).await?;
                samples.sql.push(sql);
                samples.usual.push(usual);
            }
        }
        samples.line(&format!("analytics of the largest project, {days} days"))
    }

    /// A day's trails deleted, a batch at a time; of the usual table in one statement.
    pub async fn clean_up(&mut self) -> Result<[String; 5]> {
        let before = self.span.first + TimeDelta::days(1);
        let mut samples = Samples::default();
        let (started, mut expired) = (Instant::now(), 0);
        loop {
            let begun = Instant::now();
            let batch = self.store.expire(before, BATCH).await?;
            if batch == 0 {
                break;
            }
            expired += batch;
            samples.port.push(micros(begun)?);
        }
        let rate = expired * 1_000_000 / micros(started)?.max(1);
        eprintln!("clean-up: {expired} trails, {rate} a second");
        let usual = format!(
            "DELETE FROM usual_trails WHERE created_at < '{}'",
            before.to_rfc3339()
        );
        let (usual, _) = self.plain(usual).await?;
        samples.usual.push(usual);
        samples.line(&format!(
            "clean-up of a day, {BATCH} a batch; usual: all at once"
        ))
    }
}
