//! The four reports with data points over time. Knows nothing of output formats.

use super::columns::{Columns, Measure, Points};
use super::comparison::{self, Comparison};
use super::groups::{self, Group, Groups};
use super::query::Query;
use super::roll_up::series_of;
use crate::model::calendar::{Units, UnixSeconds};
use crate::model::catalogue::Catalogue;
use crate::model::counters::Counters;

/// One of the four series.
#[derive(Clone, PartialEq, Debug)]
pub struct SeriesReport {
    /// The start of each unit, in order.
    pub(crate) starts: Vec<UnixSeconds>,
    /// Everything together.
    pub(crate) points: Points,
    /// The same over an earlier range, where the query asked for it.
    pub(crate) comparison: Option<Box<Comparison>>,
    /// Where the query asked for them.
    pub(crate) groups: Option<Groups>,
    /// The first moment that is kept, where the report is about one that was dropped.
    pub(crate) dropped_before: Option<UnixSeconds>,
}

impl SeriesReport {
    /// The groups; none where the query did not ask for some.
    pub(crate) fn group_list(&self) -> &[Group] {
        self.groups.as_ref().map_or(&[], |groups| &groups.list)
    }

    /// Data points of all groups together, and of what they are compared with.
    pub(super) fn points_in_groups(&self) -> usize {
        let earlier = self.comparison.as_ref().map_or(0, |earlier| earlier.starts.len());
        self.group_list().len().saturating_mul(self.starts.len().saturating_add(earlier))
    }
}

pub(super) fn roll_up(catalogue: &Catalogue, counters: &Counters, query: &Query) -> SeriesReport {
    let units = Units::new(query.unit, &query.range);
    let mut columns = Columns::new(Measure::of(query.report), &units);
    let mut groups = match query.group {
        None => {
            columns.add(counters, query, &units, |metric| series_of(catalogue, query, metric));
            None
        }
        // The whole is the sum of the groups, so that they agree even while events come in.
        Some(by) => Some(groups::roll_up(by, (catalogue, counters, query), &units, &mut columns)),
    };
    let comparison = comparison::roll_up((catalogue, counters), query, groups.as_mut()).map(Box::new);
    let (starts, points) = (units.into_starts(), columns.points());
    // After everything is read: what was dropped meanwhile is marked, too.
    let dropped_before = query.dropped_before(counters);
    SeriesReport { starts, points, comparison, groups, dropped_before }
}
