//! Which files to merge, and merging parts: several parts of a month, and increments that are in none yet, become one
//! part. Cells of cleared series are left behind.

use super::dictionary::Cleared;
use super::part::{PartCursor, PartWriter};
use super::{FileRef, Generation, SnapshotFolder};
use crate::limits::{DICTIONARY_PIECES_ALIKE_MAX, SNAPSHOT_MERGE_BYTES_MIN, wide};
use crate::model::batch::{Increment, SeriesId};
use crate::model::calendar::HourRange;
use crate::model::cells::{self, Cell, Month};
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

/// The same for pieces of which many are no trouble: a restart takes one after the other. So a byte is rewritten only when
/// [`DICTIONARY_PIECES_ALIKE_MAX`] files of like size have come together, and a third as often.
pub(crate) fn pieces_kept(files: &[FileRef], bytes_new: u64) -> usize {
    // Files of like size have the same number here.
    let level = |bytes: u64| {
        (bytes / SNAPSHOT_MERGE_BYTES_MIN)
            .checked_ilog(wide(DICTIONARY_PIECES_ALIKE_MAX))
            .map_or(0, |log| log + 1)
    };
    let (mut kept, mut gathered) = (files.len(), bytes_new);
    loop {
        let level_now = level(gathered);
        let before = files.get(..kept).unwrap_or_default();
        let run = before.iter().rev().take_while(|file| level(file.bytes) <= level_now);
        let (count, smaller, bytes) = run.fold((0_usize, false, 0_u64), |(count, smaller, bytes), file| {
            (count + 1, smaller || level(file.bytes) < level_now, bytes.saturating_add(file.bytes))
        });
        let is_due = smaller || level_now == 0 || count + 1 >= DICTIONARY_PIECES_ALIKE_MAX;
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
    let mut cells = CellsOfSeries { month: month.range(), cells: Vec::new(), sums: Vec::new() };
    while let Some(series) = next_series(&cursors, fresh) {
        let (now, rest) = fresh.split_at(fresh.iter().take_while(|one| one.series == series).count());
        fresh = rest;
        let mut have_it = cursors.iter_mut().filter(|cursor| cursor.series() == Some(series));
        match (have_it.next(), have_it.next()) {
            // What only one part has stays as it is.
            (Some(only), None) if now.is_empty() => {
                let counts = sources.cleared.counts(series, only.generation);
                while let Some((_, frame)) = only.peek().filter(|(found, _)| *found == series) {
                    if counts {
                        out.frame(series, frame)?;
                    }
                    only.advance()?;
                }
            }
            (first, second) => {
                for cursor in first.into_iter().chain(second).chain(have_it) {
                    cells.unpack(cursor, series, sources.cleared)?;
                }
                cells.add(now);
                out.cells(series, cells.sums())?;
            }
        }
    }
    out.finish()
}

fn next_series(cursors: &[PartCursor], fresh: &[Increment]) -> Option<SeriesId> {
    cursors.iter().filter_map(PartCursor::series).chain(fresh.first().map(|one| one.series)).min()
}

/// The cells of one series that are being put together; the buffers are used again for the next.
struct CellsOfSeries {
    month: HourRange,
    cells: Vec<Cell>,
    sums: Vec<Cell>,
}

impl CellsOfSeries {
    /// Takes the frames of the series that the cursor comes to.
    fn unpack(
        &mut self,
        cursor: &mut PartCursor,
        series: SeriesId,
        cleared: &Cleared,
    ) -> Result<(), FileError> {
        let counts = cleared.counts(series, cursor.generation);
        while let Some((_, frame)) = cursor.peek().filter(|(found, _)| *found == series) {
            if counts {
                cells::decode_frame_within(self.month, frame, &mut self.cells).map_err(|error| {
                    cursor.reader.damaged(format!("a frame of series {} is not one: {error}", series.get()))
                })?;
            }
            cursor.advance()?;
        }
        Ok(())
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
