//! The body of a response: bytes that are there, a large report that is written while its client reads it, or events.
//! INVARIANT: a large report ends where its token does.
//! INVARIANT: of a large report at most a part is held as text, and others get the thread after each turn of it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

use super::event_stream::EventStream;
use crate::limits::{ANSWER_BYTES_FREE, ANSWER_BYTES_PER_TURN, wide};
use crate::net::auth::{Auth, Permit, Renewal};
use crate::net::byte_budget::{BudgetSpent, ByteBudget, ReservedBytes};
use crate::report::TextParts;

/// What hyper sends.
#[derive(Debug)]
pub(super) enum ResponseBody {
    Whole(Bytes),
    /// It is made part by part.
    Streamed(Box<StreamedReport>),
    /// Events, as a report changes.
    Events(EventStream),
}

/// A large report, and its slot among those that are read.
#[derive(Debug)]
pub(super) struct StreamedReport {
    rest: TextParts,
    /// Bytes since others had their turn.
    bytes: usize,
    /// What it was asked with.
    permit: Option<Permit>,
    auth: Arc<Auth>,
    _slot: OwnedSemaphorePermit,
}

/// The tokens were replaced by some that do not allow the rest of an answer.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the token was withdrawn, or is for other stories now")]
pub(super) struct Withdrawn;

/// A text that gives its bytes of the budget back once it is written or its connection is gone.
struct HeldText {
    text: Vec<u8>,
    _reserved: ReservedBytes,
}

impl AsRef<[u8]> for HeldText {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

impl ResponseBody {
    pub(super) fn whole(body: impl Into<Bytes>) -> Self {
        Self::Whole(body.into())
    }

    pub(super) fn empty() -> Self {
        Self::Whole(Bytes::new())
    }

    /// A text whose length the client chose, within the budget for what waits to be read.
    pub(super) fn held(text: Vec<u8>, budget: &ByteBudget) -> Result<Self, BudgetSpent> {
        held(text, budget).map(Self::Whole)
    }

    /// Whether it is made while it is read.
    pub(super) fn is_streamed(&self) -> bool {
        matches!(self, Self::Streamed(_))
    }

    /// The whole of it, where it is there.
    pub(super) fn bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Whole(bytes) => Some(bytes),
            Self::Streamed(_) | Self::Events(_) => None,
        }
    }

    /// A report that is made while it is read, for as long as the tokens allow it.
    pub(super) fn streamed(
        rest: TextParts,
        slot: OwnedSemaphorePermit,
        (permit, auth): (Option<Permit>, Arc<Auth>),
    ) -> Self {
        Self::Streamed(Box::new(StreamedReport { rest, bytes: 0, permit, auth, _slot: slot }))
    }
}

/// A text within a budget, which has its bytes back when the last copy of it is gone.
pub(super) fn held(text: Vec<u8>, budget: &ByteBudget) -> Result<Bytes, BudgetSpent> {
    if text.len() <= ANSWER_BYTES_FREE {
        return Ok(text.into());
    }
    let mut reserved = budget.holder();
    reserved.reserve(text.capacity())?;
    Ok(Bytes::from_owner(HeldText { text, _reserved: reserved }))
}

impl From<Vec<u8>> for ResponseBody {
    fn from(bytes: Vec<u8>) -> Self {
        Self::whole(bytes)
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Withdrawn;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Withdrawn>>> {
        match &mut *self {
            Self::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Self::Streamed(report) => report.poll(cx).map(|part| part.map(|part| part.map(Frame::data))),
            Self::Events(events) => events.poll(cx).map(|part| part.map(|part| Ok(Frame::data(part)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Streamed(_) | Self::Events(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(wide(bytes.len())),
            Self::Streamed(_) | Self::Events(_) => SizeHint::default(),
        }
    }
}

impl StreamedReport {
    /// The next part. A fast client could keep the thread busy until the end, so it yields now and then.
    fn poll(&mut self, cx: &Context<'_>) -> Poll<Option<Result<Bytes, Withdrawn>>> {
        if self.bytes >= ANSWER_BYTES_PER_TURN {
            self.bytes = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let renewal = self.permit.as_mut().map(|permit| self.auth.renew(permit));
        if renewal.is_some_and(|renewal| renewal != Ok(Renewal::Same)) {
            return Poll::Ready(Some(Err(Withdrawn)));
        }
        let part = self.rest.next();
        self.bytes = self.bytes.saturating_add(part.as_ref().map_or(0, Bytes::len));
        Poll::Ready(part.map(Ok))
    }
}
