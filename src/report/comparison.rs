//! A series over the earlier range that it is compared with: what a query about that range would answer, for the groups that
//! are shown. Knows nothing of how far back it lies, nor of output formats.

use super::columns::{Columns, Measure, Points};
use super::groups::{Group, GroupKey, Groups};
use super::query::Query;
use super::roll_up::{series_of, series_of_story};
use crate::model::calendar::{Units, UnixSeconds};
use crate::model::catalogue::{Catalogue, total_series};
use crate::model::counters::Counters;
use crate::model::event::{Metric, SeriesId, Source};

/// The same series over an earlier range. Its point at a place belongs to that of the series at the same place; there may be
/// more or fewer of them. Those of the groups are in each [`Group`].
#[derive(Clone, PartialEq, Debug)]
pub struct Comparison {
    /// The first moment of the range.
    pub(crate) from: UnixSeconds,
    /// The first moment after it.
    pub(crate) to: UnixSeconds,
    /// The start of each unit, in order.
    pub(crate) starts: Vec<UnixSeconds>,
    /// Everything together, also what is in no group that is shown.
    pub(crate) points: Points,
}

/// Rolls up the earlier range, where the query has one, and adds to each group its points in it.
pub(super) fn roll_up(
    (catalogue, counters): (&Catalogue, &Counters),
    query: &Query,
    groups: Option<&mut Groups>,
) -> Option<Comparison> {
    let query = &query.about_earlier_range()?;
    let units = Units::new(query.unit, &query.range);
    let mut columns = Columns::new(Measure::of(query.report), &units);
    columns.add(counters, query, &units, |metric| series_of(catalogue, query, metric));
    let points = columns.points();
    for group in groups.into_iter().flat_map(|groups| &mut groups.list) {
        columns.clear();
        columns.add(counters, query, &units, |metric| series_of_group(catalogue, query, (group, metric)));
        group.comparison = Some(Box::new(columns.points()));
    }
    Some(Comparison { from: query.range.start(), to: query.range.end(), starts: units.into_starts(), points })
}

/// The series to add up for a metric and a group.
fn series_of_group(catalogue: &Catalogue, query: &Query, (group, metric): (&Group, Metric)) -> Vec<SeriesId> {
    match group.key {
        GroupKey::Story(id) => catalogue
            .story(id)
            .map_or_else(Vec::new, |story| series_of_story(&story, query, metric).collect()),
        GroupKey::Source(source) => series_of_source(catalogue, query, (source, metric)),
    }
}

fn series_of_source(
    catalogue: &Catalogue,
    query: &Query,
    (source, metric): (Source, Metric),
) -> Vec<SeriesId> {
    match query.stories.list() {
        None => total_series(metric, Some(source)).into_iter().collect(),
        Some(stories) => stories
            .iter()
            .filter_map(|id| catalogue.story(*id))
            .filter_map(|story| story.series(metric, source))
            .collect(),
    }
}
