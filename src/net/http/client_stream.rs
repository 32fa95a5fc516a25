//! The stream of a connection, around hyper: [`Framing`] follows what comes, and writes have a deadline, since hyper has
//! none and a client that does not read its answer must not keep a connection for ever.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::failure::Failure;
use super::framing::Framing;
use crate::net::listener::Stream;

/// What the stream and the service of one connection tell each other.
#[derive(Debug)]
pub(super) struct Exchange {
    /// The number, from 0, of the first request whose end is in doubt.
    refused_from: AtomicU64,
    begun: AtomicU64,
    /// The next response is the last of the connection.
    is_last: AtomicBool,
    /// A write waits for the peer.
    is_unread: AtomicBool,
    /// When the response that is being read must be written, where it is one of the few large ones.
    deadline: Mutex<Option<Instant>>,
}

impl Exchange {
    pub(super) fn new() -> Arc<Self> {
        let (refused_from, begun) = (AtomicU64::new(u64::MAX), AtomicU64::new(0));
        let (is_last, is_unread) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Self { refused_from, begun, is_last, is_unread, deadline: Mutex::default() })
    }

    /// The next response, or the one that is being made, is the last of the connection.
    pub(super) fn close_after_the_next(&self) {
        self.is_last.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_last(&self) -> bool {
        self.is_last.load(Ordering::Relaxed)
    }

    /// Whether the client has yet to read what was written.
    pub(super) fn is_unread(&self) -> bool {
        self.is_unread.load(Ordering::Relaxed)
    }

    /// Counts the next request. `400` where its end is not sure; the connection is closed after it.
    pub(super) fn begin(&self) -> Result<(), Failure> {
        // One task reads and answers, so nothing has to be ordered with anything.
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        if number < self.refused_from.load(Ordering::Relaxed) {
            return Ok(());
        }
        Err(Failure::bad_request(
            "it is not clear where the body ends: send either `Content-Length`, once, or \
             `Transfer-Encoding: chunked`, never both and no other coding",
        )
        .and_close())
    }

    /// Sets when the response that comes now must be written.
    pub(super) fn set_deadline(&self, deadline: Option<Instant>) {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner) = deadline;
    }

    fn deadline(&self) -> Option<Instant> {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See the top of the file.
#[derive(Debug)]
pub(super) struct ClientStream<S> {
    stream: S,
    framing: Framing,
    exchange: Arc<Exchange>,
    write_timeout: Duration,
    /// Runs while a write waits for the peer.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S: Stream> ClientStream<S> {
    pub(super) fn new(stream: S, exchange: Arc<Exchange>, write_timeout: Duration) -> Self {
        Self { stream, framing: Framing::new(), exchange, write_timeout, waiting: None }
    }

    pub(super) fn into_inner(self) -> S {
        self.stream
    }

    /// Lets the outcome of a write through; a write that has to wait gets the deadline.
    fn timed<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            if self.waiting.take().is_some() {
                self.exchange.is_unread.store(false, Ordering::Relaxed);
            }
            return outcome;
        }
        self.exchange.is_unread.store(true, Ordering::Relaxed);
        let waiting = self.waiting.get_or_insert_with(|| {
            let deadline = Instant::now() + self.write_timeout;
            let whole = self.exchange.deadline();
            Box::pin(sleep_until(whole.map_or(deadline, |whole| whole.min(deadline))))
        });
        ready!(waiting.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read its answer")))
    }
}

impl<S: Stream> AsyncRead for ClientStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        if let Some(number) = this.framing.follow(buf.filled().get(before..).unwrap_or_default()) {
            this.exchange.refused_from.store(number, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Stream> AsyncWrite for ClientStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.timed(cx, outcome)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_flush(cx);
        this.timed(cx, outcome)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_shutdown(cx);
        this.timed(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.timed(cx, outcome)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn an_exchange_knows_whether_a_write_waits_for_the_client() {
        let (mut client, server) = duplex(4);
        let exchange = Exchange::new();
        let mut stream = ClientStream::new(server, Arc::clone(&exchange), Duration::from_secs(20));
        stream.write_all(b"1234").await.unwrap();
        assert!(!exchange.is_unread());
        let read = async {
            // The other future is polled first and finds no room.
            assert!(exchange.is_unread());
            client.read_exact(&mut [0; 8]).await.unwrap();
        };
        let (written, ()) = tokio::join!(stream.write_all(b"5678"), read);
        written.unwrap();
        assert!(!exchange.is_unread());
    }
}
