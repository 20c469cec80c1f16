//! Connections from outside, none of which outlasts a reader that takes nothing.
//!
//! HTTP has no deadline for writing: whoever asks for a long answer and never reads it would hold its
//! connection, and what is buffered for it, for ever.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Sleep, sleep};

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// From where it comes.
    pub address: SocketAddr,
    stalled: Arc<AtomicBool>,
}

impl Peer {
    fn at(address: SocketAddr) -> Self {
        Self {
            address,
            stalled: Arc::default(),
        }
    }

    /// Whether its connection was closed because it took nothing.
    #[must_use]
    pub fn has_stalled(&self) -> bool {
        self.stalled.load(Ordering::Relaxed)
    }
}

/// Takes connections, and closes those whose reader takes nothing for too long.
pub struct PatientListener {
    listener: TcpListener,
    patience: Duration,
}

impl PatientListener {
    /// With this much patience.
    #[must_use]
    pub const fn new(listener: TcpListener, patience: Duration) -> Self {
        Self { listener, patience }
    }
}

impl Listener for PatientListener {
    type Io = Patient<TcpStream>;
    type Addr = Peer;

    async fn accept(&mut self) -> (Self::Io, Peer) {
        let (stream, address) = Listener::accept(&mut self.listener).await;
        // An event must not wait for the one after it.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its delay");
        }
        let peer = Peer::at(address);
        (Patient::new(stream, self.patience, &peer), peer)
    }

    fn local_addr(&self) -> io::Result<Peer> {
        self.listener.local_addr().map(Peer::at)
    }
}

/// A connection that fails when nothing can be written to it for too long.
pub struct Patient<T> {
    inner: T,
    patience: Duration,
    /// Set while something waits to be written.
    until: Option<Pin<Box<Sleep>>>,
    stalled: Arc<AtomicBool>,
}

impl<T> Patient<T> {
    fn new(inner: T, patience: Duration, peer: &Peer) -> Self {
        Self {
            inner,
            patience,
            until: None,
            stalled: peer.stalled.clone(),
        }
    }

    /// Takes what a write came to; one that waits for too long is an error.
    fn judge<R>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        if written.is_ready() {
            self.until = None;
            return written;
        }
        let patience = self.patience;
        let until = self.until.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(until.as_mut().poll(context));
        self.stalled.store(true, Ordering::Relaxed);
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the reader took nothing",
        )))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Patient<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Patient<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.judge(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, parts);
        self.judge(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::{Instant, sleep};

    use super::{Patient, Peer};

    const PATIENCE: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_is_left() {
        let peer = Peer::at(([127, 0, 0, 1], 1).into());
        let (near, mut far) = duplex(4);
        let mut near = Patient::new(near, PATIENCE, &peer);
        let (began, reader) = (Instant::now(), async {
            for _ in 0..3 {
                sleep(Duration::from_secs(4)).await;
                far.read_exact(&mut [0; 4]).await.unwrap();
            }
        });
        let (written, ()) = tokio::join!(near.write_all(&[0; 64]), reader);
        let error = written.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
        // A slow reader has time from each byte on.
        assert_eq!(began.elapsed(), 3 * Duration::from_secs(4) + PATIENCE);
        assert!(peer.has_stalled());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_has_nothing_to_say_lasts() {
        let peer = Peer::at(([127, 0, 0, 1], 1).into());
        let (near, mut far) = duplex(4);
        let mut near = Patient::new(near, PATIENCE, &peer);
        for _ in 0..3 {
            near.write_all(&[7; 4]).await.unwrap();
            sleep(PATIENCE * 10).await;
            far.read_exact(&mut [0; 4]).await.unwrap();
        }
        assert!(!peer.has_stalled());
    }
}
