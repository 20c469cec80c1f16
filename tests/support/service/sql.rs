//! Statements past the service, on whichever store it has.

use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection, Row};

use super::{StoreKind, Tranche};

impl Tranche {
    /// Runs statements past the service and gives what the last prints: a line a row, columns apart
    /// by `|`.
    ///
    /// # Panics
    /// When the database refuses.
    pub async fn sql(&self, statements: &str) -> String {
        let ran = match self.store {
            StoreKind::Postgres => self
                .database()
                .run(statements)
                .map_err(|error| error.to_string()),
            StoreKind::Sqlite => self
                .sqlite(statements)
                .await
                .map_err(|error| error.to_string()),
        };
        ran.unwrap_or_else(|error| panic!("{statements}: {error}"))
    }

    async fn sqlite(&self, statements: &str) -> sqlx::Result<String> {
        let options = SqliteConnectOptions::new()
            .filename(self.database_file())
            .busy_timeout(Duration::from_secs(10));
        let mut connection = SqliteConnection::connect_with(&options).await?;
        let query = sqlx::raw_sql(AssertSqlSafe(statements.to_owned()));
        let rows = query.fetch_all(&mut connection).await?;
        connection.close().await?;
        let columns = |row: &sqlx::sqlite::SqliteRow| {
            let texts: Vec<String> = (0..row.len())
                .map(|column| row.try_get_unchecked::<Option<String>, _>(column))
                .map(|text| text.ok().flatten().unwrap_or_default())
                .collect();
            texts.join("|")
        };
        Ok(rows.iter().map(columns).collect::<Vec<_>>().join("\n"))
    }

    /// Holds the write lock of the SQLite file, as another process would, until it is dropped.
    pub async fn hold_write_lock(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.database_file());
        let connection = SqliteConnection::connect_with(&options).await;
        let mut connection = connection.expect("the database file opens");
        let locked = sqlx::raw_sql("BEGIN IMMEDIATE")
            .execute(&mut connection)
            .await;
        locked.expect("the write lock");
        connection
    }

    /// From now on the audit log refuses every event.
    pub async fn break_audit(&self) {
        self.sql(match self.store {
            StoreKind::Postgres => {
                "CREATE FUNCTION audit_is_away() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN RAISE EXCEPTION 'the audit log is away' USING ERRCODE = '58030'; END $$;
                 CREATE TRIGGER audit_is_away BEFORE INSERT ON audit_events
                 FOR EACH ROW EXECUTE FUNCTION audit_is_away();"
            }
            StoreKind::Sqlite => {
                "CREATE TRIGGER audit_is_away BEFORE INSERT ON audit_events
                 BEGIN SELECT RAISE(ABORT, 'the audit log is away'); END;"
            }
        })
        .await;
    }

    /// The audit log takes events again.
    pub async fn heal_audit(&self) {
        self.sql(match self.store {
            StoreKind::Postgres => {
                "DROP TRIGGER audit_is_away ON audit_events; DROP FUNCTION audit_is_away();"
            }
            StoreKind::Sqlite => "DROP TRIGGER audit_is_away;",
        })
        .await;
    }

    /// Everything the database holds, as bytes: the files of SQLite, every row of Postgres as text.
    pub async fn database_bytes(&self) -> Vec<u8> {
        if self.store == StoreKind::Sqlite {
            let file = self.database_file();
            let beside = ["", "-wal", "-shm"].map(|end| {
                let mut name = file.clone().into_os_string();
                name.push(end);
                std::fs::read(name).unwrap_or_default()
            });
            return beside.concat();
        }
        let tables = "SELECT table_name FROM information_schema.tables
            WHERE table_schema = 'public' AND table_type = 'BASE TABLE'";
        let mut dump = String::new();
        for table in self.sql(tables).await.lines() {
            dump.push_str(table);
            dump.push_str(
                &self
                    .sql(&format!("SELECT t::text FROM \"{table}\" t"))
                    .await,
            );
        }
        dump.into_bytes()
    }
}
