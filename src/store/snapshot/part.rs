//! A part: the frames that one fold, or a merge, wrote for one month, by ascending series. A series with very many
//! cells in the month has several frames in a row.
//!
//! Must not know which parts there are, nor which of their series have been cleared.

use super::block::{BlockReader, BlockWriter};
use super::codec::{self, Frames};
use super::{FileRef, Generation, SnapshotFolder};
use crate::limits::{FRAME_CELLS_MAX, SNAPSHOT_BLOCK_BYTES};
use crate::model::batch::SeriesId;
use crate::model::cells::{self, Cell};
use crate::store::damage::FileError;
use crate::store::layout::FileName;

/// Writes a part; series must come in ascending order.
#[derive(Debug)]
pub(crate) struct PartWriter {
    out: BlockWriter,
    frames: Frames,
    payload: Vec<u8>,
}

impl PartWriter {
    pub(crate) fn create(folder: &SnapshotFolder, name: FileName) -> Result<Self, FileError> {
        Ok(Self { out: folder.create(name)?, frames: Frames::default(), payload: Vec::new() })
    }

    /// Packs cells, ascending by hour and of the part's month.
    pub(crate) fn cells(&mut self, series: SeriesId, cells: &[Cell]) -> Result<(), FileError> {
        for chunk in cells.chunks(FRAME_CELLS_MAX) {
            self.frames.push_with(series, |bytes| cells::encode_frame(chunk, bytes));
            self.flush_if(SNAPSHOT_BLOCK_BYTES)?;
        }
        Ok(())
    }

    /// Writes the rest and syncs the file. Returns what the manifest must say of it.
    pub(crate) fn finish(mut self) -> Result<FileRef, FileError> {
        self.flush_if(0)?;
        self.out.finish()
    }

    fn flush_if(&mut self, bytes_min: usize) -> Result<(), FileError> {
        if self.frames.is_empty() || self.frames.encoded_bytes() < bytes_min {
            return Ok(());
        }
        self.payload.clear();
        codec::encode_frames(&self.frames, &mut self.payload).map_err(|what| self.out.unwritable(what))?;
        self.out.block(&self.payload)?;
        self.frames.clear();
        Ok(())
    }
}

/// Reads a part front to back.
#[derive(Debug)]
pub(crate) struct PartReader {
    input: BlockReader,
    payload: Vec<u8>,
    last: Option<SeriesId>,
}

impl PartReader {
    /// Opens the file that the manifest lists.
    pub(crate) fn open(folder: &SnapshotFolder, file: &FileRef) -> Result<Self, FileError> {
        Ok(Self { input: folder.open(file)?, payload: Vec::new(), last: None })
    }

    /// Reads the next block into `frames`, whose content is replaced; `false` after the last one, when the whole file
    /// has been found sound.
    pub(crate) fn next(&mut self, frames: &mut Frames) -> Result<bool, FileError> {
        frames.clear();
        if !self.input.next(&mut self.payload)? {
            return Ok(false);
        }
        codec::decode_frames(&self.payload, frames).map_err(|what| self.input.damaged(what))?;
        for (series, _) in frames.iter() {
            if self.last.is_some_and(|last| series < last) {
                return Err(self.input.damaged(format!("series {} is out of order", series.get())));
            }
            self.last = Some(series);
        }
        Ok(true)
    }

    /// An error about the block that was read last.
    pub(crate) fn damaged(&self, what: impl Into<String>) -> FileError {
        self.input.damaged(what)
    }
}

/// A part being read, one frame at a time.
#[derive(Debug)]
pub(crate) struct PartCursor {
    pub(super) reader: PartReader,
    frames: Frames,
    index: usize,
    pub(super) generation: Generation,
}

impl PartCursor {
    /// Opens the part and stands on its first frame.
    pub(crate) fn open(folder: &SnapshotFolder, file: &FileRef) -> Result<Self, FileError> {
        let (reader, generation) = (PartReader::open(folder, file)?, file.name.generation());
        let mut cursor = Self { reader, frames: Frames::default(), index: 0, generation };
        cursor.refill()?;
        Ok(cursor)
    }

    /// The frame that the cursor stands on; `None` at the end.
    pub(crate) fn peek(&self) -> Option<(SeriesId, &[u8])> {
        self.frames.get(self.index)
    }

    /// Goes on to the next frame.
    pub(crate) fn advance(&mut self) -> Result<(), FileError> {
        self.index = self.index.saturating_add(1);
        self.refill()
    }

    fn refill(&mut self) -> Result<(), FileError> {
        while self.frames.get(self.index).is_none() {
            self.index = 0;
            if !self.reader.next(&mut self.frames)? {
                return Ok(());
            }
        }
        Ok(())
    }
}
