//! The four reports with data points over time. Knows nothing of output formats.

use super::columns::{Columns, Measure, Points};
use super::groups::{self, Groups};
use super::query::Query;
use super::roll_up::series_of;
use crate::model::calendar::{Units, UnixSeconds};
use crate::model::catalogue::Catalogue;
use crate::model::counters::Counters;

/// One of the four series: the starts of its units, their values, and groups where they were asked for.
#[derive(Clone, PartialEq, Debug)]
pub struct SeriesReport {
    pub(super) starts: Vec<UnixSeconds>,
    pub(super) points: Points,
    pub(super) groups: Option<Groups>,
}

impl SeriesReport {
    /// The start of each unit, in order.
    pub fn dates(&self) -> &[UnixSeconds] {
        &self.starts
    }

    /// Everything together.
    pub fn points(&self) -> &Points {
        &self.points
    }

    /// Data points of all groups together.
    pub(super) fn points_in_groups(&self) -> usize {
        self.groups.as_ref().map_or(0, |groups| groups.list().len()).saturating_mul(self.starts.len())
    }

    /// The groups, where the query asked for some.
    pub fn groups(&self) -> Option<&Groups> {
        self.groups.as_ref()
    }
}

pub(super) fn roll_up(catalogue: &Catalogue, counters: &Counters, query: &Query) -> SeriesReport {
    let units = Units::new(query.unit(), query.range());
    let mut columns = Columns::new(Measure::of(query.report()), &units);
    let groups = match query.group() {
        None => {
            columns.add(counters, query, &units, |metric| series_of(catalogue, query, metric));
            None
        }
        // The whole is the sum of the groups, so that they agree even while events come in.
        Some(by) => Some(groups::roll_up(by, (catalogue, counters, query), &units, &mut columns)),
    };
    SeriesReport { starts: units.into_starts(), points: columns.points(), groups }
}
