//! The read buffer of a connection: nothing while the connection is quiet, small at first, larger while reads
//! fill it. Pure; knows nothing of sockets or lines.
//!
//! INVARIANT: `start <= end <= bytes.len() <= BLOCK_BYTES_MAX`.

use crate::limits::{BLOCK_BYTES_MAX, TCP_READ_BYTES_MIN};
use crate::net::byte_budget::{ByteBudget, ReservedBytes};

/// Bytes reserved for a byte of the buffer: itself, and the batch that is made of it.
const RESERVED_PER_BYTE: usize = 2;

/// Bytes that were read and not taken yet, with room for more.
pub(super) struct ReadBuffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// The last read filled all the room it was given, so that more may be waiting.
    filled: bool,
    /// For what is longer than [`TCP_READ_BYTES_MIN`].
    reserved: ReservedBytes,
}

/// Whether there is room for another read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ReadRoom {
    Some,
    /// [`BLOCK_BYTES_MAX`] bytes wait to be taken.
    Full,
    /// The buffer is full, and the budget that it would grow from is spent.
    BudgetSpent,
}

impl ReadBuffer {
    /// An empty one, which grows from that budget.
    pub(super) fn new(budget: &ByteBudget) -> Self {
        Self { bytes: Vec::new(), start: 0, end: 0, filled: false, reserved: budget.holder() }
    }

    /// What was read and not taken.
    pub(super) fn waiting(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Whether it holds no memory.
    pub(super) fn is_unallocated(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Makes room for the next read: moves what waits to the front, and grows where reads fill the buffer.
    pub(super) fn make_room(&mut self) -> ReadRoom {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end = self.end.saturating_sub(self.start);
            self.start = 0;
        }
        if self.end >= BLOCK_BYTES_MAX {
            return ReadRoom::Full;
        }
        if !self.bytes.is_empty() && (self.filled || self.end == self.bytes.len()) {
            self.grow();
        }
        self.filled = false;
        // A quiet connection's first bytes are read elsewhere.
        if self.end < self.bytes.len() || self.bytes.is_empty() {
            ReadRoom::Some
        } else {
            ReadRoom::BudgetSpent
        }
    }

    /// Doubles the buffer, if it may and the budget has the bytes.
    fn grow(&mut self) {
        let larger = self.bytes.len().saturating_mul(2).min(BLOCK_BYTES_MAX);
        let needed = reserved_for(larger).saturating_sub(self.reserved.bytes());
        if self.reserved.reserve(needed).is_ok() {
            self.bytes.resize(larger, 0);
        }
    }

    /// Takes bytes that were read elsewhere, into a buffer that holds none: at most [`TCP_READ_BYTES_MIN`].
    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.bytes.resize(TCP_READ_BYTES_MIN, 0);
        if let Some(room) = self.bytes.get_mut(..bytes.len()) {
            room.copy_from_slice(bytes);
            self.read(bytes.len());
        }
    }

    /// The room that [`Self::make_room`] made.
    pub(super) fn room(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// A read put `bytes` bytes into the room.
    pub(super) fn read(&mut self, bytes: usize) {
        self.end = self.end.saturating_add(bytes).min(self.bytes.len());
        self.filled = self.end == self.bytes.len();
    }

    /// The first `bytes` of what was waiting are consumed.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.start = self.start.saturating_add(bytes).min(self.end);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Gives the memory back, but for what is waiting.
    pub(super) fn shrink(&mut self) {
        self.bytes = self.waiting().to_vec();
        self.start = 0;
        self.end = self.bytes.len();
        self.filled = false;
        self.reserved.shrink_to(reserved_for(self.end));
    }
}

/// The bytes to be reserved for a buffer of that length.
fn reserved_for(bytes: usize) -> usize {
    bytes.saturating_sub(TCP_READ_BYTES_MIN).saturating_mul(RESERVED_PER_BYTE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(buffer: &mut ReadBuffer, text: &[u8]) {
        if buffer.is_unallocated() {
            return buffer.append(text);
        }
        assert_eq!(buffer.make_room(), ReadRoom::Some);
        let room = buffer.room();
        room[..text.len()].copy_from_slice(text);
        buffer.read(text.len());
    }

    #[test]
    fn bytes_are_taken_from_the_front_and_the_rest_stays() {
        let mut buffer = ReadBuffer::new(&ByteBudget::new(2 * BLOCK_BYTES_MAX));
        assert!(buffer.waiting().is_empty());
        put(&mut buffer, b"one\ntw");
        buffer.consume(4);
        assert_eq!(buffer.waiting(), b"tw");
        put(&mut buffer, b"o\n");
        assert_eq!(buffer.waiting(), b"two\n");
        buffer.consume(4);
        assert!(buffer.waiting().is_empty());
    }

    #[test]
    fn buffer_grows_while_reads_fill_it_up_to_the_block_and_shrinks_to_nothing() {
        let mut buffer = ReadBuffer::new(&ByteBudget::new(2 * BLOCK_BYTES_MAX));
        let mut sizes = Vec::new();
        put(&mut buffer, &[b'x'; TCP_READ_BYTES_MIN]);
        sizes.push(buffer.waiting().len());
        while buffer.make_room() == ReadRoom::Some {
            let room = buffer.room().len();
            buffer.read(room);
            sizes.push(buffer.waiting().len());
        }
        assert_eq!(buffer.make_room(), ReadRoom::Full);
        assert_eq!(sizes.first(), Some(&TCP_READ_BYTES_MIN));
        assert_eq!(sizes.last(), Some(&BLOCK_BYTES_MAX));
        buffer.consume(BLOCK_BYTES_MAX - 2);
        buffer.shrink();
        assert_eq!((buffer.waiting().len(), buffer.bytes.capacity()), (2, 2));
        buffer.consume(2);
        buffer.shrink();
        assert_eq!(buffer.bytes.capacity(), 0);
    }

    #[test]
    fn buffer_does_not_grow_past_the_budget_and_gives_back_what_it_had() {
        let budget = ByteBudget::new(2 * TCP_READ_BYTES_MIN);
        let mut buffers = [ReadBuffer::new(&budget), ReadBuffer::new(&budget)];
        for (buffer, expected) in buffers.iter_mut().zip([ReadRoom::Some, ReadRoom::BudgetSpent]) {
            put(buffer, &[b'x'; TCP_READ_BYTES_MIN]);
            assert_eq!(buffer.make_room(), expected);
        }
        assert_eq!(budget.left(), 0);
        buffers[0].shrink();
        assert_eq!(budget.left(), 2 * TCP_READ_BYTES_MIN);
        assert_eq!(buffers[1].make_room(), ReadRoom::Some);
        drop(buffers);
        assert_eq!(budget.left(), 2 * TCP_READ_BYTES_MIN);
    }

    #[test]
    fn buffer_stays_small_while_reads_do_not_fill_it() {
        let mut buffer = ReadBuffer::new(&ByteBudget::new(2 * BLOCK_BYTES_MAX));
        for _ in 0..100 {
            put(&mut buffer, b"a line of some length\n");
            buffer.consume(22);
        }
        assert_eq!(buffer.bytes.len(), TCP_READ_BYTES_MIN);
    }
}
