//! Reports as tables for a terminal, with bars, lines and colours where it has them. Pure: answer in, text out; the width of
//! the terminal is left to its wrapping.

use chrono::{DateTime, NaiveDateTime, NaiveTime};
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, LineStyle, Table};

use super::chart::{bar, change, sparkline};
use super::heat::{self, WEEKDAYS};
use crate::cli::looks::Looks;
use crate::model::calendar::{LocalText, Unit, UnixSeconds, Zone};
use crate::model::event::Node;
use crate::model::excerpt::printable;
use crate::report::{
    BusiestReport, Comparison, Figure, Group, Points, PopularityReport, Report, SeriesReport,
};

/// Groups that are shown side by side; more are shown by their summaries, one a row.
const GROUP_COLUMNS: usize = 7;
/// Characters of the line that shows the shape of a series, and of that of a group.
const LINE_WIDTH: usize = 60;
const GROUP_LINE_WIDTH: usize = 24;

/// The report as a table with its summary, ending in a line feed.
pub(crate) fn table(report: &Report, zone: &Zone, looks: Looks) -> String {
    match report {
        Report::Series(series) => series_table(series, zone, looks),
        Report::Busiest(busiest) => busiest_table(busiest, looks),
        Report::Popularity(popularity) => popularity_table(popularity, looks),
    }
}

/// How many groups the limit left out, in words; `None` where all are there.
pub(crate) fn omitted(groups: usize) -> Option<String> {
    match groups {
        0 => None,
        1 => Some("1 more group was left out by the limit".to_owned()),
        more => Some(format!("{more} more groups were left out by the limit")),
    }
}

/// Which hours the report lacks, in words.
pub(crate) fn dropped(first_kept: &str) -> String {
    format!("hours before {} were dropped and count as 0 here", printable(first_kept))
}

fn series_table(series: &SeriesReport, zone: &Zone, looks: Looks) -> String {
    let groups = series.group_list();
    let comparison = series.comparison.as_deref();
    let is_wide = groups.len() > GROUP_COLUMNS || (!groups.is_empty() && comparison.is_some());
    let mut text = match comparison {
        _ if is_wide => group_rows(groups, looks),
        _ if !groups.is_empty() => group_columns(series, groups, zone),
        comparison => point_rows(series, comparison, (zone, looks)),
    };
    text.push('\n');
    text.push_str(&summary_line(&series.points));
    text.push('\n');
    if let Some(earlier) = comparison {
        text.push_str(&comparison_line(&series.points, earlier, zone));
        text.push('\n');
    }
    let line = line_of(&series.points, LINE_WIDTH, looks);
    if !line.is_empty() {
        text.push_str(&line);
        text.push('\n');
    }
    if let Some(omitted) = omitted(series.groups.as_ref().map_or(0, |groups| groups.omitted)) {
        text.push_str(&omitted);
        text.push('\n');
    }
    if is_wide {
        text.push_str("--csv or --json have the points of each group\n");
    }
    text
}

/// One row a unit: its value, what it was before and how it changed, and a bar where the terminal has them.
fn point_rows(
    series: &SeriesReport,
    comparison: Option<&Comparison>,
    (zone, looks): (&Zone, Looks),
) -> String {
    let mut table = new_table();
    let mut header = vec![format!("date ({zone})"), "value".to_owned()];
    if comparison.is_some() {
        header.extend(["before".to_owned(), "change".to_owned()]);
    }
    let numbers = header.len();
    if looks != Looks::Plain {
        header.push(String::new());
    }
    table.set_header(header);
    let (points, max) = (&series.points, series.points.summary.max);
    let dates = local_dates(&series.starts, zone);
    let rows = dates.len().max(comparison.map_or(0, |earlier| earlier.starts.len()));
    for unit in 0..rows {
        let value = points.figure(unit);
        let mut row = vec![dates.get(unit).cloned().unwrap_or_default(), shown(value)];
        if let Some(earlier) = comparison {
            let before = earlier.points.figure(unit);
            let changed = value.zip(before).map(|(value, before)| change(value, before));
            row.extend([shown(before), changed.unwrap_or_default()]);
        }
        if looks != Looks::Plain {
            row.push(value.map(|value| bar(value, max)).unwrap_or_default());
        }
        table.add_row(row);
    }
    finished(table, 1..numbers)
}

fn shown(figure: Option<Figure>) -> String {
    figure.map(|figure| figure.to_string()).unwrap_or_default()
}

/// One row a unit, one column a group after the whole.
fn group_columns(series: &SeriesReport, groups: &[Group], zone: &Zone) -> String {
    let mut table = new_table();
    let mut header = vec![format!("date ({zone})"), "all".to_owned()];
    header.extend(groups.iter().map(group_title));
    let columns = header.len();
    table.set_header(header);
    let mut figures: Vec<_> = std::iter::once(&series.points)
        .chain(groups.iter().map(|group| &group.points))
        .map(Points::figures)
        .collect();
    for date in local_dates(&series.starts, zone) {
        let values = figures.iter_mut().filter_map(Iterator::next).map(|figure| figure.to_string());
        table.add_row(std::iter::once(date).chain(values));
    }
    finished(table, 1..columns)
}

/// One row a group: its summary, what it was before and how it changed, and its shape.
fn group_rows(groups: &[Group], looks: Looks) -> String {
    let mut table = new_table();
    let mut header = vec!["group", "total", "min", "max", "avg"];
    let is_compared = groups.iter().any(|group| group.comparison.is_some());
    if is_compared {
        header.extend(["before", "change"]);
    }
    let numbers = header.len();
    if looks != Looks::Plain {
        header.push("");
    }
    table.set_header(header);
    for group in groups {
        let summary = group.points.summary;
        let figures = [summary.total, summary.min, summary.max, summary.avg].map(|figure| figure.to_string());
        let mut row = vec![group_title(group)];
        row.extend(figures);
        if is_compared {
            let before = group.comparison.as_ref().map(|earlier| earlier.summary.total);
            let changed = before.map(|before| change(summary.total, before));
            row.extend([shown(before), changed.unwrap_or_default()]);
        }
        if looks != Looks::Plain {
            row.push(line_of(&group.points, GROUP_LINE_WIDTH, looks));
        }
        table.add_row(row);
    }
    finished(table, 1..numbers)
}

/// The shape of a series; empty where the terminal cannot show it.
fn line_of(points: &Points, width: usize, looks: Looks) -> String {
    if looks == Looks::Plain { String::new() } else { sparkline(points.values(), width) }
}

/// What the earlier range came to, and when that was.
fn comparison_line(points: &Points, earlier: &Comparison, zone: &Zone) -> String {
    let at = |at| local(at, zone).format("%Y-%m-%d %H:%M");
    let (from, to) = (at(earlier.from), at(earlier.to));
    let before = summary_line(&earlier.points);
    // A sum of averages says nothing.
    let [now, then] = [points, &earlier.points].map(|points| points.overall.unwrap_or(points.summary.total));
    format!("{from} to {to}: {before}; change {}", change(now, then))
}

fn group_title(group: &Group) -> String {
    printable(group.name.as_deref().unwrap_or_else(|| group.key.text()))
}

fn summary_line(points: &Points) -> String {
    let summary = points.summary;
    let (total, min, max, avg) = (summary.total, summary.min, summary.max, summary.avg);
    let line = format!("total {total}, min {min}, max {max}, avg {avg}");
    match points.overall {
        Some(overall) => format!("{line}, overall {overall}"),
        None => line,
    }
}

fn local(at: UnixSeconds, zone: &Zone) -> NaiveDateTime {
    let shown = at.plus(zone.offset_seconds(at)).get();
    DateTime::from_timestamp(shown, 0).unwrap_or_default().naive_utc()
}

/// The dates of the points by the local clock; without the time of day where all begin at midnight, and with the offset
/// where an hour comes twice.
fn local_dates(starts: &[UnixSeconds], zone: &Zone) -> Vec<String> {
    let is_daily = starts.iter().all(|start| local(*start, zone).time() == NaiveTime::MIN);
    let format = if is_daily { "%Y-%m-%d" } else { "%Y-%m-%d %H:%M" };
    let texts: Vec<String> =
        starts.iter().map(|start| local(*start, zone).format(format).to_string()).collect();
    let is_repeated = |place: usize| {
        let at = |place: Option<usize>| place.and_then(|place| texts.get(place));
        let text = at(Some(place));
        at(place.checked_sub(1)) == text || at(place.checked_add(1)) == text
    };
    let with_offset = |start: &UnixSeconds| {
        let text = LocalText::of(Unit::Hour, zone, *start);
        String::from_utf8_lossy(text.as_bytes()).replace('T', " ")
    };
    let places = texts.iter().zip(starts).enumerate();
    places
        .map(|(place, (text, start))| if is_repeated(place) { with_offset(start) } else { text.clone() })
        .collect()
}

/// One row a weekday, one column an hour; zeros are dots, so that the pattern shows.
fn busiest_table(report: &BusiestReport, looks: Looks) -> String {
    let busiest = busiest_hour(report).unwrap_or_default();
    if looks == Looks::Colours {
        return format!("{}{busiest}", heat::map(report));
    }
    let mut table = new_table();
    let mut header = vec![String::new()];
    header.extend((0..24).map(|hour: u32| format!("{hour:02}")));
    let columns = header.len();
    table.set_header(header);
    for (weekday, hours) in WEEKDAYS.iter().zip(report.days()) {
        let values = hours.iter().map(|value| if *value == 0 { "·".to_owned() } else { value.to_string() });
        table.add_row(std::iter::once((*weekday).to_owned()).chain(values));
    }
    for index in 1..columns {
        if let Some(column) = table.column_mut(index) {
            column.set_padding((0, 1));
        }
    }
    format!("{}\n{busiest}", finished(table, 1..columns))
}

/// The first of the hours with most conversations, in words; `None` where there was none.
fn busiest_hour(report: &BusiestReport) -> Option<String> {
    let hours = || {
        WEEKDAYS
            .iter()
            .zip(report.days())
            .flat_map(|(day, hours)| hours.iter().zip(0..).map(move |hour| (day, hour)))
    };
    let most = hours().map(|(_, (value, _))| *value).max().filter(|most| *most > 0)?;
    let (weekday, (value, hour)) = hours().find(|(_, (value, _))| **value == most)?;
    let usage = report.usage(*value);
    Some(format!("busiest: {weekday} {hour:02}:00, {value} conversations, {usage} %\n"))
}

fn popularity_table(report: &PopularityReport, looks: Looks) -> String {
    let mut table = new_table();
    let mut header = vec!["name", "kind", "id", "uses", "%"];
    if looks != Looks::Plain {
        header.push("");
    }
    table.set_header(header);
    let most = report.rows.iter().map(|row| row.value).max().unwrap_or(0);
    for row in &report.rows {
        let (kind, id) = match &row.node {
            Node::Interaction(id) => ("interaction", id.0.as_str()),
            Node::ContextFallback(parent) => ("contextFallback", parent.0.as_str()),
            Node::Fallback => ("fallback", ""),
            Node::Welcome => ("welcome", ""),
        };
        let (uses, usage) = (row.value.to_string(), row.usage().to_string());
        let mut cells = vec![printable(row.name()), kind.to_owned(), id.to_owned(), uses, usage];
        if looks != Looks::Plain {
            cells.push(bar(Figure::Whole(row.value), Figure::Whole(most)));
        }
        table.add_row(cells);
    }
    let mut text = finished(table, 3..5);
    text.push('\n');
    text
}

fn new_table() -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING.header_separator(LineStyle::none().fill('─').junction('─')));
    table
}

/// The table as text, with the columns of numbers aligned at the right.
fn finished(mut table: Table, numbers: std::ops::Range<usize>) -> String {
    for index in numbers {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}
