//! Server-sent events (WHATWG HTML, section 9.2) as they are written. Pure.
//! INVARIANT: what an event carries is JSON without line feeds, so that it is one line.

use bytes::Bytes;

use crate::limits::STREAM_RETRY;
use crate::model::calendar::rfc3339;
use crate::net::http::entity_tag::EntityTag;
use crate::net::metrics::StreamEvent;

/// Why a stream ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum EndReason {
    /// The daemon stops.
    Stopping,
    /// The time that was asked for is over.
    Duration,
    /// The token was withdrawn, or is for other stories now.
    Token,
}

impl EndReason {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Stopping => "stopping",
            Self::Duration => "duration",
            Self::Token => "token",
        }
    }
}

/// How long a client waits before it asks again; the first thing of a stream.
pub(super) fn retry() -> Bytes {
    format!("retry: {}\n\n", STREAM_RETRY.as_millis()).into()
}

/// The parts of an event that tells a state, or what has changed to it. `data` is not copied.
pub(super) fn state(event: StreamEvent, tag: EntityTag, data: Bytes) -> [Bytes; 3] {
    let head = format!("id: {tag}\nevent: {}\ndata: ", event.as_str());
    [head.into(), data, Bytes::from_static(b"\n\n")]
}

/// Which hours the list that follows lacks.
pub(super) fn dropped(first_kept: &str) -> Bytes {
    let event = StreamEvent::Dropped.as_str();
    format!("event: {event}\ndata: {{\"droppedBefore\":\"{first_kept}\"}}\n\n").into()
}

pub(super) fn comment(now_unix_ms: i64) -> Bytes {
    format!(": {}\n\n", rfc3339(now_unix_ms)).into()
}

/// The last of a stream.
pub(super) fn end(reason: EndReason) -> Bytes {
    let (event, reason) = (StreamEvent::End.as_str(), reason.as_str());
    format!("event: {event}\ndata: {{\"reason\":\"{reason}\"}}\n\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::http::entity_tag::TagKey;

    #[test]
    fn events_are_spelled_as_browsers_read_them() {
        let tag = TagKey::random().tag(b"{}");
        assert_eq!(retry(), "retry: 3000\n\n");
        let text = state(StreamEvent::Change, tag, Bytes::from_static(b"[]")).concat();
        assert_eq!(String::from_utf8(text).unwrap(), format!("id: {tag}\nevent: change\ndata: []\n\n"));
        let dropped = dropped("2021-12-01T00:00:00.000Z");
        assert_eq!(dropped, "event: dropped\ndata: {\"droppedBefore\":\"2021-12-01T00:00:00.000Z\"}\n\n");
        assert_eq!(comment(1_552_815_000_000), ": 2019-03-17T09:30:00.000Z\n\n");
        assert_eq!(end(EndReason::Stopping), "event: end\ndata: {\"reason\":\"stopping\"}\n\n");
        assert_eq!(end(EndReason::Duration), "event: end\ndata: {\"reason\":\"duration\"}\n\n");
        assert_eq!(end(EndReason::Token), "event: end\ndata: {\"reason\":\"token\"}\n\n");
    }
}
