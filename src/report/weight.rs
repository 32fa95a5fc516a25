//! How much work a query is, by the series, cells and points that it will touch, so that a request thread does only a
//! little of it. Knows nothing of threads.

use super::ReportName;
use super::columns::Measure;
use super::query::Query;
use super::roll_up::series_of;
use crate::limits::{LIGHT_QUERY_CELLS_MAX, LIGHT_QUERY_POINTS_MAX, LIGHT_QUERY_SERIES_MAX, wide};
use crate::model::calendar::LocalRange;
use crate::model::catalogue::{Catalogue, Story};
use crate::model::counters::Counters;
use crate::model::event::Metric;

/// Where a query may run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Weight {
    /// On the thread that serves the connection: it takes less than a millisecond.
    Light,
    /// On a worker thread.
    Heavy,
}

/// What a query will touch, at most.
#[derive(Clone, Copy, Debug, Default)]
pub struct QueryWork {
    /// Series to look at.
    pub series: usize,
    /// Cells to add up.
    pub cells: u64,
    /// Data points to write.
    pub points: u64,
}

impl QueryWork {
    /// Whether a request thread may do it.
    pub fn weight(self) -> Weight {
        let is_light = self.series <= LIGHT_QUERY_SERIES_MAX
            && self.cells <= LIGHT_QUERY_CELLS_MAX
            && self.points <= LIGHT_QUERY_POINTS_MAX;
        if is_light { Weight::Light } else { Weight::Heavy }
    }
}

impl Query {
    /// Whether a request thread may answer it. Takes little itself: cells are counted only where the range is long, and
    /// the series few.
    pub fn weight(&self, catalogue: &Catalogue, counters: &Counters) -> Weight {
        let points = if self.report.is_series() { self.points(catalogue) } else { 0 };
        let series = series_at_most(self, catalogue);
        let hours = hours_of(&self.range).saturating_add(self.earlier.as_ref().map_or(0, hours_of));
        let cells = wide(series).saturating_mul(hours);
        let work = QueryWork { series, cells, points };
        if cells <= LIGHT_QUERY_CELLS_MAX || series > LIGHT_QUERY_SERIES_MAX {
            return work.weight();
        }
        QueryWork { cells: cells_touched(self, catalogue, counters), ..work }.weight()
    }
}

fn hours_of(range: &LocalRange) -> u64 {
    let hours = range.hours();
    u64::from(hours.end.get().saturating_sub(hours.start.get()))
}

fn named_stories(query: &Query, catalogue: &Catalogue) -> impl Iterator<Item = std::sync::Arc<Story>> {
    query.stories.list().into_iter().flatten().filter_map(|id| catalogue.story(*id))
}

/// How many series the query looks at, at most.
fn series_at_most(query: &Query, catalogue: &Catalogue) -> usize {
    let is_popularity = query.report == ReportName::InteractionsPopularity;
    let of_each = match query.stories.list() {
        // Every series there is, by way of its story or of the table of all.
        None if is_popularity || query.group == Some(super::GroupBy::Story) => {
            return catalogue.series_count().saturating_add(catalogue.story_count());
        }
        Some(_) if is_popularity => named_stories(query, catalogue).map(|story| story.node_count()).sum(),
        stories => stories.map_or(1, <[_]>::len).saturating_mul(metrics(query).count()),
    };
    of_each.saturating_mul(query.sources.len())
}

/// How many cells the query adds up, at most, where it names stories or reads totals.
fn cells_touched(query: &Query, catalogue: &Catalogue, counters: &Counters) -> u64 {
    let mut cells = 0_u64;
    let ranges = [Some(&query.range), query.earlier.as_ref()];
    let mut add = |series| {
        for range in ranges.into_iter().flatten() {
            cells = cells.saturating_add(counters.cells_within(series, range.hours()));
        }
    };
    if query.report == ReportName::InteractionsPopularity {
        named_stories(query, catalogue).for_each(|story| story.for_each_series_of_nodes(&mut add));
    } else {
        metrics(query).flat_map(|metric| series_of(catalogue, query, metric)).for_each(add);
    }
    cells
}

fn metrics(query: &Query) -> impl Iterator<Item = Metric> {
    Measure::of(query.report).metrics()
}
