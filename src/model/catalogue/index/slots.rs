//! A table of rows that never move: whoever reads it needs no lock. Grows by making a larger one. Knows nothing of what a
//! row says.
//!
//! INVARIANT: some slots stay free, so that a look-up in vain ends soon.

use std::sync::Arc;

/// A table of rows, each in the first free slot from where its hash points to.
#[derive(Debug)]
pub(super) struct Slots<R>(Arc<[R]>);

/// A row of a table; the default is a free slot.
pub(super) trait Row: Default {
    /// Whether it is a free slot.
    fn is_free(&self) -> bool;
    /// The hash that it was put under.
    fn hash(&self, seed: u64) -> u32;
    /// Makes a free slot say the same.
    fn copy_into(&self, other: &Self);
}

impl<R> Clone for Slots<R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R: Row> Slots<R> {
    /// A table of so many slots, a power of two, all of them free.
    pub(super) fn new(slots: usize) -> Self {
        Self((0..slots).map(|_| R::default()).collect())
    }

    /// The slot that a look-up reads first.
    #[inline]
    pub(super) fn first(&self, hash: u32) -> Option<&R> {
        self.0.get(self.place(hash))
    }

    /// The row, if it is there.
    #[inline]
    pub(super) fn find(&self, hash: u32, is_it: impl Fn(&R) -> bool) -> Option<&R> {
        let first = self.place(hash);
        (0..self.0.len())
            .map_while(|step| self.0.get(first.wrapping_add(step) & self.mask()).filter(|row| !row.is_free()))
            .find(|row| is_it(row))
    }

    /// The slot that a new row goes to; `None` where the table is as full as may be. Some slots stay free, so that a look-up
    /// in vain ends soon.
    pub(super) fn free(&self, hash: u32, taken: usize) -> Option<&R> {
        if taken >= self.0.len() / 8 * 7 {
            return None;
        }
        let first = self.place(hash);
        (0..self.0.len())
            .filter_map(|step| self.0.get(first.wrapping_add(step) & self.mask()))
            .find(|row| row.is_free())
    }

    /// A table of twice the slots with the same rows, where that is due.
    pub(super) fn larger(&self, taken: usize, slots_max: usize, seed: u64) -> Option<Self> {
        let slots = self.0.len();
        if taken < slots / 4 * 3 || slots >= slots_max {
            return None;
        }
        let larger = Self::new(slots * 2);
        for row in self.0.iter().filter(|row| !row.is_free()) {
            // A table of twice the size has room.
            if let Some(place) = larger.free(row.hash(seed), 0) {
                row.copy_into(place);
            }
        }
        Some(larger)
    }

    #[inline]
    fn mask(&self) -> usize {
        self.0.len().wrapping_sub(1)
    }

    #[inline]
    fn place(&self, hash: u32) -> usize {
        usize::try_from(hash).unwrap_or_default() & self.mask()
    }
}
