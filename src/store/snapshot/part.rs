//! A part: the frames that one fold, or a merge, wrote for one month, by ascending series. A series with very many
//! cells in the month has several frames in a row.
//!
//! Must not know which parts there are, nor which of their series have been cleared.

use super::block::{BlockReader, BlockWriter};
use super::{FileRef, Frames, FramesOut, Generation, SnapshotFolder};
use crate::limits::{FRAME_CELLS_MAX, SNAPSHOT_BLOCK_BYTES};
use crate::model::batch::SeriesId;
use crate::model::calendar::HourRange;
use crate::model::cells::{self, Cell, FrameRef, Month};
use crate::store::damage::FileError;
use crate::store::layout::FileName;

/// Writes a part; series must come in ascending order.
#[derive(Debug)]
pub(crate) struct PartWriter {
    out: BlockWriter,
    frames: FramesOut,
    hours: HourRange,
    /// A frame that is being put together.
    joined: Vec<u8>,
}

impl PartWriter {
    /// A part of that month.
    pub(crate) fn create(
        folder: &SnapshotFolder,
        (month, generation): (Month, Generation),
    ) -> Result<Self, FileError> {
        let out = folder.create(FileName::Part(month, generation))?;
        Ok(Self { out, frames: FramesOut::default(), hours: month.range(), joined: Vec::new() })
    }

    /// Packs cells, ascending by hour and of the part's month.
    pub(crate) fn cells(&mut self, series: SeriesId, cells: &[Cell]) -> Result<(), FileError> {
        let hours = self.hours;
        for chunk in cells.chunks(FRAME_CELLS_MAX) {
            self.frames.push_with(series, |bytes| cells::encode_frame_within(hours, chunk, bytes));
            self.flush_if(SNAPSHOT_BLOCK_BYTES)?;
        }
        Ok(())
    }

    /// Takes a frame of another part of the month as it is.
    #[inline]
    pub(super) fn frame(&mut self, series: SeriesId, frame: &[u8]) -> Result<(), FileError> {
        self.frame_with(series, |bytes| bytes.extend_from_slice(frame))
    }

    /// Takes a frame of the month, which `write` appends.
    #[inline]
    pub(super) fn frame_with(
        &mut self,
        series: SeriesId,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), FileError> {
        self.frames.push_with(series, write);
        self.flush_if(SNAPSHOT_BLOCK_BYTES)
    }

    /// Takes frames of the month as one frame, if each begins after the end of the one before; whether they do.
    pub(super) fn joined(&mut self, series: SeriesId, frames: &[FrameRef<'_>]) -> Result<bool, FileError> {
        self.joined.clear();
        let is_joined = cells::concatenate(frames, FRAME_CELLS_MAX, &mut self.joined);
        if is_joined {
            let Self { frames, joined, .. } = self;
            frames.push_with(series, |bytes| bytes.extend_from_slice(joined));
            self.flush_if(SNAPSHOT_BLOCK_BYTES)?;
        }
        Ok(is_joined)
    }

    /// Writes the rest and syncs the file. Returns what the manifest must say of it.
    pub(crate) fn finish(mut self) -> Result<FileRef, FileError> {
        self.flush_if(0)?;
        self.out.finish()
    }

    #[inline]
    fn flush_if(&mut self, bytes_min: usize) -> Result<(), FileError> {
        if self.frames.payload().len() < bytes_min.max(1) {
            return Ok(());
        }
        self.out.block(self.frames.payload())?;
        self.frames.clear();
        Ok(())
    }
}

/// Reads a part front to back.
#[derive(Debug)]
pub(crate) struct PartReader {
    input: BlockReader,
    last: Option<SeriesId>,
}

impl PartReader {
    /// Opens the file that the manifest lists.
    pub(crate) fn open(folder: &SnapshotFolder, file: &FileRef) -> Result<Self, FileError> {
        Ok(Self { input: folder.open(file)?, last: None })
    }

    /// Reads the next block into `frames`, whose content is replaced; `false` after the last one, when the whole file
    /// has been found sound.
    pub(crate) fn next(&mut self, frames: &mut Frames) -> Result<bool, FileError> {
        let read = frames.read_with(|payload| self.input.next(payload))?;
        let is_there = read.map_err(|what| self.input.damaged(what))?;
        let (first, last) = (frames.iter().next(), frames.last());
        if let (Some(before), Some((first, _))) = (self.last, first)
            && first < before
        {
            return Err(self.input.damaged(format!("series {} is out of order", first.get())));
        }
        self.last = last.or(self.last);
        Ok(is_there)
    }

    /// An error about the block that was read last.
    pub(crate) fn damaged(&self, what: impl Into<String>) -> FileError {
        self.input.damaged(what)
    }
}

/// A part being read, one frame at a time.
#[derive(Debug)]
pub(crate) struct PartCursor {
    reader: PartReader,
    frames: Frames,
    index: usize,
    /// Of the frame that it stands on.
    series: Option<SeriesId>,
    name: FileName,
}

impl PartCursor {
    /// Opens the part and stands on its first frame.
    pub(crate) fn open(folder: &SnapshotFolder, file: &FileRef) -> Result<Self, FileError> {
        let reader = PartReader::open(folder, file)?;
        let mut cursor = Self { reader, frames: Frames::default(), index: 0, series: None, name: file.name };
        cursor.refill()?;
        Ok(cursor)
    }

    /// The fold that wrote the part.
    pub(crate) fn generation(&self) -> Generation {
        self.name.generation()
    }

    /// The part's month.
    pub(crate) fn month(&self) -> Option<Month> {
        self.name.month()
    }

    /// The frame that the cursor stands on; `None` at the end.
    pub(crate) fn peek(&self) -> Option<(SeriesId, &[u8])> {
        self.frames.get(self.index)
    }

    /// The series of that frame.
    #[inline]
    pub(crate) fn series(&self) -> Option<SeriesId> {
        self.series
    }

    /// Whether the frame that it stands on is the only one of its series; not known of the last of a block.
    #[inline]
    pub(super) fn is_only(&self) -> Option<bool> {
        self.frames.series(self.index.saturating_add(1)).map(|next| Some(next) != self.series)
    }

    /// Goes on to the next frame.
    #[inline]
    pub(crate) fn advance(&mut self) -> Result<(), FileError> {
        self.index = self.index.saturating_add(1);
        self.refill()
    }

    /// An error about the block that the cursor is in.
    pub(crate) fn damaged(&self, what: impl Into<String>) -> FileError {
        self.reader.damaged(what)
    }

    #[inline]
    fn refill(&mut self) -> Result<(), FileError> {
        loop {
            self.series = self.frames.series(self.index);
            if self.series.is_some() {
                return Ok(());
            }
            self.index = 0;
            if !self.reader.next(&mut self.frames)? {
                return Ok(());
            }
        }
    }
}
