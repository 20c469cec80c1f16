//! Who the actors are.

use std::collections::HashMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tranche_application::ports::actors::{Actors, Person};
use tranche_application::ports::store::StoreError;

use crate::PostgresStore;

/// What changes nothing writes nothing.
const KEEP: &str = "INSERT INTO actors AS kept (id, name, email, updated_at)
    VALUES ($1, $2, $3, $4)
    ON CONFLICT (id) DO UPDATE SET name = coalesce(excluded.name, kept.name),
        email = coalesce(excluded.email, kept.email), updated_at = excluded.updated_at
    WHERE excluded.updated_at >= kept.updated_at AND (kept.name, kept.email)
        IS DISTINCT FROM (coalesce(excluded.name, kept.name), coalesce(excluded.email, kept.email))";
const NAMED: &str = "SELECT id, name, email FROM actors WHERE id = ANY ($1)";

#[async_trait]
impl Actors for PostgresStore {
    async fn keep(&self, id: &str, person: &Person, at: DateTime<Utc>) -> Result<(), StoreError> {
        if person.is_unknown() {
            return Ok(());
        }
        let kept = sqlx::query(KEEP)
            .bind(id)
            .bind(&person.name)
            .bind(&person.email)
            .bind(at)
            .execute(self.pool());
        self.deadline().wait(kept).await.map(|_| ())
    }

    async fn named(&self, ids: &[String]) -> Result<HashMap<String, Person>, StoreError> {
        let named = sqlx::query_as::<_, (String, Option<String>, Option<String>)>(NAMED).bind(ids);
        let rows = self.deadline().wait(named.fetch_all(self.pool())).await?;
        let person = |(id, name, email)| (id, Person { name, email });
        Ok(rows.into_iter().map(person).collect())
    }
}
