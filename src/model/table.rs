//! A table that grows without ever moving what is in it, so that readers need no lock to find an entry.
//! Owns nothing but memory; does not know what its entries mean.
//!
//! INVARIANT: once [`Table::get`] has answered for an index, it answers with the same entry ever after.

use std::sync::OnceLock;

/// Entries per chunk. Small enough that a small daemon stays small, large enough that the directory does too.
const LARGE_CHUNK: usize = 16 * 1024;
/// The same, where the table is small.
const SMALL_CHUNK: usize = 256;
/// Chunks of a table that is too small for the largest chunks.
const CHUNKS: usize = 16;

/// Up to a fixed number of entries, allocated a chunk at a time.
#[derive(Debug)]
pub(crate) struct Table<T> {
    chunks: Box<[OnceLock<Box<[T]>>]>,
    /// The logarithm of the number of entries of a chunk.
    chunk_bits: u32,
}

impl<T: Default> Table<T> {
    /// An empty table that can hold at least `capacity` entries.
    pub(crate) fn new(capacity: usize) -> Self {
        let chunk = (capacity / CHUNKS).next_power_of_two().clamp(SMALL_CHUNK, LARGE_CHUNK);
        let chunks = (0..capacity.div_ceil(chunk)).map(|_| OnceLock::new()).collect();
        Self { chunks, chunk_bits: chunk.ilog2() }
    }

    #[inline]
    pub(crate) fn chunk_entries(&self) -> usize {
        1 << self.chunk_bits
    }

    /// Bytes of a table that has no entries yet.
    pub(crate) fn directory_bytes(&self) -> usize {
        size_of_val::<[OnceLock<Box<[T]>>]>(&self.chunks)
    }

    /// Bytes of the entries that are allocated where those below `end` are in use.
    pub(crate) fn chunk_bytes(&self, end: usize) -> usize {
        end.next_multiple_of(self.chunk_entries()) * size_of::<T>()
    }

    /// The entry, if its chunk has been made. Never blocks.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        self.chunks.get(index >> self.chunk_bits)?.get()?.get(index & (self.chunk_entries() - 1))
    }

    /// The entry, its chunk made where need be; `None` past the capacity. Blocks while another thread makes
    /// the same chunk.
    pub(crate) fn ensure(&self, index: usize) -> Option<&T> {
        let chunk = self.chunks.get(index >> self.chunk_bits)?;
        let entries = chunk.get_or_init(|| (0..self.chunk_entries()).map(|_| T::default()).collect());
        entries.get(index & (self.chunk_entries() - 1))
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
}
