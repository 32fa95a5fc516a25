//! The few cells of one series that have not been packed: sorted, each one atomic word.
//!
//! The writer adds to an existing cell through a shared reference, beside the readers, so a late hour whose cell exists
//! makes no reader wait. Only a new cell needs exclusive access.
//!
//! INVARIANT: ascending by hour; equal hours only where a count is past `u32::MAX`; no count is 0. Words to spare are behind
//! the cells and of the last hour there is, which no cell has.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::limits::narrow;
use crate::model::calendar::{Hour, HourRange};
use crate::model::cells::Cell;

/// Cells that a reader copies at a time, on its stack. Few, since most series have few, and room for more costs them all.
const COPIED_CELLS: usize = 16;

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
#[derive(Debug)]
#[repr(transparent)]
pub(super) struct Recent<W: ?Sized = [AtomicU64]> {
    words: W,
}

impl<const N: usize> Recent<[AtomicU64; N]> {
    /// No cells, and room for so many.
    pub(super) fn new() -> Self {
        Self { words: [const { AtomicU64::new(SPARE) }; N] }
    }
}

impl Recent {
    pub(super) fn len(&self) -> usize {
        self.words().len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words.first().is_none_or(|word| word.load(Ordering::Relaxed) == SPARE)
    }

    /// How many cells there is room for.
    pub(super) fn room(&self) -> usize {
        self.words.len()
    }

    /// Where the last of so many cells stands, for [`Self::len_by`] and to be prefetched, and its address.
    #[inline]
    pub(super) fn place_of_last(&self, cells: usize) -> (Place, usize) {
        let address = self.words.get(cells.saturating_sub(1)..).unwrap_or_default().as_ptr().addr();
        (Place::of(address), address)
    }

    /// How many cells there are, if the place is that of the last one; else as [`Self::len`], which looks at more words.
    #[inline]
    pub(super) fn len_by(&self, last: Place) -> usize {
        let index = narrow(u64::from(last.0.wrapping_sub(Place::of(self.words.as_ptr().addr()).0)));
        let is_cell = |index: usize| Some(self.words.get(index)?.load(Ordering::Relaxed) != SPARE);
        match (is_cell(index), is_cell(index.saturating_add(1))) {
            (Some(true), Some(false) | None) => index + 1,
            _ if self.is_empty() => 0,
            _ => self.len(),
        }
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

    /// Puts a cell behind so many that there are, if it is of a later hour and there is room; whether it did.
    #[inline]
    pub(super) fn append(&mut self, cells: usize, later: Cell) -> bool {
        let last = cells.checked_sub(1).and_then(|last| self.words.get(last));
        if last.is_some_and(|last| later.hour <= cell(last).hour) {
            return false;
        }
        let Some(word) = self.words.get_mut(cells) else { return false };
        *word.get_mut() = joined(later);
        true
    }

    /// Puts a cell after those of its hour and before. There is room for it.
    pub(super) fn insert(&mut self, cell: Cell) {
        let (at, cells) = (self.end_of(cell.hour), self.len());
        if let Some(words) = self.words.get_mut(at..=cells) {
            words.rotate_right(1);
            if let Some(first) = words.first_mut() {
                *first.get_mut() = joined(cell);
            }
        }
    }

    /// Takes the cells of another one, which has no more room.
    pub(super) fn take(&mut self, from: &Self) {
        for (word, from) in self.words.iter_mut().zip(&from.words) {
            *word.get_mut() = from.load(Ordering::Relaxed);
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

/// Where a word stands in memory, as far as 32 bits tell: which of 2³² words side by side. Only the writer has a use for it,
/// and nothing but speed depends on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place(pub(super) u32);

impl Place {
    const WORD_BITS: u32 = 3;

    #[inline]
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        reason = "the low half of a word's number"
    )]
    fn of(address: usize) -> Self {
        Self((address >> Self::WORD_BITS) as u32)
    }

    /// The address, if it is as near to that one as most are to each other.
    #[inline]
    pub(super) fn near(self, address: usize) -> usize {
        let away = self.0.wrapping_sub(Self::of(address).0).cast_signed();
        let bytes = isize::try_from(i64::from(away) << Self::WORD_BITS).unwrap_or_default();
        (address & !((1 << Self::WORD_BITS) - 1)).wrapping_add_signed(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_of_cells_is_right_whatever_place_is_given() {
        let mut recent: Box<Recent> = Box::new(Recent::<[AtomicU64; 9]>::new());
        for cells in 0..=9 {
            assert_eq!(recent.len(), cells);
            let base = recent.place_of_last(0).0.0;
            for place in (0..12).map(|away| base.wrapping_add(away)).chain([base.wrapping_sub(1), 0]) {
                assert_eq!(recent.len_by(Place(place)), cells, "{place}");
            }
            let later = Cell { hour: Hour::new(7 + u32::try_from(cells).unwrap()), count: 1 };
            assert_eq!(recent.append(cells, later), cells < 9);
            let again = recent.append(recent.len(), later);
            assert!(!again, "only a later hour is behind the others");
        }
    }

    #[test]
    fn address_is_that_of_the_place_where_it_is_near() {
        for address in [0x7F00_0000_1000_usize, 0x5555_0000_0008] {
            for away in [0_isize, 8, -8, 64, 1 << 33, -(1 << 33)] {
                let other = address.wrapping_add_signed(away);
                assert_eq!(Place::of(other).near(address), other);
            }
        }
    }
}
