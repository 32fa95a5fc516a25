//! A table that grows without ever moving what is in it, so that readers need no lock to find an entry.
//! Owns nothing but memory; does not know what its entries mean.
//!
//! INVARIANT: once [`Table::get`] has answered for an index, it answers with the same entry ever after.

use std::sync::OnceLock;

/// Entries per chunk. Small enough that a small daemon stays small, large enough that the directory does too.
pub(crate) const CHUNK_ENTRIES: usize = 16 * 1024;

/// Up to a fixed number of entries, allocated a chunk at a time.
#[derive(Debug)]
pub(crate) struct Table<T> {
    chunks: Box<[OnceLock<Box<[T]>>]>,
}

impl<T: Default> Table<T> {
    /// An empty table that can hold at least `capacity` entries.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { chunks: (0..capacity.div_ceil(CHUNK_ENTRIES)).map(|_| OnceLock::new()).collect() }
    }

    /// Bytes of a table that has no entries yet.
    pub(crate) const fn directory_bytes(capacity: usize) -> usize {
        capacity.div_ceil(CHUNK_ENTRIES) * size_of::<OnceLock<Box<[T]>>>()
    }

    /// Bytes of the entries that are allocated where those below `end` are in use.
    pub(crate) const fn chunk_bytes(end: usize) -> usize {
        end.next_multiple_of(CHUNK_ENTRIES) * size_of::<T>()
    }

    /// The entry, if its chunk has been made. Never blocks.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        self.chunks.get(index / CHUNK_ENTRIES)?.get()?.get(index % CHUNK_ENTRIES)
    }

    /// The entry, its chunk made where need be; `None` past the capacity. Blocks while another thread makes
    /// the same chunk.
    pub(crate) fn ensure(&self, index: usize) -> Option<&T> {
        let chunk = self.chunks.get(index / CHUNK_ENTRIES)?;
        chunk.get_or_init(|| (0..CHUNK_ENTRIES).map(|_| T::default()).collect()).get(index % CHUNK_ENTRIES)
    }
}

#[cfg(test)]
mod tests {
    use super::{CHUNK_ENTRIES, Table};
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn entry_exists_once_ensured_and_not_past_the_capacity() {
        let table: Table<AtomicU32> = Table::new(CHUNK_ENTRIES + 1);
        assert!(table.get(CHUNK_ENTRIES).is_none());
        table.ensure(CHUNK_ENTRIES).unwrap().store(7, Ordering::Relaxed);
        assert_eq!(table.get(CHUNK_ENTRIES).unwrap().load(Ordering::Relaxed), 7);
        assert!(table.get(0).is_none(), "chunks are made one by one");
        assert!(table.ensure(2 * CHUNK_ENTRIES).is_none());
    }
}
