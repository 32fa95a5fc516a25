//! Which files to merge, and merging parts: several parts of a month, and increments that are in none yet, become one
//! part. Cells of cleared series are left behind.

use super::dictionary::Cleared;
use super::part::{PartCursor, PartWriter};
use super::{FileRef, SnapshotFolder};
use crate::limits::SNAPSHOT_MERGE_BYTES_MIN;
use crate::model::batch::{Increment, SeriesId};
use crate::model::cells::{self, Cell};
use crate::store::damage::FileError;
use crate::store::layout::FileName;

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

/// What goes into a merged part.
#[derive(Debug)]
pub(crate) struct Sources<'a> {
    pub(crate) parts: &'a [FileRef],
    /// Increments of the month by series, then hour; equal ones add up.
    pub(crate) fresh: &'a [Increment],
    /// What does not count in the parts.
    pub(crate) cleared: &'a Cleared,
}

/// Writes and syncs the part. Returns what the manifest must say of it.
pub(crate) fn merge_parts(
    folder: &SnapshotFolder,
    name: FileName,
    sources: &Sources<'_>,
) -> Result<FileRef, FileError> {
    let cursors: Result<Vec<_>, _> =
        sources.parts.iter().map(|part| PartCursor::open(folder, part)).collect();
    let mut cursors = cursors?;
    let mut out = PartWriter::create(folder, name)?;
    let mut fresh = sources.fresh;
    let mut cells = Vec::new();
    while let Some(series) = next_series(&cursors, fresh) {
        for cursor in &mut cursors {
            unpack_frames(cursor, series, sources.cleared, &mut cells)?;
        }
        let (now, rest) = fresh.split_at(fresh.iter().take_while(|i| i.series == series).count());
        fresh = rest;
        cells.extend(now.iter().map(|increment| Cell { hour: increment.hour, count: increment.count }));
        cells.sort_unstable_by_key(|cell| cell.hour);
        out.cells(series, &sum_cells(&cells))?;
        cells.clear();
    }
    out.finish()
}

fn next_series(cursors: &[PartCursor], fresh: &[Increment]) -> Option<SeriesId> {
    let stored = cursors.iter().filter_map(|cursor| cursor.peek().map(|(series, _)| series)).min();
    match (stored, fresh.first()) {
        (Some(stored), Some(first)) => Some(stored.min(first.series)),
        (stored, first) => stored.or(first.map(|increment| increment.series)),
    }
}

/// Unpacks the frames of the series that the cursor comes to.
fn unpack_frames(
    cursor: &mut PartCursor,
    series: SeriesId,
    cleared: &Cleared,
    cells: &mut Vec<Cell>,
) -> Result<(), FileError> {
    let counts = cleared.counts(series, cursor.generation);
    while let Some((_, frame)) = cursor.peek().filter(|(found, _)| *found == series) {
        if counts && unpack(frame, cells).is_err() {
            return Err(cursor.reader.damaged(format!("a frame of series {} is not one", series.get())));
        }
        cursor.advance()?;
    }
    Ok(())
}

fn unpack(frame: &[u8], cells: &mut Vec<Cell>) -> Result<(), cells::FrameError> {
    let read = cells::decode_frame(frame, cells)?;
    if read == frame.len() { Ok(()) } else { Err(cells::FrameError::TrailingBytes) }
}

/// Adds up cells of equal hour; where a sum is past 32 bits the hour gets several cells.
fn sum_cells(cells: &[Cell]) -> Vec<Cell> {
    let mut summed = Vec::with_capacity(cells.len());
    for run in cells.chunk_by(|a, b| a.hour == b.hour) {
        let total = run.iter().fold(0_u64, |sum, cell| sum.saturating_add(u64::from(cell.count)));
        summed.extend(run.first().into_iter().flat_map(|first| Cell::of_count(first.hour, total)));
    }
    summed
}
