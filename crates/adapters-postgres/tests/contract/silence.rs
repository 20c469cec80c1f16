//! A server that says nothing: nobody waits for it for ever.

use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tranche_adapters_postgres::{PostgresConfig, PostgresStore};
use tranche_application::ports::audit_store::AuditStore;
use tranche_application::ports::dead_letters::DeadLetters;
use tranche_application::ports::queries::Page;
use tranche_application::ports::reports::Reports;
use tranche_application::ports::store::StoreError;
use tranche_tests::contract::pipeline::{events, report};
use tranche_tests::contract::scene::World;
use tranche_tests::contract::tree::number;

use super::subject::{Subject, fresh};

/// Far longer than all the limits of a call together.
const LONG: Duration = Duration::from_secs(20);

/// A way to the server that can fall silent without closing anything.
async fn way(subject: &Subject, silent: watch::Receiver<bool>) -> String {
    let (before, after) = subject.database.url.split_once('@').expect("user@host");
    let (server, name) = after.split_once('/').expect("host/name");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let url = format!("{before}@127.0.0.1:{port}/{name}");
    let server = server.to_owned();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let mut far = TcpStream::connect(&server).await.expect("the server");
            let mut silent = silent.clone();
            tokio::spawn(async move {
                tokio::select! {
                    _ = copy_bidirectional(&mut near, &mut far) => {}
                    _ = silent.changed() => std::future::pending().await,
                }
            });
        }
    });
    url
}

#[tokio::test]
async fn a_server_that_falls_silent_hangs_nobody() {
    let subject = fresh().await;
    let world = World::of(&subject);
    let (silence, silent) = watch::channel(false);
    let config = PostgresConfig {
        acquire_timeout: Duration::from_millis(500),
        statement_timeout: Duration::from_millis(500),
        ..PostgresConfig::default()
    };
    let url = way(&subject, silent).await;
    let store = PostgresStore::connect(&url, config).await;
    let store = store.expect("the server answers");
    let batch = events(&world, 10);
    let new = store.append(&batch[..5], world.now()).await;
    assert_eq!(new.expect("the way is open"), 5);

    silence.send(true).expect("it hears");
    let calls = async {
        let appended = store.append(&batch, world.now()).await;
        let probed = store.probe(&batch[0], world.now()).await;
        let numbered = number(&store, 10).await;
        let counted = store.count().await;
        let page = Page {
            after: None,
            limit: 10,
        };
        [
            appended.map(drop),
            probed,
            numbered.map(drop),
            counted.map(drop),
            store.bury(&[]).await,
            store.letters(page).await.map(drop),
            store.redrive(world.id(), world.now()).await.map(drop),
            store.publish(&report("one", world.now(), 1)).await,
            store.since(world.now()).await.map(drop),
        ]
    };
    let answers = timeout(LONG, calls).await.expect("nobody hangs");
    for answer in answers {
        assert!(
            matches!(answer, Err(StoreError::Unavailable(_))),
            "{answer:?}"
        );
    }
}
