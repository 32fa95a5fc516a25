//! Rolling up: finds the series of a query and adds up their counts. The inner loop of all reports.
//! Knows nothing of names, groups or output.

use std::ops::Range;

use super::query::Query;
use crate::limits::narrow;
use crate::model::calendar::{Hour, HourRange, Units};
use crate::model::catalogue::{Catalogue, Story, total_series};
use crate::model::cells::Cell;
use crate::model::counters::{Counters, HourlyCounts};
use crate::model::event::{Metric, SeriesId, Source};

/// The series to add up for a metric (not an interaction) and the stories and sources of the query.
pub(super) fn series_of(catalogue: &Catalogue, query: &Query, metric: Metric) -> Vec<SeriesId> {
    match query.stories.list() {
        None if query.sources.len() == Source::ALL.len() => total_series(metric, None).into_iter().collect(),
        None => query.sources.iter().filter_map(|source| total_series(metric, Some(*source))).collect(),
        Some(stories) => stories
            .iter()
            .filter_map(|id| catalogue.story(*id))
            .flat_map(|story| series_of_story(&story, query, metric))
            .collect(),
    }
}

/// The series to add up for a metric (not an interaction), one story and the sources of the query.
pub(super) fn series_of_story<'a>(
    story: &Story,
    query: &'a Query,
    metric: Metric,
) -> impl Iterator<Item = SeriesId> + use<'a> {
    let by_source = story.series_by_source(metric);
    query.sources.iter().filter_map(move |source| by_source.get(source.index()).copied().flatten())
}

/// Adds the counts of the series in the range to one value per unit. Returns the units between the first and the
/// last that had any.
pub(super) fn add_series(
    counters: &Counters,
    series: impl IntoIterator<Item = SeriesId>,
    (units, range): (&Units, HourRange),
    column: &mut [u64],
) -> Range<usize> {
    let mut touched = 0..0;
    for id in series {
        match counters.total(id) {
            Some(total) => total.visit(range, &mut |first, counts| {
                touched = hull(&touched, &add_hours((first, counts), units.bounds(), column));
            }),
            None => counters.visit(id, range, &mut |cells| {
                touched = hull(&touched, &add_cells(cells, units.bounds(), column));
            }),
        }
    }
    touched
}

/// The smallest range that contains both.
pub(super) fn hull(a: &Range<usize>, b: &Range<usize>) -> Range<usize> {
    match (a.is_empty(), b.is_empty()) {
        (_, true) => a.clone(),
        (true, false) => b.clone(),
        (false, false) => a.start.min(b.start)..a.end.max(b.end),
    }
}

/// Adds the counts of the hours from `first` on to the values of the units between `bounds`. Returns the units that
/// these hours are in.
fn add_hours((first, counts): (Hour, HourlyCounts<'_>), bounds: &[Hour], column: &mut [u64]) -> Range<usize> {
    // The last unit that begins at or before the first hour.
    let Some(start) = bounds.partition_point(|bound| *bound <= first).checked_sub(1) else { return 0..0 };
    let ends = bounds.get(start.saturating_add(1)..).unwrap_or_default();
    let values = column.get_mut(start..).unwrap_or_default();
    let (mut rest, mut at, mut unit) = (counts, first.get(), 0_usize);
    while !rest.is_empty() {
        let (from, first_unit) = (at, unit);
        let places =
            values.get_mut(unit..).unwrap_or_default().iter_mut().zip(ends.get(unit..).unwrap_or_default());
        // The common case: the units are whole days of UTC.
        for ((value, end), sum) in places.zip(rest.days()) {
            if end.get().wrapping_sub(at) != DAY_HOURS {
                break;
            }
            *value = value.saturating_add(sum);
            (at, unit) = (end.get(), unit.saturating_add(1));
        }
        (_, rest) = rest.split_at(hours_between(from, at));
        if unit == first_unit {
            let (Some(value), Some(end)) = (values.get_mut(unit), ends.get(unit)) else { break };
            let (of_unit, later) = rest.split_at(hours_between(at, end.get()));
            *value = value.saturating_add(of_unit.sum());
            (rest, at, unit) = (later, end.get(), unit.saturating_add(1));
        }
    }
    start..start.saturating_add(unit)
}

const DAY_HOURS: u32 = 24;

fn hours_between(from: u32, to: u32) -> usize {
    narrow(to.saturating_sub(from))
}

/// Adds a slice of cells that ascends by hour to the values of the units between `bounds`. Returns the units between
/// the first and the last cell.
///
/// Cells come by the thousand and mostly hour by hour, so the unit is found once and then moved along; no cell costs
/// a division or a search.
pub(super) fn add_cells(cells: &[Cell], bounds: &[Hour], column: &mut [u64]) -> Range<usize> {
    let units = column.len();
    let (mut ends, mut values) = (bounds.get(1..).unwrap_or_default().iter(), column.iter_mut());
    let (Some(mut end), Some(mut value)) = (ends.next(), values.next()) else { return 0..0 };
    let mut first = None;
    let mut sum = 0_u64;
    for cell in cells {
        if cell.hour >= *end {
            *value = value.saturating_add(sum);
            sum = 0;
            let passed = units_passed(ends.as_slice(), cell.hour);
            let (Some(next_end), Some(next_value)) = (ends.nth(passed), values.nth(passed)) else {
                return first.map_or(0..0, |first| first..units);
            };
            (end, value) = (next_end, next_value);
        }
        // Only the first cell sets it.
        first = first.or(units.checked_sub(values.len().saturating_add(1)));
        // A count has 32 bits: this can not overflow within any slice that memory can hold.
        sum = sum.wrapping_add(u64::from(cell.count));
    }
    *value = value.saturating_add(sum);
    first.map_or(0..0, |first| first..units.saturating_sub(values.len()))
}

/// How many of the units with these ends are over before the hour. Tries the next few, then searches.
#[inline]
fn units_passed(ends: &[Hour], hour: Hour) -> usize {
    for (passed, end) in ends.iter().enumerate().take(8) {
        if hour < *end {
            return passed;
        }
    }
    ends.partition_point(|end| *end <= hour)
}
