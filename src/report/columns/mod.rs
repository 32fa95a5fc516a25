//! Counts per unit, and the values that a series shows of them. Knows nothing of groups or output formats.

mod sparse;

use std::iter::repeat_n;
use std::ops::Range;

use super::ReportName;
use super::query::Query;
use super::roll_up::{add_series, hull};
use super::summary::{Figure, Scale, Summary, ratio_hundredths, sum};
use crate::model::calendar::Units;
use crate::model::counters::Counters;
use crate::model::event::{Metric, SeriesId};
pub(super) use sparse::SparseColumns;

/// The values of one series, one per unit, and their summary. Zeros at either end are not stored: most stories are
/// active in a small part of a long range.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Points {
    /// Whether the values are whole numbers or hundredths.
    pub(super) scale: Scale,
    pub(super) units: usize,
    /// The unit that the first of `values` belongs to.
    pub(super) start: usize,
    pub(super) values: Vec<u64>,
    pub(crate) summary: Summary,
    /// Messages per conversation over the whole range; only in the averages.
    pub(crate) overall: Option<Figure>,
}

impl Points {
    /// The values in their scale, one per unit.
    pub fn values(&self) -> impl Iterator<Item = u64> {
        let after = self.units.saturating_sub(self.start).saturating_sub(self.values.len());
        repeat_n(0, self.start).chain(self.values.iter().copied()).chain(repeat_n(0, after))
    }

    /// The value of a unit in its scale.
    #[inline]
    pub(crate) fn value(&self, unit: usize) -> u64 {
        // A unit before the first one that is stored comes to a place far behind the last.
        self.values.get(unit.wrapping_sub(self.start)).copied().unwrap_or(0)
    }

    /// The number of a unit; `None` where there is no such unit.
    pub(crate) fn figure(&self, unit: usize) -> Option<Figure> {
        (unit < self.units).then(|| Figure::new(self.value(unit), self.scale))
    }

    /// The values as numbers, one per unit.
    pub fn figures(&self) -> impl Iterator<Item = Figure> {
        self.values().map(|value| Figure::new(value, self.scale))
    }
}

/// What a report counts per unit: one metric, or messages over conversations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Measure {
    Count(Metric),
    MessagesPerConversation,
}

impl Measure {
    pub(super) fn of(report: ReportName) -> Self {
        match report {
            ReportName::PaidConversations => Self::Count(Metric::PaidConversations),
            ReportName::Messages => Self::Count(Metric::Messages),
            ReportName::Average => Self::MessagesPerConversation,
            _ => Self::Count(Metric::Conversations),
        }
    }

    /// The metrics that are counted: the one, or conversations and messages.
    pub(super) fn metrics(self) -> impl Iterator<Item = Metric> {
        let messages = (self == Self::MessagesPerConversation).then_some(Metric::Messages);
        [self.first()].into_iter().chain(messages)
    }

    pub(super) fn first(self) -> Metric {
        match self {
            Self::Count(metric) => metric,
            Self::MessagesPerConversation => Metric::Conversations,
        }
    }
}

/// Counts per unit: a column for the one metric, or conversations and messages.
///
/// INVARIANT: outside of `touched` all counts are 0.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    pub(super) measure: Measure,
    touched: Range<usize>,
    first: Vec<u64>,
    messages: Vec<u64>,
}

impl Columns {
    pub(super) fn new(measure: Measure, units: &Units) -> Self {
        let messages = match measure {
            Measure::Count(_) => Vec::new(),
            Measure::MessagesPerConversation => vec![0; units.len()],
        };
        Self { measure, touched: 0..0, first: vec![0; units.len()], messages }
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
        let touched = add_series(counters, series(self.measure.first()), scope, &mut self.first);
        self.touched = hull(&self.touched, &touched);
        if self.measure == Measure::MessagesPerConversation {
            let touched = add_series(counters, series(Metric::Messages), scope, &mut self.messages);
            self.touched = hull(&self.touched, &touched);
        }
    }

    /// Adds the counts of `other`, which has the same units.
    pub(super) fn add_columns(&mut self, other: &Self) {
        let place = other.touched.clone();
        let add = |sums: &mut [u64], values: &[u64]| {
            let sums = sums.get_mut(place.clone()).unwrap_or_default().iter_mut();
            let values = values.get(place.clone()).unwrap_or_default();
            sums.zip(values).for_each(|(sum, value)| *sum = sum.saturating_add(*value));
        };
        add(&mut self.first, &other.first);
        add(&mut self.messages, &other.messages);
        self.touched = hull(&self.touched, &other.touched);
    }

    pub(super) fn clear(&mut self) {
        let place = std::mem::take(&mut self.touched);
        for column in [&mut self.first, &mut self.messages] {
            column.get_mut(place.clone()).unwrap_or_default().fill(0);
        }
    }

    /// Whether nothing was counted.
    pub(super) fn is_zero(&self) -> bool {
        let (first, messages) = self.parts();
        first.iter().chain(messages).all(|count| *count == 0)
    }

    /// The sum of the values as they will be shown, in their scale.
    pub(super) fn total_shown(&self) -> u64 {
        match self.measure {
            Measure::Count(_) => sum(self.parts().0),
            Measure::MessagesPerConversation => self.averages().fold(0, u64::saturating_add),
        }
    }

    /// What was touched of either column.
    fn parts(&self) -> (&[u64], &[u64]) {
        let part = |column| <[u64]>::get(column, self.touched.clone()).unwrap_or_default();
        (part(&self.first), part(&self.messages))
    }

    fn averages(&self) -> impl Iterator<Item = u64> {
        let (first, messages) = self.parts();
        let counts = messages.iter().zip(first);
        counts.map(|(messages, conversations)| ratio_hundredths(*messages, *conversations))
    }

    pub(super) fn points(&self) -> Points {
        let (first, messages) = self.parts();
        let (scale, overall, values) = match self.measure {
            Measure::Count(_) => (Scale::Whole, None, first.to_vec()),
            Measure::MessagesPerConversation => {
                let overall = ratio_hundredths(sum(messages), sum(first));
                (Scale::Hundredths, Some(Figure::Hundredths(overall)), self.averages().collect())
            }
        };
        let units = self.first.len();
        let summary = Summary::of(&values, units, scale);
        Points { scale, units, start: self.touched.start, values, summary, overall }
    }
}
