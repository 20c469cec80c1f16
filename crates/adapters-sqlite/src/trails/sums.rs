//! Sums by hour and day: they move with every trail that is saved.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};
use tranche_application::ports::store::StoreError;
use tranche_domain::text::ModelName;
use tranche_domain::trail::parts::day_of;
use tranche_domain::trail::sums::{RollUpKey, Sums};

use super::limbs::{Limbs, columns, join, split};
use crate::errors::failed;
use crate::rows::{Row, micros};

const SUMS: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM trail_rollups WHERE project_id = ? AND bucket = ? AND starts_at = ? AND model = ?"
);
const KEEP: &str = concat!(
    "INSERT OR REPLACE INTO trail_rollups (project_id, bucket, starts_at, model, ",
    columns!(),
    ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
);
const DELETE: &str = "DELETE FROM trail_rollups \
     WHERE project_id = ? AND bucket = ? AND starts_at = ? AND model = ?";
const HAS_HOURS: &str = "SELECT EXISTS (SELECT 1 FROM trail_rollups WHERE project_id = ? \
     AND bucket = 'hour' AND starts_at >= ? AND starts_at < ? AND model = ?)";
/// Hours of which no trail is left.
const HOURS: &str = "SELECT project_id, starts_at, model FROM trail_rollups hour \
     WHERE bucket = 'hour' AND starts_at < ?1 AND NOT EXISTS ( \
         SELECT 1 FROM assessment_trails trail WHERE trail.project_id = hour.project_id \
             AND trail.created_at >= hour.starts_at \
             AND trail.created_at < hour.starts_at + 3600000000) \
     ORDER BY starts_at LIMIT ?2";

/// Where a sum is kept.
struct Place<'a> {
    project_id: &'a str,
    bucket: &'static str,
    starts_at: i64,
    model: &'a str,
}

/// The numbers of a row whose columns begin here.
pub(super) fn limbs(row: &SqliteRow, first: usize) -> Result<Limbs, sqlx::Error> {
    let mut limbs = Limbs::default();
    for (index, limb) in limbs.iter_mut().enumerate() {
        *limb = row.try_get(first + index)?;
    }
    Ok(limbs)
}

/// Moves sums by as much.
pub(super) async fn shift(
    connection: &mut SqliteConnection,
    movements: &[(RollUpKey, Sums)],
) -> Result<(), StoreError> {
    for (key, by) in movements {
        let project_id = key.project_id.to_string();
        for (bucket, starts_at) in [("hour", key.hour), ("day", day_of(key.hour))] {
            let place = Place {
                project_id: &project_id,
                bucket,
                starts_at: micros(starts_at),
                model: key.model.as_ref().map_or("", ModelName::as_str),
            };
            let sums = place.sums(connection).await?.unwrap_or_default();
            place.keep(connection, &sums.plus(*by)).await?;
        }
    }
    Ok(())
}

impl Place<'_> {
    async fn sums(&self, connection: &mut SqliteConnection) -> Result<Option<Sums>, StoreError> {
        let row = sqlx::query(SUMS)
            .bind(self.project_id)
            .bind(self.bucket)
            .bind(self.starts_at)
            .bind(self.model)
            .fetch_optional(connection)
            .await
            .map_err(failed)?;
        let sums = row.map(|row| limbs(&row, 0)).transpose().map_err(failed)?;
        Ok(sums.map(|limbs| join(&limbs)))
    }

    async fn keep(&self, connection: &mut SqliteConnection, sums: &Sums) -> Result<(), StoreError> {
        let mut keep = sqlx::query(KEEP)
            .bind(self.project_id)
            .bind(self.bucket)
            .bind(self.starts_at)
            .bind(self.model);
        for limb in split(sums) {
            keep = keep.bind(limb);
        }
        keep.execute(connection).await.map_err(failed)?;
        Ok(())
    }

    async fn delete(&self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        sqlx::query(DELETE)
            .bind(self.project_id)
            .bind(self.bucket)
            .bind(self.starts_at)
            .bind(self.model)
            .execute(connection)
            .await
            .map_err(failed)?;
        Ok(())
    }
}

/// Deletes sums of hours of which no trail is left, and takes them off their days'.
pub(super) async fn expire(
    connection: &mut SqliteConnection,
    before: DateTime<Utc>,
    limit: u32,
) -> Result<u64, StoreError> {
    let hours: Vec<(String, i64, String)> = sqlx::query_as(HOURS)
        .bind(micros(before))
        .bind(limit)
        .fetch_all(&mut *connection)
        .await
        .map_err(failed)?;
    for (project_id, starts_at, model) in &hours {
        let hour = Place {
            project_id,
            bucket: "hour",
            starts_at: *starts_at,
            model,
        };
        let gone = hour.sums(connection).await?.unwrap_or_default();
        hour.delete(connection).await?;
        let row = Row {
            table: "trail_rollups",
            id: project_id,
        };
        let starts_on = day_of(row.time("starts_at", *starts_at)?);
        let day = Place {
            bucket: "day",
            starts_at: micros(starts_on),
            ..hour
        };
        let has_hours: bool = sqlx::query_scalar(HAS_HOURS)
            .bind(project_id)
            .bind(day.starts_at)
            .bind(micros(starts_on + TimeDelta::days(1)))
            .bind(model)
            .fetch_one(&mut *connection)
            .await
            .map_err(failed)?;
        match day.sums(connection).await? {
            Some(sums) if has_hours => day.keep(connection, &sums.minus(gone)).await?,
            _ => day.delete(connection).await?,
        }
    }
    Ok(hours.len() as u64)
}
