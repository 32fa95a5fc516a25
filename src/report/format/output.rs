//! Where formats write: one text, or parts of about [`PART_BYTES`] that are taken away while the rest is written.
//! Knows nothing of the text.

use std::collections::VecDeque;

use bytes::Bytes;

/// Bytes of a part after which the next begins.
const PART_BYTES: usize = 64 * 1024;
/// Bytes from which on a text is a part of its own rather than copied.
const SHARED_FROM_BYTES: usize = 4 * 1024;

/// Text that is being written, and the parts of it that are ready.
#[derive(Debug)]
pub(super) struct TextOutput {
    ready: VecDeque<Bytes>,
    writing: Vec<u8>,
    /// Bytes of `writing` after which it is a part; none where the text stays whole.
    part_bytes: usize,
}

impl TextOutput {
    /// Appends to `text`, which stays whole.
    pub(super) fn whole(text: Vec<u8>) -> Self {
        Self { ready: VecDeque::new(), writing: text, part_bytes: usize::MAX }
    }

    pub(super) fn in_parts() -> Self {
        Self { ready: VecDeque::new(), writing: Vec::new(), part_bytes: PART_BYTES }
    }

    #[inline]
    pub(super) fn text(&mut self) -> &mut Vec<u8> {
        if self.writing.len() >= self.part_bytes {
            self.finish_part();
        }
        &mut self.writing
    }

    /// Appends a text that several places share.
    pub(super) fn share(&mut self, text: Bytes) {
        if self.part_bytes == usize::MAX || text.len() < SHARED_FROM_BYTES {
            self.text().extend_from_slice(&text);
        } else {
            self.finish_part();
            self.ready.push_back(text);
        }
    }

    /// Ends the part that is being written.
    pub(super) fn finish_part(&mut self) {
        if !self.writing.is_empty() {
            self.ready.push_back(std::mem::take(&mut self.writing).into());
        }
    }

    pub(super) fn next_part(&mut self) -> Option<Bytes> {
        self.ready.pop_front()
    }

    pub(super) fn into_text(self) -> Vec<u8> {
        self.writing
    }
}
