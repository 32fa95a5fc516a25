//! The hours that were dropped: everything before the start of a month. Readers leave them out at once; the totals are emptied
//! with that, and the memory of series is given back later, some at a time, since there may be very many.
//!
//! INVARIANT: where it starts to be kept only moves on.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

use super::series::SeriesEntry;
use super::{Counters, Writer};
use crate::model::batch::SeriesId;
use crate::model::calendar::{Hour, HourRange};
use crate::model::cells::Month;

/// Where the hours that are kept start. On a cache line of its own: every reader needs it, and nearly never is it written.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Dropped {
    /// The first hour that is kept; 0 where none was dropped.
    before: AtomicU32,
    /// Cells whose memory was given back.
    cells: AtomicU64,
}

impl Dropped {
    #[inline]
    fn first_kept(&self) -> Hour {
        Hour::new(self.before.load(Ordering::Relaxed))
    }

    /// The part of the range that is kept.
    #[inline]
    pub(super) fn kept_of(&self, range: HourRange) -> HourRange {
        HourRange { start: range.start.max(self.first_kept()), ..range }
    }

    #[inline]
    pub(super) fn has(&self, hour: Hour) -> bool {
        hour < self.first_kept()
    }

    pub(super) fn cells(&self) -> u64 {
        self.cells.load(Ordering::Relaxed)
    }

    /// Every hour before those that are kept.
    fn range(&self) -> HourRange {
        HourRange { start: Hour::MIN, end: self.first_kept() }
    }

    /// Counts that the number of cells changed by that.
    fn note(&self, cells_grown: i64) {
        let gone = u64::try_from(cells_grown.saturating_neg()).unwrap_or(0);
        self.cells.fetch_add(gone, Ordering::Relaxed);
    }
}

impl Counters {
    /// The first hour that is kept, where hours before it were dropped: whoever asks after he has read counts knows of every
    /// drop that he has seen anything of.
    pub fn dropped_before(&self) -> Option<Hour> {
        fence(Ordering::Acquire);
        Some(self.dropped.first_kept()).filter(|first| *first > Hour::MIN)
    }

    /// The first and the last hour that is kept and has a cell.
    pub(super) fn span_kept(&self, entry: &SeriesEntry) -> Option<(Hour, Hour)> {
        let (first, last) = entry.span()?;
        if !self.dropped.has(first) {
            return Some((first, last));
        }
        let mut span: Option<(Hour, Hour)> = None;
        entry.visit(self.dropped.kept_of(HourRange::ALL), &mut |cells| {
            for cell in cells {
                let (first, last) = span.unwrap_or((cell.hour, cell.hour));
                span = Some((first.min(cell.hour), last.max(cell.hour)));
            }
        });
        span
    }
}

impl Writer {
    /// Drops every count of an hour before the month, for all readers from now on. Where more was dropped before, nothing
    /// changes. What series had there takes memory until [`Self::give_back_dropped`].
    pub fn drop_before(&mut self, month: Month) {
        let (counters, first_kept) = (&*self.counters, month.range().start);
        if first_kept <= counters.dropped.first_kept() {
            return;
        }
        counters.dropped.before.store(first_kept.get(), Ordering::Relaxed);
        // Whoever reads a total that is emptied finds out that hours were dropped.
        fence(Ordering::Release);
        let before = self.work.cells_grown;
        for total in &counters.totals {
            total.empty(counters.dropped.range(), &mut self.work);
        }
        counters.dropped.note(self.work.cells_grown.saturating_sub(before));
        self.publish();
    }

    /// Gives back the memory of what the series had in hours that were dropped.
    pub fn give_back_dropped(&mut self, id: SeriesId) {
        let counters = &*self.counters;
        let Some(entry) = counters.entries.get(id.index()) else { return };
        let before = self.work.cells_grown;
        entry.erase(counters.dropped.range(), None, &mut self.work);
        counters.dropped.note(self.work.cells_grown.saturating_sub(before));
        self.publish();
    }
}
