//! Who the actors are.

use std::collections::HashMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tranche_application::ports::actors::{Actors, Person};
use tranche_application::ports::store::StoreError;

use crate::SqliteStore;
use crate::errors::{failed, unwritable};
use crate::rows::micros;

/// What changes nothing waits for no writer.
const IS_KNOWN: &str = "SELECT EXISTS (SELECT 1 FROM actors WHERE id = ?1 \
    AND (updated_at > ?4 OR coalesce(?2, name) IS name AND coalesce(?3, email) IS email))";
const KEEP: &str = "INSERT INTO actors (id, name, email, updated_at) VALUES (?1, ?2, ?3, ?4) \
    ON CONFLICT (id) DO UPDATE SET name = coalesce(excluded.name, name), \
        email = coalesce(excluded.email, email), updated_at = excluded.updated_at \
    WHERE excluded.updated_at >= updated_at";
const NAMED: &str = "SELECT id, name, email FROM actors \
    WHERE id IN (SELECT value FROM json_each(?1))";

#[async_trait]
impl Actors for SqliteStore {
    async fn keep(&self, id: &str, person: &Person, at: DateTime<Utc>) -> Result<(), StoreError> {
        if person.is_unknown() {
            return Ok(());
        }
        let is_known: bool = sqlx::query_scalar(IS_KNOWN)
            .bind(id)
            .bind(&person.name)
            .bind(&person.email)
            .bind(micros(at))
            .fetch_one(&self.reader)
            .await
            .map_err(failed)?;
        if is_known {
            return Ok(());
        }
        sqlx::query(KEEP)
            .bind(id)
            .bind(&person.name)
            .bind(&person.email)
            .bind(micros(at))
            .execute(&self.writer)
            .await
            .map(|_| ())
            .map_err(failed)
    }

    async fn named(&self, ids: &[String]) -> Result<HashMap<String, Person>, StoreError> {
        let ids = serde_json::to_string(ids).map_err(unwritable)?;
        let rows: Vec<(String, Option<String>, Option<String>)> = sqlx::query_as(NAMED)
            .bind(ids)
            .fetch_all(&self.reader)
            .await
            .map_err(failed)?;
        let person = |(id, name, email)| (id, Person { name, email });
        Ok(rows.into_iter().map(person).collect())
    }
}
