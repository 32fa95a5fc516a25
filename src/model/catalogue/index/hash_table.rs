//! A hash table of numbers that is read without a lock, since a slot is one word. Does not grow, but is copied. Does not know
//! what the numbers stand for.
//!
//! INVARIANT: one thread at a time writes. A quarter of the slots is free after each insertion, so that a look-up ends.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

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
    is_replaced: AtomicBool,
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

/// A table some of whose slots have been made. The memory of a large one is handed out as it is first written, which takes
/// milliseconds in all.
#[derive(Debug)]
pub(super) struct UnfinishedTable {
    words: Vec<AtomicU64>,
    slots: usize,
}

impl UnfinishedTable {
    /// For that many slots, a power of two.
    pub(super) fn new(slots: usize) -> Self {
        Self { words: Vec::with_capacity(slots), slots }
    }

    /// Bytes of the whole table.
    pub(super) fn memory_bytes(&self) -> usize {
        self.slots * size_of::<AtomicU64>()
    }

    /// Makes some slots more. The table once it has all.
    pub(super) fn add_slots(mut self, more: usize) -> Result<HashTable, Self> {
        let end = self.slots.min(self.words.len() + more);
        self.words.resize_with(end, || AtomicU64::new(FREE));
        if end < self.slots { Err(self) } else { Ok(HashTable::of_words(self.words.into_boxed_slice())) }
    }

    #[cfg(test)]
    pub(super) fn slots(&self) -> usize {
        self.words.len()
    }
}

impl HashTable {
    /// A table of that many free slots, a power of two.
    pub(super) fn new(slots: usize) -> Self {
        Self::of_words((0..slots).map(|_| AtomicU64::new(FREE)).collect())
    }

    fn of_words(words: Box<[AtomicU64]>) -> Self {
        Self {
            words,
            taken: AtomicUsize::new(0),
            filled: AtomicUsize::new(0),
            is_replaced: AtomicBool::new(false),
        }
    }

    /// How many slots there are.
    pub(super) fn slots(&self) -> usize {
        self.words.len()
    }

    /// Whether another table has taken the place of this one.
    #[inline]
    pub(super) fn is_replaced(&self) -> bool {
        self.is_replaced.load(Ordering::Acquire)
    }

    /// Notes that another table has taken the place of this one.
    pub(super) fn set_replaced(&self) {
        self.is_replaced.store(true, Ordering::Release);
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

    /// Whether it is time to copy the table, so that it is replaced before it is full.
    pub(super) fn wants_room(&self) -> bool {
        self.taken.load(Ordering::Relaxed) >= self.words.len() * 11 / 16
    }

    /// How many slots these numbers and more need: twice as many where that is needed.
    pub(super) fn slots_for_more(&self) -> usize {
        let is_crowded = self.filled.load(Ordering::Relaxed) >= self.words.len() / 2;
        if is_crowded { self.words.len() * 2 } else { self.words.len() }
    }

    /// Adds the numbers in these slots to another table.
    pub(super) fn copy_slots(&self, slots: Range<usize>, to: &Self) {
        for slot in self.words.get(slots).unwrap_or_default() {
            let slot = slot.load(Ordering::Relaxed);
            if slot != FREE && slot != REMOVED {
                let (hash, number) = unpack(slot);
                to.insert(hash, number);
            }
        }
    }

    /// Adds a number that is not in the table, which must not be full; the slot that it got.
    pub(super) fn insert(&self, hash: u32, number: u32) -> Option<usize> {
        let (place, slot) = self.slots_from(hash).find(|(_, slot)| slot.load(Ordering::Relaxed) == FREE)?;
        slot.store(pack(hash, number), Ordering::Release);
        self.taken.fetch_add(1, Ordering::Relaxed);
        self.filled.fetch_add(1, Ordering::Relaxed);
        Some(place)
    }

    /// Removes a number; the slot that it had.
    pub(super) fn remove(&self, hash: u32, number: u32) -> Option<usize> {
        let wanted = pack(hash, number);
        let (place, slot) = self.slots_from(hash).find(|(_, slot)| slot.load(Ordering::Relaxed) == wanted)?;
        slot.store(REMOVED, Ordering::Release);
        self.filled.fetch_sub(1, Ordering::Relaxed);
        Some(place)
    }

    /// The slots from where the hash points to, with their places.
    fn slots_from(&self, hash: u32) -> impl Iterator<Item = (usize, &AtomicU64)> {
        let start = self.start(hash);
        (0..self.words.len()).filter_map(move |step| {
            let place = start.wrapping_add(step) & self.mask();
            Some((place, self.words.get(place)?))
        })
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
