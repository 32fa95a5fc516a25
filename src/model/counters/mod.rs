//! The live counts: for every series its cells (hour, count), and totals over all stories beside them.
//! Knows nothing of files, sockets, text or names.
//!
//! One [`Writer`] changes the counts, any number of threads read them. Nearly every increment is one store to
//! the cache line of its series, without a lock. The totals are dense: every hour has its place.
//!
//! INVARIANT: a total is the sum of the series that add to it, once the writer's call has returned.
//! INVARIANT: no reader sees a count of an hour that was dropped, also while its memory is yet to be given back.

mod block;
mod dropped;
mod load;
mod packed;
mod recent;
mod series;
mod total;

use std::cmp::Ordering::{Equal, Greater, Less};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::limits::{SERIES_MAX, TOTALS, wide};
use crate::model::batch::{Increment, SeriesId};
use crate::model::calendar::{Hour, HourRange};
use crate::model::catalogue::{ActiveHours, total_series};
use crate::model::cells::Cell;
use crate::model::event::{SeriesKey, Source};
use crate::model::prefetch::prefetch;
use crate::model::table::Table;
use dropped::Dropped;
pub use load::CheckedFrames;
use series::{RollUpTarget, SeriesEntry, Work};
pub use total::{HourlyCounts, Total};

/// Increments whose entries are fetched together, so that their cache misses overlap.
const BLOCK: usize = 64;
/// Totals of one metric: one for each source, then the one of all sources.
const TOTALS_OF_METRIC: usize = Source::ALL.len() + 1;

/// The live counts: read by any thread, written by the one [`Writer`].
#[derive(Debug)]
pub struct Counters {
    /// The series by id; those with the ids of totals are never defined.
    entries: Table<SeriesEntry>,
    totals: [Total; TOTALS],
    dropped: Dropped,
    series: AtomicU64,
    cells: AtomicU64,
    bytes: AtomicU64,
    undefined: AtomicU64,
}

/// The only thing that can change the counters. There is one for each [`Counters`].
#[derive(Debug)]
pub struct Writer {
    counters: Arc<Counters>,
    work: Work,
    /// End of the chunks that have been made, as a number of entries.
    entries_made: usize,
}

/// What the counters hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CountersStats {
    /// Series defined, the totals among them.
    pub series: u64,
    /// Cells with a count, those of the totals among them. An hour that was packed and hit again is two until
    /// they are merged.
    pub cells: u64,
    /// Bytes of memory; see [`Counters::memory_bytes`].
    pub bytes: u64,
    /// Increments and frames that were of no defined series and so were not counted; other than 0 is a bug.
    pub undefined: u64,
    /// Cells whose memory was given back since their hours were dropped, those of the totals among them.
    pub dropped: u64,
}

impl Counters {
    /// Empty counters (the 24 reserved totals defined) and their writer.
    pub fn new() -> (Arc<Self>, Writer) {
        Self::with_room(SERIES_MAX)
    }

    /// The same, for at most so many series beside the totals.
    pub fn with_room(series: usize) -> (Arc<Self>, Writer) {
        let counters = Arc::new(Self {
            entries: Table::new(TOTALS + series.min(SERIES_MAX)),
            totals: std::array::from_fn(|_| Total::new()),
            dropped: Dropped::default(),
            series: AtomicU64::new(wide(TOTALS)),
            cells: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            undefined: AtomicU64::new(0),
        });
        let mut writer = Writer { counters: Arc::clone(&counters), work: Work::default(), entries_made: 0 };
        let fixed = size_of::<Self>() + writer.counters.entries.directory_bytes();
        writer.work.bytes_grown += i64::try_from(fixed).unwrap_or(i64::MAX);
        writer.entry(0);
        writer.publish();
        (counters, writer)
    }

    /// The total that has this id, if it is one of a total.
    #[inline]
    pub fn total(&self, series: SeriesId) -> Option<&Total> {
        self.totals.get(series.index())
    }

    /// Calls `f` with the cells of the series within the range, in slices each ascending by hour. The slices
    /// together are NOT ordered and may repeat an hour (cells of equal hour add up). An undefined series has no
    /// cells. Blocks only for the moment in which the writer reorganises this one series. A total is read more quickly
    /// by [`Self::total`].
    ///
    /// NOTE: a lock of the series is held meanwhile: `f` must be brief and must not call the counters.
    pub fn visit(&self, series: SeriesId, range: HourRange, f: &mut dyn FnMut(&[Cell])) {
        match (self.total(series), self.entries.get(series.index())) {
            (Some(total), _) => total.visit(range, &mut |first, counts| {
                for (count, hour) in counts.iter().zip(first.get()..) {
                    Cell::of_count(Hour::new(hour), count).for_each(|cell| f(&[cell]));
                }
            }),
            (None, Some(entry)) => entry.visit(self.dropped.kept_of(range), f),
            (None, None) => {}
        }
    }

    /// Prefetches the series, for a caller that will visit it after others. Never blocks.
    pub fn prefetch(&self, series: SeriesId) {
        if let Some(entry) = self.entries.get(series.index()) {
            prefetch(entry);
        }
    }

    /// Sum of all counts in the range; stays at `u64::MAX` where it would be more. Blocks as [`Self::visit`] does.
    pub fn sum(&self, series: SeriesId, range: HourRange) -> u64 {
        match self.total(series) {
            Some(total) => total.sum(range),
            None => {
                self.entries.get(series.index()).map_or(0, |entry| entry.sum(self.dropped.kept_of(range)))
            }
        }
    }

    /// First and last hour with a cell. Blocks as [`Self::visit`] does.
    pub fn span(&self, series: SeriesId) -> Option<(Hour, Hour)> {
        match self.total(series) {
            Some(total) => total.span(),
            None => self.span_kept(self.entries.get(series.index())?),
        }
    }

    /// Whether the series has a cell of that hour, so that a count for it takes no more memory. Blocks as
    /// [`Self::visit`] does where the hour is not the latest.
    pub fn has_cell(&self, series: SeriesId, hour: Hour) -> bool {
        match self.total(series) {
            Some(total) => total.sum(HourRange { start: hour, end: hour.next() }) > 0,
            None if self.dropped.has(hour) => false,
            None => self.entries.get(series.index()).is_some_and(|entry| entry.has_cell(hour)),
        }
    }

    /// How many cells a visit of the range reads, at most. Never blocks.
    pub fn cells_within(&self, series: SeriesId, range: HourRange) -> u64 {
        let hours = u64::from(range.end.get().saturating_sub(range.start.get()));
        match self.total(series) {
            Some(total) => total.hours_within(range),
            None => self.entries.get(series.index()).map_or(0, |entry| entry.cells().min(hours)),
        }
    }

    /// Bytes of memory that the counters take, with the overhead of the allocator. One atomic load.
    pub fn memory_bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How much there is. Never blocks; what the writer is adding at the moment is not in it.
    pub fn stats(&self) -> CountersStats {
        CountersStats {
            series: self.series.load(Ordering::Relaxed),
            cells: self.cells.load(Ordering::Relaxed),
            bytes: self.memory_bytes(),
            undefined: self.undefined.load(Ordering::Relaxed),
            dropped: self.dropped.cells(),
        }
    }
}

impl Writer {
    /// What the writer writes.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Makes room for the series and links it to the totals its key adds to. Idempotent. Must precede
    /// [`Self::add`]. A reserved id, or one past [`SERIES_MAX`], stays as it is.
    pub fn define(&mut self, id: SeriesId, key: &SeriesKey) {
        if id.index() < TOTALS {
            return;
        }
        let total = total_series(key.metric, Some(key.source)).and_then(|id| u8::try_from(id.get()).ok());
        if let Some(entry) = self.entry(id.index())
            && entry.target() == RollUpTarget::Undefined
        {
            entry.set_target(total.map_or(RollUpTarget::None, RollUpTarget::Total));
            self.counters.series.fetch_add(1, Ordering::Relaxed);
        }
        self.publish();
    }

    /// Adds increments, to the series and to the totals they add to. Those of undefined series are a bug: an
    /// assertion in debug builds, counted in [`CountersStats::undefined`] in release. The hours in which series have got
    /// cells, for the catalogue.
    pub fn add(&mut self, increments: &[Increment]) -> &[ActiveHours] {
        self.work.active.clear();
        let counters = &*self.counters;
        let mut totals = PendingTotals::default();
        for block in increments.chunks(BLOCK) {
            let mut entries = [None; BLOCK];
            for (entry, increment) in entries.iter_mut().zip(block) {
                *entry = counters.entries.get(increment.series.index());
                entry.inspect(|entry| prefetch(*entry));
            }
            for (entry, increment) in entries.iter().zip(block) {
                entry.inspect(|entry| entry.prefetch_beside_tail(increment.hour, &self.work));
            }
            for (entry, increment) in entries.iter().zip(block) {
                if increment.count == 0 {
                    continue;
                }
                let target = entry.map_or(RollUpTarget::Undefined, SeriesEntry::target);
                let (Some(entry), RollUpTarget::None | RollUpTarget::Total(_)) = (entry, target) else {
                    counters.count_undefined();
                    continue;
                };
                let Increment { series, hour, count } = *increment;
                if entry.add(hour, count, &mut self.work) {
                    self.work.active.push(ActiveHours { series, first: hour, last: hour });
                }
                if let RollUpTarget::Total(total) = target {
                    totals.add(total, increment, counters, &mut self.work);
                }
            }
        }
        totals.flush(counters, &mut self.work);
        self.publish();
        &self.work.active
    }

    /// Forgets all cells of the series, and takes them out of the totals. A total stays as it is.
    pub fn clear(&mut self, id: SeriesId) {
        let Some(entry) = self.counters.entries.get(id.index()) else { return };
        if let RollUpTarget::Total(_) = entry.target() {
            return self.erase(id, HourRange::ALL);
        }
        // Nobody needs to know what the cells were, and a story may have very many such series.
        entry.forget_all(&mut self.work);
        self.publish();
    }

    /// Forgets the cells of the series in a range of hours, and takes them out of the totals. A total stays as it is.
    pub fn erase(&mut self, id: SeriesId, range: HourRange) {
        let Some(entry) = self.counters.entries.get(id.index()) else { return };
        if let RollUpTarget::Total(total) = entry.target() {
            let mut cells = Vec::new();
            entry.erase(range, Some(&mut cells), &mut self.work);
            cells.sort_unstable_by_key(|cell| cell.hour);
            self.take_from_totals(total, &cells);
        } else {
            entry.erase(range, None, &mut self.work);
        }
        self.publish();
    }

    /// Takes cells, ascending by hour, out of the totals that they were added to.
    fn take_from_totals(&mut self, total: u8, cells: &[Cell]) {
        for total in self.counters.totals_of(total) {
            for day in cells.chunk_by(|a, b| Total::is_one_day(a.hour, b.hour)) {
                let counts = day.iter().map(|cell| (cell.hour, u64::from(cell.count)));
                total.subtract(counts, &mut self.work);
            }
        }
    }

    /// The entry at an index, its chunk made where need be.
    fn entry(&mut self, index: usize) -> Option<&SeriesEntry> {
        let entry = self.counters.entries.ensure(index)?;
        if index >= self.entries_made {
            let made = self.counters.entries.chunk_of(index);
            self.entries_made = made.end;
            self.work.bytes_grown += i64::try_from(made.len() * size_of::<SeriesEntry>()).unwrap_or(i64::MAX);
        }
        Some(entry)
    }

    /// Makes what has grown visible in the stats.
    fn publish(&mut self) {
        for (gauge, grown) in [
            (&self.counters.cells, &mut self.work.cells_grown),
            (&self.counters.bytes, &mut self.work.bytes_grown),
        ] {
            let grown = std::mem::take(grown);
            if grown != 0 {
                gauge.store(gauge.load(Ordering::Relaxed).saturating_add_signed(grown), Ordering::Relaxed);
            }
        }
    }
}

impl Counters {
    #[cold]
    fn count_undefined(&self) {
        self.undefined.fetch_add(1, Ordering::Relaxed);
        debug_assert!(false, "an increment or a frame is of a series that has not been defined");
    }

    #[inline]
    fn add_to_totals(&self, total: u8, hour: Hour, sum: u64, work: &mut Work) {
        if sum == 0 {
            return;
        }
        for total in self.totals_of(total) {
            total.add(hour, sum, work);
        }
    }

    /// The total of one source and that of all sources, for the number of the first.
    #[inline]
    fn totals_of(&self, total: u8) -> impl Iterator<Item = &Total> {
        let total = usize::from(total);
        let all_sources = total - total % TOTALS_OF_METRIC + TOTALS_OF_METRIC - 1;
        [total, all_sources].into_iter().filter_map(|index| self.totals.get(index))
    }
}

/// Bytes of memory that an allocation takes: eight for the allocator's own number, in steps of sixteen, at least 32. That
/// is how glibc rounds; to leave it out would miss a third of what a series with a few cells takes.
fn allocated(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { (bytes + 8).next_multiple_of(16).max(32) }
}

/// What is still to be added to the totals: for each the latest hour of the call so far, so that a run of
/// increments of one hour costs a total one store.
#[derive(Default)]
struct PendingTotals {
    of: [(Hour, u64); TOTALS],
}

impl PendingTotals {
    #[inline]
    fn add(&mut self, total: u8, increment: &Increment, counters: &Counters, work: &mut Work) {
        let Some((hour, sum)) = self.of.get_mut(usize::from(total)) else { return };
        match increment.hour.cmp(hour) {
            Equal => *sum += u64::from(increment.count),
            // A late one passes by, so that the run of the present hour is not broken.
            Less => counters.add_to_totals(total, increment.hour, u64::from(increment.count), work),
            Greater => {
                counters.add_to_totals(total, *hour, *sum, work);
                (*hour, *sum) = (increment.hour, u64::from(increment.count));
            }
        }
    }

    fn flush(&self, counters: &Counters, work: &mut Work) {
        for (&(hour, sum), total) in self.of.iter().zip(0..) {
            counters.add_to_totals(total, hour, sum, work);
        }
    }
}

const _: () = assert!(TOTALS == 3 * TOTALS_OF_METRIC, "each of the three metrics has its totals");
