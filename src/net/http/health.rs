//! Health, readiness and metrics. The open ones name no paths and no causes.

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{self, HeaderValue};
use serde::Serialize;

use super::response::{self, HttpResponse};
use crate::limits::{RETRY_AFTER, wide};
use crate::model::calendar::{Hour, rfc3339};
use crate::model::counters::Counters;
use crate::net::Services;
use crate::net::guessing::GuessFigures;
use crate::net::log::state::{OUTCOMES, SKIPS, stops};
use crate::net::metrics::{self, MetricReading, MetricValue};
use crate::store::{KeyFigures, StoreFigures};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// `GET /health`. The members `name`, `message`, `status` and `version` are what the `InfluxDB` 2 clients read, which
/// know no other status than `pass` and `fail`.
/// `checks` is theirs as well, but for `since`.
#[derive(Serialize)]
struct Health {
    name: &'static str,
    message: String,
    status: &'static str,
    ingest: &'static str,
    snapshots: &'static str,
    reports: &'static str,
    checks: [Check; 3],
    /// Of several that share one.
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<&'static str>,
    version: &'static str,
    tzdata: String,
}

/// How a part is, since when, and what is wrong with it.
#[derive(Serialize)]
struct Check {
    name: &'static str,
    status: &'static str,
    since: String,
    message: String,
}

/// `200`, or `503` while events are refused.
pub(super) fn health(services: &Services) -> HttpResponse {
    let conditions = services.conditions.look(&services.store_status);
    let [ingests, makes_snapshots, gives_reports] =
        conditions.each_ref().map(|condition| condition.fault.is_none());
    let log = services.log.as_ref().map(|log| log.state.figures());
    let follows_log = log.as_ref().is_none_or(|log| log.stopped.is_none() && log.server.is_some());
    let takes_events = ingests && follows_log;
    let (status, message) = match (takes_events, makes_snapshots) {
        (true, true) => (StatusCode::OK, "ready for events and reports"),
        (true, false) => (StatusCode::OK, "ready for events and reports; snapshots fail, see the log"),
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "events are refused, see the log; reports go on"),
    };
    // What stops a node is for whoever mends it, and names nothing of this machine.
    let message = log.as_ref().and_then(|log| log.stopped.clone()).map_or_else(
        || {
            if follows_log {
                message.to_owned()
            } else {
                "events are refused, since the log cannot be reached; reports go on".to_owned()
            }
        },
        |why| format!("events are refused, reports go on: {why}"),
    );
    let verdict = |passes| if passes { "pass" } else { "fail" };
    let body = Health {
        name: "tallyd",
        message,
        status: verdict(takes_events),
        ingest: verdict(takes_events),
        snapshots: verdict(makes_snapshots),
        reports: verdict(gives_reports),
        checks: conditions.map(|condition| Check {
            name: condition.part.as_str(),
            status: verdict(condition.fault.is_none()),
            since: rfc3339(condition.since_unix_ms),
            message: condition.fault.unwrap_or_default(),
        }),
        log: log.map(|_| verdict(follows_log)),
        version: VERSION,
        tzdata: services.zones.current().to_string(),
    };
    let mut response = response::with_json(status, response::to_json(&body));
    if !takes_events
        && let Ok(date) = HeaderValue::try_from(response::retry_after(&services.clock, RETRY_AFTER))
    {
        response.headers_mut().insert(header::RETRY_AFTER, date);
    }
    response
}

/// `GET /ready`, as `InfluxDB` 2 has it.
#[derive(Serialize)]
struct Ready {
    status: &'static str,
    started: String,
    up: String,
}

/// `200`: a port that answers is ready, since it is opened after recovery. `503` where it is too far behind a log, or
/// does not know, since the log has not answered for as long.
pub(super) fn ready(services: &Services) -> HttpResponse {
    let up = services.clock.monotonic();
    let started = rfc3339(services.clock.start_unix_ms());
    let is_behind = services.log.as_ref().is_some_and(|log| log.state.figures().is_behind(up, log.max_lag));
    let (code, status) =
        if is_behind { (StatusCode::SERVICE_UNAVAILABLE, "behind") } else { (StatusCode::OK, "ready") };
    let body = Ready { status, started, up: format!("{}s", up.as_secs()) };
    let mut response = response::with_json(code, response::to_json(&body));
    if is_behind && let Ok(date) = HeaderValue::try_from(response::retry_after(&services.clock, RETRY_AFTER))
    {
        response.headers_mut().insert(header::RETRY_AFTER, date);
    }
    response
}

/// `GET /metrics`.
pub(super) fn metrics(services: &Services) -> HttpResponse {
    let text = services.metrics.render(services.clock.start_unix_ms(), figures(services));
    response::content(metrics::CONTENT_TYPE, text)
}

/// What the store, the counters and the catalogue say about themselves.
fn figures(services: &Services) -> Vec<MetricReading> {
    let Services { store_status, catalogue, memory, write_handle, .. } = services;
    let (store, counters) = (store_status.figures(), services.counters.stats());
    let KeyFigures { held: [keys, batches], displaced: [keys_displaced, batches_displaced] } =
        write_handle.key_figures();
    let GuessFigures { networks, displaced } = services.guessing.figures();
    let rising = [
        ("journal_batches", "Batches written to the journal", store.batches),
        ("journal_increments", "Increments written to the journal", store.increments),
        ("journal_written_bytes", "Bytes written to the journal", store.journal_bytes),
        ("journal_segments", "Segments begun", store.journal_segments),
        ("journal_syncs", "Syncs of the journal", store.journal_syncs),
        ("journal_sync_failures", "Syncs that failed", store.journal_sync_failures),
        ("journal_append_failures", "Appends that failed", store.append_failures),
        ("snapshots", "Snapshots made", store.snapshots),
        ("snapshot_failures", "Snapshots that failed", store.snapshot_failures),
        (
            "memory_limit_refused",
            "Lines and requests refused since the limit of memory was reached",
            memory.refused(),
        ),
        (
            "keys_displaced",
            "Keys that gave their place to a newer one before their time was up",
            keys_displaced,
        ),
        ("window_batches_displaced", "The same, of batches without a key", batches_displaced),
        (
            "guessing_addresses_displaced",
            "Addresses that gave their place to another one while their guesses counted",
            displaced,
        ),
    ];
    let ids = "Series that have got an id, those of deleted stories included";
    let snapshot_time = u64::try_from(store.last_snapshot_unix_seconds).unwrap_or(0);
    let present = [
        ("journal_sequence", "Place of the newest batch in the journal", store.last_sequence),
        ("snapshot_last_timestamp_seconds", "When the newest was made", snapshot_time),
        ("ingest_refused", "1 while events are refused", store_status.ingest_refused().is_some().into()),
        ("snapshot_failing", "1 while snapshots fail", store_status.snapshot_failing().is_some().into()),
        ("counted_series", "Series that have a counter", counters.series),
        ("buckets", "Cells: hours of a series with a count", counters.cells),
        ("counters_bytes", "Memory of the counters", counters.bytes),
        ("catalogue_bytes", "Memory of stories, names and index", catalogue.memory_bytes()),
        ("memory_limit_bytes", "Most memory of counters and catalogue", memory.bytes()),
        ("stories", "Stories that are known", wide(catalogue.story_count())),
        ("series", "Series that are known", wide(catalogue.series_count())),
        ("series_numbered", ids, wide(catalogue.series_numbered())),
        ("tokens", "Tokens that are configured", wide(services.auth.token_count())),
        ("guessing_addresses", "Addresses that have shown a wrong token lately", networks),
        ("keys", "Idempotency keys that are remembered", keys),
        ("window_batches", "Batches without a key that are remembered", batches),
    ];
    let snapshot_took = Duration::from_millis(store.last_snapshot_ms).as_secs_f64();
    let seconds = [
        ("snapshot_last_duration_seconds", "How long it took", snapshot_took),
        ("uptime_seconds", "Time since the start", services.clock.monotonic().as_secs_f64()),
    ];
    let certificate = certificate_figure(services);
    let rising = rising.map(|(name, help, value)| (name, help, MetricValue::Counter(value)));
    let present = present.map(|(name, help, value)| (name, help, MetricValue::Gauge(value)));
    let parts = seconds.into_iter().chain(certificate);
    let parts = parts.map(|(name, help, value)| (name, help, MetricValue::GaugeFloat(value)));
    rising
        .into_iter()
        .chain(present)
        .chain(figures_of_the_past(&store, &services.counters))
        .chain(parts)
        .map(MetricReading::from)
        .chain(log_figures(services))
        .collect()
}

type Figure = (&'static str, &'static str, MetricValue);

/// Of backups, and of hours that were dropped.
fn figures_of_the_past(store: &StoreFigures, counters: &Counters) -> [Figure; 7] {
    let first_kept = counters.dropped_before().map_or(0, Hour::unix_seconds);
    let first_kept = u64::try_from(first_kept).unwrap_or(0);
    let time = u64::try_from(store.last_backup_unix_seconds).unwrap_or(0);
    let (counter, gauge) = (MetricValue::Counter, MetricValue::Gauge);
    [
        ("backups", "Backups that were read to their end", counter(store.backups)),
        ("backups_broken_off", "Backups that were not", counter(store.backups_broken_off)),
        ("backup_last_timestamp_seconds", "When the last backup was read to its end", gauge(time)),
        (
            "backup_last_position",
            "Place in the journal that it stands for",
            gauge(store.last_backup_position),
        ),
        ("backup_last_bytes", "Bytes of it that were sent", gauge(store.last_backup_bytes)),
        (
            "dropped_before_timestamp_seconds",
            "Start of the first hour that is kept, 0 where none was dropped",
            gauge(first_kept),
        ),
        (
            "dropped_cells",
            "Cells that went since their hours were dropped",
            counter(counters.stats().dropped),
        ),
    ]
}

/// Nothing where no log is shared.
fn log_figures(services: &Services) -> Vec<MetricReading> {
    let Some(log) = &services.log else { return Vec::new() };
    let node = log.state.figures();
    let lag = node.lag(services.clock.monotonic()).as_secs_f64();
    let (counter, gauge) = (MetricValue::Counter, MetricValue::Gauge);
    let single: [Figure; 5] = [
        ("log_position", "The last message of the log that was read", gauge(node.read.get())),
        ("log_last_sequence", "The last message that the log is known to have", gauge(node.last.get())),
        ("log_lag_seconds", "How long this node has been behind the log", MetricValue::GaugeFloat(lag)),
        ("log_reached", "1 while the log can be reached", gauge(node.server.is_some().into())),
        (
            "log_published_bytes",
            "Bytes of the messages sent, repeated ones too",
            counter(node.published_bytes),
        ),
    ];
    let count = |counts: &BTreeMap<&'static str, u64>, word| counts.get(word).copied().unwrap_or_default();
    let published = OUTCOMES.map(|outcome| {
        let value = counter(count(&node.published, outcome));
        MetricReading::from(("log_published", "Messages sent, by what the log said", value))
            .labelled("outcome", outcome)
    });
    let skipped = SKIPS.map(|why| {
        let value = counter(count(&node.skipped, why));
        MetricReading::from(("log_copies_skipped", "Messages read that change nothing", value))
            .labelled("why", why)
    });
    let stopped = stops().map(|why| {
        let value = gauge((node.stopped_by == Some(why)).into());
        let help = "1 once this node follows the log no longer; /health says more";
        MetricReading::from(("log_stopped", help, value)).labelled("why", why)
    });
    let single = single.into_iter().map(MetricReading::from);
    single.chain(published).chain(skipped).chain(stopped).collect()
}

fn certificate_figure(services: &Services) -> Option<(&'static str, &'static str, f64)> {
    services.tls.as_ref().map(|tls| {
        let days = f64::from(tls.expires_in_days(services.clock.unix_seconds()));
        (
            "tls_certificate_expires_days",
            "Whole days until the certificate expires; below 0 where it has",
            days,
        )
    })
}
