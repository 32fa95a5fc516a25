//! Sums up what journal records add, in memory, until a fold writes it out. Pure: no files, no live counters.
//!
//! Nearly every increment hits the hour that its series hit last, so each series has the two newest hours at hand and
//! only what falls out of them is kept in a list, to be sorted at the end.
//!
//! INVARIANT: what was gathered of a series before it was forgotten is in nothing that `finish` gives.

use std::collections::{BTreeMap, HashMap};

use crate::limits::FOLD_SERIES_BYTES;
use crate::model::batch::{Increment, SeriesId};
use crate::model::calendar::Hour;
use crate::model::cells::Month;

/// Series per page of the table, as a power of two. Pages are made when first touched, so that few busy series of a
/// large catalogue cost little.
const PAGE_BITS: u32 = 10;
const PAGE: usize = 1 << PAGE_BITS;

/// One hour's sum; empty where the count is 0.
#[derive(Clone, Copy, Default, Debug)]
struct Tail {
    hour: u32,
    count: u32,
}

/// The two hours of a series that are being added to, the later one hit first.
#[derive(Clone, Copy, Default, Debug)]
struct Slot {
    newer: Tail,
    older: Tail,
}

#[expect(clippy::as_conversions, reason = "try_from is not const")]
const _: () = assert!(size_of::<Slot>() as u64 == FOLD_SERIES_BYTES, "the ceiling of memory counts on it");

/// Increments summed up by series and hour.
#[derive(Debug, Default)]
pub(super) struct Gather {
    pages: Vec<Option<Box<[Slot; PAGE]>>>,
    spilled: Vec<Increment>,
    /// Of forgotten series, how much of `spilled` that covers.
    forgotten: HashMap<SeriesId, usize>,
}

impl Gather {
    /// How many sums have left the table. Their bound and the number of series bound the memory.
    pub(super) fn spilled(&self) -> usize {
        self.spilled.len()
    }

    /// Adds increments up.
    pub(super) fn add(&mut self, increments: &[Increment]) {
        for increment in increments {
            self.add_one(increment);
        }
    }

    /// Drops everything that was gathered of the series so far.
    pub(super) fn forget(&mut self, series: SeriesId) {
        if let Some(slot) = self.slot_mut(series) {
            *slot = Slot::default();
        }
        self.forgotten.insert(series, self.spilled.len());
    }

    /// The sums by month, then series, then hour. An hour whose sum is past 32 bits is there several times.
    pub(super) fn finish(mut self) -> BTreeMap<Month, Vec<Increment>> {
        self.drop_forgotten();
        self.spill_table();
        let mut months: BTreeMap<Month, Vec<Increment>> = BTreeMap::new();
        let mut rest = self.spilled.as_slice();
        while let Some(first) = rest.first() {
            let month = Month::containing(first.hour);
            let hours = month.range();
            let run = rest.iter().take_while(|increment| hours.contains(increment.hour)).count().max(1);
            let (now, after) = rest.split_at(run);
            months.entry(month).or_default().extend_from_slice(now);
            rest = after;
        }
        self.spilled = Vec::new();
        for increments in months.values_mut() {
            increments.sort_unstable_by_key(order);
            increments.dedup_by(|later, earlier| join(earlier, later));
        }
        months
    }

    #[inline]
    fn add_one(&mut self, increment: &Increment) {
        let Increment { series, hour, count } = *increment;
        if count == 0 {
            return;
        }
        let Some(slot) = self.slot_mut(series) else {
            return self.add_to_new_page(increment);
        };
        if slot.newer.hour == hour.get()
            && let Some(sum) = slot.newer.count.checked_add(count)
        {
            slot.newer.count = sum;
            return;
        }
        let spilled = slot.take(hour, count);
        if spilled.count > 0 {
            self.spilled.push(Increment { series, hour: Hour::new(spilled.hour), count: spilled.count });
        }
    }

    #[inline]
    fn slot_mut(&mut self, series: SeriesId) -> Option<&mut Slot> {
        let page = self.pages.get_mut(series.index() >> PAGE_BITS)?.as_mut()?;
        page.get_mut(series.index() & (PAGE - 1))
    }

    #[cold]
    fn add_to_new_page(&mut self, increment: &Increment) {
        let number = increment.series.index() >> PAGE_BITS;
        if self.pages.len() <= number {
            self.pages.resize_with(number.saturating_add(1), || None);
        }
        if let Some(page) = self.pages.get_mut(number) {
            *page = Some(Box::new([Slot::default(); PAGE]));
            self.add_one(increment);
        }
    }

    fn drop_forgotten(&mut self) {
        if self.forgotten.is_empty() {
            return;
        }
        let mut place = 0_usize;
        let forgotten = &self.forgotten;
        self.spilled.retain(|increment| {
            place = place.saturating_add(1);
            forgotten.get(&increment.series).is_none_or(|covered| place > *covered)
        });
    }

    fn spill_table(&mut self) {
        for (number, page) in self.pages.iter().enumerate() {
            let Some(page) = page else { continue };
            for (index, slot) in page.iter().enumerate() {
                let id = (number << PAGE_BITS) | index;
                let series = SeriesId::new(u32::try_from(id).unwrap_or(u32::MAX));
                for tail in [slot.older, slot.newer] {
                    if tail.count > 0 {
                        let hour = Hour::new(tail.hour);
                        self.spilled.push(Increment { series, hour, count: tail.count });
                    }
                }
            }
        }
        self.pages = Vec::new();
    }
}

impl Slot {
    /// Takes a count that the newer hour cannot take; gives back what has no place any more.
    fn take(&mut self, hour: Hour, count: u32) -> Tail {
        if self.older.hour == hour.get()
            && let Some(sum) = self.older.count.checked_add(count)
        {
            self.older.count = sum;
            return Tail::default();
        }
        let fresh = Tail { hour: hour.get(), count };
        if fresh.hour < self.newer.hour {
            // A late one: it displaces the older hour, and the newer stays at hand.
            return std::mem::replace(&mut self.older, fresh);
        }
        std::mem::replace(&mut self.older, std::mem::replace(&mut self.newer, fresh))
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
