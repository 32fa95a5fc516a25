//! What tallyd must answer, computed the slow and obvious way: every counter in one ordered map, every report
//! a walk over hours in steps of a quarter, local times from the time zone library hour by hour.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike, Offset, TimeZone, Timelike};
use serde_json::{Value, json};

use super::events::{Event, Kind, Node};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Metric {
    Conversations,
    Paid,
    Messages,
    Node(Node),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    /// (story, source, metric, hour) → count.
    counts: BTreeMap<(String, &'static str, Metric, i64), u64>,
    /// Known stories and their names.
    pub(crate) stories: BTreeMap<String, Option<String>>,
    /// Known nodes by story, and their names.
    nodes: BTreeMap<(String, Node), Option<String>>,
}

impl Model {
    pub(crate) fn add(&mut self, event: &Event) {
        let count = u64::from(event.count.unwrap_or(1));
        let hour = event.seconds.div_euclid(3_600);
        let name = self.stories.entry(event.story.clone()).or_default();
        if event.story_name.is_some() {
            name.clone_from(&event.story_name);
        }
        let mut bump = |metric: Metric, by: u64| {
            *self.counts.entry((event.story.clone(), event.source, metric, hour)).or_default() += by;
        };
        match &event.kind {
            Kind::Conversation { paid } => {
                bump(Metric::Conversations, count);
                if *paid == Some(true) {
                    bump(Metric::Paid, count.max(1));
                }
            }
            Kind::Message => bump(Metric::Messages, count),
            Kind::Interaction { node, name } => {
                bump(Metric::Node(node.clone()), count);
                let known = self.nodes.entry((event.story.clone(), node.clone())).or_default();
                if name.is_some() {
                    known.clone_from(name);
                }
            }
        }
    }

    pub(crate) fn delete(&mut self, story: &str) {
        self.stories.remove(story);
        self.nodes.retain(|(of, _), _| of != story);
        self.counts.retain(|(of, ..), _| of != story);
    }

    /// Takes away what was counted for a story from one hour up to another; how much that was.
    pub(crate) fn undo(&mut self, story: &str, hours: std::ops::Range<i64>) -> u64 {
        let mut gone = 0;
        self.counts.retain(|(of, _, _, hour), count| {
            let stays = of != story || !hours.contains(hour);
            gone += if stays { 0 } else { *count };
            stays
        });
        gone
    }

    /// The buckets of the chosen stories and sources: (metric, start of the hour, count).
    fn chosen(&self, query: &Query) -> Vec<(&Metric, i64, u64)> {
        self.counts
            .iter()
            .filter(|((story, source, ..), _)| query.has_story(story) && query.has_source(source))
            .map(|((_, _, metric, hour), count)| (metric, hour * 3_600, *count))
            .collect()
    }
}

/// Sum of the buckets of a metric that start in the range.
fn sum(buckets: &[(&Metric, i64, u64)], metric: &Metric, from: i64, to: i64) -> u64 {
    buckets
        .iter()
        .filter(|(of, start, _)| *of == metric && from <= *start && *start < to)
        .map(|(_, _, count)| count)
        .sum()
}

/// A request, with its range already as instants.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    /// In seconds, not yet widened.
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) dimension: Unit,
    pub(crate) group: Option<&'static str>,
    pub(crate) sources: Vec<&'static str>,
    pub(crate) stories: Vec<String>,
    pub(crate) zone: Zone,
    pub(crate) limit: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Hour,
    Day,
    Month,
    Year,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Zone {
    Minutes(i32),
    Named(chrono_tz::Tz),
}

impl Zone {
    pub(crate) fn local(self, seconds: i64) -> (i64, chrono::NaiveDateTime) {
        let utc = chrono::DateTime::from_timestamp(seconds, 0).unwrap().naive_utc();
        let offset = match self {
            Self::Minutes(minutes) => i64::from(minutes) * 60,
            Self::Named(zone) => i64::from(zone.offset_from_utc_datetime(&utc).fix().local_minus_utc()),
        };
        (offset, utc + chrono::TimeDelta::seconds(offset))
    }

    /// What names the unit that the instant is in. A local hour that comes twice is two units.
    fn unit_of(self, unit: Unit, seconds: i64) -> (i64, i64, i64, i64) {
        let (offset, local) = self.local(seconds);
        let (year, month, day) = (i64::from(local.year()), i64::from(local.month()), i64::from(local.day()));
        match unit {
            Unit::Hour => (year * 10_000 + month * 100 + day, i64::from(local.hour()), offset, 0),
            Unit::Day => (year, month, day, 0),
            Unit::Month => (year, month, 0, 0),
            Unit::Year => (year, 0, 0, 0),
        }
    }

    /// The first quarter of the unit that the instant is in.
    fn start_of(self, unit: Unit, seconds: i64) -> i64 {
        let this = self.unit_of(unit, seconds);
        let step = if unit == Unit::Hour { 900 } else { 3_600 * 6 };
        let mut start = seconds.div_euclid(900) * 900;
        // In coarse steps while they stay in the unit, then in quarters.
        while self.unit_of(unit, start - step) == this {
            start -= step;
        }
        while self.unit_of(unit, start - 900) == this {
            start -= 900;
        }
        start
    }

    fn end_of(self, unit: Unit, seconds: i64) -> i64 {
        let this = self.unit_of(unit, seconds);
        let step = if unit == Unit::Hour { 900 } else { 3_600 * 6 };
        let mut end = seconds.div_euclid(900) * 900;
        // In coarse steps while they stay in the unit, then in quarters.
        while self.unit_of(unit, end + step) == this {
            end += step;
        }
        while self.unit_of(unit, end) == this {
            end += 900;
        }
        end
    }
}

impl Query {
    fn has_story(&self, story: &str) -> bool {
        self.stories.is_empty() || self.stories.iter().any(|chosen| chosen == story)
    }

    fn has_source(&self, source: &str) -> bool {
        self.sources.is_empty() || self.sources.contains(&source)
    }

    /// The range widened to whole local hours.
    fn range(&self) -> (i64, i64) {
        let from = self.zone.start_of(Unit::Hour, self.from);
        let to = if self.zone.start_of(Unit::Hour, self.to) == self.to {
            self.to
        } else {
            self.zone.end_of(Unit::Hour, self.to)
        };
        (from, to)
    }

    /// The start of each unit that the range touches, and the part of the unit that is in the range.
    fn units(&self) -> Vec<(i64, i64, i64)> {
        let (from, to) = self.range();
        let mut units = Vec::new();
        let mut at = from;
        while at < to {
            let end = self.zone.end_of(self.dimension, at).min(to);
            units.push((self.zone.start_of(self.dimension, at), at, end));
            at = end;
        }
        units
    }
}

/// A number of hundredths as JSON, whole numbers without a point.
fn hundredths(value: i128) -> Value {
    if value % 100 == 0 { json!(i64::try_from(value / 100).unwrap()) } else { json!(value as f64 / 100.0) }
}

/// `numerator ÷ denominator` in hundredths, halves away from zero; 0 where the denominator is 0.
fn ratio(numerator: i128, denominator: i128) -> i128 {
    if denominator == 0 { 0 } else { (numerator * 200 + denominator) / (denominator * 2) }
}

fn iso(seconds: i64) -> Value {
    json!(chrono::DateTime::from_timestamp(seconds, 0).unwrap().format("%Y-%m-%dT%H:%M:%S.000Z").to_string())
}

/// Values are in hundredths throughout.
struct Series {
    points: Vec<(i64, i128)>,
    overall: Option<i128>,
    counted: bool,
}

impl Series {
    fn total(&self) -> i128 {
        self.points.iter().map(|(_, value)| value).sum()
    }

    fn json(&self) -> Value {
        let values = || self.points.iter().map(|(_, value)| *value);
        let points = i128::try_from(self.points.len()).unwrap();
        let mut object = json!({
            "data": self.points.iter()
                .map(|(date, value)| json!({"date": iso(*date), "value": hundredths(*value)}))
                .collect::<Vec<_>>(),
            "summary": {
                "total": hundredths(self.total()),
                "min": hundredths(values().min().unwrap_or(0)),
                "max": hundredths(values().max().unwrap_or(0)),
                "avg": hundredths(if points == 0 { 0 } else { ratio(self.total(), points * 100) }),
            },
        });
        if let Some(overall) = self.overall {
            object["overall"] = hundredths(overall);
        }
        object
    }
}

impl Model {
    pub(crate) fn report(&self, name: &str, query: &Query) -> Value {
        match name {
            "busiest-period" => self.busiest(query),
            "interactions.popularity" => self.popularity(query),
            _ => self.series_report(name, query),
        }
    }

    /// `GET /stories`: the latest hour first, stories without any last, then by id.
    pub(crate) fn listing(&self) -> Value {
        let mut rows: Vec<_> = self
            .stories
            .iter()
            .map(|(id, name)| {
                let counted = || self.counts.iter().filter(|((story, ..), count)| story == id && **count > 0);
                let hours = || counted().map(|((.., hour), _)| *hour);
                let sum = |wanted| -> u64 {
                    counted().filter(|((_, _, metric, _), _)| *metric == wanted).map(|(_, count)| count).sum()
                };
                let instant = |hour: Option<i64>| hour.map_or(Value::Null, |hour| iso(hour * 3_600));
                let row = json!({
                    "storyId": id,
                    "name": name,
                    "firstEvent": instant(hours().min()),
                    "lastEvent": instant(hours().max()),
                    "conversations": sum(Metric::Conversations),
                    "messages": sum(Metric::Messages),
                });
                ((std::cmp::Reverse(hours().max()), id), row)
            })
            .collect();
        rows.sort_by_key(|(place, _)| *place);
        rows.into_iter().map(|(_, row)| row).collect()
    }

    fn series(&self, name: &str, query: &Query) -> Series {
        let metric = match name {
            "conversations.paid" => Metric::Paid,
            "conversations.messages" => Metric::Messages,
            _ => Metric::Conversations,
        };
        let (from, to) = query.range();
        // Only what the report counts, so that the walk over units is not over everything.
        let mut buckets = self.chosen(query);
        buckets.retain(|(of, ..)| {
            **of == metric || (name == "conversations.average" && **of == Metric::Messages)
        });
        let count = |metric: &Metric, start: i64, end: i64| i128::from(sum(&buckets, metric, start, end));
        let average = name == "conversations.average";
        let points = query
            .units()
            .into_iter()
            .map(|(date, start, end)| {
                let value = if average {
                    ratio(count(&Metric::Messages, start, end), count(&Metric::Conversations, start, end))
                } else {
                    count(&metric, start, end) * 100
                };
                (date, value)
            })
            .collect();
        let conversations = count(&Metric::Conversations, from, to);
        let messages = count(&Metric::Messages, from, to);
        Series {
            points,
            overall: average.then(|| ratio(messages, conversations)),
            counted: if average { conversations + messages > 0 } else { count(&metric, from, to) > 0 },
        }
    }

    fn series_report(&self, name: &str, query: &Query) -> Value {
        let mut answer = self.series(name, query).json();
        let Some(group) = query.group else { return answer };
        let keys: BTreeSet<String> = match group {
            "source" => super::events::SOURCES
                .iter()
                .filter(|source| query.has_source(source))
                .map(|source| (*source).to_owned())
                .collect(),
            _ => self.stories.keys().filter(|story| query.has_story(story)).cloned().collect(),
        };
        let mut groups: Vec<(String, Series)> = keys
            .into_iter()
            .map(|key| {
                let mut of_group = query.clone();
                match group {
                    "source" => {
                        of_group.sources =
                            super::events::SOURCES.iter().copied().filter(|source| *source == key).collect();
                    }
                    _ => of_group.stories = vec![key.clone()],
                }
                let series = self.series(name, &of_group);
                (key, series)
            })
            .filter(|(_, series)| series.counted)
            .collect();
        groups.sort_by(|(a_key, a), (b_key, b)| b.total().cmp(&a.total()).then_with(|| a_key.cmp(b_key)));
        let omitted = groups.len().saturating_sub(query.limit);
        groups.truncate(query.limit);
        answer["groups"] = groups
            .iter()
            .map(|(key, series)| {
                let mut object = series.json();
                object[group] = json!(key);
                if let Some(Some(name)) = self.stories.get(key).filter(|_| group == "storyId") {
                    object["name"] = json!(name);
                }
                object
            })
            .collect();
        if omitted > 0 {
            answer["groupsOmitted"] = json!(omitted);
        }
        answer
    }

    fn busiest(&self, query: &Query) -> Value {
        let (from, to) = query.range();
        let mut table = [[0_u64; 24]; 7];
        for ((story, source, metric, hour), count) in &self.counts {
            let bucket = hour * 3_600;
            if *metric == Metric::Conversations
                && query.has_story(story)
                && query.has_source(source)
                && from <= bucket
                && bucket < to
            {
                let (_, local) = query.zone.local(bucket);
                let day = local.weekday().num_days_from_sunday() as usize;
                table[day][local.hour() as usize] += count;
            }
        }
        let total = i128::from(table.iter().flatten().sum::<u64>());
        let row = |day: usize| -> Value {
            (0..24)
                .map(|hour| {
                    let value = table[day][hour];
                    let usage = hundredths(ratio(i128::from(value) * 100, total));
                    json!({"day": day, "hour": hour, "value": value, "usage": usage})
                })
                .collect()
        };
        (0..7).map(row).collect()
    }

    fn popularity(&self, query: &Query) -> Value {
        let (from, to) = query.range();
        // Over several stories a node of the same kind and id is one row; the model gives every story its own ids.
        let mut rows: BTreeMap<Node, (u64, String)> = BTreeMap::new();
        for ((_, node), name) in self.nodes.iter().filter(|((story, _), _)| query.has_story(story)) {
            let shown = match (node, name) {
                (Node::Interaction(_), Some(name)) => name.clone(),
                (Node::Interaction(id), None) => id.clone(),
                (Node::ContextFallback(_) | Node::Fallback, _) => "Fallback Interaction".to_owned(),
                (Node::Welcome, _) => "Welcome Interaction".to_owned(),
            };
            rows.insert(node.clone(), (0, shown));
        }
        if !query.stories.is_empty() || !self.stories.is_empty() {
            rows.entry(Node::Fallback).or_insert((0, "Fallback Interaction".to_owned()));
            rows.entry(Node::Welcome).or_insert((0, "Welcome Interaction".to_owned()));
        }
        let buckets = self.chosen(query);
        for (node, (value, _)) in &mut rows {
            *value = sum(&buckets, &Metric::Node(node.clone()), from, to);
        }
        let total = i128::from(rows.values().map(|(value, _)| value).sum::<u64>());
        let mut rows: Vec<_> = rows.into_iter().collect();
        rows.sort_by(|(a, (a_value, a_name)), (b, (b_value, b_name))| {
            let rank = |node: &Node| match node {
                Node::Interaction(_) => 0,
                Node::ContextFallback(_) => 1,
                Node::Fallback => 2,
                Node::Welcome => 3,
            };
            b_value
                .cmp(a_value)
                .then(rank(a).cmp(&rank(b)))
                .then_with(|| a_name.cmp(b_name))
                .then_with(|| a.cmp(b))
        });
        rows.truncate(query.limit);
        rows.into_iter()
            .map(|(node, (value, name))| {
                let mut row =
                    json!({"name": name, "value": value, "usage": hundredths(ratio(i128::from(value) * 100, total))});
                match node {
                    Node::Interaction(id) => row["id"] = json!(id),
                    Node::ContextFallback(id) => {
                        row["parentId"] = json!(id);
                        row["type"] = json!("contextFallback");
                    }
                    Node::Fallback => row["type"] = json!("fallback"),
                    Node::Welcome => row["type"] = json!("welcome"),
                }
                row
            })
            .collect()
    }
}
