//! Reports as JSON, in the contract's shape and order of members. Knows nothing of queries or counters.
//!
//! A report of 1,000 groups has millions of points, so the text around the values is made once per report and copied.

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
const ROW_POINTS_MAX: usize = 256;

pub(super) fn write_series(report: &SeriesReport, out: &mut Vec<u8>) {
    let separators: Vec<Separator> = report.units.starts().iter().map(|start| separator(*start)).collect();
    let groups = report.groups.as_ref();
    let series = groups.map_or(1, |groups| groups.list.len().saturating_add(1));
    let bytes_per_point = SEPARATOR_BYTES.saturating_add(4);
    let mut row = Vec::new();
    out.reserve(separators.len().saturating_mul(bytes_per_point).saturating_add(256).saturating_mul(series));
    out.push(b'{');
    write_points(&report.points, &separators, &mut row, out);
    if let Some(groups) = groups {
        out.extend_from_slice(b",\"groups\":[");
        for (place, group) in groups.list.iter().enumerate() {
            out.extend_from_slice(if place == 0 { b"{" } else { b",{" });
            write_group_head(group, out);
            write_points(&group.points, &separators, &mut row, out);
            out.push(b'}');
        }
        out.push(b']');
        if groups.omitted > 0 {
            out.extend_from_slice(b",\"groupsOmitted\":");
            write_whole(u64::try_from(groups.omitted).unwrap_or(u64::MAX), out);
        }
    }
    out.push(b'}');
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
fn write_points(points: &Points, separators: &[Separator], row: &mut Vec<u8>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"data\":[");
    let mut blocks = points.values.chunks(ROW_POINTS_MAX).zip(separators.chunks(ROW_POINTS_MAX));
    row.resize(points.values.len().min(ROW_POINTS_MAX).saturating_mul(POINT_BYTES_MAX), 0);
    if let Some((values, separators)) = blocks.next() {
        // The first value has nothing before it to close.
        let written = fill_row((values, points.scale), separators, row);
        out.extend_from_slice(row.get(2..written).unwrap_or_default());
        for (values, separators) in blocks {
            let written = fill_row((values, points.scale), separators, row);
            out.extend_from_slice(row.get(..written).unwrap_or_default());
        }
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
