//! Owns the counters that the shells bump, and writes them as Prometheus text. Knows nothing of the store, the
//! counters or HTTP: whoever renders hands their figures in.
//! INVARIANT: every label set exists from the start, so that bumping is one atomic addition (a report's latency:
//! one short lock) and no client can make a new series.

mod auth_failure;
mod bound;
mod classic;
mod process;
mod reading;
mod streams;
#[cfg(test)]
mod tests;

use std::time::Duration;

use prometheus_client::encoding::text::encode_registry;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

pub(crate) use auth_failure::AuthFailure;
pub(crate) use bound::Bound;
pub use reading::{MetricReading, MetricValue};
pub(crate) use streams::StreamEvent;
use streams::StreamHandles;

use crate::intake::batching::Tally;
use crate::model::batch::KeyRule;
use crate::model::calendar::ZoneDatabase;
use crate::report::ReportName;

/// What a scrape's answer is: the text format that Prometheus of every version reads, and people too.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Upper bounds of the report latency's buckets, in seconds: 25 µs … 10 s.
const REPORT_SECONDS: [f64; 16] = [
    0.000_025, 0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0,
    2.5, 10.0,
];

/// The statuses that have a series of their own; the rest count as `other`.
const STATUSES: [u16; 17] =
    [200, 204, 304, 400, 401, 403, 404, 405, 408, 413, 415, 421, 422, 429, 431, 500, 503];

/// Where something came in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Listener {
    /// The line port.
    Tcp,
    /// The HTTP port.
    Http,
}

impl Listener {
    const ALL: [Self; 2] = [Self::Tcp, Self::Http];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Http => "http",
        }
    }
}

/// The labels of a series: their names and values.
type Labels<const N: usize, V = &'static str> = [(&'static str, V); N];

#[derive(Debug)]
struct ListenerHandles {
    conversations: Counter,
    messages: Counter,
    interactions: Counter,
    rejected: Counter,
    refused: Counter,
    unknown: Counter,
    bytes: Counter,
    /// Batches that were recognised, and their lines, by rule.
    replayed: [(Counter, Counter); 2],
    key_conflicts: Counter,
    auth_failures: [(AuthFailure, Counter); AuthFailure::ALL.len()],
    connections: Gauge,
    connections_opened: Counter,
    connections_refused: Counter,
    handshakes_failed: Counter,
}

/// Counters that the shells bump; [`render`](Self::render) adds the figures of others and writes the text.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    tzdata: Family<Labels<2, String>, Gauge>,
    tcp: ListenerHandles,
    http: ListenerHandles,
    answers_dropped: Counter,
    overloads: [(Bound, Counter); Bound::ALL.len()],
    reports: [(ReportName, Histogram); 6],
    streams: StreamHandles,
    statuses: [(u16, Counter); STATUSES.len()],
    status_other: Counter,
}

impl Default for Metrics {
    /// All counters at 0.
    fn default() -> Self {
        let mut registry = Registry::with_prefix("tallyd");
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "What is running", build);
        let tzdata =
            add(&mut registry, "tzdata_info", "Time-zone rules in use, and whether system or bundled");
        let [tcp, http] = listeners(&mut registry);
        let answers_dropped = add(
            &mut registry,
            "tcp_answers_dropped",
            "Answers to bad lines that were dropped since the client does not read",
        );
        let overloads: Family<Labels<1>, Counter> =
            add(&mut registry, "overloads", "Refusals since a bound was reached, by bound");
        let overloads =
            Bound::ALL.map(|bound| (bound, overloads.get_or_create_owned(&[("bound", bound.label())])));
        let reports = reports(&mut registry);
        let streams = StreamHandles::new(&mut registry);
        let responses: Family<Labels<1, String>, Counter> =
            add(&mut registry, "http_responses", "HTTP answers by status");
        let status = |status: String| responses.get_or_create_owned(&[("status", status)]);
        let statuses = STATUSES.map(|code| (code, status(code.to_string())));
        let status_other = status("other".to_owned());
        Self {
            registry,
            tzdata,
            tcp,
            http,
            answers_dropped,
            overloads,
            reports,
            streams,
            statuses,
            status_other,
        }
    }
}

impl Metrics {
    fn listener(&self, listener: Listener) -> &ListenerHandles {
        match listener {
            Listener::Tcp => &self.tcp,
            Listener::Http => &self.http,
        }
    }

    /// Counts a batch's lines once its outcome is known: accepted ones by kind, and rejected ones.
    pub fn events(&self, listener: Listener, tally: &Tally) {
        let handles = self.listener(listener);
        for (counter, lines) in [
            (&handles.conversations, tally.conversations),
            (&handles.messages, tally.messages),
            (&handles.interactions, tally.interactions),
            (&handles.rejected, tally.rejected),
        ] {
            if lines != 0 {
                counter.inc_by(lines);
            }
        }
    }

    /// Counts good lines of a batch that the store refused.
    pub fn events_refused(&self, listener: Listener, lines: u64) {
        self.listener(listener).refused.inc_by(lines);
    }

    /// Counts lines that were good but of which it is not known whether they are counted.
    pub fn events_unknown(&self, listener: Listener, lines: u64) {
        self.listener(listener).unknown.inc_by(lines);
    }

    /// Counts a batch that was sent again and not counted again.
    pub(crate) fn replayed(&self, listener: Listener, rule: KeyRule, lines: u64) {
        if let Some((batches, replayed)) = self.listener(listener).replayed.get(rule.index()) {
            batches.inc();
            replayed.inc_by(lines);
        }
    }

    /// Counts a batch whose key was used for another one.
    pub(crate) fn key_conflict(&self, listener: Listener) {
        self.listener(listener).key_conflicts.inc();
    }

    /// Somebody got no access.
    pub(crate) fn auth_failed(&self, listener: Listener, failure: AuthFailure) {
        let failures = &self.listener(listener).auth_failures;
        if let Some((_, counter)) = failures.iter().find(|(of, _)| *of == failure) {
            counter.inc();
        }
    }

    /// Counts bytes of events as they came from the network, before decompression.
    pub fn bytes_received(&self, listener: Listener, bytes: u64) {
        self.listener(listener).bytes.inc_by(bytes);
    }

    /// One more connection is open.
    pub fn connection_opened(&self, listener: Listener) {
        let handles = self.listener(listener);
        handles.connections.inc();
        handles.connections_opened.inc();
    }

    /// One connection fewer is open.
    pub fn connection_closed(&self, listener: Listener) {
        self.listener(listener).connections.dec();
    }

    /// A connection was refused since there were too many.
    pub fn connection_refused(&self, listener: Listener) {
        self.listener(listener).connections_refused.inc();
    }

    /// A connection did not get through the TLS handshake.
    pub fn handshake_failed(&self, listener: Listener) {
        self.listener(listener).handshakes_failed.inc();
    }

    /// Counts `ERR` answers that were dropped since the client does not read.
    pub fn answers_dropped(&self, answers: u64) {
        self.answers_dropped.inc_by(answers);
    }

    /// Something was refused since a bound was reached.
    pub(crate) fn overloaded(&self, bound: Bound) {
        if bound == Bound::Streams {
            self.streams.refused.inc();
        }
        if let Some((_, counter)) = self.overloads.iter().find(|(of, _)| *of == bound) {
            counter.inc();
        }
    }

    /// Reports use these time zones from now on.
    pub fn zones_loaded(&self, zones: &ZoneDatabase) {
        let (version, source) = (zones.version().to_owned(), zones.source().as_str().to_owned());
        self.tzdata.clear();
        self.tzdata.get_or_create_owned(&[("version", version), ("source", source)]).set(1);
    }

    /// A report was answered, `took` after its request was understood to be one.
    pub fn report_answered(&self, report: ReportName, took: Duration) {
        if let Some((_, histogram)) = self.reports.iter().find(|(name, _)| *name == report) {
            histogram.observe(took.as_secs_f64());
        }
    }

    /// An HTTP request was answered with that status.
    pub fn http_answered(&self, status: u16) {
        let handle = self.statuses.iter().find(|(code, _)| *code == status);
        handle.map_or(&self.status_other, |(_, counter)| counter).inc();
    }

    /// Everything as Prometheus text ([`CONTENT_TYPE`]): the counters here, what is said of the process, and `figures`.
    /// Reads `/proc/self`, which does not block on a disk.
    pub fn render(&self, start_unix_ms: i64, figures: Vec<MetricReading>) -> String {
        let mut text = String::with_capacity(16 * 1024);
        let mut others = Registry::default();
        reading::register(&mut others, process::figures(start_unix_ms));
        let mut named = Registry::with_prefix("tallyd");
        reading::register(&mut named, figures);
        let written = encode_registry(&mut text, &self.registry)
            .and_then(|()| encode_registry(&mut text, &named))
            .and_then(|()| encode_registry(&mut text, &others));
        // Writing into a string cannot fail; half a text would look like counters that vanished.
        if written.is_err() {
            text.clear();
        }
        classic::from_openmetrics(&text)
    }
}

/// Registers a metric, or a family of them.
fn add<M: Metric + Default + Clone>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

type ByListener<M> = Family<Labels<1>, M>;

fn listeners(registry: &mut Registry) -> [ListenerHandles; 2] {
    let events: Family<Labels<3>, Counter> = add(
        registry,
        "events",
        "Lines by listener, kind and outcome: accepted (counted), rejected (bad), refused (good, but not taken), unknown (not known whether counted)",
    );
    let bytes: ByListener<Counter> = add(registry, "received_bytes", "Bytes of events received, as sent");
    let replayed: Family<Labels<2>, Counter> =
        add(registry, "replayed_batches", "Batches sent again and not counted again");
    let replayed_lines: Family<Labels<2>, Counter> = add(registry, "replayed_lines", "Lines of those");
    let conflicts: ByListener<Counter> =
        add(registry, "key_conflicts", "Batches whose key was used for another one");
    let auth_failures: Family<Labels<2>, Counter> = add(
        registry,
        "auth_failures",
        "Refusals of access: no token (missing), a wrong one (unknown), one for other things (scope), too many wrong ones from the address (back_off)",
    );
    let connections: ByListener<Gauge> = add(registry, "connections", "Connections that are open");
    let opened: ByListener<Counter> = add(registry, "connections_opened", "Connections that were opened");
    let refused: ByListener<Counter> =
        add(registry, "connections_refused", "Connections that were one too many");
    let handshakes: ByListener<Counter> =
        add(registry, "tls_handshakes_failed", "Connections that did not get through the TLS handshake");
    Listener::ALL.map(|listener| {
        let labels = [("listener", listener.as_str())];
        let event = |kind, outcome| {
            let [listener] = labels;
            events.get_or_create_owned(&[listener, ("kind", kind), ("outcome", outcome)])
        };
        ListenerHandles {
            conversations: event("conversation", "accepted"),
            messages: event("message", "accepted"),
            interactions: event("interaction", "accepted"),
            rejected: event("unknown", "rejected"),
            refused: event("unknown", "refused"),
            unknown: event("unknown", "unknown"),
            bytes: bytes.get_or_create_owned(&labels),
            replayed: KeyRule::ALL.map(|rule| {
                let [listener] = labels;
                let labels = [listener, ("rule", rule.as_str())];
                (replayed.get_or_create_owned(&labels), replayed_lines.get_or_create_owned(&labels))
            }),
            key_conflicts: conflicts.get_or_create_owned(&labels),
            auth_failures: AuthFailure::ALL.map(|failure| {
                let [listener] = labels;
                (failure, auth_failures.get_or_create_owned(&[listener, ("reason", failure.label())]))
            }),
            connections: connections.get_or_create_owned(&labels),
            connections_opened: opened.get_or_create_owned(&labels),
            connections_refused: refused.get_or_create_owned(&labels),
            handshakes_failed: handshakes.get_or_create_owned(&labels),
        }
    })
}

fn reports(registry: &mut Registry) -> [(ReportName, Histogram); 6] {
    let new: fn() -> Histogram = || Histogram::new(REPORT_SECONDS);
    let family = Family::<Labels<1>, Histogram, fn() -> Histogram>::new_with_constructor(new);
    registry.register("report_duration_seconds", "Time to answer a report, by report", family.clone());
    ReportName::ALL.map(|name| (name, family.get_or_create_owned(&[("report", label(name))])))
}

/// The label of a report: its name in the URL. Written out, since a dashboard is built on these words and they must
/// not change because a route does.
const fn label(report: ReportName) -> &'static str {
    match report {
        ReportName::Conversations => "conversations",
        ReportName::PaidConversations => "conversations.paid",
        ReportName::Messages => "conversations.messages",
        ReportName::Average => "conversations.average",
        ReportName::BusiestPeriod => "busiest-period",
        ReportName::InteractionsPopularity => "interactions.popularity",
    }
}
