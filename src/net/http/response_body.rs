//! The body of a response: bytes that are there, a large report that is written while its client reads it, events, or an archive.
//! INVARIANT: a large report ends where its token does, and so does an archive.
//! INVARIANT: of a large report at most a part is held as text, and others get the thread after each turn of it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

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
    /// A thread reads it from the disk.
    Archive(Box<Archive>),
}

/// An archive, as a thread reads it.
#[derive(Debug)]
pub(super) struct Archive {
    /// Closed before its end where it cannot be read any further: the last piece is an empty one.
    pieces: mpsc::Receiver<Bytes>,
    has_ended: bool,
    permit: Option<Permit>,
    auth: Arc<Auth>,
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

/// Why an answer ends before its end.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(super) enum BrokenOff {
    /// The tokens were replaced by some that do not allow the rest of it.
    #[error("the token was withdrawn, or is for other stories now")]
    Withdrawn,
    /// The disk does not give the rest of it.
    #[error("the rest cannot be read")]
    Unreadable,
}

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

    /// Whether it is an archive.
    pub(super) fn is_archive(&self) -> bool {
        matches!(self, Self::Archive(_))
    }

    /// The whole of it, where it is there.
    pub(super) fn bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Whole(bytes) => Some(bytes),
            Self::Streamed(_) | Self::Events(_) | Self::Archive(_) => None,
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

    /// An archive of which the pieces come, and an empty one at its end, for as long as the tokens allow it.
    pub(super) fn archive(
        pieces: mpsc::Receiver<Bytes>,
        (permit, auth): (Option<Permit>, Arc<Auth>),
    ) -> Self {
        Self::Archive(Box::new(Archive { pieces, has_ended: false, permit, auth }))
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
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match &mut *self {
            Self::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Self::Streamed(report) => report.poll(cx).map(|part| part.map(|part| part.map(Frame::data))),
            Self::Events(events) => events.poll(cx).map(|part| part.map(|part| Ok(Frame::data(part)))),
            Self::Archive(archive) => archive.poll(cx).map(|part| part.map(|part| part.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Streamed(_) | Self::Events(_) => false,
            Self::Archive(archive) => archive.has_ended,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(wide(bytes.len())),
            Self::Streamed(_) | Self::Events(_) | Self::Archive(_) => SizeHint::default(),
        }
    }
}

impl StreamedReport {
    /// The next part. A fast client could keep the thread busy until the end, so it yields now and then.
    fn poll(&mut self, cx: &Context<'_>) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        if self.bytes >= ANSWER_BYTES_PER_TURN {
            self.bytes = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if is_withdrawn(&self.auth, &mut self.permit) {
            return Poll::Ready(Some(Err(BrokenOff::Withdrawn)));
        }
        let part = self.rest.next();
        self.bytes = self.bytes.saturating_add(part.as_ref().map_or(0, Bytes::len));
        Poll::Ready(part.map(Ok))
    }
}

impl Archive {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let piece = ready!(self.pieces.poll_recv(cx));
        if is_withdrawn(&self.auth, &mut self.permit) {
            return Poll::Ready(Some(Err(BrokenOff::Withdrawn)));
        }
        Poll::Ready(match piece {
            None => Some(Err(BrokenOff::Unreadable)),
            Some(piece) if piece.is_empty() => {
                self.has_ended = true;
                None
            }
            Some(piece) => Some(Ok(piece)),
        })
    }
}

/// Whether the tokens do not allow what was begun with that one.
fn is_withdrawn(auth: &Auth, permit: &mut Option<Permit>) -> bool {
    permit.as_mut().is_some_and(|permit| auth.renew(permit) != Ok(Renewal::Same))
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;
    use crate::net::auth::Scope;

    const TOKENS: &str = "all:admin:tally_0123456789abcdef";

    async fn next(body: &mut ResponseBody) -> Option<Result<Bytes, String>> {
        let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await?;
        Some(frame.map(|frame| frame.into_data().unwrap()).map_err(|error| error.to_string()))
    }

    fn archive() -> (mpsc::Sender<Bytes>, Arc<Auth>, ResponseBody) {
        let (sender, pieces) = mpsc::channel(4);
        let auth = Arc::new(Auth::from_env_text(TOKENS).unwrap());
        let permit = auth.check(Some("tally_0123456789abcdef"), Scope::Admin).unwrap();
        let body = ResponseBody::archive(pieces, (Some(permit), Arc::clone(&auth)));
        (sender, auth, body)
    }

    #[tokio::test]
    async fn an_archive_ends_with_its_empty_piece_and_breaks_off_without_one() {
        let (sender, _auth, mut body) = archive();
        for piece in ["one", "two", ""] {
            sender.send(piece.into()).await.unwrap();
        }
        assert_eq!(next(&mut body).await, Some(Ok("one".into())));
        assert_eq!(next(&mut body).await, Some(Ok("two".into())));
        assert_eq!((next(&mut body).await, body.is_end_stream()), (None, true));

        let (sender, _auth, mut body) = archive();
        sender.send("one".into()).await.unwrap();
        drop(sender);
        assert_eq!(next(&mut body).await, Some(Ok("one".into())));
        assert_eq!(next(&mut body).await, Some(Err("the rest cannot be read".into())));
    }

    #[tokio::test]
    async fn an_archive_breaks_off_where_its_token_is_withdrawn() {
        let (sender, auth, mut body) = archive();
        sender.send("one".into()).await.unwrap();
        sender.send("two".into()).await.unwrap();
        assert_eq!(next(&mut body).await, Some(Ok("one".into())));
        auth.replace(&Auth::from_env_text("other:admin:tally_fedcba9876543210").unwrap());
        let ended = next(&mut body).await;
        assert_eq!(ended, Some(Err("the token was withdrawn, or is for other stories now".into())));
    }
}
