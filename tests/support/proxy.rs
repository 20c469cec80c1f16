//! A way to a server that can be cut: it passes everything on, refuses, or falls silent.

#![expect(
    clippy::expect_used,
    reason = "test support: what cannot go on has failed its test"
)]

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the way does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Passes everything on.
    Open,
    /// Ends every connection, and takes no new one.
    Refused,
    /// Takes everything and passes nothing on, in either direction; connections stay.
    Silent,
}

/// A way to a server on this machine. Gone with this value.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    way: Arc<watch::Sender<Way>>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// An open way to a server.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let way = Arc::new(watch::Sender::new(Way::Open));
        let changes = way.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *changes.borrow() != Way::Refused {
                    tokio::spawn(pass(client, server, changes.subscribe()));
                }
            }
        });
        Self { address, way, task }
    }

    /// The same URL, by this way.
    ///
    /// # Panics
    /// When the URL names no address with a port.
    #[must_use]
    pub fn detour(&self, url: &str) -> String {
        let server = server_of(url);
        url.replacen(&server, &self.address.to_string(), 1)
    }

    /// From now on, the way is like this.
    pub fn set(&self, way: Way) {
        self.way.send_replace(way);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        self.way.send_replace(Way::Refused);
    }
}

/// `HOST:PORT` of a URL.
///
/// # Panics
/// When it names none.
#[must_use]
pub fn server_of(url: &str) -> String {
    let (_, rest) = url.split_once("://").expect("a URL");
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let host = rest[..end].rsplit('@').next().unwrap_or_default();
    assert!(host.contains(':'), "{url} names no port");
    host.to_owned()
}

async fn pass(client: TcpStream, server: SocketAddr, way: watch::Receiver<Way>) {
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    tokio::join!(
        pump(from_client, to_server, way.clone()),
        pump(from_server, to_client, way),
    );
}

/// Passes one direction on until either end closes or the way is refused.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut way: watch::Receiver<Way>) {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let read = tokio::select! {
            read = from.read(&mut bytes) => read.unwrap_or(0),
            refused = way.wait_for(|way| *way == Way::Refused) => {
                drop(refused);
                return;
            }
        };
        // What was read while the way is silent arrives when it is open again.
        let opened = way.wait_for(|way| *way != Way::Silent).await;
        if opened.is_ok_and(|way| *way == Way::Refused)
            || read == 0
            || to.write_all(&bytes[..read]).await.is_err()
        {
            return;
        }
    }
}
