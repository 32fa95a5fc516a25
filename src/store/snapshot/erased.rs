//! What a fold takes out of the parts that there are: counts of series in ranges of hours. It is written nowhere; the parts that
//! had any of it are written anew without it.

use std::collections::HashMap;

use crate::model::batch::SeriesId;
use crate::model::calendar::HourRange;

/// What goes.
#[derive(Debug, Default)]
pub(crate) struct Erased {
    of: HashMap<SeriesId, Vec<HourRange>, foldhash::fast::RandomState>,
    /// Each range of hours once.
    hours: Vec<HourRange>,
    ranges: usize,
}

impl Erased {
    /// Adds that counts of the series in those hours go.
    pub(crate) fn add(&mut self, series: SeriesId, hours: HourRange) {
        let of_series = self.of.entry(series).or_default();
        if of_series.contains(&hours) {
            return;
        }
        of_series.push(hours);
        self.ranges = self.ranges.saturating_add(1);
        if !self.hours.contains(&hours) {
            self.hours.push(hours);
        }
    }

    /// How many ranges of series there are.
    pub(crate) fn len(&self) -> usize {
        self.ranges
    }

    /// Whether counts in those hours may go.
    pub(crate) fn touches(&self, hours: HourRange) -> bool {
        self.hours.iter().any(|gone| gone.start < hours.end && hours.start < gone.end)
    }

    /// The hours of the series whose counts go.
    pub(crate) fn of(&self, series: SeriesId) -> &[HourRange] {
        self.of.get(&series).map_or(&[], Vec::as_slice)
    }
}
