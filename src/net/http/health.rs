//! What operators and their tools ask: health, readiness, metrics. Open routes say little: no paths, no causes.

use std::time::Duration;

use hyper::StatusCode;
use serde::Serialize;

use super::Context;
use super::answer::{self, Answer};
use crate::model::calendar::rfc3339;
use crate::net::metrics::{self, Figure, Value};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// `GET /health`. The members `name`, `message`, `status` and `version` are what the `InfluxDB` 2 clients read, which
/// know no other status than `pass` and `fail`.
#[derive(Serialize)]
struct Health {
    name: &'static str,
    message: &'static str,
    status: &'static str,
    ingest: &'static str,
    snapshots: &'static str,
    reports: &'static str,
    version: &'static str,
}

/// `200`, or `503` while events are refused.
pub(super) fn health(context: &Context) -> Answer {
    let takes_events = context.store_status.ingest_refused().is_none();
    let makes_snapshots = context.store_status.snapshot_failing().is_none();
    let (status, message) = match (takes_events, makes_snapshots) {
        (true, true) => (StatusCode::OK, "ready for events and reports"),
        (true, false) => (StatusCode::OK, "ready for events and reports; snapshots fail, see the log"),
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "events are refused, see the log; reports go on"),
    };
    let verdict = |passes| if passes { "pass" } else { "fail" };
    let body = Health {
        name: "tallyd",
        message,
        status: verdict(takes_events),
        ingest: verdict(takes_events),
        snapshots: verdict(makes_snapshots),
        // This answer comes from the threads that answer reports.
        reports: verdict(true),
        version: VERSION,
    };
    let answer = answer::with_json(status, answer::to_json(&body));
    if takes_events { answer } else { answer::and_retry_after(answer, &context.clock) }
}

/// `GET /ready`, as `InfluxDB` 2 has it.
#[derive(Serialize)]
struct Ready {
    status: &'static str,
    started: String,
    up: String,
}

/// `200`: a port that answers is ready, since it is opened after recovery.
pub(super) fn ready(context: &Context) -> Answer {
    let up = context.clock.monotonic();
    let up_ms = i64::try_from(up.as_millis()).unwrap_or(i64::MAX);
    let started = rfc3339(context.clock.unix_ms().saturating_sub(up_ms));
    answer::json(answer::to_json(&Ready { status: "ready", started, up: format!("{}s", up.as_secs()) }))
}

/// `GET /metrics`.
pub(super) fn metrics(context: &Context) -> Answer {
    answer::content(metrics::CONTENT_TYPE, context.metrics.render(figures(context)))
}

/// What the store, the counters and the catalogue say about themselves.
fn figures(context: &Context) -> Vec<Figure> {
    let store = context.store_status.figures();
    let counters = context.counters.stats();
    let size = |value: usize| Value::Gauge(u64::try_from(value).unwrap_or(u64::MAX));
    let flag = |value: bool| Value::Gauge(u64::from(value));
    let snapshot_seconds = Duration::from_millis(store.last_snapshot_ms).as_secs_f64();
    let snapshot_time = u64::try_from(store.last_snapshot_unix_seconds).unwrap_or(0);
    let rows = [
        ("journal_batches", "Batches written to the journal", Value::Counter(store.batches)),
        ("journal_increments", "Increments written to the journal", Value::Counter(store.increments)),
        ("journal_written_bytes", "Bytes written to the journal", Value::Counter(store.journal_bytes)),
        ("journal_segments", "Segments begun", Value::Counter(store.journal_segments)),
        ("journal_syncs", "Syncs of the journal", Value::Counter(store.journal_syncs)),
        ("journal_sync_failures", "Syncs that failed", Value::Counter(store.journal_sync_failures)),
        ("journal_append_failures", "Appends that failed", Value::Counter(store.append_failures)),
        ("journal_sequence", "Place of the newest batch in the journal", Value::Gauge(store.last_sequence)),
        ("snapshots", "Snapshots made", Value::Counter(store.snapshots)),
        ("snapshot_failures", "Snapshots that failed", Value::Counter(store.snapshot_failures)),
        (
            "snapshot_last_timestamp_seconds",
            "When the newest was made, 0 before",
            Value::Gauge(snapshot_time),
        ),
        ("snapshot_last_duration_seconds", "How long it took", Value::GaugeFloat(snapshot_seconds)),
        (
            "ingest_refused",
            "1 while events are refused",
            flag(context.store_status.ingest_refused().is_some()),
        ),
        (
            "snapshot_failing",
            "1 while snapshots fail",
            flag(context.store_status.snapshot_failing().is_some()),
        ),
        ("counted_series", "Series that have a counter", Value::Gauge(counters.series)),
        ("buckets", "Cells: hours of a series with a count", Value::Gauge(counters.cells)),
        ("counters_bytes", "Memory of the counters", Value::Gauge(counters.bytes)),
        ("stories", "Stories that are known", size(context.catalogue.story_count())),
        ("series", "Series that are numbered", size(context.catalogue.series_count())),
        ("tokens", "Tokens that are configured", size(context.auth.token_count())),
        (
            "uptime_seconds",
            "Time since the start",
            Value::GaugeFloat(context.clock.monotonic().as_secs_f64()),
        ),
    ];
    rows.map(|(name, help, value)| Figure { name, help, value }).to_vec()
}
