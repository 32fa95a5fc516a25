//! Reports as comma-separated values, one row a value, for spreadsheets and scripts. Names of others are made
//! harmless; numbers and dates are as the daemon wrote them.

use super::answer::{Group, Report, Row, Series, Slot};
use crate::cli::output::csv_cell;

/// The report with a heading row, which names what the report was `grouped` by, also where it has no group.
///
/// # Errors
/// None but a lack of memory's.
pub(crate) fn write(report: &Report, grouped: Option<&str>) -> anyhow::Result<Vec<u8>> {
    let mut sheet = csv::Writer::from_writer(Vec::new());
    match report {
        Report::Series(series) => match &series.groups {
            None => write_series(&mut sheet, series)?,
            Some(groups) => write_groups(&mut sheet, groups, grouped.unwrap_or("storyId"))?,
        },
        Report::Busiest(days) => write_slots(&mut sheet, days)?,
        Report::Popularity(rows) => write_rows(&mut sheet, rows)?,
    }
    Ok(sheet.into_inner()?)
}

type Sheet = csv::Writer<Vec<u8>>;

fn write_series(sheet: &mut Sheet, series: &Series) -> csv::Result<()> {
    sheet.write_record(["date", "value"])?;
    series
        .data
        .iter()
        .try_for_each(|point| sheet.write_record([&csv_cell(&point.date), &point.value.to_string()]))
}

fn write_groups(sheet: &mut Sheet, groups: &[Group], grouped: &str) -> csv::Result<()> {
    sheet.write_record([grouped, "name", "date", "value"])?;
    for group in groups {
        let key = csv_cell(group.key());
        let name = csv_cell(group.name.as_deref().unwrap_or_default());
        for point in &group.data {
            sheet.write_record([&key, &name, &csv_cell(&point.date), &point.value.to_string()])?;
        }
    }
    Ok(())
}

fn write_slots(sheet: &mut Sheet, days: &[Vec<Slot>]) -> csv::Result<()> {
    sheet.write_record(["day", "hour", "value", "usage"])?;
    days.iter().flatten().try_for_each(|slot| {
        sheet.write_record([
            slot.day.to_string(),
            slot.hour.to_string(),
            slot.value.to_string(),
            slot.usage.to_string(),
        ])
    })
}

fn write_rows(sheet: &mut Sheet, rows: &[Row]) -> csv::Result<()> {
    sheet.write_record(["type", "id", "parentId", "name", "value", "usage"])?;
    rows.iter().try_for_each(|row| {
        sheet.write_record([
            csv_cell(row.kind.as_deref().unwrap_or("interaction")),
            csv_cell(row.id.as_deref().unwrap_or_default()),
            csv_cell(row.parent_id.as_deref().unwrap_or_default()),
            csv_cell(&row.name),
            row.value.to_string(),
            row.usage.to_string(),
        ])
    })
}
