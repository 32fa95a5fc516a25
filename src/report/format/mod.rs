//! Reports as text: the contract's JSON, cut into parts, or one table in two spellings. A format is one arm of `ReportWriter`.
//! Knows nothing of queries or counters.

mod cell;
mod csv;
mod json;
mod number;
mod output;
mod read;
mod rows;
mod table;

use bytes::Bytes;

use super::Report;
use super::busiest::BusiestReport;
use super::groups::Group;
use super::popularity::PopularityRow;
use super::series::SeriesReport;
use json::JsonWriter;
use output::TextOutput;
use table::TableWriter;
pub use table::{TableFormat, TableSpelling};

/// Bytes that a data point mostly takes.
const POINT_BYTES: usize = 49;

/// The spellings of a report.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReportFormat {
    /// The contract's JSON, without white space.
    Json,
    /// One table, for sheets, scripts and tools that take rows.
    Table(TableFormat),
}

/// A part of a report, in the order of the JSON.
#[derive(Clone, Copy, Debug)]
enum ReportPart<'a> {
    /// The points of everything together.
    Whole(&'a SeriesReport),
    /// The points of the group at that place.
    Group(&'a SeriesReport, usize, &'a Group),
    /// The hours of a weekday, 0 = Sunday.
    Weekday(&'a BusiestReport, usize, &'a [u64]),
    /// The interaction at that place.
    Interaction(usize, &'a PopularityRow),
    /// What closes the report; always the last.
    End(&'a Report),
}

impl Report {
    /// The part at a place, which counts from 0.
    fn part(&self, place: usize) -> ReportPart<'_> {
        let part = match self {
            Self::Series(report) => match place.checked_sub(1) {
                None => Some(ReportPart::Whole(report)),
                Some(place) => {
                    report.group_list().get(place).map(|group| ReportPart::Group(report, place, group))
                }
            },
            Self::Busiest(report) => {
                report.days().nth(place).map(|hours| ReportPart::Weekday(report, place, hours))
            }
            Self::Popularity(report) => report.rows.get(place).map(|row| ReportPart::Interaction(place, row)),
        };
        part.unwrap_or(ReportPart::End(self))
    }

    /// About how many bytes the text takes, so that it is not moved while it grows.
    fn text_bytes(&self) -> usize {
        match self {
            Self::Series(report) => {
                let series = report.group_list().len().saturating_add(1);
                let earlier = report.comparison.as_ref().map_or(0, |earlier| earlier.starts.len());
                let points = report.starts.len().saturating_add(earlier).saturating_mul(series);
                points.saturating_mul(POINT_BYTES).saturating_add(series.saturating_mul(256))
            }
            Self::Busiest(_) => 8 * 1024,
            Self::Popularity(report) => report.rows.len().saturating_mul(128),
        }
    }

    /// Appends the report in a format.
    pub fn write(&self, format: ReportFormat, out: &mut Vec<u8>) {
        out.reserve_exact(self.text_bytes());
        let mut output = TextOutput::whole(std::mem::take(out));
        let mut writer = ReportWriter::new(format, self);
        while !writer.write_next(self, &mut output) {}
        *out = output.into_text();
    }

    /// The same text in parts, which are written one by one as they are asked for.
    pub fn into_text_parts(self, format: ReportFormat) -> TextParts {
        let writer = ReportWriter::new(format, &self);
        TextParts { report: self, writer, is_written: false, output: TextOutput::in_parts() }
    }
}

/// A report as text, in parts; no part is empty.
#[derive(Debug)]
pub struct TextParts {
    report: Report,
    writer: ReportWriter,
    is_written: bool,
    output: TextOutput,
}

impl Iterator for TextParts {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(part) = self.output.next_part() {
                return Some(part);
            }
            if self.is_written {
                return None;
            }
            self.is_written = self.writer.write_next(&self.report, &mut self.output);
            if self.is_written {
                self.output.finish_part();
            }
        }
    }
}

/// A report that is being written in a format.
#[derive(Debug)]
enum ReportWriter {
    /// With the place of the next part.
    Json(JsonWriter, usize),
    Table(TableWriter),
}

impl ReportWriter {
    fn new(format: ReportFormat, report: &Report) -> Self {
        match format {
            ReportFormat::Json => Self::Json(JsonWriter::new(report), 0),
            ReportFormat::Table(format) => Self::Table(TableWriter::new(format, report)),
        }
    }

    /// Writes the next part; whether it was the last.
    fn write_next(&mut self, report: &Report, out: &mut TextOutput) -> bool {
        match self {
            Self::Json(json, next) => {
                let part = report.part(*next);
                *next = next.saturating_add(1);
                json.write(part, out);
                matches!(part, ReportPart::End(_))
            }
            Self::Table(table) => table.write_next(report, out),
        }
    }
}
