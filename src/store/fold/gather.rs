//! Sums up what journal records add, in memory, until a fold writes it out. Pure: no files, no live counters.
//!
//! Increments go into a log as they come. When it is full it is settled: put in order by month, series and hour, and
//! equal ones added up, so that only distinct cells take room. See `order` for how.
//!
//! INVARIANT: what was gathered of a series, or of hours of it, before that was forgotten is in nothing that `finish` gives.

use std::collections::HashMap;

use super::order;
use crate::limits::FOLD_BYTES_PER_CELL;
use crate::model::batch::{Increment, SeriesId};
use crate::model::calendar::HourRange;

// To put them in order takes a word and a half more for each.
const _: () = assert!(
    size_of::<Increment>() + 3 * size_of::<u64>() / 2 == FOLD_BYTES_PER_CELL,
    "the bound of memory counts on it"
);

/// Increments, summed up by series and hour when there is need.
#[derive(Debug)]
pub(super) struct Gather {
    log: Vec<Increment>,
    /// Memory to put `log` in order.
    spare: Vec<u64>,
    /// How much of `log`, from its front, is in order and summed up.
    settled: usize,
    /// Of forgotten series, how much of `log` that covers.
    forgotten: HashMap<SeriesId, usize, foldhash::fast::RandomState>,
    /// The same of hours of series.
    erased: HashMap<SeriesId, Vec<(HourRange, usize)>, foldhash::fast::RandomState>,
    cells_max: usize,
}

impl Gather {
    /// For about so many cells; one batch may be more.
    pub(super) fn new(cells_max: usize) -> Self {
        Self {
            log: Vec::new(),
            spare: Vec::new(),
            settled: 0,
            forgotten: HashMap::default(),
            erased: HashMap::default(),
            cells_max,
        }
    }

    /// Whether it is time to write out what there is: the distinct cells take more than half of the room.
    pub(super) fn is_full(&mut self) -> bool {
        if self.log.len() < self.cells_max {
            return false;
        }
        self.settle();
        self.log.len() > self.cells_max / 2
    }

    pub(super) fn add(&mut self, increments: &[Increment]) {
        let needed = self.log.len().saturating_add(increments.len());
        if self.log.capacity() < needed {
            // Twice the room each time, but none past the bound.
            let room = needed.max(self.log.len().saturating_mul(2).min(self.cells_max));
            self.log.reserve_exact(room.saturating_sub(self.log.len()));
        }
        self.log.extend(increments.iter().filter(|increment| increment.count > 0));
    }

    /// Drops everything that was gathered of the series so far.
    pub(super) fn forget(&mut self, series: SeriesId) {
        self.forgotten.insert(series, self.log.len());
    }

    /// Drops everything that was gathered so far of hours of the series.
    pub(super) fn erase(&mut self, series: SeriesId, hours: HourRange) {
        let (erased, covered) = (self.erased.entry(series).or_default(), self.log.len());
        match erased.iter_mut().find(|(same, _)| *same == hours) {
            Some(known) => known.1 = covered,
            None => erased.push((hours, covered)),
        }
    }

    /// The sums by month, then series, then hour. An hour whose sum is past 32 bits is there several times.
    pub(super) fn finish(mut self) -> Vec<Increment> {
        self.settle();
        self.log
    }

    fn settle(&mut self) {
        let is_settled = self.settled == self.log.len();
        if !self.forgotten.is_empty() || !self.erased.is_empty() {
            let (forgotten, erased) = (std::mem::take(&mut self.forgotten), std::mem::take(&mut self.erased));
            let mut place = 0_usize;
            self.log.retain(|increment| {
                place = place.saturating_add(1);
                let is_erased = |(hours, covered): &(HourRange, usize)| {
                    place <= *covered && hours.contains(increment.hour)
                };
                forgotten.get(&increment.series).is_none_or(|covered| place > *covered)
                    && !erased.get(&increment.series).is_some_and(|erased| erased.iter().any(is_erased))
            });
        }
        if !is_settled {
            order::sum_up(&mut self.log, &mut self.spare);
        }
        self.settled = self.log.len();
    }
}
