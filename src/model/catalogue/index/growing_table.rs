//! A hash table that grows a few slots at a time, so that no insertion takes much longer than another. Does not know what its
//! numbers stand for.
//!
//! While it grows there is a larger table beside it, which nobody reads: each insertion makes some slots of it, then copies some
//! slots to it, and what comes or goes meanwhile does so in both where its slot has been copied. Once all are, the larger one
//! takes the place of the other.
//!
//! INVARIANT: one thread at a time writes. A table is replaced before three quarters of its slots are taken.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::hash_table::{HashTable, UnfinishedTable};

/// Slots that an insertion copies. There are two steps of making the larger table for each of these at most, so a table gets a
/// sixteenth more numbers than it had when it wanted room.
const STEP_SLOTS: usize = 32;
/// Free slots that an insertion makes, of a table that is twice as large at most: the memory costs more than the copying.
const STEP_FREE_SLOTS: usize = 2 * STEP_SLOTS;

/// The table as it is now, and the one that it is copied to.
#[derive(Debug)]
pub(super) struct GrowingTable {
    newest: RwLock<Arc<HashTable>>,
    growth: Mutex<Option<Growth>>,
    /// Of both.
    bytes: AtomicUsize,
}

/// The larger table on its way.
#[derive(Debug)]
enum Growth {
    Making(UnfinishedTable),
    Copying {
        next: HashTable,
        /// The slots before have been copied.
        copied: usize,
    },
}

impl GrowingTable {
    /// A table of that many free slots, a power of two.
    pub(super) fn new(slots: usize) -> Self {
        let table = HashTable::new(slots);
        Self {
            bytes: AtomicUsize::new(table.memory_bytes()),
            newest: RwLock::new(Arc::new(table)),
            growth: Mutex::default(),
        }
    }

    /// Bytes of the table, and of the larger one if there is one. Never blocks.
    pub(super) fn memory_bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The table as it is now.
    pub(super) fn newest(&self) -> Arc<HashTable> {
        Arc::clone(&self.newest.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Does something with the table as it is now.
    pub(super) fn with_newest<T>(&self, work: impl FnOnce(&HashTable) -> T) -> T {
        work(&self.newest.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds a number that is not in the table.
    pub(super) fn insert(&self, hash: u32, number: u32) {
        let table = self.newest();
        let mut growth = self.growth.lock().unwrap_or_else(PoisonError::into_inner);
        if growth.is_none() && table.wants_room() {
            let unfinished = UnfinishedTable::new(table.slots_for_more());
            self.bytes.fetch_add(unfinished.memory_bytes(), Ordering::Relaxed);
            *growth = Some(Growth::Making(unfinished));
        }
        let slot = table.insert(hash, number);
        *growth = match growth.take() {
            None => None,
            Some(Growth::Making(unfinished)) => Some(match unfinished.add_slots(STEP_FREE_SLOTS) {
                Ok(next) => Growth::Copying { next, copied: 0 },
                Err(unfinished) => Growth::Making(unfinished),
            }),
            Some(Growth::Copying { next, copied }) => {
                if slot.is_some_and(|slot| slot < copied) {
                    next.insert(hash, number);
                }
                let end = table.slots().min(copied + STEP_SLOTS);
                table.copy_slots(copied..end, &next);
                if end == table.slots() {
                    self.replace(&table, next);
                    None
                } else {
                    Some(Growth::Copying { next, copied: end })
                }
            }
        };
    }

    fn replace(&self, table: &HashTable, next: HashTable) {
        self.bytes.store(next.memory_bytes(), Ordering::Relaxed);
        *self.newest.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        table.set_replaced();
    }

    pub(super) fn remove(&self, hash: u32, number: u32) {
        let slot = self.with_newest(|table| table.remove(hash, number));
        let growth = self.growth.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Growth::Copying { next, copied }) = growth.as_ref()
            && slot.is_some_and(|slot| slot < *copied)
        {
            next.remove(hash, number);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn find(table: &HashTable, hash: u32, number: u32) -> bool {
        table.find(hash, |there| (there == number).then_some(())).is_some()
    }

    impl Growth {
        /// How many slots have been made, how many copied, and the bytes of the table.
        fn progress(&self) -> (usize, usize, usize) {
            match self {
                Self::Making(unfinished) => (unfinished.slots(), 0, unfinished.memory_bytes()),
                Self::Copying { next, copied } => (next.slots(), *copied, next.memory_bytes()),
            }
        }
    }

    fn progress(table: &GrowingTable) -> Option<(usize, usize, usize)> {
        table.growth.lock().unwrap().as_ref().map(Growth::progress)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Numbers come and go, some of one hash, and no insertion does more than its step.
        #[test]
        fn what_was_added_and_not_removed_is_found_while_the_table_grows(
            steps in prop::collection::vec((0..4_u32, 0..997_u32, 0..300_usize), 500..1_500),
        ) {
            let table = GrowingTable::new(512);
            let (mut there, mut gone) = (BTreeMap::new(), Vec::new());
            let mut insertions = 0;
            for (number, (kind, hash, which)) in (0_u32..).zip(steps) {
                let before = table.newest();
                let removed = there.iter().nth(which).map(|(number, hash)| (*number, *hash));
                if let Some((number, hash)) = removed.filter(|_| kind == 0) {
                    table.remove(hash, number);
                    gone.extend(there.remove_entry(&number));
                    prop_assert!(!find(&table.newest(), hash, number), "{number}");
                } else {
                    let hash = hash.wrapping_mul(0x9E37_79B9) >> 7;
                    table.insert(hash, number);
                    there.insert(number, hash);
                    let is_growing = progress(&table).is_some();
                    insertions = if is_growing { insertions + 1 } else { 0 };
                }
                let after = table.newest();
                if !Arc::ptr_eq(&before, &after) {
                    prop_assert!(before.is_replaced() && !after.is_replaced());
                }
                prop_assert!(insertions <= after.slots() / 16);
                if number % 7 == 0 || !Arc::ptr_eq(&before, &after) {
                    for (number, hash) in &there {
                        prop_assert!(find(&after, *hash, *number), "{number}");
                    }
                    for (number, hash) in &gone {
                        prop_assert!(!find(&after, *hash, *number), "{number} is gone");
                    }
                }
                prop_assert!(there.len() * 4 <= after.slots() * 3);
                let growing = progress(&table).map_or(0, |(_, _, bytes)| bytes);
                prop_assert_eq!(table.memory_bytes(), after.memory_bytes() + growing);
            }
        }

        /// However many numbers a table has, an insertion makes and copies as few slots as any other.
        #[test]
        fn no_insertion_makes_or_copies_more_than_a_step(hashes in prop::collection::vec(any::<u32>(), 400..1_500)) {
            let table = GrowingTable::new(512);
            let (mut made, mut copied) = (0, 0);
            for (number, hash) in (0_u32..).zip(hashes) {
                let slots = table.newest().slots();
                table.insert(hash, number);
                let newest = table.newest().slots();
                let is_end = newest != slots;
                let (made_now, copied_now) = match progress(&table) {
                    Some((made, copied, _)) => (made, copied),
                    None if is_end => (newest, slots),
                    None => (0, 0),
                };
                prop_assert!(made_now - made <= 64, "{made_now} after {made}");
                prop_assert!(copied_now - copied <= 32, "{copied_now} after {copied}");
                (made, copied) = if is_end { (0, 0) } else { (made_now, copied_now) };
            }
        }
    }
}
