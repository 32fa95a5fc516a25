//! The body of an answer: bytes that are there, or a large report that is written while its client reads it. Knows
//! nothing of what is in it.
//! INVARIANT: of a large report at most a part is held as text, and nobody waits behind more than a turn of it.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

use crate::limits::ANSWER_BYTES_PER_TURN;
use crate::report::JsonParts;

/// What hyper sends.
#[derive(Debug)]
pub(super) enum Reply {
    /// All of it is there.
    Whole(Full<Bytes>),
    /// It is made part by part.
    Parts(Box<Parts>),
}

/// A large report and its place among those that are under way.
#[derive(Debug)]
pub(super) struct Parts {
    rest: JsonParts,
    /// Bytes since others had their turn.
    bytes: usize,
    _place: OwnedSemaphorePermit,
}

impl Reply {
    pub(super) fn whole(body: impl Into<Bytes>) -> Self {
        Self::Whole(Full::new(body.into()))
    }

    pub(super) fn parts(parts: JsonParts, place: OwnedSemaphorePermit) -> Self {
        Self::Parts(Box::new(Parts { rest: parts, bytes: 0, _place: place }))
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Whole(whole) => Pin::new(whole).poll_frame(cx),
            Self::Parts(parts) => parts.poll(cx).map(|part| part.map(|part| Ok(Frame::data(part)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(whole) => whole.is_end_stream(),
            Self::Parts(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(whole) => whole.size_hint(),
            Self::Parts(_) => SizeHint::default(),
        }
    }
}

impl Parts {
    /// The next part. A fast client could keep the thread busy until the end: now and then others have their turn.
    fn poll(&mut self, cx: &Context<'_>) -> Poll<Option<Bytes>> {
        if self.bytes >= ANSWER_BYTES_PER_TURN {
            self.bytes = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let part = self.rest.next();
        self.bytes = self.bytes.saturating_add(part.as_ref().map_or(0, Bytes::len));
        Poll::Ready(part)
    }
}
