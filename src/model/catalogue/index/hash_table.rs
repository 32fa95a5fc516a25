//! A hash table of numbers that is read without a lock, since a slot is one word. Grows by being copied. Does not know what
//! the numbers stand for.
//!
//! INVARIANT: one thread at a time writes. A quarter of the slots is free after each insertion, so that a look-up ends.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::limits::narrow;
use crate::model::prefetch::prefetch;

/// Numbers by the hash of what they stand for, each in the first free slot from where its hash points to.
#[derive(Debug)]
pub(super) struct HashTable {
    /// Hash and number, see [`pack`]; `FREE` or `REMOVED` where there is none.
    words: Box<[AtomicU64]>,
    /// How many slots are not free, and how many of those have a number.
    taken: AtomicUsize,
    filled: AtomicUsize,
}

const FREE: u64 = 0;
const REMOVED: u64 = u64::MAX;

/// A slot: the hash above, one more than the number below.
fn pack(hash: u32, number: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(number.saturating_add(1))
}

/// The hash and the number of a slot. A slot without a number gives one that nothing has.
#[inline]
#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "the two halves of a word")]
fn unpack(slot: u64) -> (u32, u32) {
    ((slot >> 32) as u32, (slot as u32).wrapping_sub(1))
}

impl HashTable {
    /// A table of that many free slots, a power of two.
    pub(super) fn new(slots: usize) -> Self {
        let free = (0..slots).map(|_| AtomicU64::new(FREE));
        Self { words: free.collect(), taken: AtomicUsize::new(0), filled: AtomicUsize::new(0) }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val::<[AtomicU64]>(&self.words)
    }

    /// Prefetches the slot that a look-up reads first.
    #[inline]
    pub(super) fn prefetch(&self, hash: u32) {
        if let Some(slot) = self.words.get(self.start(hash)) {
            prefetch(slot);
        }
    }

    /// What `check` makes of the first number of that hash for which it makes something.
    #[inline]
    pub(super) fn find<T>(&self, hash: u32, check: impl Fn(u32) -> Option<T>) -> Option<T> {
        let mut place = self.start(hash);
        loop {
            let slot = self.words.get(place)?.load(Ordering::Acquire);
            let (there, number) = unpack(slot);
            if there == hash
                && slot != FREE
                && let Some(found) = check(number)
            {
                return Some(found);
            }
            if slot == FREE {
                return None;
            }
            place = place.wrapping_add(1) & self.mask();
        }
    }

    /// Whether the table has to be copied before the next insertion.
    pub(super) fn is_full(&self) -> bool {
        self.taken.load(Ordering::Relaxed) >= self.words.len() / 4 * 3
    }

    /// The same numbers in a table with room, twice as large where that is needed. New series wait for it, so it is made
    /// of plain words that nobody else sees yet, not by insertions.
    pub(super) fn copy(&self) -> Self {
        let is_crowded = self.filled.load(Ordering::Relaxed) >= self.words.len() / 2;
        let mut words = vec![FREE; if is_crowded { self.words.len() * 2 } else { self.words.len() }];
        let mask = words.len().wrapping_sub(1);
        let mut copied = 0;
        for slot in &self.words {
            let slot = slot.load(Ordering::Relaxed);
            if slot == FREE || slot == REMOVED {
                continue;
            }
            let (hash, _) = unpack(slot);
            let mut place = narrow(hash) & mask;
            while words.get(place).is_some_and(|there| *there != FREE) {
                place = place.wrapping_add(1) & mask;
            }
            if let Some(free) = words.get_mut(place) {
                *free = slot;
                copied += 1;
            }
        }
        let words = words.into_iter().map(AtomicU64::new).collect();
        Self { words, taken: AtomicUsize::new(copied), filled: AtomicUsize::new(copied) }
    }

    /// Adds a number that is not in the table. The table must not be full.
    pub(super) fn insert(&self, hash: u32, number: u32) {
        if let Some(slot) = self.slots_from(hash).find(|slot| slot.load(Ordering::Relaxed) == FREE) {
            slot.store(pack(hash, number), Ordering::Release);
            self.taken.fetch_add(1, Ordering::Relaxed);
            self.filled.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn remove(&self, hash: u32, number: u32) {
        let wanted = pack(hash, number);
        if let Some(slot) = self.slots_from(hash).find(|slot| slot.load(Ordering::Relaxed) == wanted) {
            slot.store(REMOVED, Ordering::Release);
            self.filled.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The slots from where the hash points to.
    fn slots_from(&self, hash: u32) -> impl Iterator<Item = &AtomicU64> {
        let start = self.start(hash);
        (0..self.words.len()).filter_map(move |step| self.words.get(start.wrapping_add(step) & self.mask()))
    }

    #[inline]
    fn start(&self, hash: u32) -> usize {
        narrow(hash) & self.mask()
    }

    #[inline]
    fn mask(&self) -> usize {
        self.words.len().wrapping_sub(1)
    }
}
