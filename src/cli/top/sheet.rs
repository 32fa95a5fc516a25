//! What two readings of a daemon come to: rates, and what is so now. As JSON and as text. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::reading::{Counts, GroupCounts, PartHealth, Reading, label};
use crate::model::excerpt::printable;
use crate::report::ReportName;

/// Stories that are shown, the busiest.
const STORIES_SHOWN: usize = 10;
/// A report that took longer is slow. One of the bounds that the metrics count at.
const SLOW_SECONDS: f64 = 0.1;

/// What a daemon did between two readings.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sheet {
    version: String,
    uptime_seconds: u64,
    /// The time between the readings, which the rates are of.
    seconds: f64,
    parts: Vec<PartHealth>,
    events_per_second: BTreeMap<&'static str, f64>,
    sources: Vec<GroupRates>,
    stories: Vec<GroupRates>,
    memory: Memory,
    journal: Journal,
    snapshot: Snapshot,
    connections: u64,
    answers_per_second: f64,
    /// Refusals since a bound was reached, since the start of the daemon.
    overloads: BTreeMap<String, u64>,
    reports: Vec<ReportTimes>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupRates {
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    conversations_per_second: f64,
    messages_per_second: f64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Memory {
    resident_bytes: u64,
    resident_peak_bytes: u64,
    /// Counters, names and stories, which the limit is for.
    counted_bytes: u64,
    limit_bytes: u64,
    refused: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Journal {
    position: u64,
    bytes_per_second: f64,
    batches_per_second: f64,
    syncs_per_second: f64,
    failures: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Snapshot {
    /// `None` where none was made since the start.
    age_seconds: Option<u64>,
    took_seconds: f64,
    failures: u64,
}

/// How long a report took since the start of the daemon.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ReportTimes {
    report: &'static str,
    per_second: f64,
    answered: u64,
    /// Half of them, and 99 of 100, took at most so long; `None` where there were none, or where they took longer than is measured.
    half_within_seconds: Option<f64>,
    most_within_seconds: Option<f64>,
    slow: u64,
}

impl Sheet {
    /// The daemon between `before` and `now`.
    pub(super) fn between(before: &Reading, now: &Reading) -> Self {
        let seconds = now.at.0.saturating_sub(before.at.0).as_secs_f64();
        // A figure that fell belongs to a daemon that was started anew.
        let rate = |name: &str, labels: &[(&str, &str)]| {
            per_second(now.count(name, labels).saturating_sub(before.count(name, labels)), seconds)
        };
        let event = |kind, outcome| rate("tallyd_events_total", &[("kind", kind), ("outcome", outcome)]);
        let gauge = |name| now.count(name, &[]);
        let events_per_second = BTreeMap::from([
            ("conversations", event("conversation", "accepted")),
            ("messages", event("message", "accepted")),
            ("interactions", event("interaction", "accepted")),
            ("rejected", event("unknown", "rejected")),
            ("refused", event("unknown", "refused")),
            ("unknown", event("unknown", "unknown")),
        ]);
        let [mut sources, mut stories] = [0, 1].map(|group| {
            let (before, now) = (before.groups.get(group), now.groups.get(group));
            before.zip(now).map(|(before, now)| group_rates(before, now, seconds)).unwrap_or_default()
        });
        sources.sort_by(|one, other| one.key.cmp(&other.key));
        stories.truncate(STORIES_SHOWN);
        let made = u64::try_from(now.at.1).unwrap_or(0);
        let made_at = gauge("tallyd_snapshot_last_timestamp_seconds");
        let overloads = now.values("tallyd_overloads_total", &[]).filter_map(|(series, value)| {
            Some((label(series, "bound")?.to_owned(), value.parse().ok().filter(|count| *count > 0)?))
        });
        Self {
            version: now.version.clone(),
            uptime_seconds: whole_seconds(now.value("tallyd_uptime_seconds")),
            seconds: rounded(seconds),
            parts: now.parts.clone(),
            events_per_second,
            sources,
            stories,
            memory: Memory {
                resident_bytes: gauge("process_resident_memory_bytes"),
                resident_peak_bytes: gauge("process_resident_memory_peak_bytes"),
                counted_bytes: gauge("tallyd_counters_bytes").saturating_add(gauge("tallyd_catalogue_bytes")),
                limit_bytes: gauge("tallyd_memory_limit_bytes"),
                refused: gauge("tallyd_memory_limit_refused_total"),
            },
            journal: Journal {
                position: gauge("tallyd_journal_sequence"),
                bytes_per_second: rate("tallyd_journal_written_bytes_total", &[]),
                batches_per_second: rate("tallyd_journal_batches_total", &[]),
                syncs_per_second: rate("tallyd_journal_syncs_total", &[]),
                failures: gauge("tallyd_journal_sync_failures_total")
                    .saturating_add(gauge("tallyd_journal_append_failures_total")),
            },
            snapshot: Snapshot {
                age_seconds: (made_at > 0).then(|| made.saturating_sub(made_at)),
                took_seconds: now.value("tallyd_snapshot_last_duration_seconds"),
                failures: gauge("tallyd_snapshot_failures_total"),
            },
            connections: gauge("tallyd_connections"),
            answers_per_second: rate("tallyd_http_responses_total", &[]),
            overloads: overloads.collect(),
            reports: ReportName::ALL
                .map(|name| {
                    let asked = rate("tallyd_report_duration_seconds_count", &[("report", name.as_str())]);
                    report_times(name.as_str(), asked, now)
                })
                .into(),
        }
    }

    /// One JSON object, ending in a line feed.
    pub(super) fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }

    /// For a terminal, or a file; ends in a line feed.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a string cannot fail.
        self.write(&mut text).map_or_else(|_error| String::new(), |()| text)
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(
            out,
            "tallyd {}, up {}, rates of {} s",
            self.version,
            spelled(self.uptime_seconds),
            self.seconds
        )?;
        for part in &self.parts {
            let message = if part.message.is_empty() {
                String::new()
            } else {
                format!(": {}", printable(&part.message))
            };
            let (name, status, since) =
                (printable(&part.name), printable(&part.status), printable(&part.since));
            writeln!(out, "{name:<12} {status} since {since}{message}")?;
        }
        let kinds = ["conversations", "messages", "interactions", "rejected", "refused", "unknown"];
        let rate = |kind| self.events_per_second.get(kind).copied().unwrap_or(0.0);
        let rates = kinds.map(|kind| format!("{kind} {:.1}", rate(kind)));
        writeln!(out, "{:<12} {}", "events/s", rates.join(", "))?;
        let Memory { resident_bytes, resident_peak_bytes, counted_bytes, limit_bytes, refused } = self.memory;
        writeln!(
            out,
            "{:<12} resident {}, most {}; counters and names {} of {}, {refused} refused",
            "memory",
            bytes(resident_bytes),
            bytes(resident_peak_bytes),
            bytes(counted_bytes),
            bytes(limit_bytes),
        )?;
        let journal = &self.journal;
        writeln!(
            out,
            "{:<12} position {}, {:.1} batches/s, {:.0} bytes/s, {:.1} syncs/s, {} failed",
            "journal",
            journal.position,
            journal.batches_per_second,
            journal.bytes_per_second,
            journal.syncs_per_second,
            journal.failures
        )?;
        let snapshot = &self.snapshot;
        let age = snapshot
            .age_seconds
            .map_or("none since the start".to_owned(), |age| format!("{} old", spelled(age)));
        writeln!(
            out,
            "{:<12} {age}, took {} s, {} failed",
            "snapshot", snapshot.took_seconds, snapshot.failures
        )?;
        writeln!(
            out,
            "{:<12} {} connections, {:.1} answers/s",
            "ports", self.connections, self.answers_per_second
        )?;
        for (bound, count) in &self.overloads {
            writeln!(out, "{:<12} {count} times at the bound {}", "refused", printable(bound))?;
        }
        self.write_groups(out)?;
        self.write_reports(out)
    }

    fn write_groups(&self, out: &mut String) -> std::fmt::Result {
        for (title, rows) in [("source", &self.sources), ("story", &self.stories)] {
            writeln!(out, "\n{title:<24} {:>16} {:>12}", "conversations/s", "messages/s")?;
            for row in rows {
                let name = row.name.as_deref().map(printable).unwrap_or_default();
                let (key, rates) =
                    (printable(&row.key), [row.conversations_per_second, row.messages_per_second]);
                writeln!(
                    out,
                    "{}",
                    format!("{key:<24} {:>16.1} {:>12.1}  {name}", rates[0], rates[1]).trim_end()
                )?;
            }
        }
        Ok(())
    }

    fn write_reports(&self, out: &mut String) -> std::fmt::Result {
        let within =
            |seconds: Option<f64>| seconds.map_or("-".to_owned(), |seconds| format!("{} ms", seconds * 1e3));
        let slow = format!("over {} ms", SLOW_SECONDS * 1e3);
        writeln!(
            out,
            "\n{:<24} {:>8} {:>10} {:>12} {:>12} {slow:>12}",
            "report", "asked/s", "in all", "half within", "99 % within"
        )?;
        for times in &self.reports {
            let (half, most) = (within(times.half_within_seconds), within(times.most_within_seconds));
            let ReportTimes { report, per_second, answered, slow, .. } = times;
            writeln!(out, "{report:<24} {per_second:>8.1} {answered:>10} {half:>12} {most:>12} {slow:>12}")?;
        }
        Ok(())
    }
}

/// The rates of those that have counted anything, the busiest first.
fn group_rates(
    before: &BTreeMap<String, GroupCounts>,
    now: &BTreeMap<String, GroupCounts>,
    seconds: f64,
) -> Vec<GroupRates> {
    let mut rows: Vec<(u64, GroupRates)> = now
        .iter()
        .map(|(key, group)| {
            let earlier: Counts = before.get(key).map(|group| group.counts).unwrap_or_default();
            let [conversations, messages] = [0, 1].map(|series| {
                let count = |counts: &Counts| counts.get(series).copied().unwrap_or(0);
                count(&group.counts).saturating_sub(count(&earlier))
            });
            let rates = GroupRates {
                key: key.clone(),
                name: group.name.clone(),
                conversations_per_second: per_second(conversations, seconds),
                messages_per_second: per_second(messages, seconds),
            };
            (conversations.saturating_add(messages), rates)
        })
        .collect();
    rows.sort_by(|(one, _), (other, _)| other.cmp(one));
    rows.into_iter().map(|(_, rates)| rates).collect()
}

fn report_times(report: &'static str, per_second: f64, now: &Reading) -> ReportTimes {
    let labels = [("report", report)];
    let answered = now.count("tallyd_report_duration_seconds_count", &labels);
    let buckets = now.values("tallyd_report_duration_seconds_bucket", &labels);
    let mut buckets: Vec<(f64, u64)> = buckets
        .filter_map(|(series, value)| Some((label(series, "le")?.parse().ok()?, value.parse().ok()?)))
        .collect();
    buckets.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let within = |percent: u64| {
        let wanted = answered.saturating_mul(percent).div_ceil(100);
        let bound = buckets.iter().find(|(_, count)| *count >= wanted).map(|(bound, _)| *bound);
        bound.filter(|bound| answered > 0 && bound.is_finite())
    };
    let quick = buckets.iter().filter(|(bound, _)| *bound <= SLOW_SECONDS).map(|(_, count)| *count).max();
    ReportTimes {
        report,
        per_second,
        answered,
        half_within_seconds: within(50),
        most_within_seconds: within(99),
        slow: answered.saturating_sub(quick.unwrap_or(0)),
    }
}

fn per_second(count: u64, seconds: f64) -> f64 {
    if seconds <= 0.0 {
        return 0.0;
    }
    rounded(f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / seconds)
}

fn rounded(figure: f64) -> f64 {
    (figure * 100.0).round() / 100.0
}

/// The whole seconds of a time that is not negative.
fn whole_seconds(seconds: f64) -> u64 {
    std::time::Duration::try_from_secs_f64(seconds).map_or(0, |time| time.as_secs())
}

/// A number of bytes, to a tenth of its unit.
fn bytes(bytes: u64) -> String {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let Some((unit, size)) = units.into_iter().find(|(_, size)| bytes >= *size) else {
        return format!("{bytes} B");
    };
    let tenths = bytes.saturating_mul(10).checked_div(size).unwrap_or(0);
    format!("{}.{} {unit}", tenths.div_euclid(10), tenths.rem_euclid(10))
}

/// A time in its two largest units.
fn spelled(seconds: u64) -> String {
    let [minutes, hours, days] = [60, 3_600, 86_400].map(|unit| seconds.div_euclid(unit));
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds.rem_euclid(60)),
        (0, _, _) => format!("{hours} h {} min", minutes.rem_euclid(60)),
        _ => format!("{days} d {} h", hours.rem_euclid(24)),
    }
}
