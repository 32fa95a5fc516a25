//! The body of an answer of events: each is waited for when the connection has room for it. Knows nothing of what they say.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

/// An event that is waited for.
pub(super) type NextEvent = Pin<Box<dyn Future<Output = Following> + Send>>;

/// An event that has come, in parts, and the one after it; none after the last.
pub(super) struct Following {
    pub(super) parts: Vec<Bytes>,
    pub(super) next: Option<NextEvent>,
}

/// See the top of the file.
pub(super) struct EventStream {
    /// Of the event that is being written.
    parts: VecDeque<Bytes>,
    next: Option<NextEvent>,
}

impl EventStream {
    pub(super) fn new(first: Following) -> Self {
        Self { parts: first.parts.into(), next: first.next }
    }

    /// The next part; `None` after the last event.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if let Some(part) = self.parts.pop_front() {
                return Poll::Ready(Some(part));
            }
            let Some(next) = &mut self.next else { return Poll::Ready(None) };
            let Following { parts, next } = ready!(next.as_mut().poll(cx));
            self.parts = parts.into();
            self.next = next;
        }
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream").field("parts", &self.parts.len()).finish_non_exhaustive()
    }
}
