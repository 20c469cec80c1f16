//! What a step costs, counted on the wire.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tranche_adapters_postgres::{PostgresConfig, PostgresStore};
use tranche_application::ports::store::Store;
use tranche_domain::{MilestoneId, Role};
use tranche_tests::contract::scene::World;

use super::subject::fresh;

/// Counts how often the client speaks after the server has spoken.
#[derive(Default)]
struct Turns {
    count: AtomicUsize,
    /// Bytes the client has sent since the server's last answer.
    unanswered: AtomicUsize,
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, turns: Arc<Turns>, is_client: bool) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(size @ 1..) = from.read(&mut bytes).await {
        if is_client && turns.unanswered.fetch_add(size, Ordering::SeqCst) == 0 {
            turns.count.fetch_add(1, Ordering::SeqCst);
        } else if !is_client {
            turns.unanswered.store(0, Ordering::SeqCst);
        }
        if to.write_all(&bytes[..size]).await.is_err() {
            return;
        }
    }
}

/// A way to the server on which every turn is counted, for one connection.
async fn counted(server: String) -> (u16, Arc<Turns>) {
    let turns = Arc::new(Turns::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let seen = Arc::clone(&turns);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&server).await.expect("the server");
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            tokio::spawn(pass(from_client, to_server, Arc::clone(&seen), true));
            tokio::spawn(pass(from_server, to_client, Arc::clone(&seen), false));
        }
    });
    (port, turns)
}

async fn submitted(world: &World, number: i32) -> MilestoneId {
    let project = world.project(1_000).await.id;
    let milestone = world.draft(project, number).await.id;
    world.submit(milestone).await.expect("it is submitted").id
}

/// Begin, lock, record, commit: each waits for the database once, and nothing else does.
#[tokio::test]
async fn approving_takes_four_round_trips() {
    let subject = fresh().await;
    let direct = World::of(&subject);
    let (first, second) = (submitted(&direct, 1).await, submitted(&direct, 2).await);

    let url = &subject.database.url;
    let (_, rest) = url.split_once('@').expect("a user in the URL");
    let (server, _) = rest.split_once('/').expect("a database in the URL");
    let (port, turns) = counted(server.to_owned()).await;
    let config = PostgresConfig {
        max_connections: 1,
        ..PostgresConfig::default()
    };
    let through = url.replace(server, &format!("127.0.0.1:{port}"));
    let store = PostgresStore::connect(&through, config)
        .await
        .expect("the server answers");

    let mut spent = 0;
    // The first time the statements are prepared as well.
    for milestone in [first, second] {
        let act = direct.act("checker", Role::Approver);
        let mut work = store.begin().await.expect("the server answers");
        // Beginning is one turn; what the pool did with the connection before is none of ours.
        let before = turns.count.load(Ordering::SeqCst) - 1;
        let locked = work.milestones().lock(milestone).await.expect("it locks");
        let change = locked.expect("it is there").approve(&act);
        work.record(&change.expect("submitted"))
            .await
            .expect("it is recorded");
        work.commit().await.expect("it is committed");
        spent = turns.count.load(Ordering::SeqCst) - before;
    }
    assert_eq!(spent, 4);
}
