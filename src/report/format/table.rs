//! A report as one table, for sheets and for tools that take rows: which columns it has, and which cells its rows. Series are
//! ordered by date, then by group. How a row is spelled is in `csv` and `rows`.
//!
//! INVARIANT: every row has a cell for every column, missing ones too.

use super::cell::Cell;
use super::output::TextOutput;
use super::{csv, rows};
use crate::model::calendar::{Instants, LocalText, Unit, UnixSeconds, Zone};
use crate::model::event::Node;
use crate::report::busiest::BusiestReport;
use crate::report::columns::Points;
use crate::report::groups::{Group, GroupKey};
use crate::report::popularity::PopularityRow;
use crate::report::series::SeriesReport;
use crate::report::summary::Figure;
use crate::report::{GroupBy, Report};

/// The spellings of a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TableSpelling {
    /// Comma-separated values with a heading (RFC 4180).
    Csv,
    /// A JSON list of objects.
    Rows,
}

/// How a table is written: its spelling, and what its units are and where they are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableFormat {
    /// How rows are spelled.
    pub(crate) spelling: TableSpelling,
    /// What each data point spans.
    pub(crate) unit: Unit,
    /// In which zone `local` is.
    pub(crate) zone: Zone,
}

/// Rows that are written at a time; between them a part may end.
const ROWS_AT_A_TIME: usize = 256;

/// A table that is being written.
#[derive(Debug)]
pub(super) struct TableWriter {
    format: TableFormat,
    columns: Vec<&'static str>,
    next_row: usize,
}

impl TableWriter {
    pub(super) fn new(format: TableFormat, report: &Report) -> Self {
        Self { format, columns: columns(report), next_row: 0 }
    }

    /// Writes the next rows; whether they were the last.
    pub(super) fn write_next(&mut self, report: &Report, out: &mut TextOutput) -> bool {
        if self.next_row == 0 {
            match self.format.spelling {
                TableSpelling::Csv => csv::write_heading(&self.columns, out.text()),
                TableSpelling::Rows => out.text().push(b'['),
            }
        }
        let end = self.next_row.saturating_add(ROWS_AT_A_TIME).min(rows_of(report));
        match report {
            Report::Series(report) => self.write_points(report, end, out),
            Report::Busiest(report) => self.write_hours(report, end, out),
            Report::Popularity(report) => {
                for row in report.rows.get(self.next_row..end).unwrap_or_default() {
                    self.write_interaction(row, out);
                }
            }
        }
        let is_last = self.next_row >= rows_of(report);
        if is_last && self.format.spelling == TableSpelling::Rows {
            out.text().push(b']');
        }
        is_last
    }

    fn write_row(&mut self, cells: &[Cell<'_>], out: &mut TextOutput) {
        match self.format.spelling {
            TableSpelling::Csv => csv::write_row(cells, out.text()),
            TableSpelling::Rows => rows::write_row(self.next_row == 0, &self.columns, cells, out.text()),
        }
        self.next_row = self.next_row.saturating_add(1);
    }

    fn write_points(&mut self, report: &SeriesReport, end: usize, out: &mut TextOutput) {
        let groups = report.groups.as_ref().map(|groups| groups.list.as_slice());
        let per_unit = groups.map_or(1, <[Group]>::len);
        let earlier = report.comparison.as_deref();
        let (mut dates, mut earlier_dates) = (Instants::default(), Instants::default());
        while self.next_row < end {
            let Some(unit) = self.next_row.checked_div(per_unit) else { return };
            let begins = UnitCells::of(&self.format, &mut dates, report.starts.get(unit));
            let earlier_starts = earlier.and_then(|earlier| earlier.starts.get(unit));
            let earlier_begins = UnitCells::of(&self.format, &mut earlier_dates, earlier_starts);
            let first = self.next_row.checked_rem(per_unit).unwrap_or(0);
            for place in first..per_unit.min(first.saturating_add(end.saturating_sub(self.next_row))) {
                let group = groups.and_then(|groups| groups.get(place));
                let points = group.map_or(&report.points, |group| &group.points);
                let earlier_points = match group {
                    Some(group) => group.comparison.as_deref(),
                    None => earlier.map(|earlier| &earlier.points),
                };
                let mut cells = Vec::with_capacity(self.columns.len());
                cells.extend(begins.cells());
                cells.extend(group.into_iter().flat_map(key_cells).flatten());
                cells.push(value_at(Some(points), unit));
                if earlier.is_some() {
                    cells.extend(earlier_begins.cells());
                    cells.push(value_at(earlier_points, unit));
                }
                self.write_row(&cells, out);
            }
        }
    }

    fn write_hours(&mut self, report: &BusiestReport, end: usize, out: &mut TextOutput) {
        let hours = report
            .days()
            .zip(0..)
            .flat_map(|(hours, day)| hours.iter().zip(0..).map(move |hour| (day, hour)));
        for (day, (value, hour)) in hours.skip(self.next_row).take(end.saturating_sub(self.next_row)) {
            let whole = |value| Cell::Number(Figure::Whole(value));
            self.write_row(
                &[whole(day), whole(hour), whole(*value), Cell::Number(report.usage(*value))],
                out,
            );
        }
    }

    fn write_interaction(&mut self, row: &PopularityRow, out: &mut TextOutput) {
        let (kind, id, parent) = match &row.node {
            Node::Interaction(id) => ("interaction", Cell::Plain(id.0.as_bytes()), Cell::Missing),
            Node::ContextFallback(parent) => {
                ("contextFallback", Cell::Missing, Cell::Plain(parent.0.as_bytes()))
            }
            Node::Fallback => ("fallback", Cell::Missing, Cell::Missing),
            Node::Welcome => ("welcome", Cell::Missing, Cell::Missing),
        };
        let (value, usage) = (Cell::Number(Figure::Whole(row.value)), Cell::Number(row.usage()));
        self.write_row(
            &[Cell::Plain(kind.as_bytes()), id, parent, Cell::Text(row.name()), value, usage],
            out,
        );
    }
}

/// The columns of a report's table.
fn columns(report: &Report) -> Vec<&'static str> {
    let report = match report {
        Report::Busiest(_) => return vec!["day", "hour", "value", "usage"],
        Report::Popularity(_) => return vec!["type", "id", "parentId", "name", "value", "usage"],
        Report::Series(report) => report,
    };
    let mut columns = vec!["date", "local"];
    columns.extend(match report.groups.as_ref().map(|groups| groups.by) {
        None => &[][..],
        Some(GroupBy::Source) => &["source"],
        Some(GroupBy::Story) => &["storyId", "name"],
    });
    columns.push("value");
    if report.comparison.is_some() {
        columns.extend(["previousDate", "previousLocal", "previousValue"]);
    }
    columns
}

/// How many rows a report's table has. The points of a comparison that have no partner are rows too.
fn rows_of(report: &Report) -> usize {
    match report {
        Report::Series(report) => {
            let earlier = report.comparison.as_ref().map_or(0, |earlier| earlier.starts.len());
            let series = report.groups.as_ref().map_or(1, |groups| groups.list.len());
            report.starts.len().max(earlier).saturating_mul(series)
        }
        Report::Busiest(report) => report.days().map(<[u64]>::len).sum(),
        Report::Popularity(report) => report.rows.len(),
    }
}

/// The cells that say which unit a row is about; missing ones where there is no such unit.
struct UnitCells(Option<([u8; 24], LocalText)>);

impl UnitCells {
    fn of(format: &TableFormat, dates: &mut Instants, start: Option<&UnixSeconds>) -> Self {
        Self(start.map(|start| {
            let mut date = [0; 24];
            dates.write(*start, &mut date);
            (date, LocalText::of(format.unit, &format.zone, *start))
        }))
    }

    fn cells(&self) -> [Cell<'_>; 2] {
        match &self.0 {
            Some((date, local)) => [Cell::Plain(date), Cell::Plain(local.as_bytes())],
            None => [Cell::Missing; 2],
        }
    }
}

/// The cells that say which group a row is about. A story without a name has its id for one.
fn key_cells(group: &Group) -> [Option<Cell<'_>>; 2] {
    let key = group.key.text();
    let name = match group.key {
        GroupKey::Source(_) => None,
        GroupKey::Story(_) => Some(Cell::Text(group.name.as_deref().unwrap_or(key))),
    };
    [Some(Cell::Plain(key.as_bytes())), name]
}

fn value_at(points: Option<&Points>, unit: usize) -> Cell<'_> {
    let value = points.and_then(|points| points.figure(unit));
    value.map_or(Cell::Missing, Cell::Number)
}
