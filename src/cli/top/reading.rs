//! What a daemon says of itself at a moment: its metrics, its health, and what its reports have counted by source and story.
//! Knows nothing of rates.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

/// The reports that are asked for, in the order of [`Counts`].
pub(super) const SERIES: [&str; 2] = ["conversations", "conversations.messages"];
/// By what they are grouped.
pub(super) const GROUPS: [&str; 2] = ["source", "storyId"];

/// What a source or story has counted: one figure for each of [`SERIES`].
pub(super) type Counts = [u64; SERIES.len()];

/// An answer that tallyd does not give.
#[derive(Debug, thiserror::Error)]
#[error("the answer is not that of tallyd: {what}")]
pub(super) struct Fault {
    what: &'static str,
}

/// How a part of the daemon is.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub(super) struct PartHealth {
    pub(super) name: String,
    pub(super) status: String,
    pub(super) since: String,
    pub(super) message: String,
}

/// A source or a story.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct GroupCounts {
    pub(super) name: Option<String>,
    pub(super) counts: Counts,
}

/// What was said at one moment.
#[derive(Debug)]
pub(super) struct Reading {
    /// When, by the clock that never goes back, and in seconds since 1970.
    pub(super) at: (Duration, i64),
    pub(super) version: String,
    pub(super) parts: Vec<PartHealth>,
    /// Each series of the metrics, as it is written there, with its value.
    metrics: BTreeMap<String, String>,
    /// By [`GROUPS`] and key.
    pub(super) groups: [BTreeMap<String, GroupCounts>; GROUPS.len()],
}

impl Reading {
    pub(super) fn new(at: (Duration, i64), metrics: &[u8], health: &[u8]) -> Result<Self, Fault> {
        let text =
            std::str::from_utf8(metrics).map_err(|_error| Fault { what: "metrics that are no text" })?;
        let series =
            text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
        let metrics: BTreeMap<String, String> =
            series.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        if !metrics.keys().any(|name| name.starts_with("tallyd_events_total")) {
            return Err(Fault { what: "metrics without events" });
        }
        let health: Value =
            serde_json::from_slice(health).map_err(|_error| Fault { what: "health that is no JSON" })?;
        let text = |value: &Value, name: &str| {
            value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let part = |check: &Value| PartHealth {
            name: text(check, "name"),
            status: text(check, "status"),
            since: text(check, "since"),
            message: text(check, "message"),
        };
        let parts = health.get("checks").and_then(Value::as_array).into_iter().flatten().map(part).collect();
        Ok(Self { at, version: text(&health, "version"), parts, metrics, groups: Default::default() })
    }

    /// Takes a report, which is the one of these places in [`SERIES`] and [`GROUPS`].
    pub(super) fn add_groups(&mut self, (series, group): (usize, usize), report: &[u8]) -> Result<(), Fault> {
        let report: Value =
            serde_json::from_slice(report).map_err(|_error| Fault { what: "a report that is no JSON" })?;
        let (Some(key), Some(groups)) = (GROUPS.get(group), self.groups.get_mut(group)) else {
            return Ok(());
        };
        for row in report.get("groups").and_then(Value::as_array).into_iter().flatten() {
            let total = row.pointer("/summary/total").and_then(Value::as_u64);
            let (Some(key), Some(total)) = (row.get(key).and_then(Value::as_str), total) else {
                return Err(Fault { what: "a group without its key or total" });
            };
            let entry = groups.entry(key.to_owned()).or_default();
            entry.name = row.get("name").and_then(Value::as_str).map(str::to_owned);
            if let Some(count) = entry.counts.get_mut(series) {
                *count = total;
            }
        }
        Ok(())
    }

    /// The values of a metric that have all these labels.
    pub(super) fn values<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&str, &str)],
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let is_asked = move |series: &str| {
            let Some(rest) = series.strip_prefix(name) else { return false };
            (rest.is_empty() || rest.starts_with('{'))
                && labels.iter().all(|(label, value)| rest.contains(&format!("{label}=\"{value}\"")))
        };
        self.metrics
            .iter()
            .filter(move |(series, _)| is_asked(series))
            .map(|(series, value)| (series.as_str(), value.as_str()))
    }

    /// Their sum.
    pub(super) fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.values(name, labels)
            .filter_map(|(_, value)| value.parse::<u64>().ok())
            .fold(0, u64::saturating_add)
    }

    /// The value of a metric that is no whole number.
    pub(super) fn value(&self, name: &str) -> f64 {
        self.values(name, &[]).find_map(|(_, value)| value.parse().ok()).unwrap_or(0.0)
    }
}

/// The value of a label of a series.
pub(super) fn label<'a>(series: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = series.split_once(&format!("{name}=\""))?;
    rest.split('"').next()
}
