//! Frames of series as a block of a part holds them: for each, how far its series is past that of the one before, as a
//! varint in as few bytes as it takes, then the frame, which tells its own length (see [`cells`]).
//!
//! Knows nothing of files, nor what is in a frame but its first bytes.

use std::ops::Range;

use crate::limits::narrow;
use crate::model::batch::SeriesId;
use crate::model::cells::{self, FrameRef};

/// The frames of a block that is being written.
#[derive(Debug, Default)]
pub(crate) struct FramesOut {
    payload: Vec<u8>,
    last: u32,
}

impl FramesOut {
    /// Takes one more frame, which `write` appends; its series must not be before those that are there.
    #[inline]
    pub(crate) fn push_with(&mut self, series: SeriesId, write: impl FnOnce(&mut Vec<u8>)) {
        debug_assert!(self.last <= series.get(), "the frames of a block ascend by series");
        cells::write_varint(series.get().saturating_sub(self.last), &mut self.payload);
        self.last = series.get();
        write(&mut self.payload);
    }

    /// The payload of the block.
    pub(crate) fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Begins the next block.
    pub(crate) fn clear(&mut self) {
        self.payload.clear();
        self.last = 0;
    }
}

/// The frames of a block that has been read.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    /// The payload of the block.
    bytes: Vec<u8>,
    /// The series of each frame, and where in `bytes` it is.
    places: Vec<(SeriesId, Range<u32>)>,
}

impl Frames {
    /// The frame at that place, and its series.
    pub(crate) fn get(&self, index: usize) -> Option<(SeriesId, &[u8])> {
        let (series, Range { start, end }) = self.places.get(index)?.clone();
        Some((series, self.bytes.get(narrow(start)..narrow(end))?))
    }

    /// The series of the frame at that place.
    #[inline]
    pub(crate) fn series(&self, index: usize) -> Option<SeriesId> {
        self.places.get(index).map(|(series, _)| *series)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (SeriesId, &[u8])> {
        (0..self.places.len()).filter_map(|index| self.get(index))
    }

    /// The last series.
    pub(crate) fn last(&self) -> Option<SeriesId> {
        self.places.last().map(|(series, _)| *series)
    }

    /// Replaces the frames by those of the payload that `read` gives, if it gives one; whether it did. An error is `read`'s,
    /// or says where in the payload no frame is.
    pub(crate) fn read_with<E>(
        &mut self,
        read: impl FnOnce(&mut Vec<u8>) -> Result<bool, E>,
    ) -> Result<Result<bool, String>, E> {
        self.bytes.clear();
        self.places.clear();
        let is_there = read(&mut self.bytes)?;
        Ok(self.find_places().map(|()| is_there))
    }

    fn find_places(&mut self) -> Result<(), String> {
        let fault = |at: usize, what: &dyn std::fmt::Display| format!("{what}, at byte {at} of the block");
        let (mut rest, mut series) = (self.bytes.as_slice(), 0_u32);
        while !rest.is_empty() {
            let at = self.bytes.len() - rest.len();
            let step = cells::read_short_varint(&mut rest).map_err(|error| fault(at, &error))?;
            series = series.checked_add(step).ok_or_else(|| fault(at, &"a series is past 32 bits"))?;
            let start = self.bytes.len() - rest.len();
            let length = FrameRef::read(rest).map_err(|error| fault(start, &error))?.bytes_len();
            rest = rest.get(length..).unwrap_or_default();
            self.places.push((SeriesId::new(series), place(start)..place(start + length)));
        }
        Ok(())
    }
}

/// A place in a block, none of which has as many as 4 GiB.
fn place(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
