//! What is counted of streams of reports.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::{Labels, add};

/// The events of a stream, by the names that clients see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum StreamEvent {
    /// The whole report.
    Report,
    /// What has changed since the last event.
    Change,
    /// Which hours the list lacks, since they were dropped.
    Dropped,
    /// Why the stream ends.
    End,
}

impl StreamEvent {
    const ALL: [Self; 4] = [Self::Report, Self::Change, Self::Dropped, Self::End];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Report => "report",
            Self::Change => "change",
            Self::Dropped => "dropped",
            Self::End => "end",
        }
    }
}

#[derive(Debug)]
pub(super) struct StreamHandles {
    open: Gauge,
    pub(super) refused: Counter,
    events: [(StreamEvent, Counter); StreamEvent::ALL.len()],
}

impl StreamHandles {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let open = add(registry, "streams", "Streams of reports that are open");
        let refused =
            add(registry, "streams_refused", "Streams that were one too many, or too large together");
        let events: Family<Labels<1>, Counter> = add(
            registry,
            "stream_events",
            "Events of streams: the whole report, a change, which hours were dropped, the end",
        );
        let events =
            StreamEvent::ALL.map(|event| (event, events.get_or_create_owned(&[("event", event.as_str())])));
        Self { open, refused, events }
    }
}

impl super::Metrics {
    /// One more stream is open.
    pub(crate) fn stream_opened(&self) {
        self.streams.open.inc();
    }

    /// One stream fewer is open.
    pub(crate) fn stream_closed(&self) {
        self.streams.open.dec();
    }

    /// An event of a stream is on its way.
    pub(crate) fn stream_event(&self, event: StreamEvent) {
        if let Some((_, counter)) = self.streams.events.iter().find(|(of, _)| *of == event) {
            counter.inc();
        }
    }
}
