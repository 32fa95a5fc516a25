//! A table that grows without ever moving what is in it, so that readers need no lock to find an entry.
//! Owns nothing but memory; does not know what its entries mean.
//!
//! INVARIANT: once [`Table::get`] has answered for an index, it answers with the same entry ever after.

use std::ops::Range;
use std::sync::OnceLock;

/// Entries per chunk, where the table is large, so that its directory stays small.
const LARGE_CHUNK: usize = 16 * 1024;
/// The same, where the table is small, and for the first entries of a large one: a small daemon stays small.
const SMALL_CHUNK: usize = 256;
const SMALL_CHUNK_BITS: u32 = SMALL_CHUNK.ilog2();
/// Chunks of a table that is too small for the largest chunks.
const CHUNKS: usize = 16;

/// Up to a fixed number of entries, allocated a chunk at a time. Small chunks hold as many of the first entries as one of the
/// others would.
#[derive(Debug)]
pub(crate) struct Table<T> {
    chunks: Box<[OnceLock<Box<[T]>>]>,
    /// The logarithm of the number of entries of a chunk that is not small.
    chunk_bits: u32,
}

impl<T: Default> Table<T> {
    /// An empty table that can hold at least `capacity` entries.
    pub(crate) fn new(capacity: usize) -> Self {
        let chunk = (capacity / CHUNKS).next_power_of_two().clamp(SMALL_CHUNK, LARGE_CHUNK);
        let chunks = capacity.div_ceil(chunk) + chunk / SMALL_CHUNK - 1;
        let chunks = (0..chunks).map(|_| OnceLock::new()).collect();
        Self { chunks, chunk_bits: chunk.ilog2() }
    }

    /// How many entries are in small chunks; as many are in each of the others.
    #[inline]
    fn chunk_entries(&self) -> usize {
        1 << self.chunk_bits
    }

    /// The chunk of an entry, its place there, and how many entries the chunk has.
    #[inline]
    fn place(&self, index: usize) -> (usize, usize, usize) {
        let entries = self.chunk_entries();
        if index < entries {
            return (index >> SMALL_CHUNK_BITS, index & (SMALL_CHUNK - 1), SMALL_CHUNK);
        }
        let small = entries >> SMALL_CHUNK_BITS;
        (small - 1 + (index >> self.chunk_bits), index & (entries - 1), entries)
    }

    /// Which entries are made together with this one.
    pub(crate) fn chunk_of(&self, index: usize) -> Range<usize> {
        let (_, place, entries) = self.place(index);
        index - place..index - place + entries
    }

    /// Bytes of a table that has no entries yet.
    pub(crate) fn directory_bytes(&self) -> usize {
        size_of_val::<[OnceLock<Box<[T]>>]>(&self.chunks)
    }

    /// Bytes of the entries that are allocated where those below `end` are in use.
    pub(crate) fn chunk_bytes(&self, end: usize) -> usize {
        let chunk = if end <= self.chunk_entries() { SMALL_CHUNK } else { self.chunk_entries() };
        end.next_multiple_of(chunk) * size_of::<T>()
    }

    /// The entry, if its chunk has been made. Never blocks.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        let (chunk, place, _) = self.place(index);
        self.chunks.get(chunk)?.get()?.get(place)
    }

    /// The entry, its chunk made where need be; `None` past the capacity. Blocks while another thread makes
    /// the same chunk.
    pub(crate) fn ensure(&self, index: usize) -> Option<&T> {
        let (chunk, place, entries) = self.place(index);
        let chunk = self.chunks.get(chunk)?;
        let entries = chunk.get_or_init(|| (0..entries).map(|_| T::default()).collect());
        entries.get(place)
    }
}

#[cfg(test)]
mod tests {
    use super::Table;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn entry_exists_once_ensured_and_not_past_the_capacity() {
        for (capacity, chunk) in [(300, 256), (1 << 17, 8 << 10), (1 << 26, 16 << 10)] {
            let table: Table<AtomicU32> = Table::new(capacity);
            assert_eq!(table.chunk_entries(), chunk);
            assert!(table.get(chunk).is_none());
            table.ensure(chunk).unwrap().store(7, Ordering::Relaxed);
            assert_eq!(table.get(chunk).unwrap().load(Ordering::Relaxed), 7);
            assert!(table.get(0).is_none(), "chunks are made one by one");
            assert!(table.ensure(capacity.next_multiple_of(chunk)).is_none());
        }
    }

    #[test]
    fn entries_are_apart_and_as_many_as_their_bytes_say() {
        for capacity in [300, 5_000, 100_000] {
            let table: Table<AtomicU32> = Table::new(capacity);
            for index in 0..capacity {
                let entry = table.ensure(index).unwrap();
                assert_eq!(entry.swap(u32::try_from(index).unwrap() + 1, Ordering::Relaxed), 0);
                let made: usize =
                    table.chunks.iter().filter_map(|chunk| chunk.get()).map(|chunk| chunk.len()).sum();
                assert_eq!(table.chunk_of(index).end, made);
                assert_eq!(table.chunk_bytes(index + 1), made * size_of::<AtomicU32>());
            }
            for index in 0..capacity {
                assert_eq!(
                    table.get(index).unwrap().load(Ordering::Relaxed),
                    u32::try_from(index).unwrap() + 1
                );
            }
        }
    }
}
