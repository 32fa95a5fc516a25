//! The few cells of one series that have not been packed: sorted, each one atomic word.
//!
//! The writer adds to an existing cell through a shared reference, beside the readers, so a late hour whose cell exists
//! makes no reader wait. Only a new cell needs exclusive access.
//!
//! INVARIANT: ascending by hour; equal hours only where a count is past `u32::MAX`; no count is 0. Words to spare are behind
//! the cells and of the last hour there is, which no cell has.

use std::sync::atomic::{AtomicU64, Ordering};

use super::allocated;
use crate::model::calendar::{Hour, HourRange};
use crate::model::cells::Cell;
use crate::model::prefetch::prefetch;

/// Cells that a reader copies at a time, on its stack. Few, since most series have few, and room for more costs them all.
const COPIED_CELLS: usize = 16;

/// Words to spare behind a short series of cells, as [`spare_cells`] has it.
const WORDS_TO_SPARE: usize = 6;

/// A cell in one word: the hour in the upper, the count in the lower half.
#[inline]
pub(super) fn joined(cell: Cell) -> u64 {
    u64::from(cell.hour.get()) << 32 | u64::from(cell.count)
}

/// The cell of a word.
#[inline]
pub(super) fn split(word: u64) -> Cell {
    let half = |word: u64| u32::try_from(word & u64::from(u32::MAX)).unwrap_or_default();
    Cell { hour: Hour::new(half(word >> 32)), count: half(word) }
}

/// A word to spare: of the last hour there is, without a count.
pub(super) const SPARE: u64 = 0xFFFF_FFFF_0000_0000;

/// Cells that are not packed. Most series have some, so there is no number beside the words of how many are in use.
#[derive(Debug, Default)]
pub(super) struct Recent {
    words: Box<[AtomicU64]>,
}

impl Recent {
    pub(super) fn len(&self) -> usize {
        self.words().len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words().is_empty()
    }

    /// Prefetches the last cell, beside which nearly every new one has its place, and the first word, beside which the
    /// allocator looks where there is no room for another.
    #[inline]
    pub(super) fn prefetch_ends(&self) {
        if let (Some(first), Some(last)) = (self.words.first(), self.words.last()) {
            prefetch(last);
            prefetch(first);
            // The last cell may be in the cache line before that of the last word to spare.
            self.words.iter().nth_back(WORDS_TO_SPARE).inspect(|word| prefetch(*word));
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        allocated(size_of_val::<[AtomicU64]>(&self.words))
    }

    /// The words of cells. There are few to spare, so it looks from the end.
    fn words(&self) -> &[AtomicU64] {
        let last = self.words.iter().rposition(|word| word.load(Ordering::Relaxed) != SPARE);
        self.words.get(..last.map_or(0, |last| last + 1)).unwrap_or_default()
    }

    /// The first and the last hour.
    pub(super) fn span(&self) -> Option<(Hour, Hour)> {
        let words = self.words();
        Some((cell(words.first()?).hour, cell(words.last()?).hour))
    }

    /// Calls `f` with the cells within the range, some at a time.
    pub(super) fn visit(&self, range: HourRange, f: &mut dyn FnMut(&[Cell])) {
        if self.words.is_empty() {
            return;
        }
        let mut copies = [Cell { hour: Hour::MIN, count: 0 }; COPIED_CELLS];
        for words in self.within(range).chunks(COPIED_CELLS) {
            for (copy, word) in copies.iter_mut().zip(words) {
                *copy = cell(word);
            }
            f(copies.get(..words.len()).unwrap_or_default());
        }
    }

    /// Sum of the counts within the range.
    pub(super) fn sum(&self, range: HourRange) -> u64 {
        self.within(range).iter().map(|word| u64::from(cell(word).count)).sum()
    }

    /// Adds to a cell of the hour, if there is one with room; whether there was. Looks where the hour would stand if every
    /// hour had one cell, then for the last cell of the hour. For the writer alone.
    pub(super) fn add_where_found(&self, cell: Cell) -> bool {
        let dense = self.dense_index(cell.hour).is_some_and(|index| self.add_at(index, cell));
        dense || self.end_of(cell.hour).checked_sub(1).is_some_and(|index| self.add_at(index, cell))
    }

    /// Puts a cell after those of its hour and before.
    pub(super) fn insert(&mut self, cell: Cell) {
        let (at, cells) = (self.end_of(cell.hour), self.len());
        if cells == self.words.len() {
            let mut words = std::mem::take(&mut self.words).into_vec();
            words.reserve_exact(spare_cells(cells));
            words.resize_with(words.capacity(), || AtomicU64::new(SPARE));
            self.words = words.into_boxed_slice();
        }
        if let Some(words) = self.words.get_mut(at..=cells) {
            words.rotate_right(1);
            if let Some(first) = words.first_mut() {
                *first.get_mut() = joined(cell);
            }
        }
    }

    pub(super) fn copy_to(&self, out: &mut Vec<Cell>) {
        out.extend(self.words().iter().map(cell));
    }

    fn within(&self, range: HourRange) -> &[AtomicU64] {
        let start = self.words.partition_point(|word| cell(word).hour < range.start);
        let end = self.words.partition_point(|word| cell(word).hour < range.end);
        self.words.get(start..end).unwrap_or_default()
    }

    /// The index after the cells of the hour and before.
    fn end_of(&self, hour: Hour) -> usize {
        let words = self.words();
        match words.last() {
            // Nearly always; to search would be a cache miss for what is in the middle.
            Some(last) if cell(last).hour <= hour => words.len(),
            _ => words.partition_point(|word| cell(word).hour <= hour),
        }
    }

    fn dense_index(&self, hour: Hour) -> Option<usize> {
        let words = self.words();
        let back = cell(words.last()?).hour.get().checked_sub(hour.get())?;
        (words.len() - 1).checked_sub(usize::try_from(back).ok()?)
    }

    #[inline]
    fn add_at(&self, index: usize, more: Cell) -> bool {
        let Some(word) = self.words.get(index) else { return false };
        let there = cell(word);
        let Some(count) = there.count.checked_add(more.count).filter(|_| there.hour == more.hour) else {
            return false;
        };
        // There is one writer, so nothing can have come between the load and the store.
        word.store(joined(Cell { count, ..there }), Ordering::Relaxed);
        true
    }
}

#[inline]
fn cell(word: &AtomicU64) -> Cell {
    split(word.load(Ordering::Relaxed))
}

/// Cells to allocate more: odd sums, which is what allocators have room for, and little to spare.
fn spare_cells(cells: usize) -> usize {
    ((cells + 2 + cells / 4) | 1) - cells
}
