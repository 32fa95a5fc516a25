//! Reports as JSON, in the contract's shape and order of members. Knows nothing of queries or counters.
//!
//! A report of 1,000 groups has millions of points, so the text around the values is made once per report and copied.
//! Where most of them are zeros, as stories mostly are in a long range, whole runs of them are one text that all groups
//! share, and a large report is written part by part, at the pace of whoever reads it.

mod value;

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;

use super::busiest::BusiestReport;
use super::columns::Points;
use super::groups::{Group, GroupKey};
use super::popularity::PopularityReport;
use super::series::SeriesReport;
use super::summary::Scale;
use crate::model::calendar::{Instants, UnixSeconds};
use crate::model::event::Node;
use value::{VALUE_ROOM, digit, put, put_value, put_whole, write_figure, write_whole};

/// What stands between two values: `},{"date":"2019-03-17T00:00:00.000Z","value":`.
type Separator = [u8; SEPARATOR_BYTES];
const SEPARATOR_BYTES: usize = 45;
/// Points after which it is looked whether a part is full.
const ROW_POINTS_MAX: usize = 64;
/// A separator and a zero.
const ZERO_BYTES: usize = SEPARATOR_BYTES + 1;
/// Where in a separator the date is.
const DATE_PLACE: usize = 11;
/// Bytes of the first separator that close what is not there.
const BEFORE_FIRST: usize = 2;
/// Bytes of a part after which the next begins.
const PART_BYTES: usize = 64 * 1024;
/// Bytes from which on a text is a part of its own rather than copied.
const SHARED_BYTES_MIN: usize = 4 * 1024;

pub(super) fn write_series(report: &SeriesReport, out: &mut Vec<u8>) {
    let dates = Dates::of(report);
    let series = report.groups.as_ref().map_or(0, |groups| groups.list.len()).saturating_add(1);
    let points = report.units.len().saturating_mul(series);
    out.reserve_exact(points.saturating_mul(SEPARATOR_BYTES + 4).saturating_add(series.saturating_mul(256)));
    for piece in Piece::all(report) {
        piece.write(report, &dates, out);
    }
}

/// A report as JSON, in parts of which none is empty; those of a series are made one by one.
#[derive(Debug)]
pub struct JsonParts {
    making: Option<Making>,
    parts: Parts,
}

/// A series report of which some pieces are still to be written.
#[derive(Debug)]
struct Making {
    report: SeriesReport,
    dates: Dates,
    next: Piece,
}

impl JsonParts {
    pub(super) fn of_series(report: SeriesReport) -> Self {
        let dates = Dates::of(&report);
        Self { making: Some(Making { report, dates, next: Piece::Whole }), parts: Parts::default() }
    }

    pub(super) fn of_text(text: Vec<u8>) -> Self {
        Self { making: None, parts: Parts { ready: VecDeque::new(), writing: text } }
    }
}

impl Iterator for JsonParts {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        while self.parts.ready.is_empty() {
            let Some(Making { report, dates, next }) = &mut self.making else {
                self.parts.finish();
                break;
            };
            next.write(report, dates, &mut self.parts);
            match next.next(report) {
                Some(piece) => *next = piece,
                None => self.making = None,
            }
        }
        self.parts.ready.pop_front()
    }
}

/// Where text goes.
trait Sink {
    /// What is being written now.
    fn text(&mut self) -> &mut Vec<u8>;
    /// Appends a text that is there already.
    fn share(&mut self, text: Bytes);
}

impl Sink for Vec<u8> {
    fn text(&mut self) -> &mut Vec<u8> {
        self
    }

    fn share(&mut self, text: Bytes) {
        self.extend_from_slice(&text);
    }
}

/// Text in parts, none of them very small.
#[derive(Debug, Default)]
struct Parts {
    ready: VecDeque<Bytes>,
    writing: Vec<u8>,
}

impl Parts {
    fn finish(&mut self) {
        if !self.writing.is_empty() {
            self.ready.push_back(std::mem::take(&mut self.writing).into());
        }
    }
}

impl Sink for Parts {
    fn text(&mut self) -> &mut Vec<u8> {
        if self.writing.len() >= PART_BYTES {
            self.finish();
        }
        &mut self.writing
    }

    fn share(&mut self, text: Bytes) {
        if text.len() < SHARED_BYTES_MIN {
            self.text().extend_from_slice(&text);
        } else {
            self.finish();
            self.ready.push_back(text);
        }
    }
}

/// The texts around the values of a report with groups, which each of them repeats; none where there are no groups.
#[derive(Debug)]
struct Dates {
    separators: Vec<Separator>,
    /// Each separator with a zero behind it.
    zeros: Bytes,
}

impl Dates {
    fn of(report: &SeriesReport) -> Self {
        if report.groups.is_none() {
            return Self { separators: Vec::new(), zeros: Bytes::new() };
        }
        let mut instants = Instants::default();
        let starts = report.units.starts().iter();
        let separators: Vec<Separator> = starts.map(|start| separator(&mut instants, *start)).collect();
        let mut zeros = Vec::with_capacity(separators.len().saturating_mul(ZERO_BYTES));
        for separator in &separators {
            zeros.extend_from_slice(separator);
            zeros.push(b'0');
        }
        Self { separators, zeros: zeros.into() }
    }

    /// Writes zeros in these units.
    fn write_zeros(&self, units: Range<usize>, out: &mut impl Sink) {
        if units.is_empty() {
            return;
        }
        // The first value has nothing before it to close.
        let skipped = if units.start == 0 { BEFORE_FIRST } else { 0 };
        let at = |unit: usize| unit.saturating_mul(ZERO_BYTES).min(self.zeros.len());
        out.share(self.zeros.slice(at(units.start).saturating_add(skipped)..at(units.end)));
    }
}

/// A piece of a series report.
#[derive(Clone, Copy, Debug)]
enum Piece {
    /// Everything together.
    Whole,
    /// The group at that place.
    Group(usize),
    /// What closes the groups.
    Rest,
}

impl Piece {
    fn all(report: &SeriesReport) -> impl Iterator<Item = Self> {
        std::iter::successors(Some(Self::Whole), |piece| piece.next(report))
    }

    fn next(self, report: &SeriesReport) -> Option<Self> {
        let groups = report.groups.as_ref().map_or(0, |groups| groups.list.len());
        let place = match self {
            Self::Whole => 0,
            Self::Group(place) => place.saturating_add(1),
            Self::Rest => return None,
        };
        Some(if place < groups { Self::Group(place) } else { Self::Rest })
    }

    fn write(self, report: &SeriesReport, dates: &Dates, out: &mut impl Sink) {
        let groups = report.groups.as_ref();
        match self {
            Self::Whole => {
                out.text().push(b'{');
                write_points(&report.points, report.units.starts(), dates, out);
                if groups.is_some() {
                    out.text().extend_from_slice(b",\"groups\":[");
                }
            }
            Self::Group(place) => {
                let Some(group) = groups.and_then(|groups| groups.list.get(place)) else { return };
                out.text().extend_from_slice(if place == 0 { b"{" } else { b",{" });
                write_group_head(group, out.text());
                write_points(&group.points, report.units.starts(), dates, out);
                out.text().push(b'}');
            }
            Self::Rest => {
                let text = out.text();
                if let Some(groups) = groups {
                    text.push(b']');
                    if groups.omitted > 0 {
                        text.extend_from_slice(b",\"groupsOmitted\":");
                        write_whole(u64::try_from(groups.omitted).unwrap_or(u64::MAX), text);
                    }
                }
                text.push(b'}');
            }
        }
    }
}

pub(super) fn write_busiest(report: &BusiestReport, out: &mut Vec<u8>) {
    let usage = report.usages();
    out.reserve_exact(8 * 1024);
    for (day, hours) in (0_u64..).zip(report.days()) {
        let day = digit(day);
        out.extend_from_slice(if day == b'0' { b"[[" } else { b",[" });
        let begin = out.len();
        out.resize(begin.saturating_add(hours.len().saturating_mul(BUSY_ROOM)), 0);
        let mut end = begin;
        for (hour, value) in (0_u64..).zip(hours) {
            let Some(place) = out.get_mut(end..).and_then(<[u8]>::first_chunk_mut) else { break };
            end = end.saturating_add(put_busy(place, (day, hour), *value, usage.of_part(*value)));
        }
        // No comma after the last hour.
        out.truncate(end.saturating_sub(1));
        out.push(b']');
    }
    out.push(b']');
}

/// Bytes of the longest hour of the week, with two values of twenty digits.
const BUSY_ROOM: usize = 88;

/// Puts an hour of the week and a comma; the bytes that they take. Every piece has its place, or stands after a number.
#[inline]
fn put_busy(place: &mut [u8; BUSY_ROOM], (day, hour): (u8, u64), value: u64, usage: u64) -> usize {
    let (tens, ones) = (digit(hour / 10), digit(hour));
    let head = [
        b'{', b'"', b'd', b'a', b'y', b'"', b':', day, b',', b'"', b'h', b'o', b'u', b'r', b'"', b':', tens,
        ones,
    ];
    // A first digit of 0 is written over by the second.
    let mut at = put(head, place);
    if hour < 10 {
        at = at.saturating_sub(2);
        at = at.saturating_add(put([ones], place.get_mut(at..).unwrap_or_default()));
    }
    at = at.saturating_add(put(*b",\"value\":", place.get_mut(at..).unwrap_or_default()));
    at = at.saturating_add(put_whole(value, place.get_mut(at..).unwrap_or_default()));
    at = at.saturating_add(put(*b",\"usage\":", place.get_mut(at..).unwrap_or_default()));
    at = at.saturating_add(put_value(usage, Scale::Hundredths, place.get_mut(at..).unwrap_or_default()));
    at.saturating_add(put(*b"},", place.get_mut(at..).unwrap_or_default()))
}

pub(super) fn write_popularity(report: &PopularityReport, out: &mut Vec<u8>) {
    out.reserve(report.rows().len().saturating_mul(128));
    out.push(b'[');
    for (place, row) in report.rows().iter().enumerate() {
        out.extend_from_slice(if place == 0 { b"{" } else { b",{" });
        let id_after_name = match row.node() {
            Node::Interaction(id) => Some(id),
            Node::ContextFallback(parent) => {
                out.extend_from_slice(b"\"parentId\":\"");
                out.extend_from_slice(parent.0.as_bytes());
                out.extend_from_slice(b"\",\"type\":\"contextFallback\",");
                None
            }
            Node::Fallback => {
                out.extend_from_slice(b"\"type\":\"fallback\",");
                None
            }
            Node::Welcome => {
                out.extend_from_slice(b"\"type\":\"welcome\",");
                None
            }
        };
        out.extend_from_slice(b"\"name\":");
        write_text(row.name(), out);
        if let Some(id) = id_after_name {
            out.extend_from_slice(b",\"id\":\"");
            out.extend_from_slice(id.0.as_bytes());
            out.push(b'"');
        }
        out.extend_from_slice(b",\"usage\":");
        write_figure(report.usage(row), out);
        out.extend_from_slice(b",\"value\":");
        write_whole(row.value(), out);
        out.push(b'}');
    }
    out.push(b']');
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
fn write_points(points: &Points, starts: &[UnixSeconds], dates: &Dates, out: &mut impl Sink) {
    out.text().extend_from_slice(b"\"data\":[");
    let (start, units) = (points.start, points.units);
    if dates.separators.is_empty() {
        write_only_series(points, starts, out.text());
    } else {
        let end = start.saturating_add(points.values.len());
        dates.write_zeros(0..start, out);
        let mut separators = dates.separators.get(start..).unwrap_or_default().iter();
        let (row, mut values) = (Row::of(points), points.values.iter().copied());
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

/// Writes the points of a series that is the only one of its report.
fn write_only_series(points: &Points, starts: &[UnixSeconds], text: &mut Vec<u8>) {
    let mut instants = Instants::default();
    let mut starts = starts.iter();
    let mut values = points.values();
    let row = Row::of(points);
    let mut separate = |place: &mut Separator| {
        *place = SEPARATOR;
        if let Some(start) = starts.next() {
            date_in(place, &mut instants, *start);
        }
    };
    let begin = text.len();
    row.write(1, &mut values, text, &mut separate);
    // The first value has nothing before it to close.
    text.drain(begin..text.len().min(begin.saturating_add(BEFORE_FIRST)));
    row.write(points.units.saturating_sub(1), &mut values, text, separate);
}

/// How points of a series are written: into room that is made for many of them at once, so that none asks whether there is
/// some.
#[derive(Clone, Copy)]
struct Row {
    scale: Scale,
    value_room: usize,
}

impl Row {
    fn of(points: &Points) -> Self {
        let digits = usize::try_from(points.summary.max.digits()).unwrap_or(VALUE_ROOM);
        // Hundredths have a point, and a zero where there is nothing before it.
        Self { scale: points.scale, value_room: digits.saturating_add(3).min(VALUE_ROOM) }
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
        let begin = text.len();
        let room = units.saturating_mul(SEPARATOR_BYTES.saturating_add(self.value_room));
        text.resize(begin.saturating_add(room), 0);
        let mut end = begin;
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
fn write_text(text: &str, out: &mut Vec<u8>) {
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
