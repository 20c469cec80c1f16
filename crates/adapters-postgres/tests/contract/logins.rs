//! What a login of the server needs to run the service, to retain, and to migrate (S9).

use std::sync::Arc;

use tranche_adapters_postgres::{PostgresConfig, PostgresStore};
use tranche_application::ports::retention::RetentionStore;
use tranche_application::ports::store::{Store, StoreError};
use tranche_tests::contract::StoreUnderTest;
use tranche_tests::contract::scene::World;
use tranche_tests::contract::tree::number;
use tranche_tests::support::postgres::Database;

use super::sessions::{login, service};
use super::subject::fresh;

#[tokio::test]
async fn a_login_without_the_role_of_retention_is_told_what_it_lacks() {
    let subject = fresh().await;
    let url = service(&subject).await;
    let store = PostgresStore::connect(&url, PostgresConfig::default()).await;
    let store = store.expect("the server answers");
    let refused = store.take_turn().await.err().expect("it may not");
    let StoreError::Unavailable(why) = refused else {
        panic!("{refused}");
    };
    let why = why.to_string();
    assert!(why.contains("GRANT tranche_retention TO"), "{why}");
    let login = format!(
        "GRANT tranche_retention TO service_{}",
        subject.database.name()
    );
    subject.execute(&login).await.expect("it is granted");
    let turn = store.take_turn().await.expect("it may");
    turn.expect("nobody else has it")
        .release()
        .await
        .expect("it is given back");
}

#[tokio::test]
async fn a_login_that_may_be_the_application_and_no_more_runs_the_service() {
    let subject = fresh().await;
    let url = service(&subject).await;
    let store = PostgresStore::connect(&url, PostgresConfig::default()).await;
    let store = store.expect("the server answers");
    store.migrate().await.expect("nothing is to be migrated");
    assert!(
        store
            .ensure_partitions(5)
            .await
            .expect("it may ask for them")
            > 0
    );
    let world = World::of(&subject).through(Arc::new(store.clone()));
    let project = world.project(1_000).await.id;
    let paid = world.payable(project, 1, 100).await.id;
    let disbursement = world.prepare_beside(paid).await;
    world.settle(&disbursement).await.expect("it settles");
    let draft = world.draft(project, 2).await;
    world.delete(project, draft.id).await;
    let mut work = world.begin().await;
    let relayed = work
        .audit()
        .relay(100, world.now())
        .await
        .expect("it relays");
    assert!(relayed > 3, "{relayed}");
    work.commit().await.expect("it is committed");
    assert!(number(&store, 100).await.expect("it numbers").is_some());
}

#[tokio::test]
async fn an_owner_that_is_no_superuser_migrates_its_own_database() {
    let subject = fresh().await;
    let url = login(&subject, "owner", "").await;
    let (_, login) = url.split_once("//").expect("a scheme");
    let (login, _) = login.split_once('@').expect("a user");
    let database = Database::create().expect("a throwaway database");
    let give = format!("ALTER DATABASE {} OWNER TO {login}", database.name());
    database.run(&give).expect("it has an owner");
    let (server, _) = url.rsplit_once('/').expect("a database");
    let url = format!("{server}/{}", database.name());
    let store = PostgresStore::connect(&url, PostgresConfig::default()).await;
    let store = store.expect("the server answers");

    let Err(StoreError::Unavailable(why)) = store.migrate().await else {
        panic!("it may not take the role");
    };
    let missing = format!("GRANT tranche_application TO {login};");
    assert!(why.to_string().contains(&missing), "{why}");
    database.run(&missing).expect("the administrator does it");
    store.migrate().await.expect("nothing is in the way");
    store.begin().await.expect("it works");
}
