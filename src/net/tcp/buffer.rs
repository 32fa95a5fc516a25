//! The read buffer of a connection: nothing while the connection is quiet, small at first, larger while reads
//! fill it. Pure; knows nothing of sockets or lines.
//!
//! INVARIANT: `start <= end <= bytes.len() <= BLOCK_BYTES_MAX`.

use crate::limits::{BLOCK_BYTES_MAX, TCP_READ_BYTES_MIN};

/// Bytes that were read and not taken yet, with room for more.
#[derive(Default)]
pub(super) struct ReadBuffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// The last read filled all the room it was given, so that more may be waiting.
    filled: bool,
}

impl ReadBuffer {
    /// What was read and not taken.
    pub(super) fn waiting(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Whether it holds no memory.
    pub(super) fn is_unallocated(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether there is no room for another byte, and can be none.
    pub(super) fn is_full(&self) -> bool {
        self.waiting().len() >= BLOCK_BYTES_MAX
    }

    /// Takes bytes that were read elsewhere: at most [`TCP_READ_BYTES_MIN`], into a buffer that holds none.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if let Some(room) = self.room().get_mut(..bytes.len()) {
            room.copy_from_slice(bytes);
        }
        self.read(bytes.len());
    }

    /// Room for the next read. Empty only if [`BLOCK_BYTES_MAX`] bytes wait to be taken.
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end = self.end.saturating_sub(self.start);
            self.start = 0;
        }
        if self.bytes.is_empty() {
            self.bytes.resize(TCP_READ_BYTES_MIN, 0);
        } else if self.filled || self.end == self.bytes.len() {
            let larger = self.bytes.len().saturating_mul(2).min(BLOCK_BYTES_MAX);
            self.bytes.resize(larger, 0);
        }
        self.filled = false;
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(buffer: &mut ReadBuffer, text: &[u8]) {
        let room = buffer.room();
        room[..text.len()].copy_from_slice(text);
        buffer.read(text.len());
    }

    #[test]
    fn bytes_are_taken_from_the_front_and_the_rest_stays() {
        let mut buffer = ReadBuffer::default();
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
        let mut buffer = ReadBuffer::default();
        let mut sizes = Vec::new();
        loop {
            let room = buffer.room().len();
            if room == 0 {
                break;
            }
            buffer.read(room);
            sizes.push(buffer.waiting().len());
        }
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
    fn buffer_stays_small_while_reads_do_not_fill_it() {
        let mut buffer = ReadBuffer::default();
        for _ in 0..100 {
            put(&mut buffer, b"a line of some length\n");
            buffer.consume(22);
        }
        assert_eq!(buffer.bytes.len(), TCP_READ_BYTES_MIN);
    }
}
