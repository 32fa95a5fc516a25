//! Reports as JSON, in the contract's shape and order of members. Knows nothing of queries or counters.
//!
//! A report of 1,000 groups has millions of points, so the text around the values is made once per report and copied.
//! Where most of them are zeros, as stories mostly are in a long range, whole runs of them are one text that all groups
//! share, and a large report is written part by part, at the pace of its client.

use std::ops::Range;

use bytes::Bytes;

use super::ReportPart;
use super::number::{VALUE_ROOM, digit, put, put_value, put_whole, write_figure, write_whole};
use super::output::TextOutput;
use crate::limits::{narrow, wide};
use crate::model::calendar::{Instants, UnixSeconds, write_instant};
use crate::model::event::Node;
use crate::report::Report;
use crate::report::busiest::BusiestReport;
use crate::report::columns::Points;
use crate::report::comparison::Comparison;
use crate::report::groups::{Group, GroupKey, Groups};
use crate::report::popularity::PopularityRow;
use crate::report::summary::{Figure, Scale};

/// What stands between two values: `},{"date":"2019-03-17T00:00:00.000Z","value":`.
type Separator = [u8; SEPARATOR_BYTES];
const SEPARATOR_BYTES: usize = 45;
/// Points after which it is looked whether a part is full.
const ROW_POINTS_MAX: usize = 64;
const ZERO_BYTES: usize = SEPARATOR_BYTES + 1;
/// Where in a separator the date is.
const DATE_PLACE: usize = 11;
/// Bytes of the first separator that close what is not there.
const BEFORE_FIRST: usize = 2;

/// A report that is being written.
#[derive(Debug)]
pub(super) struct JsonWriter {
    dates: Dates,
    /// Those of the earlier range.
    earlier_dates: Dates,
}

impl JsonWriter {
    pub(super) fn new(report: &Report) -> Self {
        match report {
            Report::Series(report) if report.groups.is_some() => {
                let earlier = report.comparison.as_ref().map(|earlier| Dates::of(&earlier.starts));
                Self { dates: Dates::of(&report.starts), earlier_dates: earlier.unwrap_or_default() }
            }
            _ => Self { dates: Dates::default(), earlier_dates: Dates::default() },
        }
    }

    pub(super) fn write(&self, part: ReportPart<'_>, out: &mut TextOutput) {
        match part {
            ReportPart::Whole(report) => {
                out.text().push(b'{');
                write_points(&report.points, &report.starts, &self.dates, out);
                if let Some(earlier) = &report.comparison {
                    self.write_comparison(earlier, out);
                }
                if report.groups.is_some() {
                    out.text().extend_from_slice(b",\"groups\":[");
                }
            }
            ReportPart::Group(report, place, group) => {
                out.text().extend_from_slice(if place == 0 { b"{" } else { b",{" });
                write_group_head(group, out.text());
                write_points(&group.points, &report.starts, &self.dates, out);
                if let (Some(points), Some(earlier)) = (&group.comparison, &report.comparison) {
                    out.text().extend_from_slice(b",\"compare\":{");
                    write_points(points, &earlier.starts, &self.earlier_dates, out);
                    out.text().push(b'}');
                }
                out.text().push(b'}');
            }
            ReportPart::Weekday(report, day, hours) => write_weekday(report, day, hours, out.text()),
            ReportPart::Interaction(place, row) => {
                out.text().extend_from_slice(if place == 0 { b"[{" } else { b",{" });
                write_interaction(row, out.text());
            }
            ReportPart::End(Report::Series(report)) => {
                if let Some(groups) = &report.groups {
                    write_groups_end(groups, out.text());
                }
                if let Some(first_kept) = report.dropped_before {
                    write_dropped(first_kept, out.text());
                }
                out.text().push(b'}');
            }
            ReportPart::End(Report::Popularity(report)) if report.rows.is_empty() => {
                out.text().extend_from_slice(b"[]");
            }
            ReportPart::End(_) => out.text().push(b']'),
        }
    }

    fn write_comparison(&self, earlier: &Comparison, out: &mut TextOutput) {
        let text = out.text();
        for (name, at) in [(&b",\"compare\":{\"from\":\""[..], earlier.from), (b"\",\"to\":\"", earlier.to)] {
            let mut date = [0; 24];
            write_instant(at, &mut date);
            text.extend_from_slice(name);
            text.extend_from_slice(&date);
        }
        text.extend_from_slice(b"\",");
        write_points(&earlier.points, &earlier.starts, &self.earlier_dates, out);
        out.text().push(b'}');
    }
}

fn write_dropped(first_kept: UnixSeconds, text: &mut Vec<u8>) {
    let mut date = [0; 24];
    write_instant(first_kept, &mut date);
    text.extend_from_slice(b",\"droppedBefore\":\"");
    text.extend_from_slice(&date);
    text.push(b'"');
}

fn write_groups_end(groups: &Groups, text: &mut Vec<u8>) {
    text.push(b']');
    if groups.omitted > 0 {
        text.extend_from_slice(b",\"groupsOmitted\":");
        write_whole(wide(groups.omitted), text);
    }
}

fn write_weekday(report: &BusiestReport, day: usize, hours: &[u64], text: &mut Vec<u8>) {
    let day = digit(wide(day));
    text.extend_from_slice(if day == b'0' { b"[[" } else { b",[" });
    let begin = text.len();
    text.resize(begin.saturating_add(hours.len().saturating_mul(WEEKDAY_HOUR_ROOM)), 0);
    let mut end = begin;
    for (hour, value) in (0_u64..).zip(hours) {
        let Some(place) = text.get_mut(end..).and_then(<[u8]>::first_chunk_mut) else { break };
        let (Figure::Whole(usage) | Figure::Hundredths(usage)) = report.usage(*value);
        end = end.saturating_add(put_weekday_hour(place, (day, hour), *value, usage));
    }
    // No comma after the last hour.
    text.truncate(end.saturating_sub(1));
    text.push(b']');
}

/// Bytes of the longest hour of the week, with two values of twenty digits.
const WEEKDAY_HOUR_ROOM: usize = 88;

/// Puts an hour of the week and a comma; the bytes that they take. Twice as fast as to append piece by piece.
#[inline]
fn put_weekday_hour(
    place: &mut [u8; WEEKDAY_HOUR_ROOM],
    (day, hour): (u8, u64),
    value: u64,
    usage: u64,
) -> usize {
    let head = [b'{', b'"', b'd', b'a', b'y', b'"', b':', day];
    let mut at = put(head, place);
    at = at.saturating_add(put(*b",\"hour\":", place.get_mut(at..).unwrap_or_default()));
    at = at.saturating_add(put_whole(hour, place.get_mut(at..).unwrap_or_default()));
    at = at.saturating_add(put(*b",\"value\":", place.get_mut(at..).unwrap_or_default()));
    at = at.saturating_add(put_whole(value, place.get_mut(at..).unwrap_or_default()));
    at = at.saturating_add(put(*b",\"usage\":", place.get_mut(at..).unwrap_or_default()));
    at = at.saturating_add(put_value(usage, Scale::Hundredths, place.get_mut(at..).unwrap_or_default()));
    at.saturating_add(put(*b"},", place.get_mut(at..).unwrap_or_default()))
}

/// Writes an interaction and what closes it.
fn write_interaction(row: &PopularityRow, out: &mut Vec<u8>) {
    match &row.node {
        Node::Interaction(_) => {}
        Node::ContextFallback(parent) => {
            out.extend_from_slice(b"\"parentId\":\"");
            out.extend_from_slice(parent.0.as_bytes());
            out.extend_from_slice(b"\",\"type\":\"contextFallback\",");
        }
        Node::Fallback => out.extend_from_slice(b"\"type\":\"fallback\","),
        Node::Welcome => out.extend_from_slice(b"\"type\":\"welcome\","),
    }
    out.extend_from_slice(b"\"name\":");
    write_text(row.name(), out);
    if let Node::Interaction(id) = &row.node {
        out.extend_from_slice(b",\"id\":\"");
        out.extend_from_slice(id.0.as_bytes());
        out.push(b'"');
    }
    out.extend_from_slice(b",\"usage\":");
    write_figure(row.usage(), out);
    out.extend_from_slice(b",\"value\":");
    write_whole(row.value, out);
    out.push(b'}');
}

/// The texts around the values of a report with groups, which each of them repeats; none where there are no groups.
#[derive(Debug, Default)]
struct Dates {
    separators: Vec<Separator>,
    /// Each separator with a zero behind it.
    zeros: Bytes,
}

impl Dates {
    fn of(starts: &[UnixSeconds]) -> Self {
        let mut instants = Instants::default();
        let separators: Vec<Separator> =
            starts.iter().map(|start| separator(&mut instants, *start)).collect();
        let mut zeros = Vec::with_capacity(separators.len().saturating_mul(ZERO_BYTES));
        for separator in &separators {
            zeros.extend_from_slice(separator);
            zeros.push(b'0');
        }
        Self { separators, zeros: zeros.into() }
    }

    /// Writes zeros in these units.
    fn write_zeros(&self, units: Range<usize>, out: &mut TextOutput) {
        if units.is_empty() {
            return;
        }
        // The first value has nothing before it to close.
        let skipped = if units.start == 0 { BEFORE_FIRST } else { 0 };
        let at = |unit: usize| unit.saturating_mul(ZERO_BYTES).min(self.zeros.len());
        out.share(self.zeros.slice(at(units.start).saturating_add(skipped)..at(units.end)));
    }
}

const SEPARATOR: Separator = *b"},{\"date\":\"0000-00-00T00:00:00.000Z\",\"value\":";

#[inline]
fn separator(instants: &mut Instants, start: UnixSeconds) -> Separator {
    let mut separator = SEPARATOR;
    date_in(&mut separator, instants, start);
    separator
}

#[inline]
fn date_in(separator: &mut Separator, instants: &mut Instants, start: UnixSeconds) {
    if let Some(place) = separator.get_mut(DATE_PLACE..).and_then(<[u8]>::first_chunk_mut) {
        instants.write(start, place);
    }
}

fn write_group_head(group: &Group, out: &mut Vec<u8>) {
    out.extend_from_slice(match group.key {
        GroupKey::Story(_) => b"\"storyId\":\"",
        GroupKey::Source(_) => b"\"source\":\"",
    });
    out.extend_from_slice(group.key.text().as_bytes());
    out.extend_from_slice(b"\",");
    if let Some(name) = &group.name {
        out.extend_from_slice(b"\"name\":");
        write_text(name, out);
        out.push(b',');
    }
}

/// Writes `"data":[…],"summary":{…}` and, in the averages, `,"overall":…`.
fn write_points(points: &Points, starts: &[UnixSeconds], dates: &Dates, out: &mut TextOutput) {
    out.text().extend_from_slice(b"\"data\":[");
    let (start, units) = (points.start, points.units);
    if dates.separators.is_empty() {
        write_only_series(points, starts, out.text());
    } else {
        let end = start.saturating_add(points.values.len());
        dates.write_zeros(0..start, out);
        let mut separators = dates.separators.get(start..).unwrap_or_default().iter();
        let (row, mut values) = (PointWriter::of(points), points.values.iter().copied());
        let mut at = start;
        while at < end {
            // The first value of all has nothing before it to close.
            let units = if at == 0 { 1 } else { ROW_POINTS_MAX.min(end.saturating_sub(at)) };
            let text = out.text();
            let begin = text.len();
            row.write(units, &mut values, text, |place| {
                if let Some(separator) = separators.next() {
                    *place = *separator;
                }
            });
            if at == 0 {
                text.drain(begin..text.len().min(begin.saturating_add(BEFORE_FIRST)));
            }
            at = at.saturating_add(units);
        }
        dates.write_zeros(end..units, out);
    }
    let out = out.text();
    if units > 0 {
        out.push(b'}');
    }
    out.extend_from_slice(b"],\"summary\":{\"total\":");
    write_figure(points.summary.total, out);
    out.extend_from_slice(b",\"min\":");
    write_figure(points.summary.min, out);
    out.extend_from_slice(b",\"max\":");
    write_figure(points.summary.max, out);
    out.extend_from_slice(b",\"avg\":");
    write_figure(points.summary.avg, out);
    out.push(b'}');
    if let Some(overall) = points.overall {
        out.extend_from_slice(b",\"overall\":");
        write_figure(overall, out);
    }
}

/// Writes the points of a series that is the only one of its report, in one plain loop, since most reports are such.
fn write_only_series(points: &Points, starts: &[UnixSeconds], text: &mut Vec<u8>) {
    // The first value has nothing before it to close, so what stands before it is put back there.
    let Some((_, before)) = text.split_last_chunk::<BEFORE_FIRST>().filter(|_| !starts.is_empty()) else {
        return;
    };
    let before = *before;
    let begin = text.len().saturating_sub(BEFORE_FIRST);
    text.truncate(begin);
    let row = PointWriter::of(points);
    let mut instants = Instants::default();
    let mut end = row.make_room(starts.len(), text);
    for (unit, start) in starts.iter().enumerate() {
        let Some((point, rest)) = text.get_mut(end..).and_then(<[u8]>::split_first_chunk_mut) else {
            break;
        };
        *point = SEPARATOR;
        date_in(point, &mut instants, *start);
        end = end.saturating_add(SEPARATOR_BYTES);
        end = end.saturating_add(put_value(points.value(unit), row.scale, rest));
    }
    text.truncate(end);
    if let Some(place) = text.get_mut(begin..).and_then(<[u8]>::first_chunk_mut) {
        *place = before;
    }
}

/// How points of a series are written: into room that is made for many of them at once, so that none asks whether there is
/// some.
#[derive(Clone, Copy)]
struct PointWriter {
    scale: Scale,
    value_room: usize,
}

impl PointWriter {
    fn of(points: &Points) -> Self {
        let digits = narrow(points.summary.max.digits());
        // Hundredths have a point, and a zero where there is nothing before it.
        Self { scale: points.scale, value_room: digits.saturating_add(3).min(VALUE_ROOM) }
    }

    /// Appends room for so many points; where it begins.
    fn make_room(self, units: usize, text: &mut Vec<u8>) -> usize {
        let begin = text.len();
        let room = units.saturating_mul(SEPARATOR_BYTES.saturating_add(self.value_room));
        text.resize(begin.saturating_add(room), 0);
        begin
    }

    /// Appends so many points: the separator that `separate` makes, then the next of the values.
    #[inline]
    fn write(
        self,
        units: usize,
        values: &mut impl Iterator<Item = u64>,
        text: &mut Vec<u8>,
        mut separate: impl FnMut(&mut Separator),
    ) {
        let mut end = self.make_room(units, text);
        for value in values.take(units) {
            let Some((point, rest)) = text.get_mut(end..).and_then(<[u8]>::split_first_chunk_mut) else {
                break;
            };
            separate(point);
            end = end.saturating_add(SEPARATOR_BYTES).saturating_add(put_value(value, self.scale, rest));
        }
        text.truncate(end);
    }
}

/// Writes a JSON string. Names come from clients and can hold anything but invalid UTF-8.
pub(super) fn write_text(text: &str, out: &mut Vec<u8>) {
    const HEX: [u8; 16] = *b"0123456789abcdef";
    out.push(b'"');
    let is_plain = |byte: u8| byte >= 0x20 && !matches!(byte, b'"' | b'\\' | 0x7f);
    if text.bytes().all(is_plain) {
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        return;
    }
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\r' => out.extend_from_slice(b"\\r"),
            0..0x20 | 0x7f => {
                let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}
