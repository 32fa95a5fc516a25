//! Reports as tables for a terminal. Pure: answer in, text out; the width of the terminal is left to its wrapping.

use chrono::{DateTime, NaiveDateTime, NaiveTime};
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, LineStyle, Table};

use crate::model::calendar::{UnixSeconds, Zone};
use crate::model::event::Node;
use crate::model::excerpt::printable;
use crate::report::{BusiestReport, Group, Points, PopularityReport, Report, SeriesReport};

/// Groups that are shown side by side; more are shown by their summaries, one a row.
const GROUP_COLUMNS: usize = 7;
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// The report as a table with its summary, ending in a line feed.
pub(crate) fn table(report: &Report, zone: &Zone) -> String {
    match report {
        Report::Series(series) => series_table(series, zone),
        Report::Busiest(busiest) => busiest_table(busiest),
        Report::Popularity(popularity) => popularity_table(popularity),
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

fn series_table(series: &SeriesReport, zone: &Zone) -> String {
    let groups = series.group_list();
    let is_wide = groups.len() > GROUP_COLUMNS;
    let mut text = if is_wide { group_rows(groups) } else { point_rows(series, groups, zone) };
    text.push('\n');
    text.push_str(&summary_line(&series.points));
    text.push('\n');
    if let Some(omitted) = omitted(series.groups.as_ref().map_or(0, |groups| groups.omitted)) {
        text.push_str(&omitted);
        text.push('\n');
    }
    if is_wide {
        text.push_str("--csv or --json have the points of each group\n");
    }
    text
}

/// One row a unit, one column a group after the whole.
fn point_rows(series: &SeriesReport, groups: &[Group], zone: &Zone) -> String {
    let mut table = new_table();
    let mut header = vec![format!("date ({zone})")];
    header.push(if groups.is_empty() { "value".to_owned() } else { "all".to_owned() });
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

/// One row a group: its summary.
fn group_rows(groups: &[Group]) -> String {
    let mut table = new_table();
    table.set_header(["group", "total", "min", "max", "avg"]);
    for group in groups {
        let summary = group.points.summary;
        let figures = [summary.total, summary.min, summary.max, summary.avg].map(|figure| figure.to_string());
        table.add_row(std::iter::once(group_title(group)).chain(figures));
    }
    finished(table, 1..5)
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

/// The dates of the points by the local clock; without the time of day where all begin at midnight.
fn local_dates(starts: &[UnixSeconds], zone: &Zone) -> Vec<String> {
    let local = |start: &UnixSeconds| -> NaiveDateTime {
        let shown = start.plus(zone.offset_seconds(*start)).get();
        DateTime::from_timestamp(shown, 0).unwrap_or_default().naive_utc()
    };
    let is_daily = starts.iter().all(|start| local(start).time() == NaiveTime::MIN);
    let format = if is_daily { "%Y-%m-%d" } else { "%Y-%m-%d %H:%M" };
    starts.iter().map(|start| local(start).format(format).to_string()).collect()
}

/// One row a weekday, one column an hour; zeros are dots, so that the pattern shows.
fn busiest_table(report: &BusiestReport) -> String {
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
    format!("{}\n{}", finished(table, 1..columns), busiest_hour(report).unwrap_or_default())
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

fn popularity_table(report: &PopularityReport) -> String {
    let mut table = new_table();
    table.set_header(["name", "kind", "id", "uses", "%"]);
    for row in &report.rows {
        let (kind, id) = match &row.node {
            Node::Interaction(id) => ("interaction", id.0.as_str()),
            Node::ContextFallback(parent) => ("contextFallback", parent.0.as_str()),
            Node::Fallback => ("fallback", ""),
            Node::Welcome => ("welcome", ""),
        };
        let (uses, usage) = (row.value.to_string(), row.usage().to_string());
        table.add_row([&printable(row.name()), kind, id, &uses, &usage]);
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
