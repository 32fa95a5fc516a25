//! The counts of one story after another. Most stories have few in a long range, so each unit that gets one is noted, and
//! only those are read and cleared.
//!
//! INVARIANT: a unit is noted, once, if and only if it has a count; no cell counts 0.

use super::{Columns, Measure, Points};
use crate::limits::{HOURS_LISTED_PER_STORY, narrow};
use crate::model::calendar::{Hour, HourRange, Units};
use crate::model::counters::Counters;
use crate::model::event::SeriesId;
use crate::report::roll_up::hull;
use crate::report::summary::ratio_hundredths;

/// Counts per unit of one story at a time.
#[derive(Debug)]
pub(in crate::report) struct SparseColumns<'u> {
    columns: Columns,
    noted: Vec<usize>,
    units: UnitsByHour<'u>,
}

/// Which unit an hour is in.
#[derive(Debug)]
struct UnitsByHour<'u> {
    range: HourRange,
    bounds: &'u [Hour],
    /// The unit of each hour of the range; empty where there are too few stories for it to be worth its making.
    listed: Vec<u32>,
}

impl<'u> UnitsByHour<'u> {
    fn new(units: &'u Units, range: HourRange, stories: usize) -> Self {
        let bounds = units.bounds();
        let hours = narrow(range.end.get().saturating_sub(range.start.get()));
        let mut listed = Vec::new();
        if hours <= stories.saturating_mul(HOURS_LISTED_PER_STORY) {
            listed.reserve_exact(hours);
            for (unit, end) in (0..).zip(bounds.iter().skip(1)) {
                listed.resize(narrow(end.get().saturating_sub(range.start.get())), unit);
            }
        }
        Self { range, bounds, listed }
    }

    #[inline]
    fn of(&self, hour: Hour) -> Option<usize> {
        match self.listed.get(narrow(hour.get().wrapping_sub(self.range.start.get()))) {
            Some(unit) => Some(narrow(*unit)),
            None => self.bounds.partition_point(|bound| *bound <= hour).checked_sub(1),
        }
    }
}

impl<'u> SparseColumns<'u> {
    /// Those of a measure over a range, for about so many stories.
    pub(in crate::report) fn new(
        measure: Measure,
        (units, range): (&'u Units, HourRange),
        stories: usize,
    ) -> Self {
        let units_by_hour = UnitsByHour::new(units, range, stories);
        Self { columns: Columns::new(measure, units), noted: Vec::new(), units: units_by_hour }
    }

    /// Adds the counts of a series, which is of the first metric of the measure or of the other.
    #[inline]
    pub(in crate::report) fn add(&mut self, counters: &Counters, series: SeriesId, is_first: bool) {
        let Self { columns: Columns { first, messages, .. }, noted, units } = self;
        let (counted, beside) = if is_first { (first, messages) } else { (messages, first) };
        counters.visit(series, units.range, &mut |cells| {
            for cell in cells {
                let Some(unit) = units.of(cell.hour) else { continue };
                let Some(count) = counted.get_mut(unit) else { continue };
                if *count == 0 && beside.get(unit).is_none_or(|beside| *beside == 0) {
                    noted.push(unit);
                }
                *count = count.saturating_add(u64::from(cell.count));
            }
        });
    }

    /// Whether nothing was counted.
    pub(in crate::report) fn is_zero(&self) -> bool {
        self.noted.is_empty()
    }

    /// The sum of the values as they will be shown, in their scale.
    pub(in crate::report) fn total_shown(&self) -> u64 {
        let Columns { measure, first, messages, .. } = &self.columns;
        let value = |unit: &usize| match (measure, first.get(*unit), messages.get(*unit)) {
            (Measure::Count(_), Some(count), _) => *count,
            (Measure::MessagesPerConversation, Some(conversations), Some(messages)) => {
                ratio_hundredths(*messages, *conversations)
            }
            _ => 0,
        };
        self.noted.iter().map(value).fold(0, u64::saturating_add)
    }

    /// Adds the counts to those of everything together, which have the same units.
    pub(in crate::report) fn add_to(&self, whole: &mut Columns) {
        for unit in &self.noted {
            for (sums, counts) in
                [(&mut whole.first, &self.columns.first), (&mut whole.messages, &self.columns.messages)]
            {
                if let (Some(sum), Some(count)) = (sums.get_mut(*unit), counts.get(*unit)) {
                    *sum = sum.saturating_add(*count);
                }
            }
            whole.touched = hull(&whole.touched, &(*unit..unit.saturating_add(1)));
        }
    }

    pub(in crate::report) fn points(&mut self) -> Points {
        let one = |unit: &usize| *unit..unit.saturating_add(1);
        self.columns.touched = self.noted.iter().map(one).fold(0..0, |all, one| hull(&all, &one));
        self.columns.points()
    }

    pub(in crate::report) fn clear(&mut self) {
        for unit in self.noted.drain(..) {
            for column in [&mut self.columns.first, &mut self.columns.messages] {
                if let Some(count) = column.get_mut(unit) {
                    *count = 0;
                }
            }
        }
    }
}
