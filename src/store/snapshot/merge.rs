//! Which files to merge, and merging parts: several parts of a month, and increments that are in none yet, become one
//! part. Cells of cleared series are left behind.

use super::dictionary::Cleared;
use super::part::{PartCursor, PartWriter};
use super::{FileRef, Generation, SnapshotFolder};
use crate::limits::{SNAPSHOT_MERGE_BYTES_MIN, wide};
use crate::model::batch::{Increment, SeriesId};
use crate::model::calendar::HourRange;
use crate::model::cells::{self, Cell, FrameError, FrameRef, Month};
use crate::store::damage::FileError;

/// Of files in the order they were written, how many stay as they are when `bytes_new` are to be added; the rest is
/// merged with what is new.
///
/// A file joins the merge while what has been gathered is at least half of it. So each file that stays is more than
/// twice as large as the next, there are few of them, and each byte is rewritten about as often as the logarithm of
/// the whole. All small files count as equally small, since rewriting those costs nothing.
pub(crate) fn files_kept(files: &[FileRef], bytes_new: u64) -> usize {
    let size = |bytes: u64| bytes.max(SNAPSHOT_MERGE_BYTES_MIN);
    let mut gathered = bytes_new;
    let mut kept = files.len();
    for FileRef { bytes, .. } in files.iter().rev() {
        if size(gathered).saturating_mul(2) < size(*bytes) {
            break;
        }
        gathered = gathered.saturating_add(*bytes);
        kept = kept.saturating_sub(1);
    }
    kept
}

/// The same for files of which several are no trouble. So a byte is rewritten only when `alike_max` files of like size have
/// come together: with eight, a third as often.
pub(crate) fn pieces_kept(files: &[FileRef], bytes_new: u64, alike_max: usize) -> usize {
    // Files of like size have the same number here.
    let level = |bytes: u64| {
        (bytes / SNAPSHOT_MERGE_BYTES_MIN).checked_ilog(wide(alike_max)).map_or(0, |log| log + 1)
    };
    let (mut kept, mut gathered) = (files.len(), bytes_new);
    loop {
        let level_now = level(gathered);
        let before = files.get(..kept).unwrap_or_default();
        let run = before.iter().rev().take_while(|file| level(file.bytes) <= level_now);
        let (count, smaller, bytes) = run.fold((0_usize, false, 0_u64), |(count, smaller, bytes), file| {
            (count + 1, smaller || level(file.bytes) < level_now, bytes.saturating_add(file.bytes))
        });
        let is_due = smaller || level_now == 0 || count + 1 >= alike_max;
        if count == 0 || !is_due {
            return kept;
        }
        kept -= count;
        gathered = gathered.saturating_add(bytes);
    }
}

/// What goes into a merged part.
#[derive(Debug)]
pub(crate) struct Sources<'a> {
    pub(crate) parts: &'a [FileRef],
    /// Increments of the month by series, then hour; equal ones add up.
    pub(crate) fresh: &'a [Increment],
    /// What does not count in the parts.
    pub(crate) cleared: &'a Cleared,
}

/// Writes and syncs the part of a month. Returns what the manifest must say of it.
pub(crate) fn merge_parts(
    folder: &SnapshotFolder,
    (month, generation): (Month, Generation),
    sources: &Sources<'_>,
) -> Result<FileRef, FileError> {
    let cursors: Result<Vec<_>, _> =
        sources.parts.iter().map(|part| PartCursor::open(folder, part)).collect();
    let mut cursors = cursors?;
    let mut out = PartWriter::create(folder, (month, generation))?;
    let mut fresh = sources.fresh;
    let mut merging = FramesOfSeries::new(month.range());
    while let Some(series) = next_series(&cursors, fresh) {
        let (now, rest) = fresh.split_at(fresh.iter().take_while(|one| one.series == series).count());
        fresh = rest;
        merging.clear();
        for cursor in cursors.iter_mut().filter(|cursor| cursor.series() == Some(series)) {
            merging.take(cursor, series, sources.cleared)?;
        }
        merging.write(series, now, &mut out)?;
    }
    out.finish()
}

fn next_series(cursors: &[PartCursor], fresh: &[Increment]) -> Option<SeriesId> {
    cursors.iter().filter_map(PartCursor::series).chain(fresh.first().map(|one| one.series)).min()
}

/// The frames of one series that are being put together; the buffers are used again for the next.
struct FramesOfSeries {
    month: HourRange,
    bytes: Vec<u8>,
    /// Where each frame ends.
    ends: Vec<usize>,
    cells: Vec<Cell>,
    sums: Vec<Cell>,
}

impl FramesOfSeries {
    fn new(month: HourRange) -> Self {
        Self { month, bytes: Vec::new(), ends: Vec::new(), cells: Vec::new(), sums: Vec::new() }
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Takes the frames of the series that the cursor comes to.
    fn take(
        &mut self,
        cursor: &mut PartCursor,
        series: SeriesId,
        cleared: &Cleared,
    ) -> Result<(), FileError> {
        let counts = cleared.counts(series, cursor.generation());
        while let Some((_, frame)) = cursor.peek().filter(|(found, _)| *found == series) {
            if counts {
                self.bytes.extend_from_slice(frame);
                self.ends.push(self.bytes.len());
                let is_of_month = FrameRef::read(frame).map(|frame| frame.is_within(self.month));
                if is_of_month != Ok(true) {
                    let error = is_of_month.err().unwrap_or(FrameError::OutOfOrder);
                    let number = series.get();
                    return Err(cursor.damaged(format!("a frame of series {number} is not one: {error}")));
                }
            }
            cursor.advance()?;
        }
        Ok(())
    }

    /// Writes what was taken, and the fresh increments. What is in one place only stays as it is, and what follows each
    /// other is put into one frame as it is.
    fn write(
        &mut self,
        series: SeriesId,
        fresh: &[Increment],
        out: &mut PartWriter,
    ) -> Result<(), FileError> {
        if self.ends.is_empty() {
            self.cells.clear();
            self.add(fresh);
            return out.cells(series, self.sums());
        }
        if fresh.is_empty() && self.ends.len() == 1 {
            return out.frame(series, &self.bytes);
        }
        self.cells.clear();
        self.add(fresh);
        if self.cells.is_sorted_by(|a, b| a.hour < b.hour) {
            // Where the sum of an hour is past 32 bits, there are several of it.
            cells::encode_frame_within(self.month, &self.cells, &mut self.bytes);
            self.ends.extend((!fresh.is_empty()).then_some(self.bytes.len()));
            self.cells.clear();
        }
        let Self { bytes, ends, cells, .. } = self;
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let frames = starts.zip(ends.iter()).map(|(start, end)| bytes.get(start..*end).unwrap_or_default());
        let frames: Vec<FrameRef<'_>> = frames.filter_map(|frame| FrameRef::read(frame).ok()).collect();
        if cells.is_empty() && out.joined(series, &frames)? {
            return Ok(());
        }
        for frame in frames {
            frame.decode(cells);
        }
        out.cells(series, self.sums())
    }

    fn add(&mut self, fresh: &[Increment]) {
        self.cells.extend(fresh.iter().map(|one| Cell { hour: one.hour, count: one.count }));
    }

    /// The cells by hour, equal hours added up, and none is left; where a sum is past 32 bits the hour gets several cells.
    fn sums(&mut self) -> &[Cell] {
        self.sums.clear();
        let (cells, sums) = (&mut self.cells, &mut self.sums);
        // Mostly what is newer is of later hours.
        if cells.is_sorted_by(|a, b| a.hour < b.hour) {
            std::mem::swap(cells, sums);
            return sums;
        }
        // A stable sort merges what ascends already.
        cells.sort_by_key(|cell| cell.hour);
        for run in cells.chunk_by(|a, b| a.hour == b.hour) {
            let total = run.iter().fold(0_u64, |sum, cell| sum.saturating_add(u64::from(cell.count)));
            sums.extend(run.first().into_iter().flat_map(|first| Cell::of_count(first.hour, total)));
        }
        cells.clear();
        sums
    }
}
