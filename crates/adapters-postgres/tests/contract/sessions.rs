//! Sessions beside the store, of logins that may do no more than the service.

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection};
use tranche_tests::contract::StoreUnderTest;

use super::subject::Subject;

/// Another login of the server, with these attributes, and the URL that it uses.
pub async fn login(subject: &Subject, name: &str, attributes: &str) -> String {
    let login = format!("{name}_{}", subject.database.name());
    let made = format!("CREATE ROLE {login} LOGIN {attributes}");
    subject.execute(&made).await.expect("a login");
    let (_, server) = subject.database.url.split_once('@').expect("a user");
    format!("postgres://{login}@{server}")
}

/// A login that may be the application and nothing else.
pub async fn service(subject: &Subject) -> String {
    login(subject, "service", "IN ROLE tranche_application").await
}

/// A session of this login, in a transaction of this scope.
pub async fn session(url: &str, scope: Option<&str>) -> PgConnection {
    let options: PgConnectOptions = url.parse().expect("a URL");
    let options = options.options([("role", "tranche_application")]);
    let mut session = PgConnection::connect_with(&options)
        .await
        .expect("it connects");
    sqlx::raw_sql("BEGIN")
        .execute(&mut session)
        .await
        .expect("it begins");
    if let Some(scope) = scope {
        let set = format!("SET LOCAL tranche.scope = '{scope}'");
        sqlx::raw_sql(AssertSqlSafe(set))
            .execute(&mut session)
            .await
            .expect("a scope");
    }
    session
}

/// The one number that a question gives.
pub async fn count(session: &mut PgConnection, sql: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
        .fetch_one(session)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// Why a statement is refused.
pub async fn refusal(session: &mut PgConnection, sql: &str) -> String {
    let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(session)
        .await;
    let refused = done.err().unwrap_or_else(|| panic!("{sql}: it is done"));
    refused.to_string()
}
