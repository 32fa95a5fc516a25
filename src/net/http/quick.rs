//! Connections whose requests take no time to answer, such as `/health`. The thread of the accept loop serves them, which
//! does no other work, so that they are answered however busy all others are.
//!
//! INVARIANT: no byte of any other request is read here, so that the connection can be handed over before it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::routes;
use crate::limits::QUICK_HEAD_BYTES_MAX;
use crate::net::listener::RawStream;

/// A stream that ends before the first request that is not quick.
#[derive(Debug)]
pub(super) struct QuickStream {
    stream: RawStream,
    /// Bytes of the present head that are still to be read.
    head_left: usize,
    /// Whether what comes next is for others to read.
    is_over: bool,
    /// Whether the peer has yet to read what was written.
    is_unread: bool,
}

impl QuickStream {
    pub(super) fn new(stream: RawStream) -> Self {
        Self { stream, head_left: 0, is_over: false, is_unread: false }
    }

    /// The stream, where it ended only here.
    pub(super) fn into_rest(self) -> Option<RawStream> {
        self.is_over.then_some(self.stream)
    }

    /// Looks at what comes next: whether it is a quick request. A peer that has closed its side sends no other.
    pub(super) fn poll_is_quick(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut room = [0; QUICK_HEAD_BYTES_MAX];
        let mut seen = ReadBuf::new(&mut room);
        if self.head_left == 0 && ready!(self.stream.poll_peek(cx, &mut seen))? > 0 {
            self.head_left = routes::quick_head(seen.filled()).unwrap_or(0);
            self.is_over = self.head_left == 0;
        }
        Poll::Ready(Ok(!self.is_over))
    }

    fn written<T>(&mut self, outcome: Poll<T>) -> Poll<T> {
        self.is_unread = outcome.is_pending();
        outcome
    }
}

impl AsyncRead for QuickStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.is_unread {
            // The end would let hyper drop the rest of an answer. The write wakes this task too.
            return Poll::Pending;
        }
        if !ready!(this.poll_is_quick(cx))? {
            return Poll::Ready(Ok(()));
        }
        // Nothing is left where the peer has closed its side; this read then finds that end.
        let wanted = buf.remaining().min(this.head_left.max(1));
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(wanted));
        ready!(Pin::new(&mut this.stream).poll_read(cx, &mut part))?;
        let read = part.filled().len();
        buf.advance(read);
        this.head_left = this.head_left.saturating_sub(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for QuickStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.written(outcome)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.written(outcome)
    }
}
