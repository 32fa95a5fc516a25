//! The stream of a connection, as hyper must not see it alone: what comes is followed by [`Framing`], and where hyper
//! answers by itself, with a status and nothing else, the answer gets the body that every error of tallyd has.
//!
//! INVARIANT: an answer of a handler is never touched: none is an error without a body.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use hyper::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::answer::{Failure, raw_answer};
use super::framing::Framing;
use crate::platform::clock::Clock;

/// Which requests of one connection may be answered. Shared by its stream and its service.
#[derive(Debug)]
pub(super) struct Order {
    /// The number of the first request, from 0, of which it is not sure where it ends.
    refused_from: AtomicU64,
    /// How many requests have been begun.
    begun: AtomicU64,
}

impl Order {
    pub(super) fn new() -> Self {
        Self { refused_from: AtomicU64::new(u64::MAX), begun: AtomicU64::new(0) }
    }

    /// Counts the next request; the refusal if it must not be answered otherwise.
    ///
    /// # Errors
    /// `400`, after which the connection is closed.
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
}

/// See the top of the file.
#[derive(Debug)]
pub(super) struct GuardedIo {
    stream: TcpStream,
    framing: Framing,
    order: Arc<Order>,
    clock: Clock,
    /// What goes out in place of an answer of hyper's own; written before anything else.
    instead: Vec<u8>,
    instead_written: usize,
}

impl GuardedIo {
    pub(super) fn new(stream: TcpStream, order: Arc<Order>, clock: Clock) -> Self {
        Self { stream, framing: Framing::new(), order, clock, instead: Vec::new(), instead_written: 0 }
    }

    /// Writes what goes out in place of something.
    fn poll_instead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(left @ [_, ..]) = self.instead.get(self.instead_written..) {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, left))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.instead_written = self.instead_written.saturating_add(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for GuardedIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        if let Some(number) = this.framing.take(buf.filled().get(before..).unwrap_or_default()) {
            this.order.refused_from.store(number, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for GuardedIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_instead(cx))?;
        if let Some((status, what)) = bare_refusal(buf) {
            this.instead = raw_answer(&Failure::new(status, what), &this.clock);
            this.instead_written = 0;
            return Poll::Ready(Ok(buf.len()));
        }
        Pin::new(&mut this.stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_instead(cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_instead(cx))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [only] = bufs {
            return self.poll_write(cx, only);
        }
        let this = self.get_mut();
        ready!(this.poll_instead(cx))?;
        Pin::new(&mut this.stream).poll_write_vectored(cx, bufs)
    }
}

/// The status of an answer that hyper gives by itself to what it cannot read, and the words for it; `None` for any
/// other bytes.
fn bare_refusal(answer: &[u8]) -> Option<(StatusCode, &'static str)> {
    let head = answer.strip_prefix(b"HTTP/1.1 ")?;
    let refusal = match head.first_chunk::<3>()? {
        b"400" => (StatusCode::BAD_REQUEST, "this is not a well-formed HTTP/1.1 request"),
        b"414" => (StatusCode::URI_TOO_LONG, "the path and query are too long"),
        b"431" => (
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "the request has too many headers, or too long ones",
        ),
        _ => return None,
    };
    let end = memchr::memmem::find(head, b"\r\n\r\n")?;
    let is_bare = end + b"\r\n\r\n".len() == head.len()
        && memchr::memmem::find(head, b"\r\ncontent-length: 0\r\n").is_some();
    is_bare.then_some(refusal)
}
