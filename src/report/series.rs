//! The four reports with data points over time. Knows nothing of output formats.

use super::ReportName;
use super::groups::{self, Groups};
use super::query::Query;
use super::roll::{add_series, series_of};
use super::summary::{Figure, Scale, Summary, ratio_hundredths, sum};
use crate::calendar::{Units, UnixSeconds};
use crate::catalogue::Catalogue;
use crate::counters::Counters;
use crate::event::{Metric, SeriesId};

/// One of the four series: the units, their values, and groups where they were asked for.
#[derive(Clone, PartialEq, Debug)]
pub struct SeriesReport {
    pub(super) units: Units,
    pub(super) points: Points,
    pub(super) groups: Option<Groups>,
}

impl SeriesReport {
    /// The start of each unit, in order.
    pub fn dates(&self) -> &[UnixSeconds] {
        self.units.starts()
    }

    /// Everything together.
    pub fn points(&self) -> &Points {
        &self.points
    }

    /// The groups, where the query asked for some.
    pub fn groups(&self) -> Option<&Groups> {
        self.groups.as_ref()
    }
}

/// The values of one series, a value per unit, and what they come to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Points {
    pub(super) scale: Scale,
    pub(super) values: Vec<u64>,
    pub(super) summary: Summary,
    pub(super) overall: Option<Figure>,
}

impl Points {
    /// Whether [`Points::values`] are whole numbers or hundredths.
    pub fn scale(&self) -> Scale {
        self.scale
    }

    /// The values in their scale, one per unit.
    pub fn values(&self) -> &[u64] {
        &self.values
    }

    /// The values as numbers, one per unit.
    pub fn figures(&self) -> impl Iterator<Item = Figure> {
        self.values.iter().map(|value| Figure::new(*value, self.scale))
    }

    /// Sum, least, greatest and mean of the values.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Messages per conversation over the whole range; only in the averages.
    pub fn overall(&self) -> Option<Figure> {
        self.overall
    }
}

/// What a report counts per unit: one metric, or messages over conversations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Measure {
    Count(Metric),
    MessagesPerConversation,
}

impl Measure {
    fn of(report: ReportName) -> Self {
        match report {
            ReportName::PaidConversations => Self::Count(Metric::PaidConversations),
            ReportName::Messages => Self::Count(Metric::Messages),
            ReportName::Average => Self::MessagesPerConversation,
            _ => Self::Count(Metric::Conversations),
        }
    }

    /// The metric of the first column.
    fn first(self) -> Metric {
        match self {
            Self::Count(metric) => metric,
            Self::MessagesPerConversation => Metric::Conversations,
        }
    }
}

/// Counts per unit: a column for the one metric, or conversations and messages.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    measure: Measure,
    first: Vec<u64>,
    messages: Vec<u64>,
}

impl Columns {
    pub(super) fn new(measure: Measure, units: &Units) -> Self {
        let messages = match measure {
            Measure::Count(_) => Vec::new(),
            Measure::MessagesPerConversation => vec![0; units.len()],
        };
        Self { measure, first: vec![0; units.len()], messages }
    }

    /// Adds the counts of the range; `series` names the series to add up for a metric.
    pub(super) fn add<S: IntoIterator<Item = SeriesId>>(
        &mut self,
        counters: &Counters,
        query: &Query,
        units: &Units,
        series: impl Fn(Metric) -> S,
    ) {
        let scope = (units, query.hours());
        add_series(counters, series(self.measure.first()), scope, &mut self.first);
        if self.measure == Measure::MessagesPerConversation {
            add_series(counters, series(Metric::Messages), scope, &mut self.messages);
        }
    }

    /// Adds the counts of `other`, which has the same units.
    pub(super) fn add_columns(&mut self, other: &Self) {
        let add = |sums: &mut [u64], values: &[u64]| {
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum = sum.saturating_add(*value));
        };
        add(&mut self.first, &other.first);
        add(&mut self.messages, &other.messages);
    }

    pub(super) fn clear(&mut self) {
        self.first.fill(0);
        self.messages.fill(0);
    }

    /// Whether nothing was counted.
    pub(super) fn is_zero(&self) -> bool {
        self.first.iter().chain(&self.messages).all(|count| *count == 0)
    }

    /// The sum of the values as they will be shown, in their scale.
    pub(super) fn total_shown(&self) -> u64 {
        match self.measure {
            Measure::Count(_) => sum(&self.first),
            Measure::MessagesPerConversation => self.averages().fold(0, u64::saturating_add),
        }
    }

    fn averages(&self) -> impl Iterator<Item = u64> {
        let counts = self.messages.iter().zip(&self.first);
        counts.map(|(messages, conversations)| ratio_hundredths(*messages, *conversations))
    }

    pub(super) fn into_points(self) -> Points {
        let (scale, overall) = match self.measure {
            Measure::Count(_) => (Scale::Whole, None),
            Measure::MessagesPerConversation => {
                let overall = ratio_hundredths(sum(&self.messages), sum(&self.first));
                (Scale::Hundredths, Some(Figure::Hundredths(overall)))
            }
        };
        let values = match self.measure {
            Measure::Count(_) => self.first,
            Measure::MessagesPerConversation => self.averages().collect(),
        };
        let summary = Summary::of(&values, scale);
        Points { scale, values, summary, overall }
    }
}

pub(super) fn answer(catalogue: &Catalogue, counters: &Counters, query: &Query) -> SeriesReport {
    let units = Units::new(query.unit(), query.range());
    let mut columns = Columns::new(Measure::of(query.report()), &units);
    let groups = match query.group() {
        None => {
            columns.add(counters, query, &units, |metric| series_of(catalogue, query, metric));
            None
        }
        // The whole is added up from the groups, so that they agree also while events come in.
        Some(by) => Some(groups::answer(by, (catalogue, counters, query), &units, &mut columns)),
    };
    SeriesReport { units, points: columns.into_points(), groups }
}
