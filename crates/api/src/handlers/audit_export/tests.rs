//! What whoever takes a copy over HTTP receives.

use std::sync::Arc;

use axum::Router;
use axum::body::to_bytes;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tranche_application::audit::export::{ExportError, Piece};

use super::body;

fn piece(text: &str) -> Piece {
    Piece {
        bytes: text.as_bytes().to_vec(),
        rows: 1,
    }
}

/// The body of a copy with these pieces after the first, and the places for copies.
async fn copy(
    pieces: impl IntoIterator<Item = Result<Piece, ExportError>>,
) -> (axum::body::Body, Arc<Semaphore>) {
    let (into, read) = mpsc::channel(8);
    for piece in pieces {
        into.send(piece).await.expect("there is room");
    }
    let places = Arc::new(Semaphore::new(1));
    let place = places.clone().acquire_owned().await.expect("a place");
    (body(piece("a,b\r\n"), read, place), places)
}

// S11: a copy has its place until its last byte is taken, or nobody takes it any more.
#[tokio::test]
async fn a_whole_copy_is_all_of_its_pieces() {
    let (body, places) = copy([Ok(piece("1,2\r\n")), Ok(piece("3,4\r\n"))]).await;
    assert_eq!(places.available_permits(), 0);
    let bytes = to_bytes(body, usize::MAX).await.expect("it is whole");
    assert_eq!(bytes, "a,b\r\n1,2\r\n3,4\r\n");
    assert_eq!(places.available_permits(), 1);
    let (body, places) = copy([Ok(piece("1,2\r\n"))]).await;
    drop(body);
    assert_eq!(places.available_permits(), 1);
}

// S11: whoever takes a copy that breaks off learns of it from HTTP itself.
#[tokio::test]
async fn a_copy_that_breaks_off_ends_without_its_last_chunk() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let begin = || async {
        let pieces = [Ok(piece("1,2\r\n")), Err(ExportError::Gone)];
        copy(pieces).await.0
    };
    let routes = Router::new().route("/", get(begin));
    let serves = tokio::spawn(async move { axum::serve(listener, routes).await });
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build();
    let asked = client.expect("a client").get(format!("http://{address}/"));
    // It may break off before anything of it has left.
    let read = match asked.send().await {
        Ok(answer) => answer.bytes().await,
        Err(error) => Err(error),
    };
    assert!(read.is_err(), "{read:?} looks whole");
    serves.abort();
}
