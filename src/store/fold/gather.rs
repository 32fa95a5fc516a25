//! Sums up what journal records add, in memory, until a fold writes it out. Pure: no files, no live counters.
//!
//! Nearly every increment is of the newest hour of its series, so that hour's sum is kept in a table by series; all else
//! goes into a list, to be sorted at the end. A map of all sums would take several times as long.
//!
//! INVARIANT: what was gathered of a series before it was forgotten is in nothing that `finish` gives.

use std::collections::{BTreeMap, HashMap};

use crate::limits::{FOLD_SERIES_BYTES, wide};
use crate::model::batch::{Increment, SeriesId};
use crate::model::calendar::Hour;
use crate::model::cells::Month;

/// The sum of a series' newest hour; nothing yet where the count is 0.
#[derive(Clone, Copy, Default, Debug)]
struct Newest {
    hour: u32,
    count: u32,
}

// The table may have room for twice as many series as there are.
const _: () =
    assert!(wide(2 * size_of::<Newest>()) == FOLD_SERIES_BYTES, "the ceiling of memory counts on it");

/// Increments summed up by series and hour.
#[derive(Debug, Default)]
pub(super) struct Gather {
    /// By series.
    newest: Vec<Newest>,
    others: Vec<Increment>,
    /// Of forgotten series, how much of `others` that covers.
    forgotten: HashMap<SeriesId, usize>,
}

impl Gather {
    /// How many sums are not in the table. Their bound and the number of series bound the memory.
    pub(super) fn others(&self) -> usize {
        self.others.len()
    }

    pub(super) fn add(&mut self, increments: &[Increment]) {
        for increment in increments {
            let Increment { series, hour, count } = *increment;
            if count == 0 {
                continue;
            }
            if self.newest.len() <= series.index() {
                self.newest.resize(series.index().saturating_add(1), Newest::default());
            }
            let Some(newest) = self.newest.get_mut(series.index()) else { continue };
            if newest.hour == hour.get()
                && let Some(sum) = newest.count.checked_add(count)
            {
                newest.count = sum;
            } else if hour.get() < newest.hour {
                self.others.push(*increment);
            } else {
                let before = std::mem::replace(newest, Newest { hour: hour.get(), count });
                self.others.extend(before.of(series));
            }
        }
    }

    /// Drops everything that was gathered of the series so far.
    pub(super) fn forget(&mut self, series: SeriesId) {
        if let Some(newest) = self.newest.get_mut(series.index()) {
            *newest = Newest::default();
        }
        self.forgotten.insert(series, self.others.len());
    }

    /// The sums by month, then series, then hour. An hour whose sum is past 32 bits is there several times.
    pub(super) fn finish(self) -> BTreeMap<Month, Vec<Increment>> {
        let Self { newest, mut others, forgotten } = self;
        let mut place = 0_usize;
        others.retain(|increment| {
            place = place.saturating_add(1);
            forgotten.get(&increment.series).is_none_or(|covered| place > *covered)
        });
        let series = (0..=u32::MAX).map(SeriesId::new);
        others.extend(series.zip(newest).filter_map(|(series, newest)| newest.of(series)));
        let mut months: BTreeMap<Month, Vec<Increment>> = BTreeMap::new();
        let mut rest = others.as_slice();
        while let Some(first) = rest.first() {
            let month = Month::containing(first.hour);
            let hours = month.range();
            let run = rest.iter().take_while(|increment| hours.contains(increment.hour)).count().max(1);
            let (now, after) = rest.split_at(run);
            months.entry(month).or_default().extend_from_slice(now);
            rest = after;
        }
        drop(others);
        for increments in months.values_mut() {
            increments.sort_unstable_by_key(order);
            increments.dedup_by(|later, earlier| join(earlier, later));
        }
        months
    }
}

impl Newest {
    fn of(self, series: SeriesId) -> Option<Increment> {
        (self.count > 0).then(|| Increment { series, hour: Hour::new(self.hour), count: self.count })
    }
}

/// By series, then hour; as one number, which compares faster.
fn order(increment: &Increment) -> u64 {
    (u64::from(increment.series.get()) << 32) | u64::from(increment.hour.get())
}

/// Adds `later` to `earlier` if they are of the same counter and the sum fits; whether it did.
fn join(earlier: &mut Increment, later: &Increment) -> bool {
    if (earlier.series, earlier.hour) != (later.series, later.hour) {
        return false;
    }
    match earlier.count.checked_add(later.count) {
        Some(sum) => {
            earlier.count = sum;
            true
        }
        None => false,
    }
}
