//! Projects inside a unit of work.

use async_trait::async_trait;
use sqlx::{SqliteConnection, SqliteExecutor};
use tranche_application::ports::store::{Conflict, ProjectRepo, StoreError};
use tranche_domain::{Project, ProjectId, Write};

use crate::errors::{breaks_foreign_key, failed, is_taken};
use crate::rows::project::ProjectRow;
use crate::unit_of_work::{SqliteUnitOfWork, one_row};

#[async_trait]
impl ProjectRepo for SqliteUnitOfWork {
    async fn lock(&mut self, id: ProjectId) -> Result<Option<Project>, StoreError> {
        let found = find(self.connection()?, id).await?;
        self.done();
        Ok(found)
    }
}

/// The project of this id. In a unit of work it is locked already: the whole file is.
pub(crate) async fn find(
    executor: impl SqliteExecutor<'_>,
    id: ProjectId,
) -> Result<Option<Project>, StoreError> {
    sqlx::query_as::<_, ProjectRow>("SELECT * FROM projects WHERE id = ?")
        .bind(id.to_string())
        .fetch_optional(executor)
        .await
        .map_err(failed)?
        .map(Project::try_from)
        .transpose()
}

pub(crate) async fn write(
    connection: &mut SqliteConnection,
    write: &Write<Project>,
) -> Result<(), StoreError> {
    match write {
        Write::Insert(project) => insert(connection, ProjectRow::from(project)).await,
        Write::Update(project) => update(connection, ProjectRow::from(project)).await,
        Write::Delete(project) => delete(connection, project).await,
    }
}

async fn insert(connection: &mut SqliteConnection, row: ProjectRow) -> Result<(), StoreError> {
    let wallet = row.wallet_account_id.clone();
    let inserted = sqlx::query(
        "INSERT INTO projects (id, name, nav, nav_reserved, lp_tokens_outstanding, \
         total_milestones, completed_milestones, last_milestone_date, wallet_account_id, \
         maker_checker, burn_policy, created_at, version, opening_nav) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(row.id)
    .bind(row.name)
    .bind(row.nav)
    .bind(row.nav_reserved)
    .bind(row.lp_tokens_outstanding)
    .bind(row.total_milestones)
    .bind(row.completed_milestones)
    .bind(row.last_milestone_date)
    .bind(row.wallet_account_id)
    .bind(row.maker_checker)
    .bind(row.burn_policy)
    .bind(row.created_at)
    .bind(row.version)
    .bind(row.nav)
    .execute(&mut *connection)
    .await;
    match inserted {
        Ok(_) => Ok(()),
        Err(error) if is_taken(&error) => {
            let taken: bool = sqlx::query_scalar(
                "SELECT EXISTS (SELECT 1 FROM projects WHERE wallet_account_id = ?)",
            )
            .bind(wallet)
            .fetch_one(connection)
            .await
            .map_err(failed)?;
            Err(StoreError::Conflict(if taken {
                Conflict::Wallet
            } else {
                Conflict::Stale
            }))
        }
        Err(error) => Err(failed(error)),
    }
}

/// Where the version before still stands.
async fn update(connection: &mut SqliteConnection, row: ProjectRow) -> Result<(), StoreError> {
    let updated = sqlx::query(
        "UPDATE projects SET name = ?3, nav = ?4, nav_reserved = ?5, lp_tokens_outstanding = ?6, \
         total_milestones = ?7, completed_milestones = ?8, last_milestone_date = ?9, \
         wallet_account_id = ?10, maker_checker = ?11, burn_policy = ?12, version = ?2 \
         WHERE id = ?1 AND version = ?2 - 1",
    )
    .bind(row.id)
    .bind(row.version)
    .bind(row.name)
    .bind(row.nav)
    .bind(row.nav_reserved)
    .bind(row.lp_tokens_outstanding)
    .bind(row.total_milestones)
    .bind(row.completed_milestones)
    .bind(row.last_milestone_date)
    .bind(row.wallet_account_id)
    .bind(row.maker_checker)
    .bind(row.burn_policy)
    .execute(connection)
    .await
    .map_err(failed)?;
    one_row(updated.rows_affected())
}

/// Where the version before still stands, and nothing but trails refers to it.
async fn delete(connection: &mut SqliteConnection, project: &Project) -> Result<(), StoreError> {
    let deleted = sqlx::query("DELETE FROM projects WHERE id = ?1 AND version = ?2 - 1")
        .bind(project.id.to_string())
        .bind(project.version)
        .execute(connection)
        .await;
    match deleted {
        Ok(deleted) => one_row(deleted.rows_affected()),
        Err(error) if breaks_foreign_key(&error) => {
            Err(StoreError::Conflict(Conflict::ProjectInUse))
        }
        Err(error) => Err(failed(error)),
    }
}
