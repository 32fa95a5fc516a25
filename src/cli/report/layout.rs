//! Reports as tables for a terminal. Pure: answer in, text out; the width of the terminal is left to its wrapping.

use chrono::{DateTime, NaiveDateTime, TimeDelta};
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, LineStyle, Table};

use super::answer::{Group, Report, Row, Series, Slot, Summary};
use crate::cli::output::printable;
use crate::model::calendar::{UnixSeconds, Zone};

/// Groups that are shown side by side; more are shown by their summaries, one a row.
const GROUP_COLUMNS: usize = 7;
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// The report as a table with its summary, ending in a line feed.
pub(crate) fn table(report: &Report, zone: &Zone) -> String {
    match report {
        Report::Series(series) => series_table(series, zone),
        Report::Busiest(days) => busiest_table(days),
        Report::Popularity(rows) => popularity_table(rows),
    }
}

/// How many groups the limit left out, in words; `None` where all are there.
pub(crate) fn omitted(report: &Report) -> Option<String> {
    match report {
        Report::Series(series) => groups_omitted(series),
        Report::Busiest(_) | Report::Popularity(_) => None,
    }
}

fn groups_omitted(series: &Series) -> Option<String> {
    match series.groups_omitted {
        0 => None,
        1 => Some("1 more group was left out by the limit".to_owned()),
        more => Some(format!("{more} more groups were left out by the limit")),
    }
}

fn series_table(series: &Series, zone: &Zone) -> String {
    let groups = series.groups.as_deref().unwrap_or_default();
    let mut text =
        if groups.len() > GROUP_COLUMNS { group_rows(groups) } else { point_rows(series, groups, zone) };
    text.push('\n');
    text.push_str(&summary_line(&series.summary, series.overall.as_ref()));
    text.push('\n');
    if let Some(omitted) = groups_omitted(series) {
        text.push_str(&omitted);
        text.push('\n');
    }
    if groups.len() > GROUP_COLUMNS {
        text.push_str("--csv or --json have the points of each group\n");
    }
    text
}

/// One row a unit, one column a group after the whole.
fn point_rows(series: &Series, groups: &[Group], zone: &Zone) -> String {
    let mut table = new_table();
    let mut header = vec![format!("date ({})", zone)];
    header.push(if groups.is_empty() { "value".to_owned() } else { "all".to_owned() });
    header.extend(groups.iter().map(group_title));
    let columns = header.len();
    table.set_header(header);
    let dates = local_dates(series, zone);
    for (index, (point, date)) in series.data.iter().zip(dates).enumerate() {
        let mut row = vec![date, point.value.to_string()];
        row.extend(
            groups
                .iter()
                .map(|group| group.data.get(index).map_or_else(String::new, |point| point.value.to_string())),
        );
        table.add_row(row);
    }
    finished(table, 1..columns)
}

/// One row a group: its summary.
fn group_rows(groups: &[Group]) -> String {
    let mut table = new_table();
    table.set_header(["group", "total", "min", "max", "avg"]);
    for group in groups {
        let Summary { total, min, max, avg, .. } = &group.summary;
        table.add_row([
            group_title(group),
            total.to_string(),
            min.to_string(),
            max.to_string(),
            avg.to_string(),
        ]);
    }
    finished(table, 1..5)
}

fn group_title(group: &Group) -> String {
    printable(group.name.as_deref().unwrap_or_else(|| group.key()))
}

fn summary_line(summary: &Summary, overall: Option<&serde_json::Number>) -> String {
    let Summary { total, min, max, avg, .. } = summary;
    let line = format!("total {total}, min {min}, max {max}, avg {avg}");
    match overall.or(summary.overall.as_ref()) {
        Some(overall) => format!("{line}, overall {overall}"),
        None => line,
    }
}

/// The dates of the points by the local clock; without the time of day where all begin at midnight.
fn local_dates(series: &Series, zone: &Zone) -> Vec<String> {
    let instants: Vec<Option<NaiveDateTime>> = series
        .data
        .iter()
        .map(|point| {
            let at = DateTime::parse_from_rfc3339(&point.date).ok()?;
            let offset_seconds = zone.offset_seconds(UnixSeconds::new(at.timestamp()));
            at.naive_utc().checked_add_signed(TimeDelta::seconds(offset_seconds))
        })
        .collect();
    let is_daily = instants.iter().flatten().all(|at| at.time() == chrono::NaiveTime::MIN);
    let format = if is_daily { "%Y-%m-%d" } else { "%Y-%m-%d %H:%M" };
    instants
        .iter()
        .zip(&series.data)
        .map(|(at, point)| at.map_or_else(|| printable(&point.date), |at| at.format(format).to_string()))
        .collect()
}

/// One row a weekday, one column an hour; zeros are dots, so that the pattern shows.
fn busiest_table(days: &[Vec<Slot>]) -> String {
    let mut table = new_table();
    let mut header = vec![String::new()];
    header.extend((0..24).map(|hour: u32| format!("{hour:02}")));
    let columns = header.len();
    table.set_header(header);
    for day in days {
        let weekday = day.first().and_then(|slot| WEEKDAYS.get(slot.day)).copied().unwrap_or_default();
        let mut row = vec![weekday.to_owned()];
        row.extend(day.iter().map(|slot| {
            if slot.value.as_u64() == Some(0) { "·".to_owned() } else { slot.value.to_string() }
        }));
        table.add_row(row);
    }
    for index in 1..columns {
        if let Some(column) = table.column_mut(index) {
            column.set_padding((0, 1));
        }
    }
    let busiest = busiest_slot(days).map_or_else(String::new, |slot| {
        let weekday = WEEKDAYS.get(slot.day).copied().unwrap_or_default();
        let (hour, value, usage) = (slot.hour, &slot.value, &slot.usage);
        format!("busiest: {weekday} {hour:02}:00, {value} conversations, {usage} %\n")
    });
    format!("{}\n{busiest}", finished(table, 1..columns))
}

/// The first of the slots with most conversations; `None` where there was none.
fn busiest_slot(days: &[Vec<Slot>]) -> Option<&Slot> {
    let most = days.iter().flatten().filter_map(|slot| slot.value.as_u64()).max().filter(|most| *most > 0)?;
    days.iter().flatten().find(|slot| slot.value.as_u64() == Some(most))
}

fn popularity_table(rows: &[Row]) -> String {
    let mut table = new_table();
    table.set_header(["name", "kind", "id", "uses", "%"]);
    for row in rows {
        table.add_row([
            printable(&row.name),
            printable(row.kind.as_deref().unwrap_or("interaction")),
            printable(row.id.as_deref().or(row.parent_id.as_deref()).unwrap_or_default()),
            row.value.to_string(),
            row.usage.to_string(),
        ]);
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
