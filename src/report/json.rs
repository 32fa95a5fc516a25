//! Reports as JSON, in the contract's shape and order of members. Knows nothing of queries or counters.
//!
//! A report of 1,000 groups has millions of points, so the text around the values is made once per report and copied.
//! Where most of them are zeros, as stories mostly are in a long range, whole runs of them are one text that all groups
//! share, and a large report is written part by part, at the pace of whoever reads it.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;

use super::busiest::BusiestReport;
use super::groups::{Group, GroupKey};
use super::popularity::PopularityReport;
use super::series::{Points, SeriesReport};
use super::summary::{Figure, Scale};
use crate::calendar::{UnixSeconds, write_instant};
use crate::event::Node;

/// What stands between two values: `},{"date":"2019-03-17T00:00:00.000Z","value":`.
type Separator = [u8; SEPARATOR_BYTES];
const SEPARATOR_BYTES: usize = 45;
/// A separator, the 20 digits of the greatest number, a decimal point, and some to spare.
const POINT_BYTES_MAX: usize = SEPARATOR_BYTES + 24;
/// Points that are made ready at a time, in a buffer that stays in the fastest cache.
const ROW_POINTS_MAX: usize = 64;
/// A separator and a zero.
const ZERO_BYTES: usize = SEPARATOR_BYTES + 1;
/// Bytes of the first separator that close what is not there.
const BEFORE_FIRST: usize = 2;
/// Bytes of a part after which the next begins.
const PART_BYTES: usize = 64 * 1024;
/// Bytes from which on a text is a part of its own rather than copied.
const SHARED_BYTES_MIN: usize = 4 * 1024;

pub(super) fn write_series(report: &SeriesReport, out: &mut Vec<u8>) {
    let dates = Dates::of(report);
    out.reserve(dates.separators.len().saturating_mul(SEPARATOR_BYTES + 4).saturating_add(256));
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

/// The texts around the values of a report.
#[derive(Debug)]
struct Dates {
    separators: Vec<Separator>,
    /// Each separator with a zero behind it; empty where there are no groups.
    zeros: Bytes,
}

impl Dates {
    fn of(report: &SeriesReport) -> Self {
        let separators: Vec<Separator> =
            report.units.starts().iter().map(|start| separator(*start)).collect();
        let mut zeros = Vec::new();
        if report.groups.is_some() {
            zeros.reserve_exact(separators.len().saturating_mul(ZERO_BYTES));
            for separator in &separators {
                zeros.extend_from_slice(separator);
                zeros.push(b'0');
            }
        }
        Self { separators, zeros: zeros.into() }
    }

    /// Writes zeros in these units.
    fn write_zeros(&self, units: Range<usize>, out: &mut impl Sink) {
        // The first value has nothing before it to close.
        let mut skipped = if units.start == 0 { BEFORE_FIRST } else { 0 };
        if units.is_empty() {
            return;
        }
        if !self.zeros.is_empty() {
            let at = |unit: usize| unit.saturating_mul(ZERO_BYTES).min(self.zeros.len());
            out.share(self.zeros.slice(at(units.start).saturating_add(skipped)..at(units.end)));
            return;
        }
        for separator in self.separators.get(units).unwrap_or_default() {
            let text = out.text();
            text.extend_from_slice(separator.get(skipped..).unwrap_or_default());
            text.push(b'0');
            skipped = 0;
        }
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
                write_points(&report.points, dates, out);
                if groups.is_some() {
                    out.text().extend_from_slice(b",\"groups\":[");
                }
            }
            Self::Group(place) => {
                let Some(group) = groups.and_then(|groups| groups.list.get(place)) else { return };
                out.text().extend_from_slice(if place == 0 { b"{" } else { b",{" });
                write_group_head(group, out.text());
                write_points(&group.points, dates, out);
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
    out.reserve(8 * 1024);
    for (day, hours) in (0_u64..).zip(report.days()) {
        out.extend_from_slice(if day == 0 { b"[[" } else { b",[" });
        for (hour, value) in (0_u64..).zip(hours) {
            out.extend_from_slice(if hour == 0 { b"{\"day\":" } else { b",{\"day\":" });
            write_whole(day, out);
            out.extend_from_slice(b",\"hour\":");
            write_whole(hour, out);
            out.extend_from_slice(b",\"value\":");
            write_whole(*value, out);
            out.extend_from_slice(b",\"usage\":");
            write_figure(report.usage(*value), out);
            out.push(b'}');
        }
        out.push(b']');
    }
    out.push(b']');
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

fn separator(start: UnixSeconds) -> Separator {
    let mut date = [0; 24];
    write_instant(start, &mut date);
    let mut separator = *b"},{\"date\":\"0000-00-00T00:00:00.000Z\",\"value\":";
    if let Some(place) = separator.get_mut(11..35) {
        place.copy_from_slice(&date);
    }
    separator
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
fn write_points(points: &Points, dates: &Dates, out: &mut impl Sink) {
    out.text().extend_from_slice(b"\"data\":[");
    let (start, units) = (points.start, points.units);
    let end = start.saturating_add(points.values.len());
    dates.write_zeros(0..start, out);
    let separators = dates.separators.get(start..).unwrap_or_default();
    let mut row = [0; ROW_POINTS_MAX * POINT_BYTES_MAX];
    let mut skipped = if start == 0 { BEFORE_FIRST } else { 0 };
    for (values, separators) in points.values.chunks(ROW_POINTS_MAX).zip(separators.chunks(ROW_POINTS_MAX)) {
        let written = fill_row((values, points.scale), separators, &mut row);
        out.text().extend_from_slice(row.get(skipped..written).unwrap_or_default());
        skipped = 0;
    }
    dates.write_zeros(end..units, out);
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

/// Writes each value behind its separator to the front of `row`; returns the bytes written.
///
/// A row has room for the longest values, so that a point costs one copy of known length and its digits, and nothing
/// has to be asked of a growing vector.
fn fill_row((values, scale): (&[u64], Scale), separators: &[Separator], row: &mut [u8]) -> usize {
    let mut at = 0_usize;
    for (value, separator) in values.iter().zip(separators) {
        let Some(place) = row.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<POINT_BYTES_MAX>) else {
            break;
        };
        let Some((text, digits)) = place.split_first_chunk_mut() else { break };
        *text = *separator;
        let length = match scale {
            Scale::Whole => write_digits(*value, digits),
            Scale::Hundredths => {
                let mut length = write_digits(*value / 100, digits);
                let (tenths, hundredths) = (*value / 10 % 10, *value % 10);
                let decimals = digits.get_mut(length..).unwrap_or_default();
                if let ([point, tenth, rest @ ..], true) = (decimals, tenths != 0 || hundredths != 0) {
                    *point = b'.';
                    write_digits(tenths, std::slice::from_mut(tenth));
                    length = length.saturating_add(2);
                    if hundredths != 0 {
                        length = length.saturating_add(write_digits(hundredths, rest));
                    }
                }
                length
            }
        };
        at = at.saturating_add(SEPARATOR_BYTES).saturating_add(length);
    }
    at
}

/// Writes a whole number to the front of `place`; returns how many digits it has.
#[inline]
fn write_digits(value: u64, place: &mut [u8]) -> usize {
    let digit = |number: u64| u8::try_from(number % 10).unwrap_or(0) | b'0';
    // Nearly all values of nearly all reports are this small.
    match place {
        [one, ..] if value < 10 => {
            *one = digit(value);
            1
        }
        [ten, one, ..] if value < 100 => {
            (*ten, *one) = (digit(value / 10), digit(value));
            2
        }
        _ => {
            let mut buffer = itoa::Buffer::new();
            let text = buffer.format(value).as_bytes();
            if let Some(front) = place.get_mut(..text.len()) {
                front.copy_from_slice(text);
            }
            text.len()
        }
    }
}

fn write_figure(figure: Figure, out: &mut Vec<u8>) {
    match figure {
        Figure::Whole(value) => write_whole(value, out),
        Figure::Hundredths(value) => write_hundredths(value, out),
    }
}

fn write_hundredths(value: u64, out: &mut Vec<u8>) {
    write_whole(value / 100, out);
    let (tenths, hundredths) = (value / 10 % 10, value % 10);
    if tenths != 0 || hundredths != 0 {
        out.push(b'.');
        write_whole(tenths, out);
    }
    if hundredths != 0 {
        write_whole(hundredths, out);
    }
}

fn write_whole(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Writes a JSON string. Names come from clients and can hold anything but invalid UTF-8.
fn write_text(text: &str, out: &mut Vec<u8>) {
    const HEX: [u8; 16] = *b"0123456789abcdef";
    out.push(b'"');
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
